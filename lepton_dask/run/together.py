"""A search whose trials share their passes: they differ in the penalty alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from lepton_dask.learn.blas import pin_blas
from lepton_dask.learn.descent import Descent, StopCode
from lepton_dask.learn.kernels.candidates import NO_FOLD
from lepton_dask.learn.objective import penalised, unpenalised, weighted
from lepton_dask.learn.optimizers import AUTO, Fista, Lbfgs, Newton, Optimizer, ProxNewton
from lepton_dask.learn.optimizers.base import MAX_PILOT_PARAMETERS
from lepton_dask.learn.search.lock_step import descend_together
from lepton_dask.learn.search.ridge_path import CLOSED, RidgePath, ridge_path, takes_ridge_path
from lepton_dask.learn.search.shared_passes import Candidate, Folding, SharedSweeps
from lepton_dask.learn.search.space import Point, with_point
from lepton_dask.learn.stop import Stop
from lepton_dask.learn.sweeps import Sweeps
from lepton_dask.learn.train import Train
from lepton_dask.matrix import Floats
from lepton_dask.run.search_log import Enough, SearchLog
from lepton_dask.run.search_outcome import TrialResult
from lepton_dask.run.training import Fitting, optimizer_of
from lepton_dask.run.trials import Trials
from lepton_dask.run.work import Work

MOST_BYTES = 1 << 29
"""Of all that the candidates of one lock step remember."""

VECTORS = 70
"""Of M numbers, that a candidate remembers at most beside a root (M, M): pairs of steps, sums of
chunks."""

MOST_ABREAST = 160


def search_together(work: Work, trials: Trials, log: SearchLog, check: Callable[[], None]) -> None:
    """Fits all trials of the budget in as few passes as there are; what they come to is in the
    log. Those that an earlier run has fitted are not fitted again."""
    known = {each.trial for each in log.results}
    wanted = [trial for trial in range(trials.search.budget.trials) if trial not in known]
    if not wanted or log.ended is not None:
        return
    first = trials.fitting(log.point(wanted[0]))
    points = {trial: log.point(trial) for trial in wanted}
    fittings = {trial: _at(first, trials.train, point) for trial, point in points.items()}
    folding = Folding(trials.search.folds or 1, work.seed)
    if all(takes_ridge_path(each.train, each.linear.parameters) for each in fittings.values()):
        _by_ridge_path(work, trials, log, fittings, points, folding)
        return
    parameters = first.linear.parameters
    roots = parameters if parameters <= MAX_PILOT_PARAMETERS else 0
    size = max(1, MOST_BYTES // (8 * (VECTORS + roots) * parameters * folding.of))
    size = min(size, max(1, MOST_ABREAST // folding.of))
    for start in range(0, len(wanted), size):
        if log.is_over():
            return
        some = wanted[start : start + size]
        _LockStep(work, trials, log, folding, fittings, points, some).run(check)


def _at(first: Fitting, train: Train, point: Point) -> Fitting:
    """The same fitting at another penalty."""
    there = with_point(train, point)
    objective = penalised(first.linear, there.penalty, first.features.prepared.feature_columns)
    optimizer, why = optimizer_of(there, first.training.rows, first.linear)
    return replace(first, train=there, objective=objective, optimizer=optimizer, why=why)


def shared_optimizer(train: Train, chosen: Optimizer[Any]) -> Optimizer[Any]:
    """What `auto` chooses where passes are shared: a gradient costs a candidate next to nothing
    there, and a Hessian what it costs alone."""
    if train.optimizer != AUTO:
        return chosen
    if isinstance(chosen, ProxNewton):
        return Fista()
    return Lbfgs() if isinstance(chosen, Newton) else chosen


@dataclass
class _LockStep:
    """The fits of some trials, a candidate for each fold."""

    work: Work
    trials: Trials
    log: SearchLog
    folding: Folding
    fittings: Mapping[int, Fitting]
    points: Mapping[int, Point]
    some: Sequence[int]
    began: float = field(default_factory=time.monotonic)
    passes: int = 0
    done: dict[int, dict[int, Descent]] = field(default_factory=dict)

    def run(self, check: Callable[[], None]) -> None:
        folds = range(self.folding.of) if self.folding.of > 1 else (NO_FOLD,)
        pairs = [(trial, fold) for trial in self.some for fold in folds]
        candidates = [self._candidate(trial, fold) for trial, fold in pairs]
        first = self.fittings[self.some[0]]
        sweeps = Sweeps(self.work.dispatch, first.training, first.linear)

        def ended(number: int, descent: Descent) -> bool:
            trial, fold = pairs[number]
            of_trial = self.done.setdefault(trial, {})
            of_trial[fold] = descent
            if len(of_trial) == len(folds):
                self._add(trial)
            return self.log.is_over()

        def counted(_active: int) -> None:
            self.passes += 1

        def in_time() -> None:
            check()
            if self.log.is_over():
                raise Enough

        with suppress(Enough):
            descend_together(
                candidates,
                SharedSweeps(sweeps, self.folding),
                on_done=ended,
                on_pass=counted,
                check=in_time,
            )

    def _candidate(self, trial: int, fold: int) -> Candidate:
        fitting = self.fittings[trial]
        optimizer = shared_optimizer(fitting.train, fitting.optimizer)
        return Candidate(fitting.train, optimizer, fitting.objective, fold)

    def _add(self, trial: int) -> None:
        """Scores a trial whose fits have all ended."""
        descents = [descent for _, descent in sorted(self.done[trial].items())]
        value = None
        if all(each.stopped.code != "diverged" for each in descents):
            value = self.trials.score(self.fittings[trial], [each.theta for each in descents])
        status = next(
            (each.stopped.code for each in descents if each.stopped.code == "diverged"),
            descents[0].stopped.code,
        )
        result = TrialResult(
            trial,
            0,
            sum(each.passes for each in descents),
            time.monotonic() - self.began,
            value,
            "undefined" if value is None and status != "diverged" else status,
            self.points[trial],
        )
        self.log.add(result, descents, float(self.passes))
        self.passes = 0


def _by_ridge_path(
    work: Work,
    trials: Trials,
    log: SearchLog,
    fittings: Mapping[int, Fitting],
    points: Mapping[int, Point],
    folding: Folding,
) -> None:
    """All trials from one pass over the training part, and one over the validation part."""
    pin_blas()
    began = time.monotonic()
    first = next(iter(fittings.values()))
    sweeps = Sweeps(work.dispatch, first.training, first.linear)
    null = unpenalised(first.linear).null_model(weighted(sweeps.column_sums()))
    path = ridge_path(sweeps, null.theta, folding)
    closed = trials.search.scored_by in CLOSED
    seen = path
    if closed and folding.of == 1:
        validation = trials.validation(first)
        seen = ridge_path(
            Sweeps(work.dispatch, validation, first.linear), null.theta, Folding(1, work.seed)
        )
    passes = 1.0
    for trial, fitting in fittings.items():
        left_out: Sequence[int | None] = range(folding.of) if folding.of > 1 else (None,)
        thetas = [path.fit(fitting.objective, fold) for fold in left_out]
        value = (
            _closed_score(trials.search.scored_by, seen, thetas)
            if closed
            else trials.score(fitting, thetas)
        )
        seconds = time.monotonic() - began
        stop: Stop[StopCode] = Stop("tolerance", "the normal equations are solved")
        descents = [Descent(theta, "normal", 1, 1.0, seconds, stop, ()) for theta in thetas]
        status = "undefined" if value is None else stop.code
        result = TrialResult(trial, 0, 1.0, seconds, value, status, points[trial])
        log.add(result, descents, passes)
        passes = 0.0
        if log.is_over():
            return


def _closed_score(metric: str, path: RidgePath, thetas: Sequence[Floats]) -> float | None:
    """The mean over the folds that the thetas have not seen."""
    values = [path.score(metric, theta, fold) for fold, theta in enumerate(thetas)]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
