"""The penalty: l1 |b|_1 + (l2 / 2) |b|^2 over the coefficients, the intercept free."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lepton_dask.component import Component

Floats = NDArray[np.float64]


class Penalty(Component):
    """The smooth part is (l2 / 2) |b|^2; the l1 part is for optimizers with a proximal step."""

    l1: float = Field(default=0.0, ge=0)
    l2: float = Field(default=0.0, ge=0)

    @property
    def smooth(self) -> bool:
        return self.l1 == 0.0

    def value(self, coefficients: Floats) -> float:
        """l1 |b|_1 + (l2 / 2) |b|^2 for b of shape (D,)."""
        smooth = 0.5 * self.l2 * float(coefficients @ coefficients)
        return smooth + self.l1 * float(np.sum(np.abs(coefficients)))

    def smooth_gradient(self, coefficients: Floats) -> Floats:
        """l2 b, shape (D,)."""
        return self.l2 * coefficients


def shrink(coefficients: Floats, threshold: Floats | float) -> Floats:
    """sign(b) max(|b| - threshold, 0), elementwise: the proximal step of threshold |b|_1."""
    return np.sign(coefficients) * np.maximum(np.abs(coefficients) - threshold, 0.0)
