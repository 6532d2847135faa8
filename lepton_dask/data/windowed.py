"""Expressions over the chunks of one table, whose windows look over the chunks' borders.

While the chunks stand in order, no row moves:

    order_of_chunk   a chunk   whether it is in order, and from where to where each group runs
    then             in turn   whether one chunk goes on where those before it ended
    tail, head       a chunk   the rows that later chunks look back on, or earlier ones ahead to
    evaluate_chunk   a chunk   the new columns, from its own rows and those carried over

Where they do not, `evaluate_together` takes the columns that the windows look at, of all chunks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lepton_dask.data.arrow import has_inexact_integers, to_columns
from lepton_dask.data.columns import Column, NumberColumn, concatenated, taken
from lepton_dask.data.expressions.check import Checked
from lepton_dask.data.expressions.on_arrow import evaluate
from lepton_dask.data.expressions.ordering import Ordering, Ticks
from lepton_dask.data.expressions.reach import (
    Reach,
    head_positions,
    tail_positions,
    union,
)


@dataclass(frozen=True)
class Windowed:
    """Expressions by the names of the columns that they make, and where their windows look."""

    expressions: Mapping[str, Checked]
    order: str
    group: str | None

    @property
    def looked_at(self) -> tuple[str, ...]:
        """The columns that windows read, with those of the order and the group."""
        reads = [name for each in self._with_windows for name in each.reads]
        keys = [self.order] if self.group is None else [self.group, self.order]
        return tuple(dict.fromkeys([*keys, *reads]))

    @property
    def reach(self) -> Reach:
        return union(each.reach for each in self._with_windows)

    @property
    def _with_windows(self) -> list[Checked]:
        return [each for each in self.expressions.values() if each.is_windowed]

    def ordering(self, table: pa.Table) -> Ordering:
        keys = to_columns(table, [self.order] if self.group is None else [self.group, self.order])
        return Ordering.of(keys[self.order], None if self.group is None else keys[self.group])


@dataclass(frozen=True, eq=False)
class ChunkOrder:
    """Whether consecutive rows are in order, and for each of their groups the first and last place
    in it, in ticks; and whether groups are integers that cannot be told apart."""

    in_order: bool
    inexact_groups: bool
    groups: Column
    firsts: Ticks
    lasts: Ticks

    def then(self, behind: ChunkOrder) -> ChunkOrder:
        """The same of these rows and those behind them. Associative."""
        groups = concatenated([self.groups, behind.groups])
        firsts = np.concatenate([self.firsts, behind.firsts])
        lasts = np.concatenate([self.lasts, behind.lasts])
        side = np.repeat([0.0, 1.0], [len(self.groups), len(behind.groups)])
        both = Ordering.of(NumberColumn(side, np.zeros(len(side), bool)), groups)
        first, last = both.rows[both.borders[:-1]], both.rows[both.borders[1:] - 1]
        goes_on = bool(np.all((first == last) | (lasts[first] <= firsts[last])))
        return ChunkOrder(
            self.in_order and behind.in_order and goes_on,
            self.inexact_groups or behind.inexact_groups,
            taken(groups, first),
            firsts[first],
            lasts[last],
        )


def order_of_chunk(windowed: Windowed, table: pa.Table) -> ChunkOrder:
    ordering = windowed.ordering(table)
    firsts, ends = ordering.borders[:-1], ordering.borders[1:]
    groups: Column = NumberColumn(np.zeros(len(firsts)), np.zeros(len(firsts), bool))
    inexact = False
    if windowed.group is not None:
        column = to_columns(table, [windowed.group])[windowed.group]
        groups = taken(column, ordering.rows[firsts])
        inexact = has_inexact_integers(table[windowed.group])
    places = (ordering.ticks[firsts], ordering.ticks[ends - 1])
    return ChunkOrder(ordering.is_sorted, inexact, groups, *places)


def tail(windowed: Windowed, before: pa.Table | None, table: pa.Table) -> pa.Table:
    """Of `before` and a chunk behind it, the rows that rows to come may look back on."""
    rows = _together([before, table], windowed.looked_at)
    return _picked(rows, tail_positions(windowed.ordering(rows), windowed.reach))


def head(windowed: Windowed, table: pa.Table, behind: pa.Table | None) -> pa.Table:
    """Of a chunk and `behind` it, the rows that rows before may look ahead to."""
    rows = _together([table, behind], windowed.looked_at)
    return _picked(rows, head_positions(windowed.ordering(rows), windowed.reach.ahead_rows))


def evaluate_chunk(
    windowed: Windowed, before: pa.Table | None, table: pa.Table, behind: pa.Table | None
) -> pa.Table:
    """A chunk with the new columns behind its own."""
    around = _together([before, table, behind], windowed.looked_at)
    first = 0 if before is None else before.num_rows
    ordering = windowed.ordering(around)
    for name, checked in windowed.expressions.items():
        if checked.is_windowed:
            made = evaluate(checked, around, ordering).slice(first, table.num_rows)
        else:
            made = evaluate(checked, table)
        table = table.append_column(name, made)
    return table


def evaluate_together(
    windowed: Windowed, chunks: Sequence[pa.Table]
) -> tuple[tuple[pa.Table, ...], pa.Table]:
    """For each chunk the columns that windows make, and the rows that rows to come look back on.

    The chunks need hold the columns that are `looked_at` alone, in any order of their rows.
    """
    rows = _together(chunks, windowed.looked_at)
    ordering = windowed.ordering(rows)
    made = pa.table(
        {
            name: evaluate(checked, rows, ordering)
            for name, checked in windowed.expressions.items()
            if checked.is_windowed
        }
    )
    starts = np.cumsum([0, *(chunk.num_rows for chunk in chunks)])
    parts = tuple(
        made.slice(int(start), chunk.num_rows) for start, chunk in zip(starts, chunks, strict=False)
    )
    return parts, _picked(rows, tail_positions(ordering, windowed.reach))


def with_columns(windowed: Windowed, table: pa.Table, made: pa.Table) -> pa.Table:
    """A chunk with all new columns: those that `evaluate_together` made, and the others."""
    for name, checked in windowed.expressions.items():
        column = made[name] if checked.is_windowed else evaluate(checked, table)
        table = table.append_column(name, column)
    return table


def _together(tables: Sequence[pa.Table | None], names: Sequence[str]) -> pa.Table:
    there = [table.select(list(names)) for table in tables if table is not None]
    return pa.concat_tables(there).combine_chunks()


def _picked(rows: pa.Table, positions: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Table:
    return rows.take(pa.array(positions))
