"""A table to join, ready for chunks of another one to look into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lepton_dask.data.arrow import has_inexact_integers, one_array, to_columns
from lepton_dask.data.chunks import RowNumbers
from lepton_dask.data.join import Join, JoinedTable
from lepton_dask.data.match import (
    Codes,
    Distinct,
    KeyIndex,
    codes_of,
    first_duplicate,
    index_keys,
    rows_of_codes,
)


@dataclass(frozen=True, eq=False)
class LookupTable:
    """The key columns of a whole table and those to take, its rows indexed by their keys."""

    table: pa.Table
    index: KeyIndex


@dataclass(frozen=True, eq=False)
class JoinedChunk:
    """A chunk after a join. `unmatched[i]` counts the rows without a match in table i, of the
    `came[i]` rows that came to it."""

    table: pa.Table
    row_numbers: RowNumbers
    came: tuple[int, ...]
    unmatched: tuple[int, ...]


def needed_columns(joined: JoinedTable, table: pa.Table) -> pa.Table:
    """What a join needs of the other table: the keys, then the columns to take."""
    names = [*joined.keys.values(), *joined.taken(table.column_names)]
    return table.select(list(dict.fromkeys(names)))


def make_lookup(joined: JoinedTable, table: pa.Table) -> LookupTable:
    """The other table, of `needed_columns`, in one piece and indexed."""
    keys = to_columns(table, dict.fromkeys(joined.keys.values()))
    index = index_keys([keys[name] for name in joined.keys.values()])
    return LookupTable(table.combine_chunks(), index)


def duplicate_rows(joined: JoinedTable, lookup: LookupTable) -> NDArray[np.int64] | None:
    """The rows that share the first key that is not unique; None where every key is."""
    keys = to_columns(lookup.table, dict.fromkeys(joined.keys.values()))
    return first_duplicate(lookup.index, [keys[name] for name in joined.keys.values()])


def indistinct_key(joined: JoinedTable, lookup: LookupTable) -> str | None:
    """The key column with integers that a model could not tell apart; None where there is none."""
    keys = joined.keys.values()
    return next((name for name in keys if has_inexact_integers(lookup.table[name])), None)


def join_chunk(
    join: Join, lookups: Sequence[LookupTable], table: pa.Table, row_numbers: RowNumbers
) -> JoinedChunk:
    """The chunk's rows in their order, with the columns of the tables behind their own.

    A row without a match gets missing values, or is dropped by an inner join.
    """
    came, unmatched = [], []
    for joined, lookup in zip(join.root, lookups, strict=True):
        rows = _matching_rows(joined, lookup, table)
        absent = rows < 0
        came.append(len(rows))
        unmatched.append(int(np.count_nonzero(absent)))
        if joined.how == "inner" and absent.any():
            table, row_numbers = table.filter(pa.array(~absent)), row_numbers[~absent]
            rows, absent = rows[~absent], absent[~absent]
        taken = lookup.table.take(pa.array(rows, mask=absent))
        for name, new in joined.taken(lookup.table.column_names).items():
            table = table.append_column(new, taken[name])
    return JoinedChunk(table, row_numbers, tuple(came), tuple(unmatched))


def _matching_rows(joined: JoinedTable, lookup: LookupTable, table: pa.Table) -> NDArray[np.int64]:
    codes = [
        _codes(table, name, values)
        for name, values in zip(joined.keys, lookup.index.values, strict=True)
    ]
    return rows_of_codes(lookup.index, codes)


def _codes(table: pa.Table, name: str, values: Distinct) -> Codes:
    """Where each row's key stands in the distinct ones: by Arrow for texts, which may be as many
    as there are rows."""
    if isinstance(values, tuple):
        places = pc.index_in(one_array(table[name]), value_set=pa.array(values, pa.string()))
        return np.asarray(pc.fill_null(places, -1).to_numpy(zero_copy_only=False), np.int64)
    return codes_of(to_columns(table, [name])[name], values)
