"""Losses of classes."""

from __future__ import annotations

import numpy as np

from lepton_dask.learn.links import Floats
from lepton_dask.learn.losses.base import Loss


class Logistic(Loss):
    """l = log(1 + e^z) - y z for y in [0, 1], logit link."""

    name = "logistic"
    task = "classification"
    code = 1

    def variance(self, mean: Floats) -> Floats:
        return np.asarray(mean * (1.0 - mean))

    def null_curvature(self, mean: Floats) -> Floats:
        return np.asarray(mean * (1.0 - mean))

    def target_problem(self, lowest: float, highest: float) -> str | None:
        return None if lowest >= 0 and highest <= 1 else "needs targets from 0 to 1"


class Multinomial(Loss):
    """l = log(sum_k e^z_k) - z_y for y in {0, ..., K - 1}, one z_k for each of the K classes.

    Every class has its coefficients; they are determined up to a constant that all K share.
    """

    name = "multinomial"
    task = "classification"
    code = 2

    def null_curvature(self, mean: Floats) -> Floats:
        return np.asarray(mean * (1.0 - mean))

    def target_problem(self, lowest: float, highest: float) -> str | None:  # noqa: ARG002
        return None if lowest >= 0 else "needs targets of at least 0, the indices of the classes"
