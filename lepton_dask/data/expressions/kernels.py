"""What every operation is made of in numpy: a function from columns to a column.

Text is worked on by its distinct values in both evaluators, so these kernels serve the chunks too
wherever text, a zone or a function of the C library's is involved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.columns import (
    INEXACT_INTEGER,
    Bools,
    Column,
    MomentColumn,
    NumberColumn,
    TextColumn,
)
from lepton_dask.data.expressions.typed import Written
from lepton_dask.data.types import ColumnType

Kernel = Callable[[Sequence[Column], Sequence[Written], ColumnType], Column]
"""Columns of n rows, what is written out, and the type that the result has."""

Floats = NDArray[np.float64]


def any_missing(columns: Sequence[Column]) -> Bools:
    return reduce(np.logical_or, (column.missing for column in columns))


def numbers(columns: Sequence[Column]) -> list[NumberColumn]:
    return [column for column in columns if isinstance(column, NumberColumn)]


def texts(columns: Sequence[Column]) -> list[TextColumn]:
    return [column for column in columns if isinstance(column, TextColumn)]


def moment(columns: Sequence[Column]) -> MomentColumn:
    """The one column, of dates or timestamps, that an operation takes."""
    (column,) = columns
    assert isinstance(column, MomentColumn)
    return column


def usable(values: Floats, missing: Bools, type_: ColumnType) -> NumberColumn:
    """Numbers, missing where they are not finite; integers also where they are not exact."""
    unusable = missing | ~np.isfinite(values)
    if type_.kind == "integer":
        unusable |= np.abs(values) >= INEXACT_INTEGER
    return NumberColumn(np.where(unusable, 0.0, values), unusable)


def truth(values: Bools, missing: Bools) -> NumberColumn:
    return NumberColumn((values & ~missing).astype(np.float64), missing)


def by_value(function: Callable[..., Floats]) -> Kernel:
    """A function of numbers, value by value; missing where one of them is."""

    def kernel(columns: Sequence[Column], written: Sequence[Written], type_: ColumnType) -> Column:
        values = [column.values for column in numbers(columns)]
        return usable(function(*values, *written), any_missing(columns), type_)

    return kernel


def chosen(choice: NDArray[np.int64], columns: Sequence[Column]) -> Column:
    """In each row the value of the column whose number `choice` holds; missing where it is -1."""
    if isinstance(columns[0], TextColumn):
        return _chosen_text(choice, texts(columns))
    missing = np.ones(len(choice), dtype=bool)
    for i, column in enumerate(columns):
        missing = np.where(choice == i, column.missing, missing)
    first = columns[0]
    if isinstance(first, MomentColumn):
        moments = np.full(len(choice), np.datetime64("NaT"), first.values.dtype)
        for i, column in enumerate(columns):
            assert isinstance(column, MomentColumn)
            moments = np.where(choice == i, column.values, moments)
        return MomentColumn(moments, first.zone)
    values = np.zeros(len(choice))
    for i, column in enumerate(numbers(columns)):
        values = np.where(choice == i, column.values, values)
    return NumberColumn(values, missing)


def _chosen_text(choice: NDArray[np.int64], columns: Sequence[TextColumn]) -> TextColumn:
    levels = {level: None for column in columns for level in column.levels}
    number = {level: i for i, level in enumerate(levels)}
    codes = np.full(len(choice), -1, np.int32)
    for i, column in enumerate(columns):
        # The last place is where -1 looks: missing stays missing.
        joint = np.array([*(number[level] for level in column.levels), -1], np.int32)
        codes = np.where(choice == i, joint[column.codes], codes).astype(np.int32)
    return TextColumn(codes, tuple(levels))
