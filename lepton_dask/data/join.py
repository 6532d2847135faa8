"""The `join` verb: columns of other tables beside the rows that have their keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from lepton_dask.component import Component, ComponentList
from lepton_dask.data.selectors import unknown_column
from lepton_dask.data.types import ColumnType, Schema, described
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.suggest import did_you_mean

Names = Annotated[tuple[str, ...], Field(min_length=1)]
ToNames = Annotated[dict[str, str], Field(min_length=1)]


class JoinedTable(Component):
    """One table to join: the step `with`, whose rows are found by the columns `on`.

    `on` is a name, several, or a mapping of this table's names to the other's. `columns` are the
    other table's columns to take, or a mapping of them to new names; all but the keys by default. A
    row without a match gets missing values, or is dropped where `how` is inner. With `keep` the
    other table travels in the model; without it, predicting asks for it.
    """

    with_: str = Field(alias="with")
    on: str | Names | ToNames
    how: Literal["left", "inner"] = "left"
    columns: Names | ToNames | None = None
    keep: bool = False

    @property
    def keys(self) -> Mapping[str, str]:
        """The key columns: this table's names to the other's."""
        if isinstance(self.on, str):
            return {self.on: self.on}
        return self.on if isinstance(self.on, dict) else {name: name for name in self.on}

    def taken(self, right: Iterable[str]) -> Mapping[str, str]:
        """The columns to take of those that the other table has, with the names that they get."""
        if isinstance(self.columns, dict):
            return self.columns
        keys = self.keys.values()
        names = [name for name in right if name not in keys]
        return {name: name for name in (self.columns or names)}


class Join(ComponentList[JoinedTable]):
    """Tables joined one after another: a key may be a column that one before has brought."""


def join_schema(
    join: Join, left: Schema, rights: Sequence[Schema], at: DocumentPath
) -> tuple[dict[str, ColumnType], list[Mistake]]:
    """The columns after the step, and every mistake in its keys and names.

    `rights` are the schemas of the tables that it joins, in order. `at` is the node's path in the
    document, `("steps", "joined", "join")`.
    """
    schema = dict(left)
    mistakes: list[Mistake] = []
    for i, (joined, right) in enumerate(zip(join.root, rights, strict=True)):
        mistakes += _key_mistakes(joined, schema, right, (*at, i, "on"))
        mistakes += _column_mistakes(joined, schema, right, (*at, i))
        schema |= {
            new: right[name]
            for name, new in joined.taken(right).items()
            if name in right and new not in schema
        }
    return schema, mistakes


def one_part_wanted(step: str, parts: Sequence[str]) -> tuple[str, str]:
    """What is wrong with joining a table that is in parts, and what to do."""
    found = f"'{step}' is in parts ({', '.join(parts)}), and a join takes one table"
    return found, f"name one: '{step}.{parts[0]}'"


def _key_mistakes(
    joined: JoinedTable, left: Schema, right: Schema, at: DocumentPath
) -> list[Mistake]:
    mistakes = []
    for i, (name, other) in enumerate(_written(joined.on)):
        path: DocumentPath = at if isinstance(joined.on, str) else (*at, i)
        path = (*at, name) if isinstance(joined.on, dict) else path
        if name not in left:
            at_key = isinstance(joined.on, dict)
            mistakes.append(unknown_column(name, tuple(left), path, at_key=at_key))
        if other not in right:
            found = f"'{joined.with_}' has no column '{other}'"
            mistakes.append(Mistake(path, found, did_you_mean(other, right)))
        if name in left and other in right and not _meet(left[name], right[other]):
            found = (
                f"'{name}' is {_type(left[name])} here, "
                f"and '{other}' in '{joined.with_}' is {_type(right[other])}"
            )
            fix = "declare one type for both under 'types' of their read steps"
            mistakes.append(Mistake(path, found, fix))
    return mistakes


def _written(on: str | tuple[str, ...] | dict[str, str]) -> list[tuple[str, str]]:
    if isinstance(on, str):
        return [(on, on)]
    return list(on.items()) if isinstance(on, dict) else [(name, name) for name in on]


def _meet(left: ColumnType, right: ColumnType) -> bool:
    """Whether values of the types can be equal: integers and numbers can, and moments of two zones,
    but not a moment and what a clock on the wall showed."""
    if {left.kind, right.kind} == {"integer", "number"}:
        return True
    return left.kind == right.kind and (left.zone is None) == (right.zone is None)


def _type(type_: ColumnType) -> str:
    naive = type_.kind == "timestamp" and type_.zone is None
    return "a timestamp without a zone" if naive else described(type_)


def _column_mistakes(
    joined: JoinedTable, left: Schema, right: Schema, at: DocumentPath
) -> list[Mistake]:
    mistakes = []
    called = set(left)
    at_key = isinstance(joined.columns, dict)
    for i, (name, new) in enumerate(_picked(joined, right)):
        path: DocumentPath = (*at, "columns", name if at_key else i)
        if joined.columns is None:
            path = (*at, "with")
        if name not in right:
            found = f"'{joined.with_}' has no column '{name}'"
            mistakes.append(Mistake(path, found, did_you_mean(name, right), at_key=at_key))
        elif name in joined.keys.values():
            found = f"'{name}' is a key: the rows have it already"
            mistakes.append(Mistake(path, found, "leave it out", at_key=at_key))
        elif new in called:
            found = f"'{name}' of '{joined.with_}' would be a second column '{new}'"
            fix = f"give it another name, 'columns: {{{name}: new_name}}'"
            mistakes.append(Mistake(path, found, fix))
        called.add(new)
    return mistakes


def _picked(joined: JoinedTable, right: Schema) -> list[tuple[str, str]]:
    """What is taken, as it is written: a name that stands twice is there twice."""
    if isinstance(joined.columns, tuple):
        return [(name, name) for name in joined.columns]
    return list(joined.taken(right).items())
