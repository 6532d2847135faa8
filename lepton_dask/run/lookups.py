"""Tables to join, made whole on a worker: their sizes first, then their rows and keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import pyarrow as pa
from dask.utils import format_bytes
from distributed import Future
from numpy.typing import NDArray

from lepton_dask.data.arrow import to_columns
from lepton_dask.data.chunks import RowNumbers
from lepton_dask.data.columns import Columns
from lepton_dask.data.join import Join, JoinedTable
from lepton_dask.data.lookup import (
    LookupTable,
    duplicate_rows,
    indistinct_key,
    make_lookup,
    needed_columns,
)
from lepton_dask.data.tables import Partition, empty_partition
from lepton_dask.data.types import Schema
from lepton_dask.errors import Mistake, UserError
from lepton_dask.run import memory
from lepton_dask.run.memory import most_bytes_at_once
from lepton_dask.run.values import PartTable
from lepton_dask.run.work import Work

KEPT_BYTES = 64 * 2**20
"""The most that a table that travels in a model may take in memory."""

SHOWN_ROWS = 3
"""Rows of a duplicate key that a message names."""


def check_sizes(work: Work, join: Join, tables: Sequence[PartTable]) -> None:
    """Before anything is sent: raises UserError for a table that a worker could not hold, or that
    could not travel in a model."""
    most = most_bytes_at_once(work.dispatch)
    mistakes = []
    for i, (joined, table) in enumerate(zip(join.root, tables, strict=True)):
        sizes: list[int] = work.gather(work.map("size", _size, repeat(joined), table.partitions))
        size, at = sum(sizes), (*work.at, i)
        if size > most:
            found = f"'{joined.with_}' {too_large(size, most)}"
            fix = "pick fewer 'columns', drop rows before, or give the workers more memory"
            mistakes.append(Mistake((*at, "with"), found, fix))
        if joined.keep and size > KEPT_BYTES:
            found = (
                f"'{joined.with_}' takes {format_bytes(size)} in memory, "
                f"and what travels in a model may take {format_bytes(KEPT_BYTES)}"
            )
            fix = "pick fewer 'columns', or leave 'keep' out and give the table to predict"
            mistakes.append(Mistake((*at, "keep"), found, fix))
    if mistakes:
        raise UserError(mistakes)


def too_large(size: int, most: float) -> str:
    """What is wrong with a table of `size` bytes where `most` may be sent."""
    return (
        f"takes {format_bytes(size)} in memory, and every worker would hold it: at most "
        f"{format_bytes(int(most))} may be, {memory.SHARE:.0%} of the smallest worker's memory"
    )


def _size(joined: JoinedTable, rows: Partition) -> int:
    return int(needed_columns(joined, rows.plain()[0]).nbytes)


_Rows = tuple[pa.Table, RowNumbers]


@dataclass(frozen=True)
class _Facts:
    """What may be wrong with a table's keys: one that is not unique, in words; a column of integers
    that a model cannot tell apart."""

    duplicate: str | None
    indistinct: str | None


def make_lookups(work: Work, join: Join, tables: Sequence[PartTable]) -> list[Future]:
    """Each table whole, as one task: Dask brings it to the workers that ask for it.

    Raises UserError for keys that are not unique, or that a model could not tell apart.
    """
    made = [
        work.dispatch.submit(
            "lookup",
            _lookup,
            joined,
            list(table.partitions),
            [file.shown for file in table.files],
            table.schema,
        )
        for joined, table in zip(join.root, tables, strict=True)
    ]
    work.settle(made, "tables to join")
    _check_keys(work, join, work.gather(work.pick("facts", made, 1)))
    lookups = work.pick("table", made, 0)
    work.settle(lookups, "tables to join")
    return lookups


def _check_keys(work: Work, join: Join, facts: Sequence[_Facts]) -> None:
    mistakes = []
    for i, (joined, each) in enumerate(zip(join.root, facts, strict=True)):
        path = (*work.at, i, "on")
        if each.indistinct is not None:
            found = f"'{each.indistinct}' of '{joined.with_}' has integers of 2^53 and more"
            fix = "declare it as text under 'types' of both read steps"
            mistakes.append(Mistake(path, found, fix))
        elif each.duplicate is not None:
            found = f"the keys of '{joined.with_}' are not unique: {each.duplicate}"
            fix = "join on more columns, or drop them before with 'drop_duplicates'"
            mistakes.append(Mistake(path, found, fix))
    if mistakes:
        raise UserError(mistakes)


def _lookup(
    joined: JoinedTable, partitions: Sequence[Partition], files: Sequence[str], schema: Schema
) -> tuple[LookupTable, _Facts]:
    chunks = [rows.plain() for rows in partitions or [empty_partition(schema)]]
    whole = pa.concat_tables([needed_columns(joined, table) for table, _ in chunks])
    lookup = make_lookup(joined, whole)
    rows = duplicate_rows(joined, lookup)
    duplicate = None
    if rows is not None:
        starts = np.cumsum([0, *(len(numbers) for _, numbers in chunks)])
        places = [_place(int(row), starts, files, chunks) for row in rows[:SHOWN_ROWS]]
        duplicate = _in_words(joined, lookup, rows, places)
    return lookup, _Facts(duplicate, indistinct_key(joined, lookup))


def _place(
    row: int, starts: NDArray[np.int64], files: Sequence[str], chunks: Sequence[_Rows]
) -> str:
    """The file of a row of the whole table, and its number there."""
    chunk = int(np.searchsorted(starts, row, side="right")) - 1
    return f"{files[chunk]} row {chunks[chunk][1][row - starts[chunk]]:,}"


def _in_words(
    joined: JoinedTable, lookup: LookupTable, rows: NDArray[np.int64], places: Sequence[str]
) -> str:
    first = int(rows[0])
    key = ", ".join(
        f"{name} {_shown(lookup.table[name][first].as_py())}"
        for name in dict.fromkeys(joined.keys.values())
    )
    more = ", ..." if len(rows) > len(places) else ""
    others = int(np.count_nonzero(lookup.index.counts > 1)) - 1
    also = f", and others more than once: {others:,}" if others else ""
    return f"{key} stands {len(rows):,} times ({', '.join(places)}{more}){also}"


def _shown(value: object) -> str:
    return f"'{value[:40]}'" if isinstance(value, str) else str(value)


def rows_of_lookup(lookup: LookupTable) -> Columns:
    """A table's rows as they travel in a model."""
    return to_columns(lookup.table)
