"""Columns of a chunk as numpy arrays: what a fitted preparation reads, wherever it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]

INEXACT_INTEGER = 2.0**53
"""From here on a float64, which is all that a NumberColumn has, cannot tell integers apart."""


@dataclass(frozen=True, eq=False)
class NumberColumn:
    """Numbers, integers or truth values (0 and 1) of n rows.

    values (n,) float64; missing (n,) bool. A value at a missing place means nothing.
    """

    values: NDArray[np.float64]
    missing: Bools

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class TextColumn:
    """Texts of n rows as indices into the distinct ones: codes (n,) int32, -1 where missing."""

    codes: NDArray[np.int32]
    levels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def missing(self) -> Bools:
        return self.codes < 0


@dataclass(frozen=True, eq=False)
class MomentColumn:
    """Days or moments of n rows.

    values (n,) datetime64: `D` for dates, whose range exceeds what nanoseconds can count, and `ns`
    for timestamps; NaT where missing. With a `zone` the values are UTC and are to be read in that
    zone; without one they are what a clock on the wall showed.
    """

    values: NDArray[np.datetime64]
    zone: str | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> Bools:
        return np.isnat(self.values)


Column = NumberColumn | TextColumn | MomentColumn
Columns = Mapping[str, Column]


def taken(column: Column, positions: NDArray[np.int64]) -> Column:
    """The rows at `positions`, (m,); missing where a position is -1."""
    absent = positions < 0
    # A column of no rows has none to take: one missing row stands in.
    source = column if len(column) else _one_missing(column)
    places = np.where(absent, 0, positions)
    match source:
        case NumberColumn(values, missing):
            return NumberColumn(values[places], missing[places] | absent)
        case TextColumn(codes, levels):
            return TextColumn(np.where(absent, -1, codes[places]).astype(np.int32), levels)
        case MomentColumn(values, zone):
            return MomentColumn(np.where(absent, np.datetime64("NaT"), values[places]), zone)


def concatenated(columns: Sequence[Column]) -> Column:
    """Rows of columns of one type behind each other."""
    first = columns[0]
    if isinstance(first, TextColumn):
        index: dict[str, int] = {}
        codes = []
        for column in columns:
            assert isinstance(column, TextColumn)
            # The code -1 of a missing text picks the last.
            places = [index.setdefault(level, len(index)) for level in column.levels]
            codes.append(np.array([*places, -1], dtype=np.int32)[column.codes])
        return TextColumn(np.concatenate(codes), tuple(index))
    if isinstance(first, MomentColumn):
        return MomentColumn(np.concatenate([_values(each) for each in columns]), first.zone)
    missing = np.concatenate([each.missing for each in columns])
    return NumberColumn(np.concatenate([_values(each) for each in columns]), missing)


def _values(column: Column) -> NDArray[Any]:
    assert not isinstance(column, TextColumn)
    return column.values


def _one_missing(column: Column) -> Column:
    match column:
        case NumberColumn():
            return NumberColumn(np.zeros(1), np.ones(1, dtype=bool))
        case TextColumn(levels=levels):
            return TextColumn(np.full(1, -1, dtype=np.int32), levels)
        case MomentColumn(values, zone):
            return MomentColumn(np.full(1, np.datetime64("NaT"), dtype=values.dtype), zone)
