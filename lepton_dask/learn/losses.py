"""Pointwise losses and their links: numpy alone, so that a bundle can predict with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Task = Literal["classification", "regression"]
LossName = Literal["squared", "logistic"]


class Loss(ABC):
    """A pointwise loss l(y, z) of a target y and a linear predictor z.

    Losses are half losses: constant factors are chosen so that the derivative by z is the plain
    residual for the canonical link. All functions work elementwise on arrays of one shape, change
    no argument, and are finite wherever the exact result is a finite float64; value and derivative
    keep their relative accuracy in the tails. `inverse_link` takes z to the mean of y, `link` is
    its inverse; both are increasing.

    Source of the conventions: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning,
    2nd ed., section 10.6; McCullagh, Nelder, Generalized Linear Models, section 2.2.
    """

    name: ClassVar[str]
    task: ClassVar[Task]

    @abstractmethod
    def value(self, y: Floats, z: Floats) -> Floats:
        """l(y, z) >= 0."""

    @abstractmethod
    def gradient(self, y: Floats, z: Floats) -> Floats:
        """dl/dz."""

    @abstractmethod
    def curvature(self, y: Floats, z: Floats) -> Floats:
        """d2l/dz2, never negative: every loss here is convex in z."""

    @abstractmethod
    def link(self, mean: Floats) -> Floats:
        """The z whose mean of y is `mean`; the ends of the range give a large finite z."""

    @abstractmethod
    def inverse_link(self, z: Floats) -> Floats:
        """The mean of y at z."""

    def value_and_gradient(self, y: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Both at once, as fresh arrays, for losses where they share work."""
        return self.value(y, z), self.gradient(y, z)


class Squared(Loss):
    """l = (z - y)^2 / 2, identity link."""

    name = "squared"
    task = "regression"

    def value(self, y: Floats, z: Floats) -> Floats:
        residual = z - y
        return 0.5 * residual * residual

    def gradient(self, y: Floats, z: Floats) -> Floats:
        return z - y

    def curvature(self, y: Floats, z: Floats) -> Floats:  # noqa: ARG002 - the contract's shape
        return np.ones_like(z)

    def link(self, mean: Floats) -> Floats:
        return mean

    def inverse_link(self, z: Floats) -> Floats:
        return z

    def value_and_gradient(self, y: Floats, z: Floats) -> tuple[Floats, Floats]:
        residual = z - y
        return 0.5 * residual * residual, residual


class Logistic(Loss):
    """l = log(1 + e^z) - y z for y in [0, 1], logit link.

    Written with e^-|z| alone, which never overflows, and with the two signs of z apart, so that no
    difference of nearly equal numbers is taken: at y = 1, z = 40 the derivative is -4.2e-18, not 0.
    """

    name = "logistic"
    task = "classification"

    def value(self, y: Floats, z: Floats) -> Floats:
        return self.value_and_gradient(y, z)[0]

    def gradient(self, y: Floats, z: Floats) -> Floats:
        return self.value_and_gradient(y, z)[1]

    def curvature(self, y: Floats, z: Floats) -> Floats:  # noqa: ARG002 - the contract's shape
        decay = np.exp(-np.abs(z))
        return decay / (1.0 + decay) ** 2

    def link(self, mean: Floats) -> Floats:
        p = np.clip(mean, np.finfo(np.float64).tiny, 1.0 - np.finfo(np.float64).epsneg)
        return np.log(p) - np.log1p(-p)

    def inverse_link(self, z: Floats) -> Floats:
        decay = np.exp(-np.abs(z))
        return np.where(z >= 0, 1.0, decay) / (1.0 + decay)

    def value_and_gradient(self, y: Floats, z: Floats) -> tuple[Floats, Floats]:
        decay = np.exp(-np.abs(z))
        rising = z >= 0
        value = np.where(rising, (1.0 - y) * z, -y * z) + np.log1p(decay)
        numerator = np.where(rising, (1.0 - y) - y * decay, (1.0 - y) * decay - y)
        return value, numerator / (1.0 + decay)


LOSSES: dict[str, Loss] = {loss.name: loss for loss in (Squared(), Logistic())}
"""Every loss by the name that a pipeline gives it."""
