"""Chunks: the units in which a file is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lepton_dask.data.arrow_types import column_type
from lepton_dask.data.content import SourceFile
from lepton_dask.data.quarantine import Quarantined
from lepton_dask.data.types import ColumnType

CHUNK_BYTES = 16 << 20
"""Bytes of text, or of uncompressed Parquet, in one chunk. A constant: it is part of a model's
identity, because sums are taken chunk by chunk. 16 MiB of text are about 100,000 rows of 20 columns
and parse in 0.1 to 0.2 s, against which a task's own cost of about 1 ms is nothing."""

RowNumbers = NDArray[np.int64]


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of one file.

    index      of the chunk in its file
    start      first byte (text) or row group (Parquet)
    stop       behind the last one
    first_row  number in the file of the chunk's first row; None until `settle_bounds`
    rows       records between the bounds, where they have been counted
    """

    file: SourceFile
    index: int
    start: int
    stop: int
    first_row: int | None = None
    rows: int | None = None

    @property
    def is_settled(self) -> bool:
        return self.first_row is not None


@dataclass(frozen=True)
class ParsedChunk:
    """A chunk that has been read.

    `table` has columns of the types in `types.ColumnType`, or Arrow's null type where the chunk
    holds no value to infer a type from. `row_numbers[i]` is the number of row i in the file; what
    was quarantined leaves gaps.
    """

    chunk: Chunk
    table: pa.Table
    row_numbers: RowNumbers
    quarantined: Quarantined

    def summary(self) -> ChunkSummary:
        """What the driver needs to settle the types."""
        types = {field.name: column_type(field.type) for field in self.table.schema}
        return ChunkSummary(self.chunk, self.table.num_rows, types, self.quarantined)


@dataclass(frozen=True)
class ChunkSummary:
    """A parsed chunk without its rows; a type is None where the chunk's column is all missing."""

    chunk: Chunk
    rows: int
    types: Mapping[str, ColumnType | None]
    quarantined: Quarantined


def byte_chunks(file: SourceFile, chunk_bytes: int) -> tuple[Chunk, ...]:
    """A plain text file cut every `chunk_bytes`, wherever that is; `settle_bounds` moves the cuts
    to the ends of records. One chunk is settled from the start."""
    if file.size_bytes <= chunk_bytes:
        return whole_file(file)
    starts = range(0, file.size_bytes, chunk_bytes)
    return tuple(
        Chunk(file, i, start, min(start + chunk_bytes, file.size_bytes))
        for i, start in enumerate(starts)
    )


def whole_file(file: SourceFile) -> tuple[Chunk, ...]:
    """A file that is read in one piece."""
    return (Chunk(file, 0, 0, file.size_bytes, first_row=0),)
