"""Tables that leave with a model: rows to join, and rows that windows look back on."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lepton_dask.artifacts.frames import InputColumn
from lepton_dask.data.columns import Column, Columns, MomentColumn, NumberColumn, TextColumn


@dataclass(frozen=True, eq=False)
class SideTable:
    """A table that predicting looks into, with its columns' types; `rows` is None where it does
    not travel and has to be given."""

    name: str
    columns: tuple[InputColumn, ...]
    rows: Columns | None


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
