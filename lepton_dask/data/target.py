"""A target that an expression makes: `target: {expression: "arr_delay >= 30"}`."""

from __future__ import annotations

from typing import NamedTuple

from lepton_dask.data.expressions.check import Checked, expression_mistakes, order_type
from lepton_dask.data.prepare import Prepare, Target
from lepton_dask.data.selectors import unknown_column
from lepton_dask.data.types import ColumnType, Schema
from lepton_dask.errors import DocumentPath, Mistake


class TargetColumn(NamedTuple):
    """The column that holds an expression's values. It is called what the expression says, so that
    reports and plans show what is learnt."""

    name: str
    checked: Checked

    def added_to(self, schema: Schema) -> dict[str, ColumnType]:
        return {**schema, self.name: self.checked.type}


def target_column(
    prepare: Prepare, schema: Schema, at: DocumentPath
) -> tuple[TargetColumn | None, list[Mistake]]:
    """The column of a target's expression over the columns that come in, and what is wrong with it;
    None where the target is no expression. `at` is the path of the `prepare` node."""
    target = prepare.target
    if not isinstance(target, Target):
        return None, []
    path = (*at, "target")
    if target.expression is None:
        return None, [
            Mistake((*path, key), "goes with 'expression'", "leave it out", at_key=True)
            for key in ("group", "order")
            if getattr(target, key) is not None
        ]
    mistakes = [
        unknown_column(name, tuple(schema), (*path, key))
        for key, name in (("group", target.group), ("order", target.order))
        if name is not None and name not in schema
    ]
    if target.column is not None:
        found = "does not go together with 'expression'"
        mistakes.append(Mistake((*path, "column"), found, "keep one of the two", at_key=True))
    checked, found_in_it = expression_mistakes(
        target.expression,
        schema,
        (*path, "expression"),
        windows="any",
        order=order_type(target.order, schema),
    )
    mistakes += found_in_it
    if checked is None:
        return None, mistakes
    name = target.expression.strip()
    return TargetColumn(f"{name} (target)" if name in schema else name, checked), mistakes
