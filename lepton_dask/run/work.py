"""What a step works with: its way to the cluster, and to those who listen."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import repeat
from types import MappingProxyType
from typing import Any

from distributed import Future

from lepton_dask.errors import DocumentPath
from lepton_dask.events import Event, RowsLost, StepProgressed, Warned
from lepton_dask.learn.dispatch import Dispatch

MERGED = 8
"""Results that one task merges: a task costs more than most merges do."""


@dataclass(frozen=True)
class Work:
    """One step's view of the run. `at` is the path of its node in the pipeline.

    Whoever submits holds on to the futures that a task takes until the task is done: the scheduler
    reads graphs aside, and hears of a future that was let go of before it knows who needs it.
    """

    step: str
    at: DocumentPath
    seed: int
    dispatch: Dispatch
    emit: Callable[[Event], None]

    def map(
        self, name: str, function: Callable[..., Any], *arguments: Sequence[Any] | repeat[Any]
    ) -> list[Future]:
        """One task a chunk, function(arguments[0][i], arguments[1][i], ...); `repeat(x)` for what
        is the same for all."""
        return self.dispatch.starmap(name, function, list(zip(*arguments)))  # noqa: B905 - repeat

    def pick(self, name: str, tuples: Sequence[Future], position: int) -> list[Future]:
        """One item of each task's tuple, as tasks."""
        return self.map(name, operator.itemgetter(position), tuples)

    def settle(self, futures: Sequence[Future], note: str) -> None:
        """Returns when the tasks are done, telling how many are."""

        def progressed(done: int) -> None:
            self.emit(StepProgressed(self.step, done, len(futures), note))

        self.dispatch.wait(futures, progressed)

    def gather(self, futures: Sequence[Future]) -> list[Any]:
        return self.dispatch.gather(futures)

    def reduce(
        self,
        name: str,
        merge: Callable[[Any, Any], Any],
        groups: Sequence[Sequence[Future]],
        begun: Mapping[tuple[str, ...], Future] = MappingProxyType({}),
    ) -> list[Any]:
        """Each group's results merged in a tree that their order alone sets: on the workers, but
        for the last few, which are merged here. `begun` are merges that `begin_reduce` began."""
        held: list[list[Future]] = []
        tops: list[list[Future]] = []
        for group in groups:
            level = list(group)
            while len(level) > MERGED:
                held.append(level)
                sets = merged_together(level)
                others = [futures for futures in sets if _keys(futures) not in begun]
                made = iter(self.map(name, merged, repeat(merge), others))
                level = [begun.get(_keys(futures)) or next(made) for futures in sets]
            whole = begun.get(_keys(level))
            tops.append(level if whole is None else [whole])
        found = iter(self.gather([future for level in tops for future in level]))
        return [merged(merge, [next(found) for _ in level]) for level in tops if level]

    def begin_reduce(
        self, name: str, merge: Callable[[Any, Any], Any], group: Sequence[Future]
    ) -> dict[tuple[str, ...], Future]:
        """The lowest merges of a group, of tasks that need not be done; by the keys of those."""
        sets = merged_together(group)
        made = self.map(name, merged, repeat(merge), sets)
        return dict(zip(map(_keys, sets), made, strict=True))

    def warn(self, message: str) -> None:
        self.emit(Warned(self.step, message))

    def lost(self, before: int, after: int, reason: str) -> None:
        if after < before:
            self.emit(RowsLost(self.step, before, after, reason))


def merged_together(futures: Sequence[Future]) -> list[Sequence[Future]]:
    """What one task each merges."""
    return [futures[i : i + MERGED] for i in range(0, len(futures), MERGED)]


def merged(merge: Callable[[Any, Any], Any], results: Sequence[Any]) -> Any:
    """All results as one; None where one of them is None."""
    return None if any(result is None for result in results) else reduce(merge, results)


def _keys(futures: Sequence[Future]) -> tuple[str, ...]:
    return tuple(str(future.key) for future in futures)
