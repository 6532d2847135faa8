"""An expression against a table's columns: names, types and windows."""

from __future__ import annotations

from lepton_dask.data.expressions.awkward import with_awkward_name
from lepton_dask.data.expressions.checker import Checker
from lepton_dask.data.expressions.errors import ExpressionError, ExpressionErrors
from lepton_dask.data.expressions.parse import parse
from lepton_dask.data.expressions.typed import Checked
from lepton_dask.data.expressions.window_calls import WindowRule
from lepton_dask.data.types import ColumnType, Schema
from lepton_dask.errors import DocumentPath, Mistake

__all__ = ["Checked", "ExpressionErrors", "WindowRule", "check", "expression_mistakes"]


def check(
    text: str,
    schema: Schema,
    *,
    windows: WindowRule = "none",
    order: ColumnType | None = None,
) -> Checked:
    """The expression as it is evaluated on a table of these columns.

    `windows` says whether it may look at other rows, "backward" or "any" way; `order` is the type
    of the column that they are ordered by. Raises ExpressionErrors with all that is wrong.
    """
    try:
        tree = parse(text)
    except ExpressionError as error:
        raise ExpressionErrors([with_awkward_name(error, text, schema)]) from None
    checker = Checker(text, schema, windows, order)
    whole = checker.part(tree)
    if whole is not None and whole.is_null:
        checker.complain("null in every row", "write a value", whole.offset)
    if checker.errors or whole is None:
        raise ExpressionErrors(checker.errors)
    return Checked(text, whole.typed, whole.type, tuple(checker.reads), whole.reach)


def expression_mistakes(
    text: str,
    schema: Schema,
    at: DocumentPath,
    *,
    windows: WindowRule = "none",
    order: ColumnType | None = None,
) -> tuple[Checked | None, list[Mistake]]:
    """The checked expression that stands at a document's path, or all mistakes in it."""
    try:
        return check(text, schema, windows=windows, order=order), []
    except ExpressionErrors as wrong:
        return None, [error.mistake(at) for error in wrong.errors]


def order_type(order: str | None, schema: Schema) -> ColumnType | None:
    """Of the column that windows look along. An unknown one is told where it is named, and taken
    here for a timestamp, along which every window may look."""
    return None if order is None else schema.get(order, ColumnType("timestamp"))
