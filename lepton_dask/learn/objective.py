"""The objective, the intercept free:

J(theta) = (1 / sum w) sum_i w_i l(y_i, z_i) + l1 |b|_1 + (l2 / 2) |b|^2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lepton_dask.errors import RunError
from lepton_dask.learn.kernel import ChunkSums, ColumnSums
from lepton_dask.learn.losses import Loss
from lepton_dask.learn.penalty import Penalty, shrink
from lepton_dask.matrix import Floats


@dataclass(frozen=True)
class Evaluation:
    """The objective at `theta` (D + 1,): its value, and the gradient (D + 1,) of all of it but
    l1 |b|_1, which has none where a coefficient is 0."""

    theta: Floats
    value: float
    gradient: Floats
    l1: float = 0.0

    @cached_property
    def subgradient(self) -> Floats:
        """The smallest subgradient (D + 1,), 0 at the minimum alone; without l1 the gradient.

        g_j + l1 sign(b_j) where b_j is not 0, else what l1 leaves of g_j.
        """
        if self.l1 == 0.0:
            return self.gradient
        smallest = self.gradient.copy()
        b, g = self.theta[:-1], self.gradient[:-1]
        smallest[:-1] = np.where(b == 0, shrink(g, self.l1), g + self.l1 * np.sign(b))
        return smallest

    @cached_property
    def gradient_norm(self) -> float:
        """The largest absolute entry of the smallest subgradient: the largest absolute partial
        derivative, where there is no l1."""
        return float(np.max(np.abs(self.subgradient)))

    @cached_property
    def finite(self) -> bool:
        return bool(np.isfinite(self.value) and np.all(np.isfinite(self.gradient)))


@dataclass(frozen=True)
class NullModel:
    """The model without features, and the diagonal of the objective's Hessian there, (D + 1,)."""

    theta: Floats
    curvature: Floats


@dataclass(frozen=True)
class Objective:
    """A loss with its penalty."""

    loss: Loss
    penalty: Penalty

    def evaluate(self, theta: Floats, sums: ChunkSums) -> Evaluation:
        """J and the gradient of its smooth part from the sums over all rows."""
        coefficients = theta[:-1]
        gradient = sums.gradient / sums.weight
        gradient[:-1] += self.penalty.smooth_gradient(coefficients)
        value = sums.loss / sums.weight + self.penalty.value(coefficients)
        return Evaluation(theta, value, gradient, self.penalty.l1)

    def null_model(self, sums: ColumnSums) -> NullModel:
        """Zeros, and the intercept at link(weighted mean of y).

        All rows share one z there, so the Hessian's diagonal is d2l/dz2 mean(x_j^2) + l2.
        """
        mean = np.asarray(sums.target / sums.weight)
        theta = np.zeros(len(sums.squares) + 1)
        theta[-1] = self.loss.link(mean)
        bend = float(self.loss.curvature(mean, theta[-1:])[0])
        curvature = np.full(len(theta), bend)
        curvature[:-1] = bend * sums.squares / sums.weight + self.penalty.l2
        return NullModel(theta, curvature)


def total_columns(chunks: Sequence[ColumnSums]) -> ColumnSums:
    """The sum of the chunks' sums, added in the order given.

    Raises RunError where no row has weight: a target has no mean then.
    """
    target = weight = 0.0
    squares: Floats | None = None
    for chunk in chunks:
        target += chunk.target
        weight += chunk.weight
        squares = chunk.squares if squares is None else squares + chunk.squares
    if squares is None or not weight > 0:
        raise _no_rows()
    return ColumnSums(target, weight, squares)


def total(chunks: Sequence[ChunkSums]) -> ChunkSums:
    """The sum of the chunks' sums, added in the order given, whoever computed them.

    Raises RunError where no row has weight: the objective has no mean then.
    """
    loss = weight = 0.0
    gradient: Floats | None = None
    for chunk in chunks:
        loss += chunk.loss
        weight += chunk.weight
        gradient = chunk.gradient if gradient is None else gradient + chunk.gradient
    if gradient is None or not weight > 0:
        raise _no_rows()
    return ChunkSums(loss, weight, gradient)


def _no_rows() -> RunError:
    return RunError("no row has a weight above zero", fix="check weight and filters")
