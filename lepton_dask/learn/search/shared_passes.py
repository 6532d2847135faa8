"""Passes over a table that answer several candidates at a time.

Candidates that differ in their penalty, or in the fold that they leave out, ask about the same rows
at parameters of their own. A pass reads the rows once and answers all (kernels/candidates).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from lepton_dask.learn.blas import pin_blas
from lepton_dask.learn.folds import Fold, fold_numbers
from lepton_dask.learn.kernels.candidates import NO_FOLD, CandidateSums, sweep_candidates
from lepton_dask.learn.kernels.sums import ChunkSums
from lepton_dask.learn.kernels.sweep import sweep_block
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.local_passes import LocalPasses
from lepton_dask.learn.objective import Evaluation, NullModel, Objective, weighted
from lepton_dask.learn.optimizers.base import Optimizer, Pilot, Query
from lepton_dask.learn.pilot import fit_pilot, pilot_rows
from lepton_dask.learn.stored import Shard
from lepton_dask.learn.sweeps import Sweeps
from lepton_dask.learn.train import Train
from lepton_dask.learn.tree import Node, added, added_to_nodes, stacked
from lepton_dask.matrix import Block, Floats


@dataclass(frozen=True)
class Candidate:
    """One fit: its training, the optimizer, its objective, and the fold that it leaves out."""

    train: Train
    optimizer: Optimizer[Any]
    objective: Objective
    fold: int = NO_FOLD


@dataclass(frozen=True)
class Folding:
    """How rows are dealt into folds; one fold is none."""

    of: int
    seed: int

    def without(self, number: int) -> Fold | None:
        """The rows outside a fold; None for all of them."""
        return None if number == NO_FOLD else Fold(number, self.of, self.seed)


class SharedPasses(Protocol):
    """Passes that answer several queries about one table."""

    def null_model(self, objective: Objective, fold: int) -> NullModel:
        """The model without features on the rows outside a fold, by one look at the columns."""

    def pilot(self, objective: Objective, fold: int) -> Callable[[], Pilot | None]:
        """Begins a fit to a subsample of the rows outside a fold; what is returned waits for it.
        It comes to None where there are too few rows."""

    def evaluate(
        self, candidates: Mapping[int, Candidate], queries: Mapping[int, Query]
    ) -> dict[int, Evaluation]:
        """The answer to each candidate's query, by one pass over the rows."""


@dataclass(frozen=True)
class SharedSweeps:
    """`SharedPasses` over shards on a cluster; every pass is one graph of one task a shard."""

    sweeps: Sweeps
    folding: Folding

    def null_model(self, objective: Objective, fold: int) -> NullModel:
        return objective.null_model(weighted(self._without(fold).column_sums()))

    def pilot(self, objective: Objective, fold: int) -> Callable[[], Pilot | None]:
        wanted = pilot_rows(objective, self.sweeps.shards.rows)
        if not wanted:
            return lambda: None
        return self._without(fold).with_sample(wanted, partial(_fit_pilot, objective))

    def _without(self, fold: int) -> Sweeps:
        return replace(self.sweeps, fold=self.folding.without(fold))

    def evaluate(
        self, candidates: Mapping[int, Candidate], queries: Mapping[int, Query]
    ) -> dict[int, Evaluation]:
        asked = [
            (query.theta, candidates[number].fold, query.curvature)
            for number, query in queries.items()
        ]
        sums: CandidateSums = self.sweeps.added(
            "candidates", shared_answer, self.sweeps.model, asked, self.folding
        )
        return _evaluations(sums, candidates, queries)


@dataclass(frozen=True)
class SharedLocal:
    """The same over blocks in this process, one after the other: what tests compare with."""

    model: LinearModel
    blocks: Sequence[Block]
    folding: Folding

    def null_model(self, objective: Objective, fold: int) -> NullModel:
        kept = self.folding.without(fold)
        blocks = self.blocks
        if kept is not None:
            blocks = [kept.of_block(block, chunk) for chunk, block in enumerate(blocks)]
        return LocalPasses(objective, blocks).null_model()

    def pilot(
        self,
        objective: Objective,  # noqa: ARG002 - the contract's shape
        fold: int,  # noqa: ARG002
    ) -> Callable[[], Pilot | None]:
        return lambda: None

    def evaluate(
        self, candidates: Mapping[int, Candidate], queries: Mapping[int, Query]
    ) -> dict[int, Evaluation]:
        asked = [
            (query.theta, candidates[number].fold, query.curvature)
            for number, query in queries.items()
        ]
        numbers = range(len(self.blocks))
        nodes = [block_answer(self.blocks[n], n, self.model, asked, self.folding) for n in numbers]
        return _evaluations(added(nodes), candidates, queries)


Asked = Sequence[tuple[Floats, int, bool]]
"""For each candidate theta (M,), the fold that it leaves out, and whether it wants curvature."""


def shared_answer(
    shard: Shard, chunks: Sequence[int], model: LinearModel, asked: Asked, folding: Folding
) -> CandidateSums:
    """A shard's answer to all that is asked, added up to the tree's nodes and stacked."""
    pin_blas()
    nodes = (
        (Node(0, chunk), block_answer(block, chunk, model, asked, folding))
        for chunk, block in zip(chunks, shard, strict=True)
    )
    return stacked(added_to_nodes(nodes))


def block_answer(
    block: Block, chunk: int, model: LinearModel, asked: Asked, folding: Folding
) -> CandidateSums:
    """A chunk's answer. Gradients come from one sweep; curvatures each from one of its own, over
    the rows that the first has brought near."""
    n = len(block.target)
    folds = np.zeros(n, np.int8)
    if folding.of > 1:
        folds = np.array(fold_numbers(folding.seed, chunk, n, folding.of))
    plain = [k for k, (_, _, curvature) in enumerate(asked) if not curvature]
    curved = [k for k, (_, _, curvature) in enumerate(asked) if curvature]
    K, M = len(asked), model.parameters
    loss, weight, gradient = np.zeros(K), np.zeros(K), np.zeros((K, M))
    if plain:
        thetas = np.array([asked[k][0] for k in plain])
        held = np.array([asked[k][1] for k in plain], dtype=np.int8)
        sums = sweep_candidates(block, model, thetas, folds, held)
        loss[plain], weight[plain], gradient[plain] = sums.loss, sums.weight, sums.gradient
    hessians = []
    for k in curved:
        one = _curved(block, chunk, model, asked[k][0], asked[k][1], folding)
        loss[k], weight[k], gradient[k] = one.loss, one.weight, one.gradient
        hessians.append(one.hessian)
    return CandidateSums(loss, weight, gradient, np.array(hessians) if curved else None)


def _curved(
    block: Block, chunk: int, model: LinearModel, theta: Floats, fold: int, folding: Folding
) -> ChunkSums:
    if fold != NO_FOLD:
        block = Fold(fold, folding.of, folding.seed).of_block(block, chunk)
    return sweep_block(block, model, theta, curvature=True)


def _evaluations(
    sums: CandidateSums, candidates: Mapping[int, Candidate], queries: Mapping[int, Query]
) -> dict[int, Evaluation]:
    hessians = iter(() if sums.hessian is None else sums.hessian)
    answers = {}
    for place, (number, query) in enumerate(queries.items()):
        hessian = next(hessians) if query.curvature else None
        one = ChunkSums(
            float(sums.loss[place]), float(sums.weight[place]), sums.gradient[place], hessian
        )
        answers[number] = candidates[number].objective.evaluate(query.theta, weighted(one))
    return answers


def _fit_pilot(objective: Objective, rows: Block, share: float) -> Pilot | None:
    return fit_pilot(objective, [rows], share)
