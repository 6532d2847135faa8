"""The groups' coefficients on the columns as they are, from those on the prepared columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lepton_dask.data.prepared import Prepared
from lepton_dask.learn.meta.normal_prior import NormalPrior
from lepton_dask.learn.meta.scaling import Scaling
from lepton_dask.matrix import Floats

INTERCEPT = "(intercept)"


@dataclass(frozen=True)
class NormalCoefficients:
    """The mean (1 + D,) and the covariance (1 + D, 1 + D) of the groups' coefficients, the
    intercept first, and the standard deviation of what they leave over."""

    names: tuple[str, ...]
    mean: Floats
    covariance: Floats
    residual_sd: float


def in_raw_units(prior: NormalPrior, prepared: Prepared, scaling: Scaling) -> NormalCoefficients:
    """With x_prepared = (t(x) - center) / scale for the numbers and y_learnt = (y - c) / s:

    b = s b_prepared / scale, b_0 = c + s b_0,prepared - sum_j center_j b_j

    A number that is transformed keeps its transform t: its coefficient is that of t(x).
    """
    d = len(prior.m)
    change = np.eye(d)
    for j, number in enumerate(prepared.numbers, start=1):
        change[j, j] = 1.0 / number.scale
        change[0, j] = -number.center / number.scale
    change *= scaling.scale
    mean = change @ prior.m
    mean[0] += scaling.center
    covariance = change @ prior.Sigma @ change.T
    names = (INTERCEPT, *prepared.features)
    return NormalCoefficients(names, mean, covariance, prior.sigma * scaling.scale)
