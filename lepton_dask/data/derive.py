"""The `derive` verb: new columns from the ones that are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pydantic import Field

from lepton_dask.component import Component
from lepton_dask.data.arrow_types import declared_type
from lepton_dask.data.declared import DeclaredType
from lepton_dask.data.expressions.check import Checked, expression_mistakes, order_type
from lepton_dask.data.selectors import unknown_column
from lepton_dask.data.types import ColumnType, Schema
from lepton_dask.errors import DocumentPath, Mistake


class Derive(Component):
    """New columns, by expressions (`columns`) or by a function of the user's own (`python`).

    Windows in expressions (`lag(x, 24)`) look back over the rows in the order of `order`, within
    each value of `group`. `python: package.module:function` is called with each chunk as a pandas
    DataFrame and returns a DataFrame of as many rows, in the same order, with the columns that
    `outputs` declares.
    """

    columns: dict[str, str] = Field(default_factory=dict)
    group: str | None = None
    order: str | None = None
    python: str | None = Field(default=None, pattern=r"^[\w.]+:\w+$")
    outputs: dict[str, DeclaredType] = Field(default_factory=dict)


class Derived(NamedTuple):
    """What a `derive` node comes to over the columns that come in: its expressions, checked, in
    order; the columns behind it; and every mistake in it."""

    expressions: Mapping[str, Checked]
    schema: dict[str, ColumnType]
    mistakes: list[Mistake]


def check_derive(derive: Derive, schema: Schema, at: DocumentPath) -> Derived:
    """`at` is the node's path in the document, `("steps", "ratios", "derive")`."""
    mistakes = [*_form_mistakes(derive, at), *_name_mistakes(derive, schema, at)]
    for key, name in (("group", derive.group), ("order", derive.order)):
        if name is not None and name not in schema:
            mistakes.append(unknown_column(name, tuple(schema), (*at, key)))
    expressions: dict[str, Checked] = {}
    for name, text in derive.columns.items():
        checked, found = expression_mistakes(
            text,
            schema,
            (*at, "columns", name),
            windows="backward",
            order=order_type(derive.order, schema),
        )
        mistakes += [_with_siblings(mistake, derive) for mistake in found]
        if checked is not None:
            expressions[name] = checked
    # A column whose expression is wrong is there all the same for what reads it further down: one
    # mistake is told once. A number, as most are.
    made = dict.fromkeys(derive.columns, ColumnType("number"))
    made |= {name: checked.type for name, checked in expressions.items()}
    made |= {name: declared_type(declared) for name, declared in derive.outputs.items()}
    return Derived(expressions, {**schema, **made}, mistakes)


def _form_mistakes(derive: Derive, at: DocumentPath) -> Iterator[Mistake]:
    if derive.python is None:
        if not derive.columns:
            yield Mistake(at, "derives nothing", "add 'columns: {name: EXPRESSION}'", at_key=True)
        if derive.outputs:
            found = "belongs to 'python', which is not there"
            yield Mistake((*at, "outputs"), found, "leave it out", at_key=True)
    elif derive.columns:
        fix = "give one of them a step of its own"
        yield Mistake((*at, "columns"), "does not go together with 'python'", fix, at_key=True)
    elif not derive.outputs:
        yield Mistake(
            (*at, "python"),
            f"the columns that '{derive.python}' returns are not declared",
            "add 'outputs: {name: type}'",
        )


def _name_mistakes(derive: Derive, schema: Schema, at: DocumentPath) -> Iterator[Mistake]:
    for key, names in (("columns", derive.columns), ("outputs", derive.outputs)):
        for name in names:
            if name in schema:
                yield Mistake(
                    (*at, key, name),
                    f"there is a column '{name}' already",
                    "give the new one another name, or drop the old one before",
                    at_key=True,
                )


def _with_siblings(mistake: Mistake, derive: Derive) -> Mistake:
    """A column that the same step makes is not there yet for its other expressions."""
    for name in derive.columns:
        if mistake.found == f"unknown column '{name}'":
            fix = "this step makes it: use it in a derive step behind this one"
            return Mistake(mistake.path, mistake.found, fix, offset=mistake.offset)
    return mistake
