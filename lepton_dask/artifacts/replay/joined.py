"""Columns of another table, looked up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from lepton_dask.artifacts.frames import ReadFrame
from lepton_dask.artifacts.replay.base import Names, Played, ReplayStep, Tables
from lepton_dask.data.columns import taken
from lepton_dask.data.match import KeyIndex, first_duplicate, index_keys, positions
from lepton_dask.data.types import Kind
from lepton_dask.errors import Mistake, UserError


@dataclass(frozen=True)
class JoinedColumn:
    """A column of the other table, and its name here."""

    source: str
    name: str
    kind: Kind


@dataclass(frozen=True)
class Joined(ReplayStep):
    """Columns of `table` beside the rows that have its keys; `on` are this side's names to the
    other's.

    A row without a match keeps its place, and its columns are missing; where an inner join would
    have dropped it, that is its reason not to be scored.
    """

    table: str
    on: Mapping[str, str]
    columns: tuple[JoinedColumn, ...]
    how: Literal["left", "inner"]

    def play(self, given: ReadFrame, tables: Tables) -> Played:
        right = tables[self.table]
        rows = positions(self.index(tables), [given.columns[name] for name in self.on])
        problems = dict(given.problems)
        if self.how == "inner":
            for row in np.flatnonzero(rows < 0).tolist():
                reason = f"no match in '{self.table}'"
                problems[row] = f"{problems[row]}; {reason}" if row in problems else reason
        behind = given._replace(
            columns={
                **given.columns,
                **{each.name: taken(right[each.source], rows) for each in self.columns},
            },
            kinds={**given.kinds, **{each.name: each.kind for each in self.columns}},
            problems=problems,
        )
        return Played(behind, tables)

    def index(self, tables: Tables) -> KeyIndex:
        """The other table's rows by their keys. Raises UserError where these are not unique."""
        keys = [tables[self.table][name] for name in self.on.values()]
        index = index_keys(keys)
        rows = first_duplicate(index, keys)
        if rows is not None:
            names = ", ".join(f"'{name}'" for name in self.on.values())
            shown = ", ".join(f"{row:,}" for row in rows[:2])
            found = f"the keys {names} are not unique: rows {shown} have the same"
            raise UserError([Mistake((self.table,), found, "leave one of them out")])
        return index

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Joined:
        columns = tuple(JoinedColumn(**column) for column in document["columns"])
        return cls(document["table"], document["on"], columns, document["how"])

    def leading_to(self, needed: Names) -> Joined | None:
        columns = tuple(each for each in self.columns if each.name in needed)
        return replace(self, columns=columns) if columns else None

    def before(self, needed: Names) -> Names:
        return (needed - {each.name for each in self.columns}) | frozenset(self.on)

    @property
    def tables(self) -> tuple[str, ...]:
        return (self.table,)

    def looked_at(self, table: str) -> Names | None:
        if table != self.table:
            return frozenset()
        return frozenset([*self.on.values(), *(each.source for each in self.columns)])
