"""The penalty: sum_j f_j (l1 |b_j| + (l2 / 2) b_j^2) over the coefficients, the intercepts free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lepton_dask.component import Component

Floats = NDArray[np.float64]


class Penalty(Component):
    """Both together are the elastic net. `factors` multiply the penalty of a column's
    coefficients: 0 leaves them free, 1 is what a column has that is not named."""

    l1: float = Field(default=0.0, ge=0)
    l2: float = Field(default=0.0, ge=0)
    factors: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)

    @property
    def smooth(self) -> bool:
        return self.l1 == 0.0

    def by_feature(self, columns: Sequence[str]) -> Floats:
        """f_j (D,) for coefficients that were made of `columns` (D,)."""
        if not self.factors:
            return np.ones(len(columns))
        return np.array([self.factors.get(column, 1.0) for column in columns], dtype=np.float64)


def shrink(coefficients: Floats, threshold: Floats | float) -> Floats:
    """sign(b) max(|b| - threshold, 0), elementwise: the proximal step of threshold |b|_1."""
    return np.sign(coefficients) * np.maximum(np.abs(coefficients) - threshold, 0.0)
