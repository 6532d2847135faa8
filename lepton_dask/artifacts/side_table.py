"""Tables that leave with a model: rows to join, and rows that windows look back on."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lepton_dask.artifacts.frames import InputColumn
from lepton_dask.data.columns import Column, Columns, MomentColumn, NumberColumn, TextColumn


@dataclass(frozen=True)
class Recipe:
    """How a file becomes a table: the `read` node as JSON without its path and every column that it
    yields, then `steps`, each `{"verb": ..., "node": ...}`. An empty one says that the file has the
    table's columns as they are."""

    read: Mapping[str, Any]
    columns: tuple[InputColumn, ...]
    steps: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, eq=False)
class SideTable:
    """A table that predicting looks into, with its columns' types; `rows` is None where it does
    not travel and has to be given. A file of it is read by the `recipe`."""

    name: str
    columns: tuple[InputColumn, ...]
    rows: Columns | None
    recipe: Recipe | None = None


def with_columns(table: SideTable, names: Collection[str]) -> SideTable:
    """The table with some of its columns."""
    columns = tuple(column for column in table.columns if column.name in names)
    rows = table.rows
    if rows is not None:
        rows = {column.name: rows[column.name] for column in columns}
    return replace(table, columns=columns, rows=rows)


def merged_tables(tables: Iterable[SideTable]) -> tuple[SideTable, ...]:
    """Tables of one name as one, with the columns of all; it travels where each of them does."""
    merged: dict[str, SideTable] = {}
    for table in tables:
        known = merged.get(table.name)
        merged[table.name] = table if known is None else _both(known, table)
    return tuple(merged.values())


def _both(one: SideTable, other: SideTable) -> SideTable:
    columns = {column.name: column for column in (*one.columns, *other.columns)}
    rows = None
    if one.rows is not None and other.rows is not None:
        both = {**one.rows, **other.rows}
        rows = {name: both[name] for name in columns}
    recipe = one.recipe or other.recipe
    return SideTable(one.name, tuple(columns.values()), rows, recipe if rows is None else None)


def rows_to_bytes(columns: Columns) -> bytes:
    """The columns as one .npz file, in their order; nothing in it is pickled."""
    arrays: dict[str, np.ndarray[Any, np.dtype[Any]]] = {}
    for i, column in enumerate(columns.values()):
        match column:
            case NumberColumn(values, missing):
                arrays |= {f"{i}.values": values, f"{i}.missing": missing}
            case MomentColumn(values):
                arrays[f"{i}.moments"] = values
            case TextColumn(codes, levels):
                texts = json.dumps(levels, ensure_ascii=False).encode()
                arrays |= {f"{i}.codes": codes, f"{i}.levels": np.frombuffer(texts, np.uint8)}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def rows_from_bytes(content: bytes, columns: Sequence[InputColumn]) -> dict[str, Column]:
    """The inverse of `rows_to_bytes`, with the columns' names and zones from `columns`."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {column.name: _column(arrays, i, column) for i, column in enumerate(columns)}


def _column(arrays: Any, i: int, column: InputColumn) -> Column:
    match column.kind:
        case "text":
            levels = json.loads(arrays[f"{i}.levels"].tobytes())
            return TextColumn(arrays[f"{i}.codes"], tuple(levels))
        case "date" | "timestamp":
            return MomentColumn(arrays[f"{i}.moments"], column.zone)
        case _:
            return NumberColumn(arrays[f"{i}.values"], arrays[f"{i}.missing"])
