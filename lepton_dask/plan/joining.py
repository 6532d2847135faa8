"""Planning a `join`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dask.utils import format_bytes

from lepton_dask.data.join import Join, JoinedTable, join_schema, one_part_wanted
from lepton_dask.data.types import Schema
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.plan.drawn import Drawn, type_name
from lepton_dask.plan.planned import PlannedColumn
from lepton_dask.plan.shapes import TableShape


def draw_join(
    join: Join, left: TableShape, rights: Sequence[TableShape], at: DocumentPath
) -> Drawn:
    schema, mistakes = join_schema(join, left.schema, [right.schema for right in rights], at)
    for i, (joined, right) in enumerate(zip(join.root, rights, strict=True)):
        if right.parts:
            path = (*at, i, "with")
            mistakes.append(Mistake(path, *one_part_wanted(joined.with_, right.parts)))
    pairs = list(zip(join.root, rights, strict=True))
    return Drawn(
        replace(left, schema=schema),
        why=tuple(_why(joined, right) for joined, right in pairs),
        columns=tuple(_columns(left.schema, schema, pairs)),
        mistakes=tuple(mistakes),
    )


def _why(joined: JoinedTable, right: TableShape) -> str:
    keys = ", ".join(
        name if name == other else f"{name} = {other}" for name, other in joined.keys.items()
    )
    rows = "" if right.rows is None else f", {right.rows:,} rows"
    size = "" if right.bytes is None else f", {format_bytes(right.bytes)} as files"
    predicting = "kept in the model" if joined.keep else "asked for by predict"
    return f"{joined.how} join with {joined.with_} on {keys}{rows}{size}; {predicting}"


def _columns(
    left: Schema, schema: Schema, pairs: Sequence[tuple[JoinedTable, TableShape]]
) -> list[PlannedColumn]:
    """Every column after the step, and which table brings it."""
    sources = {
        new: f"'{name}' of '{joined.with_}'"
        for joined, right in pairs
        for name, new in joined.taken(right.schema).items()
    }
    return [
        PlannedColumn(name, type_name(type_), "", "as it comes in")
        if name in left
        else PlannedColumn(name, type_name(type_), "new", sources[name])
        for name, type_ in schema.items()
    ]
