"""Splits in time: the past trains, what follows validates and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lepton_dask.data.durations import DAY_NS, duration_ns
from lepton_dask.data.splits.assignment import (
    LEFT_OUT,
    NO_VALUE,
    Assignment,
    FirstPhase,
    Fractions,
    PartCodes,
    Rows,
)
from lepton_dask.data.types import ColumnType
from lepton_dask.errors import DocumentPath, Mistake, UserError
from lepton_dask.parts import PARTS, Part

Moments = NDArray[np.int64 | np.float64]
"""Nanoseconds since 1970 (UTC, or naive) for dates and timestamps; the numbers themselves for
integers and numbers."""


@dataclass(frozen=True)
class ByTime(Assignment):
    """Each row into the last part that has started by its time.

    A part ends `gap` before the next one starts: what lies between is left out, as is what lies
    before the first part. Rows without a time get NO_VALUE.
    """

    column: str
    starts: Mapping[Part, int | float | None]
    """By part in order; None: from the beginning."""
    gap: int | float

    def assign(self, rows: Rows) -> PartCodes:
        moments, present = moments_of(rows.table[self.column])
        codes = np.full(len(moments), LEFT_OUT, np.int8)
        for i, (part, start) in enumerate(self.starts.items()):
            if start is None:
                codes[:] = PARTS.index(part)
                continue
            if i:
                codes[moments >= start - self.gap] = LEFT_OUT
            codes[moments >= start] = PARTS.index(part)
        codes[~present] = NO_VALUE
        return codes


@dataclass(frozen=True)
class DistinctMoments:
    """The distinct times, ascending, and how many rows have each."""

    moments: Moments
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class ByTimeShare(FirstPhase[DistinctMoments]):
    """Parts in time order with the given fractions of the rows, cut between distinct times.

    The cut is the one whose share of the rows before it is nearest to what is asked for, the
    earlier one of two; the gap is taken out of the part before it.
    """

    column: str
    fractions: Fractions
    gap: int | float
    at: DocumentPath

    def gather(self, rows: Rows) -> DistinctMoments:
        moments, present = moments_of(rows.table[self.column])
        distinct, counts = np.unique(moments[present], return_counts=True)
        return DistinctMoments(distinct, counts.astype(np.int64))

    def merge(self, a: DistinctMoments, b: DistinctMoments) -> DistinctMoments:
        moments = np.concatenate([a.moments, b.moments])
        distinct, places = np.unique(moments, return_inverse=True)
        counts = np.zeros(len(distinct), np.int64)
        np.add.at(counts, places, np.concatenate([a.counts, b.counts]))
        return DistinctMoments(distinct, counts)

    def decide(self, statistics: DistinctMoments) -> ByTime:
        parts = list(self.fractions)
        if len(statistics.moments) < len(parts):
            found = f"'{self.column}' has {len(statistics.moments)} distinct times"
            fix = f"{len(parts)} parts need at least as many"
            raise UserError([Mistake((*self.at, "time"), found, fix)])
        before = np.cumsum(statistics.counts) - statistics.counts  # rows before each distinct time
        total = int(statistics.counts.sum())
        starts: dict[Part, int | float | None] = {parts[0]: None}
        share, previous = 0.0, 0
        for i, part in enumerate(parts[1:], start=1):
            share += self.fractions[parts[i - 1]]
            last = len(before) - (len(parts) - 1 - i)
            candidates = before[previous + 1 : last]
            nearest = int(np.argmin(np.abs(candidates - share * total)))
            previous += 1 + nearest
            starts[part] = statistics.moments[previous].item()
        return ByTime(self.column, starts, self.gap)


def moments_of(column: pa.ChunkedArray) -> tuple[Moments, NDArray[np.bool_]]:
    """(N,) times, 0 where missing, and whether each is present."""
    present = column.is_valid().to_numpy()
    if pa.types.is_floating(column.type):
        return pc.fill_null(column, 0.0).to_numpy(), present
    if pa.types.is_date32(column.type):
        days = pc.fill_null(column.cast(pa.int32()), 0).to_numpy().astype(np.int64)
        return days * DAY_NS, present
    return pc.fill_null(column.cast(pa.int64()), 0).to_numpy(), present


def start_moment(start: float | int | str, type_: ColumnType) -> int | float:
    """A part's start on the axis of a column of the given type.

    A text is a day or a moment as ISO 8601 writes them, in the column's zone unless it has an
    offset of its own. Raises ValueError, with what is wrong, where it does not fit the column.
    """
    if type_.kind in ("integer", "number"):
        if isinstance(start, str):
            raise ValueError(f"'{start}' is text, the column holds numbers")
        return start
    if not isinstance(start, str):
        raise ValueError(f"{start} is a number, the column holds a {type_.kind}")
    try:
        moment = datetime.fromisoformat(start)
    except ValueError:
        raise ValueError(f"'{start}' is not a date or time such as 2013-09-15T08:00") from None
    if type_.kind == "date":
        day = date.fromisoformat(start[:10])
        if moment != datetime.combine(day, datetime.min.time()):
            raise ValueError(f"'{start}' has a time of day, the column holds dates")
        return (day - date(1970, 1, 1)).days * DAY_NS
    if type_.zone is None and moment.tzinfo is not None:
        raise ValueError(f"'{start}' has an offset, the column has no time zone")
    zone = ZoneInfo(type_.zone or "UTC")
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    since = zoned - datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000


def gap_length(gap: str | float | int | None, type_: ColumnType) -> int | float:
    """A gap on the axis of a column of the given type: `"24h"`, or a number for numbers.

    Raises ValueError, with what is wrong, where it does not fit the column.
    """
    if gap is None:
        return 0
    if type_.kind in ("integer", "number"):
        if isinstance(gap, str):
            raise ValueError(f"'{gap}' is text, the column holds numbers")
        length: int | float = gap
    else:
        if not isinstance(gap, str):
            raise ValueError(f"{gap} is not a duration such as '24h', '30min' or '7d'")
        length = duration_ns(gap)
    if length < 0:
        raise ValueError(f"{gap} is negative")
    return length
