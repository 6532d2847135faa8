"""Least squares over a grid of penalties and folds, exactly, from one pass over the rows.

With r = y - X t_0 at the null model t_0, X with a column of ones for the intercept, sums by fold

    H_f = sum w x x',   g_f = - sum w r x,   q_f = sum w r^2 / 2,   W_f = sum w

say all of the squared loss on the rows of fold f at t_0 + d: d'H_f d / 2 + g_f'd + q_f. The fit
that leaves f out minimises the sum of the others', and its error on the rows of f is a value of f's
own parabola. So k-fold cross-validation of any number of penalties is k sums of (M, M) and a solve
for each pair (for single rows: Golub, Heath, Wahba: Generalized Cross-Validation as a Method for
Choosing a Good Ridge Parameter, Technometrics 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lepton_dask.learn.blas import pin_blas
from lepton_dask.learn.folds import fold_numbers
from lepton_dask.learn.kernels.sweep import sweep_block
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.objective import Objective
from lepton_dask.learn.optimizers.base import MAX_HESSIAN_PARAMETERS
from lepton_dask.learn.optimizers.quadratic import newton_step
from lepton_dask.learn.sampling import rows_of
from lepton_dask.learn.search.shared_passes import Folding
from lepton_dask.learn.stored import Shard
from lepton_dask.learn.sweeps import Sweeps
from lepton_dask.learn.train import Train
from lepton_dask.learn.tree import Node, added_to_nodes, stacked
from lepton_dask.matrix import Block, Floats

CLOSED = frozenset({"rmse", "r2", "explained_variance"})
"""The metrics that the sums tell without another look at the rows."""


class FoldSums(NamedTuple):
    """Sums over the rows of each of k folds at the null model: w r^2 / 2 (k,), w (k,), the
    gradients (k, M) and Hessians (k, M, M) of the squared loss."""

    loss: Floats
    weight: Floats
    gradient: Floats
    hessian: Floats


@dataclass(frozen=True, eq=False)
class RidgePath:
    """The sums of a table, and the parameters `origin` (M,) that they were taken at."""

    model: LinearModel
    origin: Floats
    sums: FoldSums

    @property
    def folds(self) -> int:
        return len(self.sums.loss)

    def fit(self, objective: Objective, left_out: int | None = None) -> Floats:
        """The minimum theta (M,) over the rows outside the fold `left_out`, or over all."""
        kept = [fold for fold in range(self.folds) if fold != left_out]
        weight = float(self.sums.weight[kept].sum())
        hessian = self.sums.hessian[kept].sum(axis=0) / weight
        gradient = self.sums.gradient[kept].sum(axis=0) / weight
        hessian[np.diag_indices_from(hessian)] += objective.l2
        gradient = gradient + objective.l2 * self.origin
        step = newton_step(hessian, gradient, self.model.intercepts)
        # What rounding left of the gradient goes with a second solve, as in `Normal`.
        step = step + newton_step(hessian, gradient + hessian @ step, self.model.intercepts)
        return np.asarray(self.origin + step)

    def score(self, metric: str, theta: Floats, fold: int) -> float | None:
        """A metric of CLOSED on the rows of a fold; None where it has no value."""
        step = theta - self.origin
        weight = float(self.sums.weight[fold])
        if not weight > 0:
            return None
        gradient, hessian = self.sums.gradient[fold], self.sums.hessian[fold]
        loss = float(self.sums.loss[fold] + gradient @ step + 0.5 * step @ hessian @ step)
        squared = max(2.0 * loss, 0.0)
        if metric == "rmse":
            return float(np.sqrt(squared / weight))
        at = self.model.intercepts.start
        # r = y - mean: its sum is -g at the intercept, and its variation that of y.
        apart = -float(gradient[at])
        variation = 2.0 * float(self.sums.loss[fold]) - apart**2 / weight
        if metric == "explained_variance":
            error = -float(gradient[at] + hessian[at] @ step)
            squared = max(squared - error**2 / weight, 0.0)
        if not variation > 0:
            return None
        return 1.0 - squared / variation


def takes_ridge_path(train: Train, parameters: int) -> bool:
    """Whether a training's minimum is known from the sums: the squared loss with l2 alone."""
    return (
        train.pointwise.name == "squared"
        and train.penalty.smooth
        and parameters <= MAX_HESSIAN_PARAMETERS
    )


def ridge_path(sweeps: Sweeps, origin: Floats, folding: Folding) -> RidgePath:
    """The path over a table's shards, by one pass."""
    sums: FoldSums = sweeps.added("folds", shard_folds, sweeps.model, origin, folding)
    return RidgePath(sweeps.model, origin, sums)


def local_ridge_path(
    blocks: Sequence[Block], model: LinearModel, origin: Floats, folding: Folding
) -> RidgePath:
    """The same over blocks in this process."""
    found = [block_folds(block, n, model, origin, folding) for n, block in enumerate(blocks)]
    return RidgePath(model, origin, FoldSums(*(sum(each) for each in zip(*found, strict=True))))


def shard_folds(
    shard: Shard, chunks: Sequence[int], model: LinearModel, origin: Floats, folding: Folding
) -> FoldSums:
    """A shard's sums, added up to the tree's nodes and stacked."""
    pin_blas()
    nodes = (
        (Node(0, chunk), block_folds(block, chunk, model, origin, folding))
        for chunk, block in zip(chunks, shard, strict=True)
    )
    return stacked(added_to_nodes(nodes))


def block_folds(
    block: Block, chunk: int, model: LinearModel, origin: Floats, folding: Folding
) -> FoldSums:
    """A chunk's sums: each row is in one of the folds, so all of them cost one pass."""
    parts = [block]
    if folding.of > 1:
        numbers = fold_numbers(folding.seed, chunk, len(block.target), folding.of)
        parts = [rows_of(block, np.flatnonzero(numbers == fold)) for fold in range(folding.of)]
    sums = [sweep_block(part, model, origin, curvature=True) for part in parts]
    return FoldSums(
        np.array([each.loss for each in sums]),
        np.array([each.weight for each in sums]),
        np.array([each.gradient for each in sums]),
        np.array([each.hessian for each in sums]),
    )
