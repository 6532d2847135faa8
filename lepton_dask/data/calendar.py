"""Parts of dates and moments, by numpy and the standard library alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.columns import MomentColumn

DatePart = Literal["year", "month", "day", "weekday", "hour", "minute"]

DAY_PARTS: tuple[DatePart, ...] = ("year", "month", "day", "weekday")
"""The parts that a date has; a timestamp has all."""

CYCLES: dict[DatePart, range] = {
    "month": range(1, 13),
    "day": range(1, 32),
    "weekday": range(7),
    "hour": range(24),
    "minute": range(60),
}
"""All values of the parts that come round again."""

THURSDAY = 3
QUARTER_S = 900


def date_part(column: MomentColumn, part: DatePart) -> NDArray[np.int64]:
    """A part of every moment as its zone's clocks and calendars show it; 0 where missing.

    Months and days count from 1, hours and minutes from 0, weekdays from Monday = 0.
    """
    shown = column.values if column.zone is None else local_time(column.values, column.zone)
    # 1970-01-01 is as good as any day where there is none.
    shown = np.where(np.isnat(shown), np.datetime64(0, "D"), shown)
    return np.where(column.missing, 0, _part(shown, part))


def local_time(moments: NDArray[np.datetime64], zone: str) -> NDArray[np.datetime64]:
    """UTC moments as the zone's clocks show them, nanoseconds; NaT stays NaT.

    Offsets are looked up once for every quarter of an hour that occurs: no zone since 1972 changes
    its clocks at any other time.
    """
    shown = moments.astype("datetime64[ns]", copy=True)
    present = ~np.isnat(shown)
    quarters = np.floor_divide(shown[present].astype(np.int64), QUARTER_S * 10**9)
    distinct, inverse = np.unique(quarters, return_inverse=True)
    info = ZoneInfo(zone)
    offsets_s = np.array([_offset_s(int(q) * QUARTER_S, info) for q in distinct], dtype=np.int64)
    shown[present] += (offsets_s[inverse] * 10**9).astype("timedelta64[ns]")
    return shown


def _offset_s(moment_s: int, zone: ZoneInfo) -> int:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment_s)
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None  # a ZoneInfo always has one
    return round(offset.total_seconds())


def _part(shown: NDArray[np.datetime64], part: DatePart) -> NDArray[np.int64]:
    days = shown.astype("datetime64[D]")
    number: NDArray[np.int64]
    match part:
        case "year":
            number = days.astype("datetime64[Y]").astype(np.int64) + 1970
        case "month":
            number = days.astype("datetime64[M]").astype(np.int64) % 12 + 1
        case "day":
            number = (days - days.astype("datetime64[M]")).astype(np.int64) + 1
        case "weekday":
            number = (days.astype(np.int64) + THURSDAY) % 7
        case "hour":
            number = (shown.astype("datetime64[h]") - days).astype(np.int64)
        case "minute":
            number = shown.astype("datetime64[m]").astype(np.int64) % 60
    return number
