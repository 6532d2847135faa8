"""Parquet: chunks of whole row groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lepton_dask.data.chunks import Chunk, ParsedChunk
from lepton_dask.data.content import SourceFile, open_file
from lepton_dask.data.read import Read
from lepton_dask.data.types import Schema
from lepton_dask.data.wanted import Columns, RawChunk, finish
from lepton_dask.errors import RunError

_VALUE_BYTES = 8
"""A value in memory, about; dictionaries make a row group's own size far too small."""


def plan(read: Read, file: SourceFile, chunk_bytes: int) -> tuple[Chunk, ...]:
    """Consecutive row groups up to about `chunk_bytes` of memory, at least one, from the footer."""
    with _opened(file) as parquet:
        footer = parquet.metadata
        groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
        rows = [group.num_rows for group in groups]
        sizes = [
            max(group.total_byte_size, group.num_rows * group.num_columns * _VALUE_BYTES)
            for group in groups
        ]
    starts, held_bytes = [0], 0
    for i, size in enumerate(sizes):
        if i > starts[-1] and held_bytes + size > chunk_bytes:
            starts.append(i)
            held_bytes = 0
        held_bytes += size
    chunks = [
        Chunk(file, index, start, stop, sum(rows[:start]), sum(rows[start:stop]))
        for index, (start, stop) in enumerate(pairwise([*starts, len(sizes)]))
    ]
    if read.rows is None:
        return tuple(chunks)
    return tuple(chunk for chunk in chunks if not chunk.index or _first(chunk) < read.rows)


def parse(read: Read, chunk: Chunk, schema: Schema | None) -> RawChunk:
    """The rows of one chunk, of the types of `schema`, or of the file's own and declared ones.

    Raises RunError where the file is truncated or damaged, UserError for a nested column.
    """
    with _opened(chunk.file, chunk.index) as parquet:
        columns = Columns.of(read, chunk.file, _names(parquet, chunk.file), schema)
        table = parquet.read_row_groups(
            list(range(chunk.start, chunk.stop)), columns=list(columns.names), use_threads=False
        )
    row_numbers = np.arange(table.num_rows, dtype=np.int64) + _first(chunk)
    return RawChunk(columns, table, row_numbers)


def head(read: Read, file: SourceFile) -> tuple[ParsedChunk, int]:
    """The file's columns without their rows, and how many rows it has: from the footer."""
    with _opened(file) as parquet:
        columns = Columns.of(read, file, _names(parquet, file), None)
        table = parquet.schema_arrow.empty_table().select(list(columns.names))
        rows = parquet.metadata.num_rows
    chunk = Chunk(file, 0, 0, 0, first_row=0)
    raw = RawChunk(columns, table, np.empty(0, np.int64))
    return finish(read, chunk, raw), rows


def names(file: SourceFile) -> tuple[str, ...]:
    """The file's columns, from its footer."""
    with _opened(file) as parquet:
        return _names(parquet, file)


def _first(chunk: Chunk) -> int:
    return chunk.first_row or 0


def _names(parquet: pq.ParquetFile, file: SourceFile) -> tuple[str, ...]:
    names = tuple(parquet.schema_arrow.names)
    double = [name for name, count in Counter(names).items() if count > 1]
    if double:
        raise file.mistake(f"has two columns called '{double[0]}'")
    return names


@contextmanager
def _opened(file: SourceFile, partition: int | None = None) -> Iterator[pq.ParquetFile]:
    """The open file, its page checksums verified where it has any."""
    with open_file(file) as stream:
        try:
            with pq.ParquetFile(stream, page_checksum_verification=True) as parquet:
                yield parquet
        except (pa.ArrowInvalid, OSError) as error:
            raise RunError(
                f"the Parquet file is truncated or damaged ({error})",
                fix="write or copy it again",
                file=file.shown,
                partition=partition,
            ) from error
