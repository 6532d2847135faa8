"""The units of what is learnt: a target reduced to mean 0 and standard deviation 1, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lepton_dask.learn.meta.base import Adapted, GroupedRows, MetaLoss
from lepton_dask.matrix import Floats


class TargetSums(NamedTuple):
    """Sums over rows of the weight w, and of w y and w (y - shift)^2 about a shift of the chunk's
    own: its mean, so that nothing cancels."""

    weight: float
    mean: float
    squares: float

    @classmethod
    def of(cls, y: Floats, weight: Floats) -> TargetSums:
        total = float(weight.sum())
        if not total > 0:
            return cls(0.0, 0.0, 0.0)
        mean = float(weight @ y) / total
        return cls(total, mean, float(weight @ (y - mean) ** 2))

    @classmethod
    def added(cls, sums: Iterable[TargetSums]) -> TargetSums:
        """Of all the rows (Chan, Golub, LeVeque 1979, eq. 1.5)."""
        whole = cls(0.0, 0.0, 0.0)
        for each in sums:
            total = whole.weight + each.weight
            if not each.weight:
                continue
            apart = each.mean - whole.mean
            whole = cls(
                total,
                whole.mean + apart * each.weight / total,
                whole.squares + each.squares + apart**2 * whole.weight * each.weight / total,
            )
        return whole


@dataclass(frozen=True)
class Scaling:
    """y -> (y - center) / scale."""

    center: float
    scale: float

    @classmethod
    def of(cls, loss: MetaLoss, sums: TargetSums) -> Scaling:
        """By the mean and the standard deviation of the training rows; classes stay 0 and 1."""
        if loss == "logistic" or not sums.weight > 0:
            return cls(0.0, 1.0)
        deviation = float(np.sqrt(sums.squares / sums.weight))
        return cls(sums.mean, deviation if deviation > 0 else 1.0)

    def reduced(self, rows: GroupedRows) -> GroupedRows:
        """The rows with their reduced target."""
        return rows._replace(y=(rows.y - self.center) / self.scale)

    def original(self, model: Adapted) -> Adapted:
        """The model of the target itself."""
        return Adapted(
            model.coefficients * self.scale,
            float(model.intercept * self.scale + self.center),
            model.hidden,
        )
