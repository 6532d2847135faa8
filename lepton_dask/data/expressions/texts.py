"""Operations on texts, done once for every distinct one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lepton_dask.data.columns import Bools, Column, NumberColumn, TextColumn
from lepton_dask.data.expressions.kernels import Kernel, any_missing, texts
from lepton_dask.data.expressions.typed import Written
from lepton_dask.data.types import ColumnType


def to_text(function: Callable[..., str]) -> Kernel:
    """A function from a text, and what is written out, to a text."""

    def kernel(columns: Sequence[Column], written: Sequence[Written], _: ColumnType) -> Column:
        (column,) = texts(columns)
        return _relabelled(column, [function(level, *written) for level in column.levels])

    return kernel


def to_number(function: Callable[..., float]) -> Kernel:
    """A function from a text, and what is written out, to a number or a truth value."""

    def kernel(columns: Sequence[Column], written: Sequence[Written], _: ColumnType) -> Column:
        (column,) = texts(columns)
        found = [float(function(level, *written)) for level in column.levels]
        return NumberColumn(_by_level(found)[column.codes], column.missing)

    return kernel


def substring(text: str, start: int, length: int | None = None) -> str:
    """From the character `start`, counted from 1, as SQL has it: what would stand before the first
    character counts towards the length."""
    end = None if length is None else max(start - 1 + length, 0)
    return text[max(start - 1, 0) : end]


def joined(columns: Sequence[Column], _: Sequence[Written], __: ColumnType) -> Column:
    """`a || b`, for every pair that occurs."""
    left, right = texts(columns)
    codes = np.full(len(left), -1, np.int32)
    present = ~any_missing(columns)
    pairs = left.codes[present].astype(np.int64) * max(len(right.levels), 1) + right.codes[present]
    distinct, inverse = np.unique(pairs, return_inverse=True)
    codes[present] = inverse
    whole = [
        left.levels[pair // len(right.levels)] + right.levels[pair % len(right.levels)]
        for pair in distinct.tolist()
    ]
    return _relabelled(TextColumn(codes, ()), whole)


def compared(compare: Callable[..., Bools], left: TextColumn, right: TextColumn) -> Bools:
    """Texts compared character by character (by code point); where one is missing, anything."""
    if len(right.levels) == 1:
        truth = [bool(compare(level, right.levels[0])) for level in left.levels]
        return np.array([*truth, False])[left.codes]
    ranks = {level: i for i, level in enumerate(sorted({*left.levels, *right.levels}))}
    return compare(
        *(_by_level([ranks[level] for level in side.levels])[side.codes] for side in (left, right))
    )


def _by_level(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Values to be looked up by code: the last one is for -1, missing."""
    return np.array([*values, 0.0])


def _relabelled(column: TextColumn, labels: Sequence[str]) -> TextColumn:
    """A column whose levels have other names, some perhaps the same."""
    number = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    codes = np.array([*(number[label] for label in labels), -1], np.int32)[column.codes]
    return TextColumn(codes, tuple(number))
