"""How far back windows look, and which rows a later chunk may therefore look back on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lepton_dask.data.expressions.ordering import Ints, Ordering, back, first_at_or_after


@dataclass(frozen=True)
class RowStage:
    """A window that looks n rows back."""

    rows: int


@dataclass(frozen=True)
class SpanStage:
    """A window that looks back by a duration."""

    ns: int


Stage = RowStage | SpanStage
Path = tuple[Stage, ...]


@dataclass(frozen=True)
class Reach:
    """How far the windows of expressions look.

    A path is what a value depends on through nested windows, the outermost first:
    `rolling_mean(lag(x, '24h'), 7)` looks 6 rows back and from there 24 hours. `ahead_rows` is how
    far `lead` looks ahead.
    """

    paths: frozenset[Path] = frozenset()
    ahead_rows: int = 0

    @property
    def is_empty(self) -> bool:
        return not self.paths and not self.ahead_rows

    def union(self, other: Reach) -> Reach:
        return Reach(self.paths | other.paths, max(self.ahead_rows, other.ahead_rows))

    def seen_from(self, stage: Stage) -> Reach:
        """What a window over values of this reach looks back on."""
        paths = frozenset((stage, *path) for path in self.paths or {()})
        return Reach(paths, self.ahead_rows)


NO_REACH = Reach()


def union(reaches: Iterable[Reach]) -> Reach:
    whole = NO_REACH
    for reach in reaches:
        whole = whole.union(reach)
    return whole


def tail_positions(ordering: Ordering, reach: Reach) -> Ints:
    """The rows, ascending, that rows to come behind these may look back on.

    Rows to come are not before the last of their group. A row that nobody can reach may be among
    those returned (after a span, the last row's moment stands for that of the next); none that
    somebody can reach is left out.
    """
    starts, ends = ordering.borders[:-1], ordering.borders[1:]
    lowest = ends.copy()
    for path in reach.paths:
        lowest = np.minimum(lowest, _reached(ordering, path, starts, ends))
    kept = np.arange(len(ordering.rows)) >= lowest[ordering.groups]
    return np.sort(ordering.rows[kept])


def _reached(ordering: Ordering, path: Path, starts: Ints, ends: Ints) -> Ints:
    """The lowest place in each group that the next row can reach along a path."""
    place = ends
    for stage in path:
        if isinstance(stage, RowStage):
            place = np.maximum(place - stage.rows, starts)
        elif len(ordering.ticks):
            at = np.minimum(place, ends - 1)
            wanted = back(ordering.ticks[at], ticks_in(stage.ns, ordering))
            place = first_at_or_after(ordering.ticks, starts, at + 1, wanted)
    return place


def head_positions(ordering: Ordering, rows: int) -> Ints:
    """The first rows of each group, ascending: those that rows before them may look ahead to."""
    first = np.arange(len(ordering.rows)) < ordering.starts + rows
    return np.sort(ordering.rows[first])


def ticks_in(span_ns: int, ordering: Ordering) -> int:
    """A duration in ticks, rounded up.

    Raises TypeError where the order is a number.
    """
    if ordering.tick_ns is None:
        raise TypeError("a duration needs an order in time")
    return -(-span_ns // ordering.tick_ns)
