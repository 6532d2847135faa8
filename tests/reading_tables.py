"""Reads tables as a run does, chunk by chunk, without Dask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from lepton_dask.data.chunks import CHUNK_BYTES, ParsedChunk
from lepton_dask.data.files import find_files
from lepton_dask.data.read import Read
from lepton_dask.data.reading import (
    conform_chunk,
    needs_scan,
    parse_chunk,
    plan_chunks,
    scan_chunk,
    settle_bounds,
)
from lepton_dask.data.roots import Roots
from lepton_dask.data.settle import Settled, settle_types
from lepton_dask.data.tables import plain_table
from lepton_dask.data.types import ColumnType

AT = ("steps", "cells", "read")
TEXT = ColumnType("text")
INTEGER = ColumnType("integer")
NUMBER = ColumnType("number")


def written(folder: Path, content: str | bytes, name: str = "table.csv") -> str:
    """The path of a new file with the content."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def parsed(read: Read, chunk_bytes: int = CHUNK_BYTES) -> list[ParsedChunk]:
    """Every chunk of the files, its types not yet settled."""
    chunks: list[ParsedChunk] = []
    for file in find_files(read, AT, Roots(())):
        planned = plan_chunks(read, file, chunk_bytes)
        if needs_scan(planned):
            scans = [scan_chunk(read, chunk) for chunk in planned]
            planned = settle_bounds(read, planned, scans)
        chunks += [parse_chunk(read, chunk) for chunk in planned]
    return chunks


def settled(read: Read, chunk_bytes: int = CHUNK_BYTES) -> tuple[Settled, list[ParsedChunk]]:
    """The schema, and every chunk with it."""
    chunks = parsed(read, chunk_bytes)
    schema = settle_types(read, [chunk.summary() for chunk in chunks])
    return schema, [conform_chunk(read, chunk, schema.schema) for chunk in chunks]


def table_of(read: Read, chunk_bytes: int = CHUNK_BYTES) -> pa.Table:
    return pa.concat_tables([plain_table(chunk.table) for chunk in settled(read, chunk_bytes)[1]])


def columns_of(read: Read, chunk_bytes: int = CHUNK_BYTES) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = table_of(read, chunk_bytes).to_pydict()
    return columns


def row_numbers_of(read: Read, chunk_bytes: int = CHUNK_BYTES) -> list[int]:
    numbers = [chunk.row_numbers for chunk in parsed(read, chunk_bytes)]
    return [int(number) for number in np.concatenate(numbers)]
