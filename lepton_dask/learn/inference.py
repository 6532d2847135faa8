"""Standard errors of an unpenalised fit: how far its coefficients would move on other rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.tree import added
from lepton_dask.matrix import Floats, Layout

DEPENDENT = 1e-10
"""A column of which the others leave less than this share of its square sum is one of them."""

FIXED_DISPERSION = frozenset({"logistic", "poisson"})
INFERRED = frozenset({"squared", "logistic", "poisson", "gamma", "tweedie"})
"""The losses that are likelihoods of a generalised linear model with one linear predictor."""


class Information(NamedTuple):
    """Sums over rows at the fit: the expected information w E[d2l/dtheta2] (M, M), the Pearson
    statistic w (y - mu)^2 / V(mu), and the rows of positive weight."""

    matrix: Floats
    pearson: float
    rows: int


@dataclass(frozen=True)
class Estimate:
    """A coefficient with its standard error, z = coefficient / error and p = P(|Z| >= |z|).

    The error is None, with the reason in `note`, where there is none.
    """

    feature: str
    coefficient: float
    standard_error: float | None = None
    z: float | None = None
    p: float | None = None
    note: str = ""


def total_information(chunks: Sequence[Information]) -> Information:
    """The sum of the chunks', as `added` brackets it."""
    return added(chunks)


class Dependent(Exception):
    """A column is a linear combination of others: its coefficient could be any number."""

    def __init__(self, feature: str) -> None:
        super().__init__(feature)
        self.feature = feature


def estimates(
    model: LinearModel, features: tuple[str, ...], theta: Floats, information: Information
) -> tuple[Estimate, ...]:
    """One estimate a feature, the intercept last.

    The covariance is phi I^-1 with I the expected information; phi is 1 for logistic and Poisson,
    else the Pearson statistic over (rows - coefficients): McCullagh, Nelder, Generalized Linear
    Models, 2nd ed., 2.5 and 8.3. A code column's levels add up to the intercept's column, so they
    are told as contrasts to the first of its levels that has rows, and the intercept is that of
    those levels; a level without rows has no error.

    Raises Dependent where what is left is still not of full rank.
    """
    names = (*features, "(intercept)")
    seen = np.diag(information.matrix) > 0
    references = _references(model.layout, seen)
    told = _as_contrasts(model.layout, theta, references)
    kept = np.flatnonzero(seen & ~np.isin(np.arange(len(names)), references))
    matrix = information.matrix[np.ix_(kept, kept)]
    covariance = _inverse(matrix, [names[i] for i in kept])
    phi = 1.0
    if model.loss.name not in FIXED_DISPERSION:
        phi = information.pearson / max(1, information.rows - len(kept))
    errors = dict(zip(kept.tolist(), np.sqrt(phi * np.diag(covariance)).tolist(), strict=True))
    return tuple(
        _estimate(name, float(told[i]), errors.get(i), "reference" if i in references else "no row")
        for i, name in enumerate(names)
    )


def _estimate(name: str, coefficient: float, error: float | None, otherwise: str) -> Estimate:
    if error is None:
        return Estimate(name, coefficient, note=otherwise)
    z = coefficient / error if error > 0 else math.copysign(math.inf, coefficient)
    return Estimate(name, coefficient, float(error), z, math.erfc(abs(z) / math.sqrt(2.0)))


def _references(layout: Layout, seen: NDArray[np.bool_]) -> list[int]:
    """Of each code column the first level that has rows, as a place in theta."""
    references, start = [], layout.dense
    for levels in layout.levels:
        there = np.flatnonzero(seen[start : start + levels])
        references += [start + int(there[0])] if len(there) else []
        start += levels
    return references


def _as_contrasts(layout: Layout, theta: Floats, references: list[int]) -> Floats:
    """theta with each code column's levels less its reference, which the intercept takes up."""
    told = theta.copy()
    start, waiting = layout.dense, list(references)
    for levels in layout.levels:
        stop = start + levels
        if waiting and start <= waiting[0] < stop:
            reference = theta[waiting.pop(0)]
            told[start:stop] -= reference
            told[-1] += reference
        start = stop
    return told


def _inverse(matrix: Floats, names: list[str]) -> Floats:
    """The inverse of a positive definite matrix, scaled to a diagonal of ones on the way.

    Raises Dependent with the first column that those before it leave nothing of.
    """
    scale = np.sqrt(np.diag(matrix))
    scaled = matrix / np.outer(scale, scale)
    factor = np.zeros_like(scaled)
    for j in range(len(scaled)):
        left = scaled[j, j] - factor[j, :j] @ factor[j, :j]
        if left < DEPENDENT:
            raise Dependent(names[j])
        factor[j, j] = math.sqrt(left)
        factor[j + 1 :, j] = (scaled[j + 1 :, j] - factor[j + 1 :, :j] @ factor[j, :j]) / factor[
            j, j
        ]
    inverse = np.linalg.inv(factor)
    covariance: Floats = (inverse.T @ inverse) / np.outer(scale, scale)
    return covariance
