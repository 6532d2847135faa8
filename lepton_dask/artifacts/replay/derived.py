"""Columns made by expressions, evaluated again with numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lepton_dask.artifacts.frames import ReadFrame
from lepton_dask.artifacts.replay.base import Names, Played, ReplayStep, Tables
from lepton_dask.data.columns import Column, Columns, concatenated, taken
from lepton_dask.data.expressions.check import Checked, check
from lepton_dask.data.expressions.on_numpy import evaluate
from lepton_dask.data.expressions.ordering import Ordering
from lepton_dask.data.expressions.reach import tail_positions, union
from lepton_dask.errors import RunError


@dataclass(frozen=True)
class DerivedColumn:
    """A column by its expression, and what that reads."""

    name: str
    expression: str
    reads: tuple[str, ...]
    is_windowed: bool


@dataclass(frozen=True)
class Derived(ReplayStep):
    """The columns that the step called `step` made.

    Windows look back in the order of `order` within each value of `group`: over the rows that are
    played, over those played before them, and where a group begins, over the last rows that
    training saw of it, which travel as the table `history`.
    """

    step: str
    columns: tuple[DerivedColumn, ...]
    order: str | None
    group: str | None

    @property
    def tables(self) -> tuple[str, ...]:
        return (self.history,) if self._windows else ()

    @property
    def history(self) -> str:
        """The table of the last rows that training saw. No step's name has a dot: the step's own
        result may be joined to the rows under that name."""
        return f"{self.step}.history"

    @property
    def carries(self) -> bool:
        return bool(self._windows)

    def play(self, given: ReadFrame, tables: Tables) -> Played:
        checked = self._checked(given)
        made: dict[str, Column] = {}
        if self._windows:
            made, tables = self._look_back(checked, given, tables)
        for name, each in checked.items():
            if not each.is_windowed:
                made[name] = evaluate(each, given.columns, given.rows)
        behind = given._replace(
            columns={**given.columns, **{name: made[name] for name in checked}},
            kinds={**given.kinds, **{name: each.type.kind for name, each in checked.items()}},
        )
        return Played(behind, tables)

    def leading_to(self, needed: Names) -> Derived | None:
        columns = tuple(column for column in self.columns if column.name in needed)
        return replace(self, columns=columns) if columns else None

    def before(self, needed: Names) -> Names:
        reads = {name for column in self.columns for name in column.reads}
        keys = self._keys if self._windows else []
        return (needed - {column.name for column in self.columns}) | reads | frozenset(keys)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Derived:
        columns = tuple(
            DerivedColumn(**{**column, "reads": tuple(column["reads"])})
            for column in document["columns"]
        )
        return cls(document["step"], columns, document["order"], document["group"])

    @property
    def _windows(self) -> list[DerivedColumn]:
        return [column for column in self.columns if column.is_windowed]

    @property
    def _looked_at(self) -> list[str]:
        reads = [name for column in self._windows for name in column.reads]
        return list(dict.fromkeys([*self._keys, *reads]))

    @property
    def _keys(self) -> list[str]:
        return [name for name in (self.group, self.order) if name is not None]

    @property
    def _carried(self) -> str:
        """The table of the rows before that this step leaves for those behind."""
        return f"{self.step}.carried"

    def _checked(self, given: ReadFrame) -> dict[str, Checked]:
        schema = given.schema
        order = schema.get(self.order or "")
        return {
            column.name: check(column.expression, schema, windows="backward", order=order)
            for column in self.columns
        }

    def _look_back(
        self, checked: Mapping[str, Checked], given: ReadFrame, tables: Tables
    ) -> tuple[dict[str, Column], Tables]:
        """The windows' columns, and the tables with the rows that later ones look back on."""
        here = {name: given.columns[name] for name in self._looked_at}
        before = self._before(here, tables)
        rows = here if before is None else _behind(before, here)
        first = 0 if before is None else len(before[self._order])
        ordering = self._ordering(rows)
        count = first + given.rows
        windows = {column.name: checked[column.name] for column in self._windows}
        made = {
            name: taken(evaluate(each, rows, count, ordering), np.arange(first, count))
            for name, each in windows.items()
        }
        reach = union(each.reach for each in windows.values())
        left = tail_positions(ordering, reach)
        carried = {name: taken(column, left) for name, column in rows.items()}
        return made, {**tables, self._carried: carried}

    def _before(self, here: Columns, tables: Tables) -> Columns | None:
        carried, history = tables.get(self._carried), tables.get(self.history)
        if carried is not None:
            self._check_order(carried, here)
        if history is None:
            return carried
        earlier = self._earlier(history, here if carried is None else _behind(carried, here))
        return earlier if carried is None else _behind(earlier, carried)

    def _earlier(self, history: Columns, rows: Columns) -> Columns:
        """The rows of the history that are earlier than all `rows` of their group."""
        count = len(history[self._order])
        ordering = self._ordering(_behind({name: history[name] for name in rows}, rows))
        is_history = ordering.rows < count
        # The first of its group that is no history, in the order; behind all of them without one.
        ranks = np.where(is_history, len(is_history), np.arange(len(is_history)))
        firsts = np.full(len(ordering.borders), len(is_history))
        np.minimum.at(firsts, ordering.groups, ranks)
        first = firsts[ordering.groups]
        there = first < len(is_history)
        earlier = ordering.ticks < ordering.ticks[np.where(there, first, 0)]
        kept = np.sort(ordering.rows[is_history & there & earlier])
        return {name: taken(history[name], kept) for name in rows}

    def _check_order(self, carried: Columns, here: Columns) -> None:
        ordering = self._ordering(_behind(carried, here))
        is_carried = ordering.rows < len(carried[self._order])
        # Sorted by group and order, no row that was carried stands behind one that is here.
        turned = ~is_carried[:-1] & is_carried[1:] & (np.diff(ordering.groups) == 0)
        if (turned & (np.diff(ordering.ticks) > 0)).any():
            raise RunError(
                f"the rows are not in the order of '{self.order}', in which windows look back",
                fix="sort them",
            )

    @property
    def _order(self) -> str:
        assert self.order is not None  # a step with windows has one
        return self.order

    def _ordering(self, rows: Columns) -> Ordering:
        return Ordering.of(rows[self._order], None if self.group is None else rows[self.group])


def _behind(before: Columns, rows: Columns) -> Columns:
    return {name: concatenated([before[name], column]) for name, column in rows.items()}
