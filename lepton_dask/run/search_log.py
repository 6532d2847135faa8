"""What a running search has come to, and whether that is enough."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from lepton_dask.events import TrialEnded
from lepton_dask.learn.descent import Descent
from lepton_dask.learn.search.block import Search
from lepton_dask.learn.search.space import Point, Space
from lepton_dask.run.search_folder import SearchFolder
from lepton_dask.run.search_outcome import TrialResult, best_of, point_text
from lepton_dask.run.work import Work


class Enough(Exception):
    """The search is over: the trial that hears it ends where it is."""


class SearchLog:
    """Results as they come, from any thread: kept in the folder, told to those who listen, and
    added up against the budget.

    `ended` says in words why the search is over, and is None until then.
    """

    def __init__(self, work: Work, search: Search, space: Space, folder: SearchFolder) -> None:
        self._work, self._search, self._space, self._folder = work, search, space, folder
        self._lock = threading.Lock()
        self._began = time.monotonic() - folder.seconds
        self._passes = _passes(folder.results)
        self.ended: str | None = None
        self._judge()

    @property
    def results(self) -> tuple[TrialResult, ...]:
        with self._lock:
            return tuple(self._folder.results)

    @property
    def best(self) -> TrialResult | None:
        return best_of(self.results, self._search.scored_by)

    @property
    def starts(self) -> int:
        """How many trials begin at a point of the portfolio."""
        return len(self._folder.starts)

    @property
    def is_goal_met(self) -> bool:
        wanted, best = self._search.wanted, self.best
        return wanted is not None and best is not None and wanted.met(best.value)

    def winner(self, has_ended: Callable[[TrialResult], bool]) -> TrialResult | None:
        """The trial that is kept: the one that met the goal, where it stands; else the best of
        those that have been trained to their end."""
        if self.is_goal_met:
            return self.best
        last = {each.trial: each for each in self.results if each.status != "stopped"}
        return best_of([each for each in last.values() if has_ended(each)], self._search.scored_by)

    def point(self, trial: int) -> Point:
        """Where a trial is: first the portfolio's points, then those that are sampled."""
        starts = self._folder.starts
        if trial < len(starts):
            return starts[trial]
        return self._space.sampled(self._work.seed, trial - len(starts))

    def descents(self, trial: int) -> tuple[Descent, ...]:
        return self._folder.descents(trial)

    def add(self, result: TrialResult, descents: Sequence[Descent], passes: float) -> None:
        """A trial's result; `passes` over the rows were made for it since the last."""
        with self._lock:
            before = best_of(self._folder.results, self._search.scored_by)
            self._folder.add(result, descents, time.monotonic() - self._began)
            best = best_of(self._folder.results, self._search.scored_by)
            self._passes += passes
            begun = len({each.trial for each in self._folder.results})
            self._work.emit(
                TrialEnded(
                    step=self._work.step,
                    trial=result.trial,
                    rung=result.rung,
                    passes=result.passes,
                    seconds=result.seconds,
                    metric=self._search.scored_by,
                    value=result.value,
                    status=result.status,
                    is_best=best is not None
                    and (
                        before is None or (best.trial, best.value) != (before.trial, before.value)
                    ),
                    best=None if best is None else best.value,
                    point="" if best is None else point_text(best.point),
                    trials=begun,
                    of=self._search.budget.trials,
                )
            )
            self._judge(best)

    def is_over(self) -> bool:
        """Whether the goal is met or the budget spent, by now."""
        with self._lock:
            self._judge()
            return self.ended is not None

    def _judge(self, best: TrialResult | None = None) -> None:
        search, budget = self._search, self._search.budget
        best = best or best_of(self._folder.results, search.scored_by)
        if self.ended is not None:
            return
        if search.wanted is not None and best is not None and search.wanted.met(best.value):
            self.ended = f"the goal is met: {search.wanted}"
        elif budget.passes is not None and self._passes >= budget.passes:
            self.ended = f"the budget is spent: {budget.passes:g} passes"
        elif (
            budget.minutes is not None
            and best is not None
            and time.monotonic() - self._began >= 60.0 * budget.minutes
        ):
            self.ended = f"the budget is spent: {budget.minutes:g} minutes"


def _passes(results: Sequence[TrialResult]) -> float:
    """What results cost, each trial's passes once."""
    last = {each.trial: each.passes for each in results}
    return sum(last.values())
