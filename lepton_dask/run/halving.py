"""A search by rungs: what learn/search/asha.py instructs, done by a few threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

from lepton_dask.learn.metrics import METRICS
from lepton_dask.learn.search.asha import Asha, Job, Result, ask, resumed, tell
from lepton_dask.learn.search.space import Point
from lepton_dask.run.search_log import Enough, SearchLog
from lepton_dask.run.search_outcome import TrialResult
from lepton_dask.run.trials import Advanced, Trials

POLL_S = 0.2
STOPPED = "stopped"


class Sampler(Protocol):
    """Where the next trial is to be."""

    def ask(self, trial: int) -> Point:
        """The point of a trial that begins."""

    def tell(self, trial: int, value: float | None) -> None:
        """What a trial came to on the lowest rung, where all trials were."""


@dataclass(frozen=True)
class Even:
    """The portfolio's points, then the even sample of the space."""

    log: SearchLog

    def ask(self, trial: int) -> Point:
        return self.log.point(trial)

    def tell(self, trial: int, value: float | None) -> None:
        """What is sampled does not depend on what came before."""


MOST_FINISHED = 3
"""Trainings to the end behind a budget that is spent."""


def finish_best(trials: Trials, log: SearchLog, check: Callable[[], None]) -> None:
    """Brings the best trial to its end, and where that makes another one the best, that one too:
    few passes may score better than many, and the model that is kept is one of many."""
    number = 0
    while not log.is_goal_met:
        best = log.best
        if best is None or trials.has_ended(best) or (log.ended and number == MOST_FINISHED):
            return
        number += 1
        job = Job(best.trial, len(trials.ends) - 1)
        before = log.descents(best.trial)
        advanced = trials.advance(best.point, job.rung, before, check)
        log.add(_result(job, best.point, advanced), advanced.descents, advanced.spent)


def search_by_rungs(
    trials: Trials, log: SearchLog, sampler: Sampler, check: Callable[[], None]
) -> None:
    """Runs trials until the budget is spent or the goal met; what they come to is in the log."""
    search = trials.search
    results = [each for each in log.results if each.status != STOPPED]
    state = Asha(
        rungs=len(trials.ends),
        factor=search.rungs.factor,
        trials=search.budget.trials,
        rises=METRICS[search.scored_by].greater_is_better,
    )
    state = resumed(state, [Result(Job(r.trial, r.rung), r.value) for r in results])
    lost = sorted(state.running)
    walk = _Walk(trials, log, sampler, {each.trial: each.point for each in results})
    running: dict[Future[TrialResult | None], Job] = {}
    with ThreadPoolExecutor(search.parallel, thread_name_prefix="trial") as pool:
        try:
            while True:
                while len(running) < search.parallel and not log.is_over():
                    job: Job | None
                    if lost:
                        job = lost.pop(0)
                    else:
                        state, job = ask(state)
                    if job is None:
                        break
                    point = walk.point(job.trial)
                    running[pool.submit(walk.run, job, point)] = job
                if not running:
                    break
                done, _ = wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED)
                check()
                for task in sorted(done, key=lambda each: running[each]):
                    job, result = running.pop(task), task.result()
                    if result is not None:
                        state = tell(state, job, result.value)
                        walk.told(job, result.value)
        except BaseException:
            # Leaving the pool waits for its threads: each sees this before its next pass.
            walk.is_failing = True
            raise


@dataclass
class _Walk:
    """What the threads of a search share."""

    trials: Trials
    log: SearchLog
    sampler: Sampler
    points: dict[int, Point]
    is_failing: bool = field(default=False)

    def point(self, trial: int) -> Point:
        if trial not in self.points:
            self.points[trial] = self.sampler.ask(trial)
        return self.points[trial]

    def told(self, job: Job, value: float | None) -> None:
        if job.rung == 0:
            self.sampler.tell(job.trial, value)

    def check(self) -> None:
        if self.is_failing or self.log.is_over():
            raise Enough

    def run(self, job: Job, point: Point) -> TrialResult | None:
        """One job's result; None where the search was over before."""
        before = self.log.descents(job.trial) if job.rung else ()
        try:
            advanced = self.trials.advance(point, job.rung, before, self.check)
        except Enough:
            passes = sum(each.passes for each in before)
            seconds = sum(each.seconds for each in before)
            stopped = TrialResult(job.trial, job.rung, passes, seconds, None, STOPPED, point)
            if not self.is_failing:
                self.log.add(stopped, (), 0.0)
            return None
        result = _result(job, point, advanced)
        self.log.add(result, advanced.descents, advanced.spent)
        return result


def _result(job: Job, point: Point, advanced: Advanced) -> TrialResult:
    return TrialResult(
        job.trial,
        job.rung,
        advanced.passes,
        sum(each.seconds for each in advanced.descents),
        advanced.value,
        advanced.status,
        point,
    )
