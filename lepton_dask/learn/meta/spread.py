"""Groups on the workers of a cluster: a round is one task a worker thread, however many groups and
rows there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import getitem
from typing import Any

from lepton_dask.learn.blas import pin_blas
from lepton_dask.learn.dispatch import Dispatch, grouped_by_thread, in_chunk_order
from lepton_dask.learn.meta.base import Held, Setting
from lepton_dask.learn.meta.groups import AnyAlgorithm, Groups, contributions, merged_held


@dataclass(frozen=True)
class SpreadGroups:
    """Groups in parts, those of a worker thread in one task's result: `futures[s]` holds the parts
    `parts[s]`, on `workers` if those are there. Futures are opaque here."""

    dispatch: Dispatch
    futures: tuple[Any, ...]
    parts: tuple[tuple[int, ...], ...]
    workers: tuple[str, ...]

    @classmethod
    def brought_together(
        cls, dispatch: Dispatch, chunks: Sequence[Any], places: Sequence[int]
    ) -> SpreadGroups:
        """From tasks in chunk order that each yield a list of what is held; part p is what stands
        at `places[p]` of these lists, merged.

        The parts keep the tasks' lineage: what is lost with a worker is computed again. Let go of
        `chunks` afterwards.
        """
        merged = []
        for place in places:
            pieces = dispatch.starmap("piece", getitem, [(chunk, place) for chunk in chunks])
            merged.append(dispatch.submit("part", merged_held, pieces))
        return cls._placed(dispatch, merged)

    @classmethod
    def _placed(cls, dispatch: Dispatch, parts: Sequence[Any]) -> SpreadGroups:
        """Where the tasks that yield the parts have left them."""
        dispatch.wait(parts)
        held = grouped_by_thread(dispatch.client, parts)
        futures = [
            dispatch.submit("groups", list, [parts[part] for part in numbers], on=address)
            for address, numbers in held
        ]
        dispatch.wait(futures)
        workers = tuple(dict.fromkeys(address for address, _ in held))
        return cls(dispatch, tuple(futures), tuple(tuple(n) for _, n in held), workers)

    def joined(self, other: Groups) -> SpreadGroups:
        """The groups of both, part by part; what both hold of a group is merged."""
        parts = range(sum(map(len, self.parts)))
        merged = [
            self.dispatch.submit("part", merged_held, [self.piece(part), other.piece(part)])
            for part in parts
        ]
        return self._placed(self.dispatch, merged)

    def piece(self, part: int) -> Any:
        """A task that yields what is held of a part."""
        for future, parts in zip(self.futures, self.parts, strict=True):
            if part in parts:
                return self.dispatch.submit("piece", getitem, future, parts.index(part))
        raise IndexError(part)

    def work(self, algorithm: AnyAlgorithm, setting: Setting, prior: Any, seed: int) -> list[Any]:
        tasks = [
            (future, parts, algorithm, setting, prior, seed)
            for future, parts in zip(self.futures, self.parts, strict=True)
        ]
        futures = self.dispatch.starmap("round", _contributions, tasks, self.workers)
        return in_chunk_order(self.parts, self.dispatch.gather(futures))


def _contributions(
    held: Sequence[Held],
    parts: Sequence[int],
    algorithm: AnyAlgorithm,
    setting: Setting,
    prior: Any,
    seed: int,
) -> list[Any]:
    pin_blas()
    return contributions(held, parts, algorithm, setting, prior, seed)
