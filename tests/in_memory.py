"""Problems for the learn room, and passes over them in memory: no Dask, no cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from lepton_dask.learn.kernels import linear_predictor, sweep_block
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.local_passes import LocalPasses
from lepton_dask.learn.losses import chosen_loss
from lepton_dask.learn.objective import Evaluation, NullModel, penalised
from lepton_dask.learn.optimizers.base import Outset, Pilot, Query
from lepton_dask.learn.penalty import Penalty
from lepton_dask.matrix import Block, Floats, Layout


def make_block(
    *,
    rows: int = 300,
    dense: int = 4,
    levels: Sequence[int] = (3, 5),
    loss: str = "logistic",
    weighted: bool = True,
    seed: int = 0,
) -> Block:
    """Random rows whose target follows a random linear model."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, dense))
    codes = np.column_stack(
        [rng.integers(0, count, rows, dtype=np.int32) for count in levels]
        or [np.empty((rows, 0), np.int32)]
    )
    z = X @ rng.normal(size=dense) + sum(
        rng.normal(size=count)[codes[:, q]] for q, count in enumerate(levels)
    )
    if loss == "logistic":
        target = (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(float)
    else:
        target = z + rng.normal(size=rows)
    weight = rng.uniform(0.2, 3.0, rows) if weighted else np.ones(rows)
    return Block(X, codes, target, weight)


def split_block(block: Block, bounds: Sequence[int]) -> list[Block]:
    """The block cut at the given rows."""
    edges = [0, *bounds, len(block.target)]
    return [Block(*(array[start:stop] for array in block[:4])) for start, stop in pairwise(edges)]


def one_hot(block: Block, levels: Sequence[int]) -> Floats:
    """The columns that a code column stands for, beside the dense ones: (n, D)."""
    columns = [np.eye(count)[block.codes[:, q]] for q, count in enumerate(levels)]
    return np.hstack([block.dense, *columns])


class BlockPasses:
    """The training loop's passes over blocks in memory, with a validation part; counts them."""

    def __init__(
        self,
        blocks: Sequence[Block],
        levels: Sequence[int],
        loss: str = "logistic",
        l2: float = 0.0,
        validation: Block | None = None,
        l1: float = 0.0,
    ) -> None:
        self.model = LinearModel(chosen_loss(loss), Layout(blocks[0].dense.shape[1], tuple(levels)))
        columns = [f"x{j}" for j in range(self.model.layout.coefficients)]
        self.objective = penalised(self.model, Penalty(l1=l1, l2=l2), columns)
        self.blocks, self.levels, self.validation = blocks, tuple(levels), validation
        self.local = LocalPasses(self.objective, blocks)
        self.count, self.passes = 0, 0.0

    def null_model(self) -> NullModel:
        return self.local.null_model()

    def outset(self) -> Outset:
        return Outset(self.null_model(), None)

    def pilot(self) -> Callable[[], Pilot | None]:
        return lambda: None

    def evaluate(self, query: Query) -> Evaluation:
        self.count += 1
        self.passes += query.share
        return self.local.evaluate(query)

    def validation_loss(self, theta: Floats) -> float:
        assert self.validation is not None
        sums = sweep_block(self.validation, self.model, theta)
        return sums.loss / sums.weight

    def validation_metric(self, theta: Floats, metric: str) -> float | None:
        assert self.validation is not None
        assert metric == "accuracy"
        z = linear_predictor(self.validation, self.model, theta)
        return float(np.mean((z > 0) == self.validation.target))
