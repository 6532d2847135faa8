"""Passes over blocks in this process: what estimators, pilots and tests train on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lepton_dask.learn.kernels import column_sums, sweep_block
from lepton_dask.learn.kernels.sums import ChunkSums
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.objective import Evaluation, NullModel, Objective, total, total_columns
from lepton_dask.learn.optimizers.base import Outset, Pilot, Query
from lepton_dask.matrix import Block, Floats


@dataclass(frozen=True)
class LocalPasses:
    """The `Passes` of descent.py over blocks in memory, one after the other, in their order.

    The same bits as on a cluster whose chunks are these blocks. There is no validation part.
    """

    objective: Objective
    blocks: Sequence[Block]

    def null_model(self) -> NullModel:
        sums = [column_sums(block, self.objective.model) for block in self.blocks]
        return self.objective.null_model(total_columns(sums))

    def outset(self) -> Outset:
        return Outset(self.null_model(), self.pilot()())

    def pilot(self) -> Callable[[], Pilot | None]:
        """To None: rows in this memory are as near as those of a subsample."""
        return lambda: None

    def evaluate(self, query: Query) -> Evaluation:
        sums = [
            answer(block, chunk, self.objective.model, query)
            for chunk, block in enumerate(self.blocks)
        ]
        return self.objective.evaluate(query.theta, total(sums), query.smoothing)

    def validation_loss(self, theta: Floats) -> float:  # noqa: ARG002 - the contract's shape
        raise ValueError("these passes have no validation part")

    def validation_metric(self, theta: Floats, metric: str) -> float | None:  # noqa: ARG002
        raise ValueError("these passes have no validation part")


def answer(block: Block, chunk: int, model: LinearModel, query: Query) -> ChunkSums:
    """The sums over the rows of the chunk with this number that answer a query."""
    return sweep_block(
        block,
        model,
        query.theta,
        curvature=query.curvature,
        smoothing=query.smoothing,
        rows=query.batch,
        nearest=query.nearest,
        leverage=query.leverage,
        chunk=chunk,
    )
