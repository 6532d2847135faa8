"""Lags and rolling statistics along an ordering, the same to the byte for every chunking.

A rolling value is accumulated from its own row backwards, row by row: it depends on the rows of its
window alone. Differences of running sums would be faster and depend on where a chunk starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.columns import Bools
from lepton_dask.data.expressions.ordering import Ints, Ordering, back, first_at_or_after
from lepton_dask.data.expressions.reach import ticks_in

Statistic = Literal["count", "sum", "mean", "min", "max", "std"]
Floats = NDArray[np.float64]


def lag_positions(ordering: Ordering, rows: int) -> Ints:
    """(N,) the row that stands `rows` before each in its group, -1 where there is none; ahead of
    it where `rows` is negative."""
    places = np.arange(len(ordering.rows)) - rows
    ends = ordering.borders[1:][ordering.groups]
    there = (places >= ordering.starts) & (places < ends)
    return _by_row(ordering, places, there)


def span_positions(ordering: Ordering, span_ns: int) -> Ints:
    """(N,) the last row of each one's group whose moment is exactly `span_ns` earlier, -1 where
    there is none."""
    if not len(ordering.rows):
        return np.full(ordering.count, -1, np.int64)
    distance = ticks_in(span_ns, ordering)
    wanted = back(ordering.ticks, distance)
    here = np.arange(len(ordering.rows))
    places = first_at_or_after(ordering.ticks, ordering.starts, here, wanted + 1) - 1
    found = np.maximum(places, 0)
    there = (places >= ordering.starts) & (ordering.ticks[found] == ordering.ticks - distance)
    if span_ns % (ordering.tick_ns or 1):
        there[:] = False  # no two days are half a day apart
    return _by_row(ordering, places, there)


def window_firsts(
    ordering: Ordering, *, rows: int | None = None, span_ns: int | None = None
) -> Ints:
    """(m,) for each sorted row the first of its window: the last `rows` rows with its own, or those
    later than `span_ns` before it."""
    here = np.arange(len(ordering.rows))
    if rows is not None:
        return np.maximum(here - rows + 1, ordering.starts)
    if span_ns is None or not len(here):
        return here
    # Later than t - span: at or after the tick that follows it.
    wanted = back(ordering.ticks, ticks_in(span_ns, ordering) - 1)
    return first_at_or_after(ordering.ticks, ordering.starts, here, wanted)


def rolling(
    statistic: Statistic, ordering: Ordering, firsts: Ints, values: Floats, missing: Bools
) -> tuple[Floats, Bools]:
    """(N,) a statistic over each row's window, and where it is missing.

    Missing values are left out. A window without any has no value, with fewer than two no standard
    deviation (the sample's, with n - 1); its count is 0. Rows without an order have none.
    """
    sorted_values = np.where(missing, 0.0, values)[ordering.rows]
    present = ~missing[ordering.rows]
    count = _sums(firsts, present.astype(np.float64), present)
    least = 2 if statistic == "std" else 0 if statistic == "count" else 1
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        match statistic:
            case "count":
                result = count
            case "sum":
                result = _sums(firsts, sorted_values, present)
            case "mean":
                result = _sums(firsts, sorted_values, present) / count
            case "min":
                result = -_largest(firsts, -sorted_values, present)
            case "max":
                result = _largest(firsts, sorted_values, present)
            case "std":
                result = _deviations(firsts, sorted_values, present, count)
    out = np.zeros(ordering.count)
    out_missing = np.ones(ordering.count, dtype=bool)
    out[ordering.rows] = result
    out_missing[ordering.rows] = count < least
    return out, out_missing


def _sums(firsts: Ints, values: Floats, present: Bools) -> Floats:
    total = np.zeros(len(values))
    for here, there, reached in _steps_back(firsts):
        total[here] += np.where(reached & present[there], values[there], 0.0)
    return total


def _largest(firsts: Ints, values: Floats, present: Bools) -> Floats:
    largest = np.full(len(values), -np.inf)
    for here, there, reached in _steps_back(firsts):
        candidates = np.where(reached & present[there], values[there], -np.inf)
        largest[here] = np.maximum(largest[here], candidates)
    return largest


def _deviations(firsts: Ints, values: Floats, present: Bools, count: Floats) -> Floats:
    """In two passes: the mean first, then the squares around it."""
    mean = _sums(firsts, values, present) / count
    squares = np.zeros(len(values))
    for here, there, reached in _steps_back(firsts):
        deviations = np.where(reached & present[there], values[there] - mean[here], 0.0)
        squares[here] += deviations * deviations
    return np.sqrt(squares / (count - 1))


Places = slice | Ints


def _steps_back(firsts: Ints) -> Iterator[tuple[Places, Places, Bools]]:
    """For 0, 1, 2, ... steps back: rows, the rows that many before them, and which of these are in
    their windows.

    While most windows are that long, neighbours are read as slices, which is several times faster
    than by index; long windows of few rows are then followed by index alone.
    """
    count = len(firsts)
    widths = np.arange(count) - firsts
    step, longest = 0, int(widths.max(initial=-1))
    while step <= longest:
        reached = widths[step:] >= step
        if np.count_nonzero(reached) * 4 < len(reached):
            break
        yield slice(step, count), slice(0, count - step), reached
        step += 1
    rows = np.flatnonzero(widths >= step)
    while len(rows):
        yield rows, rows - step, np.ones(len(rows), dtype=bool)
        step += 1
        rows = rows[widths[rows] >= step]


def _by_row(ordering: Ordering, places: Ints, there: Bools) -> Ints:
    """Places among the sorted rows as positions in the table, for each row of the table."""
    positions = np.full(ordering.count, -1, np.int64)
    found = np.where(there, places, 0)
    positions[ordering.rows] = np.where(there, ordering.rows[found], -1)
    return positions
