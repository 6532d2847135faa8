"""What one pass over a table says of every column; profiles of chunks merge.

A profile is a monoid: `merge_profiles` is associative, exactly for counts, extremes and levels, to
rounding for moments, and within the stated rank error for quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from lepton_dask.data.arrow import known_type, one_array, ticks_of
from lepton_dask.data.formats.plain_csv import count_codes
from lepton_dask.data.levels import DISTINCT_CAP, Levels, counted, longest, merge_levels
from lepton_dask.data.moments import Moments, merge_moments
from lepton_dask.data.sketch import Counts, Ordered, QuantileSketch, weighted_quantiles
from lepton_dask.data.types import ColumnType, Schema

REPORTED_SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
REPORTED_LEVELS = 20
LEAST_SPAN = 1 << 14
"""Integers that lie this close together are counted without sorting, however few they are."""


@dataclass(frozen=True, eq=False)
class ColumnProfile:
    """One column over some rows.

    `count` rows have a value, `missing` have none. Dates are measured in days and timestamps in
    nanoseconds since 1970, booleans as 0 and 1. `log1p` are the moments of log(1 + x) over the
    values above -1, for number and integer columns: scaling after that transform needs them, and
    the pass cannot be repeated. `levels` is None once there were too many; from then on there is a
    `sketch` of what has an order. `longest` counts characters, of text columns alone.
    """

    type: ColumnType
    count: int
    missing: int
    moments: Moments | None
    log1p: Moments | None
    sketch: QuantileSketch | None
    levels: Levels | None
    longest: int | None

    @property
    def rank_error(self) -> int:
        """The most rows by which the rank of a quantile is off; 0 while all levels are known."""
        return 0 if self.levels is not None or self.sketch is None else self.sketch.rank_error

    def ordered(self) -> tuple[Ordered, Counts]:
        """Ascending values with their weights: the levels where all are known, else the sketch's.

        Not for text, which has no scale.
        """
        if self.levels is not None:
            return _numbers(self.levels.values), self.levels.counts
        if self.sketch is None:
            raise TypeError(f"{self.type.kind} columns have no quantiles")
        return self.sketch.items()

    def quantile(self, q: float) -> float:
        """By numpy's linear rule, within `rank_error`; ValueError without any value."""
        if self.count == 0:
            raise ValueError("no value, no quantile")
        return weighted_quantiles(*self.ordered(), [q])[0]


@dataclass(frozen=True, eq=False)
class Profile:
    """`rows` rows of a table, column by column in the table's order."""

    rows: int
    columns: Mapping[str, ColumnProfile]

    @property
    def schema(self) -> Schema:
        return {name: column.type for name, column in self.columns.items()}

    def to_json(self) -> dict[str, object]:
        """For profile.json: plain values, moments and dates as ISO 8601 texts."""
        return {
            "rows": self.rows,
            "columns": {name: _to_json(column) for name, column in self.columns.items()},
        }


def profile_table(table: pa.Table) -> Profile:
    """The profile of one chunk. Numbers in it are finite: others were made missing before."""
    return Profile(
        rows=table.num_rows,
        columns={
            name: _profile_column(one_array(column))
            for name, column in zip(table.column_names, table.columns, strict=True)
        },
    )


def merge_profiles(a: Profile, b: Profile) -> Profile:
    """The profile of the rows of both; ValueError unless their columns and types are the same."""
    if a.schema != b.schema:
        raise ValueError("profiles of tables with different columns or types do not merge")
    return Profile(
        rows=a.rows + b.rows,
        columns={name: _merge_columns(a.columns[name], b.columns[name]) for name in a.columns},
    )


def _merge_columns(a: ColumnProfile, b: ColumnProfile) -> ColumnProfile:
    levels = merge_levels(a.levels, b.levels, a.type.kind)
    has_order = a.type.kind not in ("text", "boolean")
    return ColumnProfile(
        type=a.type,
        count=a.count + b.count,
        missing=a.missing + b.missing,
        moments=merge_moments(a.moments, b.moments),
        log1p=merge_moments(a.log1p, b.log1p),
        sketch=_sketch(a).merge(_sketch(b)) if levels is None and has_order else None,
        levels=levels,
        longest=None if a.longest is None or b.longest is None else max(a.longest, b.longest),
    )


def _sketch(column: ColumnProfile) -> QuantileSketch:
    if column.sketch is not None:
        return column.sketch
    return QuantileSketch.of(*column.ordered())


def _profile_column(array: pa.Array) -> ColumnProfile:
    type_ = known_type(array.type)
    if type_.kind == "text":
        return _profile_text(array, type_)
    if type_.kind == "boolean":
        return _profile_boolean(array, type_)
    return _profile_ordered(array, type_)


def _profile_text(array: pa.Array, type_: ColumnType) -> ColumnProfile:
    encoded = array if pt.is_dictionary(array.type) else array.dictionary_encode()
    indices = encoded.indices.drop_null() if encoded.null_count else encoded.indices
    counts = count_codes(indices.to_numpy(), len(encoded.dictionary))
    # A dictionary that was read or sliced may hold texts that no row has.
    used = np.flatnonzero(counts)
    texts = encoded.dictionary
    if texts.type != pa.string():
        texts = texts.cast(pa.string())
    if len(used) < len(texts):
        texts, counts = texts.take(pa.array(used)), counts[used]
    return ColumnProfile(
        type=type_,
        count=len(indices),
        missing=len(array) - len(indices),
        moments=None,
        log1p=None,
        sketch=None,
        levels=counted(texts, counts, "text"),
        longest=longest(texts),
    )


def _profile_boolean(array: pa.Array, type_: ColumnType) -> ColumnProfile:
    missing = array.null_count
    true = pc.sum(array).as_py() or 0
    counts = np.array([len(array) - missing - true, true], dtype=np.int64)
    used = np.flatnonzero(counts)
    return ColumnProfile(
        type=type_,
        count=len(array) - missing,
        missing=missing,
        moments=Moments.of(used, counts[used]) if len(used) else None,
        log1p=None,
        sketch=None,
        levels=counted(pa.array([False, True]).take(pa.array(used)), counts[used], "boolean"),
        longest=None,
    )


def _profile_ordered(array: pa.Array, type_: ColumnType) -> ColumnProfile:
    """Numbers, integers, dates and timestamps: all follows from how often each value occurs."""
    values = _numbers(array.drop_null() if array.null_count else array)
    distinct, counts = _value_counts(values)
    levels = _ordered_levels(distinct, counts, type_)
    return ColumnProfile(
        type=type_,
        count=len(values),
        missing=array.null_count,
        moments=Moments.of(distinct, counts) if len(distinct) else None,
        log1p=_log1p_moments(distinct, counts) if type_.kind in ("number", "integer") else None,
        sketch=QuantileSketch.of(distinct, counts) if levels is None else None,
        levels=levels,
        longest=None,
    )


def _value_counts(values: Ordered) -> tuple[Ordered, Counts]:
    """The distinct values in ascending order, and how often each occurs: counted where they are
    integers that lie close together, sorted where they are not."""
    if len(values) and values.dtype == np.int64:
        least, most = int(values.min()), int(values.max())
        if most - least <= max(LEAST_SPAN, len(values)):
            counted = np.bincount(values - least)
            used = np.flatnonzero(counted)
            return used + least, counted[used]
    ordered = np.sort(values)
    starts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    starts = np.concatenate([np.zeros(min(len(ordered), 1), dtype=np.int64), starts])
    return ordered[starts], np.diff(starts, append=len(ordered))


def _log1p_moments(distinct: Ordered, counts: Counts) -> Moments | None:
    first = int(np.searchsorted(distinct, -1, side="right"))
    if first == len(distinct):
        return None
    return Moments.of(np.log1p(distinct[first:], dtype=np.float64), counts[first:])


def _ordered_levels(distinct: Ordered, counts: Counts, type_: ColumnType) -> Levels | None:
    if len(distinct) > DISTINCT_CAP[type_.kind]:
        return None
    return Levels(pa.array(distinct), counts)


def _numbers(array: pa.Array) -> Ordered:
    """An array without missing values as float64 (numbers) or int64 (everything else)."""
    if pt.is_floating(array.type):
        # -0.0 + 0.0 is 0.0: the two zeros are one level.
        return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64) + 0.0
    if pt.is_temporal(array.type):
        return ticks_of(array)
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.int64)


def _to_json(column: ColumnProfile) -> dict[str, object]:
    document: dict[str, object] = {"type": column.type.kind}
    if column.type.zone is not None:
        document["zone"] = column.type.zone
    document |= {"count": column.count, "missing": column.missing}
    if column.moments is not None:
        document |= _range_to_json(column, column.moments)
    if column.longest is not None:
        document["longest"] = column.longest
    return document | _levels_to_json(column)


def _range_to_json(column: ColumnProfile, moments: Moments) -> dict[str, object]:
    kind = column.type.kind
    quantiles = weighted_quantiles(*column.ordered(), REPORTED_SHARES)
    document: dict[str, object] = {}
    if kind in ("number", "integer", "boolean"):
        document = {
            "mean": _finite(moments.mean),
            "standard_deviation": _finite(moments.standard_deviation),
        }
    return document | {
        "minimum": _scalar(moments.minimum, column.type),
        "maximum": _scalar(moments.maximum, column.type),
        "quantiles": {
            str(share): _scalar(value, column.type)
            for share, value in zip(REPORTED_SHARES, quantiles, strict=True)
        },
        "rank_error": column.rank_error,
    }


def _levels_to_json(column: ColumnProfile) -> dict[str, object]:
    if column.levels is None:
        return {"levels": None, "levels_more_than": DISTINCT_CAP[column.type.kind]}
    # A number or a moment that occurs once is a measurement, not a level.
    least = 1 if column.type.kind in ("text", "boolean") else 2
    top = [(value, count) for value, count in column.levels.top(REPORTED_LEVELS) if count >= least]
    return {
        "levels": len(column.levels),
        "top_levels": [
            {"value": _scalar(value, column.type), "count": count} for value, count in top
        ],
    }


def _scalar(value: str | bool | int | float, type_: ColumnType) -> object:
    if type_.kind == "date":
        return str(np.datetime64(round(float(value)), "D"))
    if type_.kind == "timestamp":
        return str(np.datetime64(int(value), "ns")) + ("Z" if type_.zone else "")
    return _finite(value) if isinstance(value, float) else value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
