"""Chunks of rows by group: what is known of them, and what is held of them while learning.

A chunk may lie here or on a worker; the functions that look at one are the same.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import psutil

from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.learn.meta.base import GroupedRows, Held, Label, Setting
from lepton_dask.learn.meta.groups import AnyAlgorithm, Groups, LocalGroups, in_parts
from lepton_dask.learn.meta.held_out import sampled
from lepton_dask.learn.meta.scaling import Scaling, TargetSums
from lepton_dask.learn.meta.spread import SpreadGroups

SHARE = 0.5
"""Of the memory, for what is held of the groups: rows and rounds need some too."""


class GroupFacts(NamedTuple):
    """What the driver needs to know of a chunk: its groups' counts of rows, what their targets add
    up to, and how many rows cannot be used, by the reason."""

    counts: Mapping[Label, int]
    sums: TargetSums
    unusable: Mapping[str, int]

    @classmethod
    def of(cls, rows: GroupedRows, unusable: Mapping[str, int]) -> GroupFacts:
        counts = dict(zip(rows.names, rows.counts.tolist(), strict=True))
        return cls(counts, TargetSums.of(rows.y, rows.weight), unusable)

    @classmethod
    def added(cls, facts: Iterable[GroupFacts]) -> GroupFacts:
        """Of all chunks."""
        every = list(facts)
        counts: Counter[Label] = Counter()
        unusable: Counter[str] = Counter()
        for each in every:
            counts.update(each.counts)
            unusable.update(each.unusable)
        return cls(counts, TargetSums.added(each.sums for each in every), unusable)


class GroupedChunk(NamedTuple):
    """A chunk's rows by group, their target as it is."""

    rows: GroupedRows
    facts: GroupFacts


@dataclass(frozen=True)
class Sides:
    """The groups on the two sides of learning: those that are learnt from, and those that are held
    out, none where these are not among the rows."""

    training: Groups
    held_out: Groups

    def joined(self, other: Sides) -> Sides:
        """The groups of both."""
        return Sides(self.training.joined(other.training), self.held_out.joined(other.held_out))


class Chunks(Protocol):
    """Chunks of rows by group, wherever they lie."""

    def facts(self) -> GroupFacts:
        """Of all of them."""

    def memory_bytes(self) -> int:
        """How much there is where they lie for what is held of them."""

    def sample(
        self, names: frozenset[Label], scaling: Scaling, most: int, seed: int
    ) -> GroupedRows:
        """The rows of the groups of these names, at most so many of each."""

    def sides(
        self,
        algorithm: AnyAlgorithm,
        setting: Setting,
        scaling: Scaling,
        held_out: frozenset[Label],
    ) -> Sides:
        """What the algorithm holds of the groups: those `held_out` apart from the others."""


@dataclass(frozen=True)
class LocalChunks:
    """One chunk, in this process."""

    chunk: GroupedChunk

    def facts(self) -> GroupFacts:
        return self.chunk.facts

    def memory_bytes(self) -> int:
        return int(SHARE * psutil.virtual_memory().available)

    def sample(
        self, names: frozenset[Label], scaling: Scaling, most: int, seed: int
    ) -> GroupedRows:
        return sample_of(self.chunk, names, scaling, most, seed)

    def sides(
        self,
        algorithm: AnyAlgorithm,
        setting: Setting,
        scaling: Scaling,
        held_out: frozenset[Label],
    ) -> Sides:
        held = held_of(self.chunk, algorithm, setting, scaling, held_out)
        parts = algorithm.parts
        return Sides(LocalGroups(tuple(held[:parts])), LocalGroups(tuple(held[parts:])))


@dataclass(frozen=True)
class SpreadChunks:
    """Tasks in chunk order that each yield a GroupedChunk."""

    dispatch: Dispatch
    futures: tuple[Any, ...]

    def facts(self) -> GroupFacts:
        return GroupFacts.added(self.dispatch.where_they_lie("facts", facts_of, self.futures))

    def memory_bytes(self) -> int:
        workers = self.dispatch.client.scheduler_info(n_workers=-1)["workers"].values()
        # A worker without a limit says 0: nobody knows then, and nothing is refused.
        limits = [worker["memory_limit"] or sys.maxsize for worker in workers]
        return int(SHARE * sum(limits))

    def sample(
        self, names: frozenset[Label], scaling: Scaling, most: int, seed: int
    ) -> GroupedRows:
        tasks = [(chunk, names, scaling, most, seed) for chunk in self.futures]
        pieces = self.dispatch.gather(self.dispatch.starmap("held-out", sample_of, tasks))
        return sampled(GroupedRows.merged(pieces), most, seed)

    def sides(
        self,
        algorithm: AnyAlgorithm,
        setting: Setting,
        scaling: Scaling,
        held_out: frozenset[Label],
    ) -> Sides:
        tasks = [(chunk, algorithm, setting, scaling, held_out) for chunk in self.futures]
        held = self.dispatch.starmap("hold", held_of, tasks)
        parts = algorithm.parts
        return Sides(
            SpreadGroups.brought_together(self.dispatch, held, range(parts)),
            SpreadGroups.brought_together(self.dispatch, held, range(parts, 2 * parts)),
        )


def facts_of(chunk: GroupedChunk) -> GroupFacts:
    """What the driver needs to know of a chunk."""
    return chunk.facts


def sample_of(
    chunk: GroupedChunk, names: frozenset[Label], scaling: Scaling, most: int, seed: int
) -> GroupedRows:
    """A chunk's rows of some groups, at most so many of each, the target reduced."""
    own = np.array([t for t, name in enumerate(chunk.rows.names) if name in names], dtype=np.intp)
    return scaling.reduced(sampled(chunk.rows.take(own), most, seed))


def held_of(
    chunk: GroupedChunk,
    algorithm: AnyAlgorithm,
    setting: Setting,
    scaling: Scaling,
    held_out: frozenset[Label],
) -> list[Held]:
    """What an algorithm holds of a chunk's groups: by part of those that it learns from, then by
    part of those that are held out."""
    rows = scaling.reduced(chunk.rows)
    is_out = np.array([name in held_out for name in rows.names], dtype=bool)
    sides = (rows.take(np.flatnonzero(~is_out)), rows.take(np.flatnonzero(is_out)))
    return [
        algorithm.keep(setting, part) for side in sides for part in in_parts(side, algorithm.parts)
    ]
