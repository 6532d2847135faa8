"""Losses of counts and amounts, with the log link: the mean is e^z."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from lepton_dask.learn.links import Floats
from lepton_dask.learn.losses.base import Loss

AT_LEAST_0 = "needs targets of at least 0"
ABOVE_0 = "needs targets above 0"


class Poisson(Loss):
    """l = e^z - y z for y >= 0: half the Poisson deviance but for terms of y alone."""

    name = "poisson"
    task = "regression"
    code = 3

    def variance(self, mean: Floats) -> Floats:
        return mean

    def null_curvature(self, mean: Floats) -> Floats:
        return mean

    def target_problem(self, lowest: float, highest: float) -> str | None:  # noqa: ARG002
        return None if lowest >= 0 else AT_LEAST_0


class Gamma(Loss):
    """l = y e^-z + z for y > 0: half the gamma deviance but for terms of y alone."""

    name = "gamma"
    task = "regression"
    code = 4

    def variance(self, mean: Floats) -> Floats:
        return np.asarray(mean**2)

    def null_curvature(self, mean: Floats) -> Floats:
        return np.ones_like(mean)

    def target_problem(self, lowest: float, highest: float) -> str | None:  # noqa: ARG002
        return None if lowest > 0 else ABOVE_0


def _has_a_distribution(power: float) -> float:
    if 0 < power < 1:
        raise PydanticCustomError(
            "tweedie_power", "no Tweedie distribution has a power between 0 and 1"
        )
    return power


class Tweedie(Loss):
    """l = e^((2 - p) z) / (2 - p) - y e^((1 - p) z) / (1 - p): half the Tweedie deviance of power p
    (the variance is proportional to mean^p) but for terms of y alone.

    Power 0 is normal (with the log link), 1 Poisson, 2 gamma, 3 inverse Gaussian, and between 1
    and 2 many zeros beside positive amounts. It is convex in z for powers from 1 to 2 only.
    """

    name = "tweedie"
    task = "regression"
    code = 5

    power: Annotated[float, AfterValidator(_has_a_distribution)] = 1.5

    @property
    def parameters(self) -> tuple[float, float]:
        return self.power, 0.0

    def variance(self, mean: Floats) -> Floats:
        return np.asarray(mean**self.power)

    def null_curvature(self, mean: Floats) -> Floats:
        return np.asarray(np.maximum(mean, np.finfo(np.float64).tiny) ** (2.0 - self.power))

    def target_problem(self, lowest: float, highest: float) -> str | None:  # noqa: ARG002
        if self.power >= 2:
            return None if lowest > 0 else ABOVE_0
        if self.power >= 1:
            return None if lowest >= 0 else AT_LEAST_0
        return None
