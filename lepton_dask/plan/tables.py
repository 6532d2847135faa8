"""Planning what makes one table of another: clean, derive, split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lepton_dask.data.clean import Clean, clean_schema
from lepton_dask.data.derive import Derive, derive_schema, load_function
from lepton_dask.data.split import Split, check_split, split_parts
from lepton_dask.errors import DocumentPath, Mistake, UserError
from lepton_dask.plan.drawn import Drawn, changed_columns
from lepton_dask.plan.planned import PlannedColumn
from lepton_dask.plan.shapes import TableShape


def draw_clean(clean: Clean, table: TableShape, at: DocumentPath) -> Drawn:
    schema, mistakes = clean_schema(clean, table.schema, at)
    if clean.filter is not None:
        mistakes.append(Mistake((*at, "filter"), "expressions are not supported yet", at_key=True))
    whole = [
        name for name in ("require", "drop_missing", "drop_duplicates") if getattr(clean, name)
    ]
    why = [f"rows are dropped by {', '.join(whole)}"] if whole else ["no row is dropped"]
    old = {new: before for before, new in clean.rename.items()}
    columns = changed_columns(table.schema, schema, "")
    return Drawn(
        replace(table, schema=schema),
        why=tuple(why),
        columns=tuple(_renamed(column, old) for column in columns),
        mistakes=tuple(mistakes),
    )


def _renamed(column: PlannedColumn, old: dict[str, str]) -> PlannedColumn:
    if column.name not in old:
        return column
    return replace(column, treatment="renamed", reason=f"rename: from '{old[column.name]}'")


def draw_derive(derive: Derive, table: TableShape, at: DocumentPath, folder: Path) -> Drawn:
    schema, mistakes = derive_schema(derive, table.schema, at)
    if derive.columns:
        path = (*at, "columns")
        mistakes.append(Mistake(path, "expressions are not supported yet", "use python", True))
    if derive.python is None:
        if not derive.columns:
            mistakes.append(Mistake(at, "derives nothing", "name a function: python: module:name"))
    else:
        try:
            load_function(derive, folder, at)
        except UserError as error:
            mistakes += error.mistakes
    return Drawn(
        replace(table, schema=schema),
        why=(f"{derive.python} on each chunk",),
        columns=changed_columns(table.schema, schema, f"outputs of {derive.python}"),
        mistakes=tuple(mistakes),
    )


def draw_split(split: Split, table: TableShape, at: DocumentPath) -> Drawn:
    mistakes = check_split(split, table.schema, table.parts, at)
    parts = split_parts(split, table.parts)
    return Drawn(
        replace(table, parts=parts),
        why=(f"{', '.join(parts)}: {_how(split)}",),
        columns=changed_columns(table.schema, table.schema, ""),
        mistakes=tuple(mistakes),
    )


def _how(split: Split) -> str:
    if split.column is not None:
        return f"as '{split.column}' says"
    if split.time is not None:
        return f"in the order of '{split.time}'"
    if split.stratify is not None:
        return f"at random within each class of '{split.stratify}'"
    if split.group is not None:
        return f"whole groups of '{split.group}', at random"
    return "at random, by a hash of seed, file and row number"
