"""What a model has to know of the tables that were joined: how to look into them, and their rows or
how to read others like them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lepton_dask.artifacts.frames import InputColumn
from lepton_dask.artifacts.replay import Joined, JoinedColumn, Rename
from lepton_dask.artifacts.side_table import Recipe, SideTable
from lepton_dask.config.pipeline import Pipeline
from lepton_dask.data.arrow_types import declared_format
from lepton_dask.data.clean import Clean
from lepton_dask.data.columns import Columns
from lepton_dask.data.derive import Derive
from lepton_dask.data.join import JoinedTable
from lepton_dask.data.read import Read
from lepton_dask.run.values import Origin, TableValue


def joined_step(joined: JoinedTable, right: TableValue) -> Joined:
    """The join as a model plays it again."""
    columns = tuple(
        JoinedColumn(name, new, right.schema[name].kind)
        for name, new in joined.taken(right.schema).items()
    )
    return Joined(joined.with_, joined.keys, columns, joined.how)


def side_table(
    joined: JoinedTable, right: TableValue, rows: Columns | None, recipe: Recipe
) -> SideTable:
    """The table beside the model: with its `rows` where it travels, else with its recipe."""
    names = dict.fromkeys([*joined.keys.values(), *joined.taken(right.schema)])
    columns = tuple(
        InputColumn(
            name, right.schema[name].kind, right.schema[name].zone, _format(right.origin, name)
        )
        for name in names
    )
    return SideTable(joined.with_, columns, rows, recipe if rows is None else None)


def _format(origin: Origin, column: str) -> str | None:
    """How texts of the column are read, where its `read` step says so."""
    for step in reversed(origin.replay):
        if isinstance(step, Rename):
            [column] = step.before(frozenset([column]))
    return declared_format(origin.read.types.get(column))


def recipe_of(pipeline: Pipeline, name: str, table: TableValue) -> Recipe:
    """How another file becomes a table like the result of step `name`: its `read` and what follows,
    where these are clean and derive steps alone. Of any other table the columns by their names."""
    nodes: list[Mapping[str, Any]] = []
    by_name = {step.name: step for step in pipeline.steps}
    step = by_name.get(name)
    while step is not None and isinstance(step.action, Clean | Derive):
        node = step.action.model_dump(mode="json", by_alias=True)
        nodes.insert(0, {"verb": step.verb, "node": node})
        step = by_name.get(step.inputs[0])
    if step is None or not isinstance(step.action, Read):
        return Recipe({}, (), ())
    return Recipe(table.origin.read_node, table.origin.columns, tuple(nodes))
