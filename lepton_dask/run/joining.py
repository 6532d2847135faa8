"""Running a `join`: every chunk looks into the other tables, which are made whole first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

import numpy as np

from lepton_dask.artifacts.side_table import Recipe
from lepton_dask.data.columns import Columns
from lepton_dask.data.join import Join, join_schema, one_part_wanted
from lepton_dask.data.lookup import LookupTable, join_chunk
from lepton_dask.data.tables import Partition
from lepton_dask.errors import Mistake, UserError
from lepton_dask.events import RowsUnmatched
from lepton_dask.run.lookups import check_sizes, make_lookups, rows_of_lookup
from lepton_dask.run.side_tables import joined_step, side_table
from lepton_dask.run.values import PartName, PartTable, TableValue
from lepton_dask.run.work import Work

_Counts = tuple[tuple[int, ...], tuple[int, ...], int]
"""Of a joined chunk: the rows that came to each table, those without a match, those at the end."""


def join_tables(
    work: Work,
    join: Join,
    left: TableValue,
    rights: Sequence[TableValue],
    recipes: Sequence[Recipe],
) -> TableValue:
    """The rows of `left`, part by part, with the columns of the tables.

    `recipes` say how a model gets the tables that do not travel in it. Raises UserError for a
    table that is too large to be sent, and for keys that are not unique.
    """
    schema, mistakes = join_schema(join, left.schema, [right.schema for right in rights], work.at)
    mistakes += [
        Mistake((*work.at, i, "with"), *one_part_wanted(joined.with_, list(right.parts)))
        for i, (joined, right) in enumerate(zip(join.root, rights, strict=True))
        if "all" not in right.parts
    ]
    if mistakes:
        raise UserError(mistakes)
    tables = [right.parts["all"] for right in rights]
    check_sizes(work, join, tables)
    lookups = make_lookups(work, join, tables)
    parts: dict[PartName, PartTable] = {}
    counted: list[_Counts] = []
    for name, part in left.parts.items():
        tasks = work.map("join", _join, repeat(join), part.partitions, repeat(lookups))
        work.settle(tasks, "chunks joined")
        counts: list[_Counts] = work.gather(work.pick("counts", tasks, 1))
        frames = work.pick("rows", tasks, 0)
        work.settle(frames, "chunks kept")
        rows = tuple(count for _, _, count in counts)
        parts[name] = PartTable(tuple(frames), part.files, rows, schema)
        counted += counts
    _tell(work, join, counted)
    origin = left.origin
    for joined, right, lookup, recipe in zip(join.root, rights, lookups, recipes, strict=True):
        kept: Columns | None = None
        if joined.keep:
            [kept] = work.gather(work.map("kept", rows_of_lookup, [lookup]))
        beside = side_table(joined, right, kept, recipe)
        origin = origin.then(joined_step(joined, right), tables=(beside,))
    return TableValue(parts, schema, origin)


def _join(join: Join, rows: Partition, lookups: Sequence[LookupTable]) -> tuple[Partition, _Counts]:
    joined = join_chunk(join, lookups, *rows.plain())
    counts = (joined.came, joined.unmatched, joined.table.num_rows)
    return Partition(joined.table, joined.row_numbers), counts


def _tell(work: Work, join: Join, counted: Sequence[_Counts]) -> None:
    """How many rows of all parts found no match in each table."""
    for i, joined in enumerate(join.root):
        came = int(np.sum([came[i] for came, _, _ in counted]))
        unmatched = int(np.sum([unmatched[i] for _, unmatched, _ in counted]))
        if joined.how == "inner":
            work.lost(came, came - unmatched, f"no match in '{joined.with_}'")
        elif unmatched:
            work.emit(RowsUnmatched(work.step, joined.with_, unmatched, came))
