"""Descents in lock step: each pass over the rows answers all of them.

Candidates that differ in their penalty, or in the fold that they leave out, ask about the same rows
at parameters of their own. A pass reads the rows once and answers K of them (kernels/candidates);
who has converged asks no more. So K fits cost the passes of the slowest, not the sum of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from lepton_dask.learn.blas import pin_blas
from lepton_dask.learn.descent import Descending, Descent, Halfway, descending
from lepton_dask.learn.folds import Fold, fold_numbers
from lepton_dask.learn.kernels.candidates import NO_FOLD, CandidateSums, sweep_candidates
from lepton_dask.learn.kernels.sums import ChunkSums
from lepton_dask.learn.kernels.sweep import sweep_block
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.local_passes import LocalPasses
from lepton_dask.learn.objective import Evaluation, NullModel, Objective, weighted
from lepton_dask.learn.optimizers.base import MAX_PILOT_PARAMETERS, Optimizer, Pilot, Query
from lepton_dask.learn.optimizers.lbfgs import Lbfgs, LbfgsState
from lepton_dask.learn.optimizers.newton import Newton, NewtonState
from lepton_dask.learn.optimizers.quadratic import SOUND_PIVOT
from lepton_dask.learn.pilot import fit_pilot, pilot_rows
from lepton_dask.learn.stored import Shard
from lepton_dask.learn.sweeps import Sweeps
from lepton_dask.learn.train import Train
from lepton_dask.learn.tree import Node, added, added_to_nodes, stacked
from lepton_dask.matrix import Block, Floats

ENTRIES_A_CANDIDATE = 16
REFERENCE_PASSES = 4
NEAR = 1e-4
"""Of the objective: what a Newton step of the reference need not win."""

REFERENCE_TRAIN = Train(loss="squared")
"""The reference has no rules of a pipeline's."""


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


@np.errstate(over="ignore", invalid="ignore")
def descend_together(
    candidates: Sequence[Candidate],
    passes: SharedPasses,
    *,
    on_done: Callable[[int, Descent], bool] = lambda _number, _descent: False,
    on_pass: Callable[[int], None] = lambda _active: None,
    check: Callable[[], None] = lambda: None,
) -> dict[int, Descent]:
    """Every candidate's outcome, by its number.

    `on_done` hears of each as it ends, and says whether that is enough: the others are then left
    where they are, without an outcome. `on_pass` hears before each pass how many it answers.
    """
    pin_blas()
    begun = _starts(candidates, passes, on_pass)
    going: dict[int, Descending] = {}
    queries: dict[int, Query] = {}
    for number, candidate in enumerate(candidates):
        local = LocalPasses(candidate.objective, ())
        going[number] = descending(candidate.train, candidate.optimizer, local, begun[number])
        queries[number] = next(going[number])
    by_number = dict(enumerate(candidates))
    done: dict[int, Descent] = {}
    while queries:
        check()
        on_pass(len(queries))
        answers = passes.evaluate(by_number, queries)
        for number, answer in answers.items():
            try:
                queries[number] = going[number].send(answer)
            except StopIteration as over:
                done[number] = over.value
                del queries[number]
                if on_done(number, over.value):
                    return done
    return done


def _starts(
    candidates: Sequence[Candidate], passes: SharedPasses, on_pass: Callable[[int], None]
) -> list[Halfway]:
    """Where each candidate begins: at the null model, or a Newton step from a reference's point
    under its own penalty.

    All of it is of the rows that the candidate sees. Where a fit can be perfect, any start that has
    seen the rows left out is a minimum within the tolerance, and would be scored on what it knows.
    """
    first = candidates[0].objective
    folds = sorted({candidate.fold for candidate in candidates})
    nulls = {fold: passes.null_model(first, fold) for fold in folds}
    wanting = [each for each in candidates if isinstance(each.optimizer, Lbfgs)]
    references: dict[int, Reference] = {}
    if wanting:
        references = find_references(_middle(wanting), nulls, passes, len(wanting), on_pass)
    starts = []
    for candidate in candidates:
        objective, optimizer, null = candidate.objective, candidate.optimizer, nulls[candidate.fold]
        curvature = null.curvature + objective.l2 - first.l2
        state = None
        if isinstance(optimizer, Lbfgs) and candidate.fold in references:
            state = references[candidate.fold].start(objective, null.theta, curvature)
        state = state or optimizer.start(null.theta, curvature)
        starts.append(Halfway(state, 0.0, 0.0, (), None))
    return starts


@dataclass(frozen=True, eq=False)
class Reference:
    """Near the minimum of one of the objectives: the point, the smooth gradient there (M,) and the
    Hessian (M, M)."""

    objective: Objective
    point: Evaluation

    def start(self, objective: Objective, null: Floats, curvature: Floats) -> LbfgsState | None:
        """What another candidate begins with: its own inverse Hessian at the point, known exactly
        since the two differ by a diagonal, and the Newton step from there, whose gradient is known
        too. None where that Hessian is not soundly positive."""
        theta, hessian = self.point.theta, self.point.hessian
        assert hessian is not None
        change = objective.l2 - self.objective.l2
        root = _inverse_root(hessian + np.diag(change))
        if root is None:
            return None
        gradient = self.point.gradient + change * theta
        return LbfgsState(
            query=Query(theta - root.T @ (root @ gradient)),
            metric=root,
            plain=1.0 / np.where(curvature > 0, curvature, 1.0),
            null=null,
        )


def _inverse_root(hessian: Floats) -> Floats | None:
    """R (M, M) with R'R = H^-1, by a Cholesky factor and its inverse: M^3 / 3 each."""
    from scipy.linalg import lapack

    diagonal = np.diagonal(hessian)
    if not (np.isfinite(hessian).all() and (diagonal > 0).all()):
        return None
    scale = 1.0 / np.sqrt(diagonal)
    lower, failed = lapack.dpotrf(hessian * np.outer(scale, scale), lower=1, clean=1)
    if failed or float(np.min(np.diagonal(lower))) ** 2 <= SOUND_PIVOT:
        return None
    inverse, failed = lapack.dtrtri(lower, lower=1)
    return None if failed else np.ascontiguousarray(inverse * scale)


def find_references(
    middle: Objective,
    nulls: Mapping[int, NullModel],
    passes: SharedPasses,
    sharing: int,
    on_pass: Callable[[int], None],
) -> dict[int, Reference]:
    """For each fold a few Newton steps, by all rows outside it, towards the minimum under the
    median penalty; none where their Hessians would cost more than they save so many candidates.

    A pass of gradients serves all candidates, so a Hessian that they share may cost as much as
    several: on a row of E entries E / 8 times what a gradient does.
    """
    model = middle.model
    entries = model.layout.dense + len(model.layout.levels)
    if model.parameters > MAX_PILOT_PARAMETERS or model.layout.sparse:
        return {}
    if entries * len(nulls) > ENTRIES_A_CANDIDATE * sharing:
        return {}
    newton = Newton()
    fitting = {fold: passes.pilot(middle, fold) for fold in nulls}
    pilots = {fold: fitted() for fold, fitted in fitting.items()}
    states = {
        fold: newton.start(null.theta, null.curvature, pilots[fold]) for fold, null in nulls.items()
    }
    candidates = {fold: Candidate(REFERENCE_TRAIN, newton, middle, fold) for fold in nulls}
    going = set(nulls)
    # A pilot's minimum is within a Newton step of that of all rows.
    for _ in range(REFERENCE_PASSES if None in pilots.values() else 1):
        on_pass(len(going))
        asked = {fold: states[fold].query for fold in sorted(going)}
        for fold, answer in passes.evaluate(candidates, asked).items():
            state = states[fold] = newton.step(states[fold], answer)
            if state.ended is not None or _is_near(state):
                going.discard(fold)
        if not going:
            break
    return {
        fold: Reference(middle, state.point)
        for fold, state in states.items()
        if state.point is not None and state.point.hessian is not None and state.point.finite
    }


def _is_near(state: NewtonState) -> bool:
    """Whether the point is a minimum as far as other penalties' minima care."""
    point, search = state.point, state.search
    if point is None or search is None or search.trials:
        return False
    return -0.5 * search.slope <= NEAR * abs(point.value)


def _middle(candidates: Sequence[Candidate]) -> Objective:
    """The objective whose l2 is the median of the candidates'."""
    ranked = sorted((each.objective for each in candidates), key=lambda each: float(each.l2.sum()))
    return ranked[len(ranked) // 2]


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
