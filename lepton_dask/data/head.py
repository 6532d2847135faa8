"""What a file's first bytes, or its footer, say of it: for `validate` and `plan`."""

from __future__ import annotations

from dataclasses import dataclass

from lepton_dask.data.chunks import ChunkSummary
from lepton_dask.data.content import SourceFile, text_bytes
from lepton_dask.data.formats import csv, json, jsonl, parquet
from lepton_dask.data.read import Read

HEAD_BYTES = 1 << 20


@dataclass(frozen=True)
class Head:
    """The types that the head of a file suggests, and how many rows the file has, about.

    `settle_types(read, [head.summary for ...])` makes one schema of several heads. `rows` were
    looked at (none in a Parquet file, whose footer has the types); `expected_rows` is exact where
    `is_exact`, else the size of the file's text over the head's bytes a row.
    """

    summary: ChunkSummary
    rows: int
    expected_rows: int
    is_exact: bool
    warnings: tuple[str, ...]


def read_head(read: Read, file: SourceFile, head_bytes: int = HEAD_BYTES) -> Head:
    """Reads a footer, a JSON document or the first `head_bytes`, and nothing else.

    Raises UserError for what these show to be wrong, RunError for a file that is damaged.
    """
    if file.format == "parquet":
        parsed, rows = parquet.head(read, file)
        return Head(parsed.summary(), 0, _capped(read, rows), True, ())
    if file.format == "json":
        parsed, used_bytes = json.head(read, file)
    elif file.format == "jsonl":
        parsed, used_bytes = jsonl.head(read, file, head_bytes)
    else:
        parsed, used_bytes = csv.head(read, file, head_bytes)
    rows = parsed.table.num_rows
    is_whole = file.format == "json" or (file.compression is None and file.size_bytes <= head_bytes)
    expected = rows if is_whole or not rows else round(text_bytes(file) * rows / used_bytes)
    warnings = () if rows else (f"'{file.shown}' has no rows",)
    return Head(parsed.summary(), rows, _capped(read, expected), is_whole, warnings)


def _capped(read: Read, rows: int) -> int:
    return rows if read.rows is None else min(rows, read.rows)
