"""Rows in the order that windows look back along: by group, then by an order column."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.columns import Column, MomentColumn, NumberColumn, TextColumn
from lepton_dask.data.durations import DAY_NS

Ints = NDArray[np.int64]
Ticks = NDArray[np.int64] | NDArray[np.float64]

_LOWEST = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False)
class Ordering:
    """The rows of a table sorted by group and order; of m of them the order is known.

    rows (m,): the position in the table of each sorted row; borders (groups + 1,): where the groups
    start and end among the sorted rows; ticks (m,): the order, int64 for dates and timestamps and
    float64 for numbers; tick_ns: nanoseconds in a tick, None where the order is a number; count:
    rows of the table. Rows of equal order keep the table's order; rows without one are left out;
    rows without a group are a group of their own.
    """

    rows: Ints
    borders: Ints
    ticks: Ticks
    tick_ns: int | None
    count: int

    @classmethod
    def of(cls, order: Column, group: Column | None) -> Ordering:
        """The ordering of a table by two of its columns.

        Raises TypeError where the order column is text.
        """
        ticks, tick_ns = _ticks(order)
        known = np.flatnonzero(~order.missing)
        ticks = ticks[known]
        codes = np.zeros(len(known), np.int64) if group is None else _codes(group)[known]
        by_both = np.lexsort((ticks, codes))  # stable
        sorted_codes = codes[by_both]
        inner = np.flatnonzero(np.diff(sorted_codes)) + 1
        ends = [len(known)] if len(known) else []
        borders = np.concatenate([[0], inner, ends]).astype(np.int64)
        return cls(known[by_both], borders, ticks[by_both], tick_ns, len(order))

    @cached_property
    def groups(self) -> Ints:
        """(m,) the number of each sorted row's group."""
        return np.repeat(np.arange(len(self.borders) - 1), np.diff(self.borders))

    @cached_property
    def starts(self) -> Ints:
        """(m,) where each sorted row's group starts."""
        return self.borders[self.groups]

    @property
    def is_sorted(self) -> bool:
        """Whether the rows of every group already stand in ascending order."""
        steps = np.diff(self.rows)
        return bool(np.all(steps[np.diff(self.groups) == 0] > 0))


def back(ticks: Ticks, distance: int) -> Ticks:
    """Ticks less a distance, without running over the end of int64."""
    if ticks.dtype.kind == "f":
        return ticks - distance
    lowest = _LOWEST + distance
    return np.where(ticks < lowest, _LOWEST, np.maximum(ticks, lowest) - distance)


def first_at_or_after(ticks: Ticks, low: Ints, high: Ints, wanted: Ticks) -> Ints:
    """For each i the first place in [low, high) of the ascending `ticks` that is not before
    `wanted`, or high; all by halving at once."""
    low, high = low.copy(), high.copy()
    while np.any(open_ := low < high):
        middle = (low + high) // 2
        before = ticks[np.minimum(middle, len(ticks) - 1)] < wanted
        low = np.where(open_ & before, middle + 1, low)
        high = np.where(open_ & ~before, middle, high)
    return low


def _ticks(order: Column) -> tuple[Ticks, int | None]:
    match order:
        case MomentColumn():
            days = order.values.dtype == np.dtype("datetime64[D]")
            return order.values.astype(np.int64), DAY_NS if days else 1
        case NumberColumn():
            return order.values, None
        case TextColumn():
            raise TypeError("a text has no order that windows could follow")


def _codes(group: Column) -> Ints:
    """A number for each distinct value; -1 where it is missing."""
    match group:
        case TextColumn():
            return group.codes.astype(np.int64)
        case MomentColumn():
            values: NDArray[np.generic] = group.values.astype(np.int64)
        case NumberColumn():
            values = np.where(group.missing, 0.0, group.values)
    codes = np.unique(values, return_inverse=True)[1].astype(np.int64)
    return np.where(group.missing, -1, codes)
