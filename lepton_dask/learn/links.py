"""The links between a linear predictor and the mean: numpy alone, so that a bundle can predict.

A link takes a mean to the linear predictor z, its inverse takes z to the mean; both are increasing
(McCullagh, Nelder, Generalized Linear Models, section 2.2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_MEAN = float(np.finfo(np.float64).tiny)
"""What the logarithm of a mean of 0 is taken of, so that it is finite."""


class Link(NamedTuple):
    """z = link(mean), mean = inverse(z); the ends of the range of means give a large finite z."""

    link: Callable[[Floats], Floats]
    inverse: Callable[[Floats], Floats]


def _itself(values: Floats) -> Floats:
    return values


def _logit(mean: Floats) -> Floats:
    p = np.clip(mean, LEAST_MEAN, 1.0 - np.finfo(np.float64).epsneg)
    return np.asarray(np.log(p) - np.log1p(-p))


def _logistic(z: Floats) -> Floats:
    # With e^-|z| alone, which never overflows.
    decay = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0, decay) / (1.0 + decay))


def _log(mean: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(mean, LEAST_MEAN)))


def _exp(z: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(z))


def _centred_log(mean: Floats) -> Floats:
    z = _log(mean)
    return np.asarray(z - z.mean(axis=-1, keepdims=True))


def _softmax(z: Floats) -> Floats:
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))


IDENTITY = Link(_itself, _itself)
LOGIT = Link(_logit, _logistic)
LOG = Link(_log, _exp)
SOFTMAX = Link(_centred_log, _softmax)
"""Over the last axis, of K classes; of the z with equal softmax, the one whose sum is 0."""

LINKS: dict[str, Link] = {
    "squared": IDENTITY,
    "logistic": LOGIT,
    "multinomial": SOFTMAX,
    "poisson": LOG,
    "gamma": LOG,
    "tweedie": LOG,
    "huber": IDENTITY,
    "quantile": IDENTITY,
}
"""Every loss's link by the loss's name."""
