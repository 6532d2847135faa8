"""Which row of a table has the key of another table's row.

Joining on the cluster and in a model looks keys up here, so that both find the same rows. numpy and
the standard library alone: this leaves with the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.columns import Column, MomentColumn, TextColumn

Codes = NDArray[np.int64]
"""Indices into distinct values; -1 where there is no such value, or none at all."""

Distinct = tuple[str, ...] | NDArray[Any]


@dataclass(frozen=True, eq=False)
class KeyIndex:
    """The keys of a table's rows, for looking rows up.

    `values[k]` are the distinct values of key column k: texts, or numbers or ticks in ascending
    order. `pairs[k]` are, ascending, the combinations of the columns up to k + 1 that there are:
    (code of the columns up to k) * len(values[k + 1]) + (code of column k + 1). `rows` (c,) is the
    first row of each of the c keys, `counts` (c,) how many rows have it. A row with a missing key
    has no key.
    """

    values: tuple[Distinct, ...]
    pairs: tuple[Codes, ...]
    rows: NDArray[np.int64]
    counts: NDArray[np.int64]


def index_keys(keys: Sequence[Column]) -> KeyIndex:
    """The index of a table's rows by their key columns, each (n,)."""
    values = tuple(_distinct(column) for column in keys)
    codes = [codes_of(column, known) for column, known in zip(keys, values, strict=True)]
    combined, pairs = codes[0], []
    for code, known in zip(codes[1:], values[1:], strict=True):
        paired = _paired(combined, code, len(known))
        pairs.append(np.unique(paired[paired >= 0]))
        combined = _places(pairs[-1], paired)
    size = len(pairs[-1]) if pairs else len(values[0])
    present = np.flatnonzero(combined >= 0)
    found, first, times = np.unique(combined[present], return_index=True, return_counts=True)
    rows, counts = np.full(size, -1, np.int64), np.zeros(size, np.int64)
    rows[found], counts[found] = present[first], times
    return KeyIndex(values, tuple(pairs), rows, counts)


def positions(index: KeyIndex, keys: Sequence[Column]) -> NDArray[np.int64]:
    """(m,) the row of the index for each row of the key columns; -1 where none has its key."""
    pairs = zip(keys, index.values, strict=True)
    return rows_of_codes(index, [codes_of(column, values) for column, values in pairs])


def rows_of_codes(index: KeyIndex, codes: Sequence[Codes]) -> NDArray[np.int64]:
    """The same from each key column's codes in `index.values`."""
    combined = codes[0]
    for code, values, pairs in zip(codes[1:], index.values[1:], index.pairs, strict=True):
        combined = _places(pairs, _paired(combined, code, len(values)))
    # The code -1 picks the last.
    return np.append(index.rows, -1)[combined]


def first_duplicate(index: KeyIndex, keys: Sequence[Column]) -> NDArray[np.int64] | None:
    """The rows of the indexed table that share the first key that stands more than once; None
    where every key is unique."""
    repeated = index.rows[index.counts > 1]
    if not len(repeated):
        return None
    return np.flatnonzero(positions(index, keys) == repeated.min())


def codes_of(column: Column, values: Distinct) -> Codes:
    """Where each row's value stands in `values`."""
    if isinstance(column, TextColumn):
        place = {text: i for i, text in enumerate(values)}
        # The code -1 of a missing text picks the last.
        by_level = [*(place.get(level, -1) for level in column.levels), -1]
        return np.array(by_level, np.int64)[column.codes]
    assert isinstance(values, np.ndarray)
    return np.where(column.missing, -1, _places(values, _ticks(column)))


def _distinct(column: Column) -> Distinct:
    if isinstance(column, TextColumn):
        return tuple(dict.fromkeys(column.levels))
    return np.unique(_ticks(column)[~column.missing])


def _ticks(column: Column) -> NDArray[Any]:
    assert not isinstance(column, TextColumn)
    return column.values.view(np.int64) if isinstance(column, MomentColumn) else column.values


def _paired(first: Codes, second: Codes, size: int) -> Codes:
    """One code for two; `size` is how many the second can be."""
    return np.where((first < 0) | (second < 0), -1, first * size + second)


def _places(known: NDArray[Any], wanted: NDArray[Any]) -> Codes:
    """Where each of `wanted` stands in the ascending `known`."""
    if not len(known):
        return np.full(len(wanted), -1, np.int64)
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[places] == wanted, places, -1)
