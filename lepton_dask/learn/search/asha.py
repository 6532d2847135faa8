"""Successive halving with promotion as results come: a pure state machine, as run/order.py is.

Source: Li, Jamieson, Rostamizadeh, Gonina, Hardt, Recht, Talwalkar: A System for Massively Parallel
Hyperparameter Tuning, MLSys 2020, algorithm 2 (ASHA).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, order=True)
class Job:
    """Train this trial up to the end of this rung, and score it."""

    trial: int
    rung: int


@dataclass(frozen=True)
class Result:
    """What a job came to: its metric's value, None where it has none (diverged, undefined)."""

    job: Job
    value: float | None


@dataclass(frozen=True)
class Asha:
    """How far a search has come.

    rungs   how many rungs there are; the best 1 / `factor` of a rung's results go on to the next
    trials  how many trials may start
    rises   whether the metric is the better the greater it is
    results in the order in which they came
    """

    rungs: int
    factor: int
    trials: int
    rises: bool
    started: int = 0
    running: frozenset[Job] = frozenset()
    results: tuple[Result, ...] = field(default=())

    @property
    def is_over(self) -> bool:
        return not self.running and ask(self)[1] is None

    def in_rung(self, rung: int) -> list[Result]:
        """A rung's results, the best first; of equals the trial that started first."""
        found = [result for result in self.results if result.job.rung == rung]
        return sorted(found, key=lambda result: (self._cost(result.value), result.job.trial))

    @property
    def best(self) -> Result | None:
        """The best of the trials' last results; of equals the one on the higher rung, then the
        trial that started first. None while nothing has a value."""
        last = {result.job.trial: result for result in self.results}
        valued = [result for result in last.values() if result.value is not None]
        return min(
            valued,
            key=lambda r: (self._cost(r.value), -r.job.rung, r.job.trial),
            default=None,
        )

    def _cost(self, value: float | None) -> float:
        """What is to be least."""
        if value is None or math.isnan(value):
            return math.inf
        return -value if self.rises else value


def ask(state: Asha) -> tuple[Asha, Job | None]:
    """What to do with a slot that is free: promote on the highest rung that has somebody to
    promote, else start a trial; None where there is neither, now."""
    taken = {result.job for result in state.results} | state.running
    for rung in reversed(range(state.rungs - 1)):
        ranked = state.in_rung(rung)
        for result in ranked[: len(ranked) // state.factor]:
            job = Job(result.job.trial, rung + 1)
            if job not in taken and result.value is not None:
                return replace(state, running=state.running | {job}), job
    if state.started < state.trials:
        job = Job(state.started, 0)
        return replace(state, started=state.started + 1, running=state.running | {job}), job
    return state, None


def tell(state: Asha, job: Job, value: float | None) -> Asha:
    """The state once a running job has ended."""
    if job not in state.running:
        raise ValueError(f"{job} is not running")
    return replace(
        state, running=state.running - {job}, results=(*state.results, Result(job, value))
    )


def resumed(state: Asha, results: Sequence[Result]) -> Asha:
    """A search that has not begun, as it stands behind results of an earlier one; what was running
    then is asked for again."""
    started = max((result.job.trial + 1 for result in results), default=0)
    known = {result.job.trial for result in results if result.job.rung == 0}
    # Trials that were on their way when the search was killed begin anew, before others.
    lost = frozenset(Job(trial, 0) for trial in range(started) if trial not in known)
    return replace(state, started=started, running=lost, results=tuple(results))
