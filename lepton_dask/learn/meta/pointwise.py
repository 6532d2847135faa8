"""The losses of a linear predictor z in a row with target y, and their derivatives by z."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lepton_dask.learn.links import LINKS
from lepton_dask.learn.meta.base import MetaLoss
from lepton_dask.matrix import Floats


class Derivatives(NamedTuple):
    """dl/dz and d2l/dz2, shaped like z."""

    slope: Floats
    curvature: Floats


def values(loss: MetaLoss, y: Floats, z: Floats) -> Floats:
    """l(y, z), elementwise: squared (z - y)^2 / 2; logistic log(1 + e^z) - y z.

    The logistic loss as max(z, 0) + log(1 + e^-|z|) - y z, which never overflows.
    """
    if loss == "squared":
        return np.asarray(0.5 * np.square(z - y))
    return np.asarray(np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z))) - y * z)


def derivatives(loss: MetaLoss, y: Floats, z: Floats) -> Derivatives:
    """squared: z - y and 1; logistic: p - y and p (1 - p), with p = 1 / (1 + e^-z)."""
    if loss == "squared":
        return Derivatives(z - y, np.ones_like(z))
    p = LINKS["logistic"].inverse(z)
    return Derivatives(p - y, p * (1.0 - p))
