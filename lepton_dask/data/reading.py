"""Reading a table chunk by chunk, whatever the format.

    plan_chunks    driver   bounds, from sizes and Parquet footers
    scan_chunk     workers  only for files of several text chunks (`needs_scan`)
    settle_bounds  driver   exact bounds, row numbers, counts
    parse_cut      workers  a scan and the rows in one, where the text has no quotes
    parse_chunk    workers  rows, of declared and inferred types
    settle_types   driver   one schema (in settle.py)
    conform_chunk  workers  rows of that schema; parsed again only where a column turned out as text

Where mistakes are found: `find_files` those of paths; `read_head` those of headers, names and the
first MiB; `plan_chunks` damaged Parquet footers; `settle_bounds` quotes that are never closed;
`parse_chunk` encodings and nested columns; `settle_types` what differs between chunks and files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa

from lepton_dask.data.arrow_types import arrow_type
from lepton_dask.data.chunks import CHUNK_BYTES, Chunk, ParsedChunk
from lepton_dask.data.content import SourceFile
from lepton_dask.data.convert import convert
from lepton_dask.data.formats import csv, json, jsonl, parquet
from lepton_dask.data.formats.records import Scan, settle_records
from lepton_dask.data.quarantine import Bad, Quarantined, merge_quarantined
from lepton_dask.data.read import Read
from lepton_dask.data.types import ColumnType, Schema
from lepton_dask.data.wanted import RawChunk, finish
from lepton_dask.errors import LeptonError


def plan_chunks(read: Read, file: SourceFile, chunk_bytes: int = CHUNK_BYTES) -> tuple[Chunk, ...]:
    """The chunks of one file, in order. They depend on the file and the `read` node only.

    Opens Parquet footers, and no other file. Raises RunError for a damaged footer, UserError for a
    JSON document that is too large.
    """
    match file.format:
        case "csv":
            return csv.plan(read, file, chunk_bytes)
        case "jsonl":
            return jsonl.plan(file, chunk_bytes)
        case "parquet":
            return parquet.plan(read, file, chunk_bytes)
        case "json":
            return json.plan(file)


def needs_scan(chunks: Sequence[Chunk]) -> bool:
    """Whether the chunks of one file have to be scanned and settled before they are parsed."""
    return not all(chunk.is_settled for chunk in chunks)


def scan_chunk(read: Read, chunk: Chunk) -> Scan:
    """Where records start and end in one chunk of a text file, and how many there are."""
    return jsonl.scan(chunk) if chunk.file.format == "jsonl" else csv.scan(read, chunk)


class CutChunk(NamedTuple):
    """A chunk that was parsed before the chunks in front of it were counted: its rows are numbered
    from 0."""

    parsed: ParsedChunk
    scan: Scan


def can_be_parsed_cut(read: Read, chunk: Chunk) -> bool:
    """Whether `parse_cut` may be tried: where nothing but messages needs the rows' numbers."""
    is_plain = chunk.file.format == "csv" and not chunk.is_settled
    return is_plain and read.rows is None and read.row_number is None


def parse_cut(read: Read, chunk: Chunk) -> CutChunk | None:
    """The rows of a chunk that is not settled.

    None where only a scan of the file tells where its records are, or where they cannot be read:
    whoever parses the settled chunk hears why.
    """
    try:
        found = csv.parse_cut(read, chunk)
        return None if found is None else CutChunk(finish(read, chunk, found.raw), found.scan)
    except LeptonError:
        return None


def settle_bounds(read: Read, chunks: Sequence[Chunk], scans: Sequence[Scan]) -> tuple[Chunk, ...]:
    """The chunks of one file with exact bounds and row numbers; those behind `rows:` left out.

    Raises UserError where a quote is never closed.
    """
    settled = settle_records(chunks, scans)
    if read.rows is None:
        return settled
    return tuple(c for c in settled if c.index == 0 or (c.first_row or 0) < read.rows)


def parse_chunk(read: Read, chunk: Chunk, schema: Schema | None = None) -> ParsedChunk:
    """The rows of a settled chunk.

    Without a schema its columns have the declared types, and otherwise those that its own values
    suggest. With one they have the schema's, and are the schema's: the others are not read.

    Raises RunError for a file that is damaged or gone, UserError for one that is not what the
    `read` node says.
    """
    return finish(read, chunk, read_raw(read, chunk, schema))


def read_raw(read: Read, chunk: Chunk, schema: Schema | None) -> RawChunk:
    """What the format's reader yields, before bad values are set aside."""
    match chunk.file.format:
        case "csv":
            return csv.parse(read, chunk, schema)
        case "jsonl":
            return jsonl.parse(read, chunk, schema)
        case "parquet":
            return parquet.parse(read, chunk, schema)
        case "json":
            return json.parse(read, chunk, schema)


def conform_chunk(read: Read, parsed: ParsedChunk, schema: Schema) -> ParsedChunk:
    """A chunk parsed without a schema, of the types that the whole table settled on.

    Widening (nothing to anything, integer to number, date to timestamp) converts; a column that
    became text is parsed again, because the values no longer say how they were written.
    """
    types = parsed.summary().types
    if any(_was_parsed_otherwise(types.get(name), type_) for name, type_ in schema.items()):
        return parse_chunk(read, parsed.chunk, schema)
    table, bad = parsed.table, dict(parsed.quarantined.values)
    arrays: dict[str, pa.Array] = {}
    for name, type_ in schema.items():
        if name not in types:
            arrays[name] = pa.nulls(table.num_rows, arrow_type(type_))
            continue
        column = table[name]
        if types[name] == type_:
            arrays[name] = column
            continue
        arrays[name], positions = convert(column, type_, None)
        if positions.size:
            row = int(positions[0])
            found = Bad(
                int(positions.size),
                parsed.chunk.file.shown,
                int(parsed.row_numbers[row]),
                f"{column[row].as_py()} is not exact as a number",
            )
            merged = merge_quarantined(Quarantined(None, v) for v in (bad, {name: found}))
            bad = dict(merged.values)
    quarantined = Quarantined(parsed.quarantined.rows, bad)
    return replace(parsed, table=pa.table(arrays), quarantined=quarantined)


def _was_parsed_otherwise(found: ColumnType | None, settled: ColumnType) -> bool:
    return found is not None and found != settled and settled.kind == "text"
