"""Dates and moments: written out, and their parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.calendar import DatePart, date_part, local_time
from lepton_dask.data.columns import Column, MomentColumn, NumberColumn
from lepton_dask.data.expressions.kernels import Kernel, moment
from lepton_dask.data.expressions.typed import Written
from lepton_dask.data.types import ColumnType

MomentPart = DatePart | Literal["second", "quarter", "day_of_year"]

_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?(Z|[-+]\d\d:?\d\d)?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_NS = 2**63 - 1


def ticks_of_text(text: str, type_: ColumnType) -> int:
    """An ISO 8601 date in days, or moment in nanoseconds, since 1970, as a column of that type
    holds it: in its zone, unless the text has an offset of its own.

    Raises ValueError, with what is wrong.
    """
    if type_.kind == "date":
        return _days(text)
    match = _MOMENT.fullmatch(text)
    try:
        clock = datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00'}") if match else None
    except ValueError:
        clock = None
    if match is None or clock is None:
        raise ValueError(f"'{text}' is no moment such as '2013-09-15T08:00'")
    if match[4] and type_.zone is None:
        raise ValueError(f"'{text}' has an offset, and the column no time zone")
    shown_in = _offset(match[4]) if match[4] else None
    if shown_in is not None:
        moment_ = clock.replace(tzinfo=UTC) - shown_in
    else:
        moment_ = clock.replace(tzinfo=ZoneInfo(type_.zone) if type_.zone else UTC)
    since = moment_ - _EPOCH
    ticks = (since.days * 86_400 + since.seconds) * 10**9 + int((match[3] or "").ljust(9, "0"))
    if not -_MAX_NS <= ticks <= _MAX_NS:
        raise ValueError(f"'{text}' is beyond 1677 to 2262, what nanoseconds can count")
    return ticks


def part(name: MomentPart) -> Kernel:
    """A part of dates or moments, as their zone's clocks and calendars show them."""

    def kernel(columns: Sequence[Column], _: Sequence[Written], __: ColumnType) -> Column:
        column = moment(columns)
        return NumberColumn(_part(column, name).astype(np.float64), column.missing)

    return kernel


def local(columns: Sequence[Column], written: Sequence[Written], _: ColumnType) -> Column:
    """What the clocks of a zone show."""
    return MomentColumn(local_time(moment(columns).values, str(written[0])))


def day(columns: Sequence[Column], _: Sequence[Written], __: ColumnType) -> Column:
    """The date that a moment falls on, in its zone."""
    return MomentColumn(_shown(moment(columns)).astype("datetime64[D]"))


def _part(column: MomentColumn, name: MomentPart) -> NDArray[np.int64]:
    match name:
        case "quarter":
            return (date_part(column, "month") + 2) // 3
        case "second":
            seconds: NDArray[np.int64] = _filled(column).astype("datetime64[s]").astype(np.int64)
            return seconds % 60
        case "day_of_year":
            days = _filled(column).astype("datetime64[D]")
            new_year = days.astype("datetime64[Y]").astype("datetime64[D]")
            return days.astype(np.int64) - new_year.astype(np.int64) + 1
        case _:
            return date_part(column, name)


def _filled(column: MomentColumn) -> NDArray[np.datetime64]:
    """What clocks show; 1970-01-01, as good as any day, where there is nothing."""
    return np.where(column.missing, np.datetime64(0, "D"), _shown(column))


def _shown(column: MomentColumn) -> NDArray[np.datetime64]:
    return column.values if column.zone is None else local_time(column.values, column.zone)


def _days(text: str) -> int:
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return (date.fromisoformat(text) - date(1970, 1, 1)).days
    except ValueError:
        pass
    raise ValueError(f"'{text}' is no date such as '2013-09-15'")


def _offset(text: str) -> timedelta:
    if text == "Z":
        return timedelta()
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timedelta(minutes=-minutes if text[0] == "-" else minutes)
