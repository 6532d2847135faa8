"""What the planner says of one step."""

from __future__ import annotations

from dataclasses import dataclass, field

from lepton_dask.data.types import ColumnType, Schema
from lepton_dask.errors import Mistake
from lepton_dask.plan.planned import PlannedColumn
from lepton_dask.plan.shapes import Shape, TableShape


@dataclass(frozen=True)
class Drawn:
    """A step's result as far as it can be seen, why it is so, its columns, and what is wrong.

    `shape` is None where mistakes hide what the step gives.
    """

    shape: Shape | None
    why: tuple[str, ...] = ()
    columns: tuple[PlannedColumn, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def type_name(type_: ColumnType) -> str:
    """`integer`, `timestamp in UTC`."""
    return f"{type_.kind} in {type_.zone}" if type_.zone else type_.kind


def changed_columns(before: Schema, after: Schema, reason: str) -> tuple[PlannedColumn, ...]:
    """Every column of a table after a step, and the reason beside those that are new."""
    return tuple(
        PlannedColumn(
            name,
            type_name(type_),
            "" if before.get(name) == type_ else "new",
            "as it comes in" if before.get(name) == type_ else reason,
        )
        for name, type_ in after.items()
    )


def unchanged_columns(table: TableShape) -> tuple[PlannedColumn, ...]:
    return changed_columns(table.schema, table.schema, "")
