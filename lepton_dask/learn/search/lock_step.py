"""Descents in lock step: each pass over the rows answers all that are still on their way.

So K fits cost the passes of the slowest, not the sum of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lepton_dask.learn.blas import pin_blas
from lepton_dask.learn.descent import Descending, Descent, Halfway, descending
from lepton_dask.learn.local_passes import LocalPasses
from lepton_dask.learn.objective import Objective
from lepton_dask.learn.optimizers.base import Query
from lepton_dask.learn.optimizers.lbfgs import Lbfgs
from lepton_dask.learn.search.reference import Reference, find_references
from lepton_dask.learn.search.shared_passes import Candidate, SharedPasses


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


def _middle(candidates: Sequence[Candidate]) -> Objective:
    """The objective whose l2 is the median of the candidates'."""
    ranked = sorted((each.objective for each in candidates), key=lambda each: float(each.l2.sum()))
    return ranked[len(ranked) // 2]
