"""JSON lines: one object a line; a key that a line has not is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json

from lepton_dask.data.arrow_types import arrow_type
from lepton_dask.data.chunks import Chunk, ParsedChunk, byte_chunks, whole_file
from lepton_dask.data.content import SourceFile, read_content, read_range
from lepton_dask.data.formats.records import Scan, scan_records
from lepton_dask.data.read import Read
from lepton_dask.data.types import Schema
from lepton_dask.data.wanted import Columns, RawChunk, finish, lost_zeros
from lepton_dask.errors import RunError

_Object = dict[str, Any]


def plan(file: SourceFile, chunk_bytes: int) -> tuple[Chunk, ...]:
    """The file's chunks; one where it is compressed."""
    return whole_file(file) if file.compression else byte_chunks(file, chunk_bytes)


def scan(chunk: Chunk) -> Scan:
    """Where the lines of one chunk of several start and end: JSON has no newline in its strings."""
    return scan_records(chunk, 0, None)


def parse(read: Read, chunk: Chunk, schema: Schema | None) -> RawChunk:
    """The rows of one settled chunk, of the types of `schema`, or declared and inferred ones."""
    if chunk.file.compression:
        content = read_content(chunk.file)
    else:
        content = read_range(chunk.file, chunk.start, chunk.stop)
    return parse_lines(read, chunk, content, schema)


def head(read: Read, file: SourceFile, head_bytes: int) -> tuple[ParsedChunk, int]:
    """The rows whose lines lie within the first bytes of the file, and how many bytes they are."""
    content = read_content(file, head_bytes + 1)
    if len(content) > head_bytes:
        content = content[: content.rfind(b"\n") + 1]
    chunk = Chunk(file, 0, 0, len(content), first_row=0)
    parsed = finish(read, chunk, parse_lines(read, chunk, content, None))
    bad = parsed.quarantined.rows
    if bad is not None and parsed.table.num_rows == 0:
        raise file.mistake(f"has no line that is a JSON object: {bad.what}")
    return parsed, len(content)


def parse_lines(read: Read, chunk: Chunk, content: bytes, schema: Schema | None) -> RawChunk:
    """JSON lines as a chunk's rows; lines that are no objects are set aside."""
    check_utf8(chunk, content)
    lines = [line for line in content.splitlines() if line.strip()]
    return parse_objects(read, chunk, lines, [], schema)


def parse_objects(
    read: Read,
    chunk: Chunk,
    lines: list[bytes],
    malformed: list[tuple[int, str]],
    schema: Schema | None,
) -> RawChunk:
    """Lines as a chunk's rows. `malformed` have been set aside already: (number in the chunk, what
    is wrong), in order.

    Raises RunError where a column's values are of kinds that no type holds.
    """
    columns = Columns.of(read, chunk.file, _keys(lines[:1]), schema)
    types = {
        name: arrow_type(wanted) for name, wanted in columns.wanted.items() if wanted is not None
    }
    types |= dict.fromkeys(columns.read_as_text, pa.string())
    bad: list[tuple[int, str]] = []
    numbers = np.arange(len(lines) + len(malformed), dtype=np.int64) + (chunk.first_row or 0)
    numbers = np.delete(numbers, [row for row, _ in malformed])
    try:
        table = _read_json(b"\n".join(lines), types, schema)
    except pa.ArrowInvalid:
        table = None
    if table is None or table.num_rows != len(lines):
        _check_declared_text(read, chunk, lines)
        lines, types, bad = _amended(lines, types)
        try:
            table = _read_json(b"\n".join(lines), types, schema)
        except pa.ArrowInvalid as error:
            raise RunError(
                f"the rows cannot be read ({error})", file=chunk.file.shown, partition=chunk.index
            ) from error
    kept = np.delete(numbers, [row for row, _ in bad])
    if schema is None:
        found = tuple(dict.fromkeys((*_keys(lines[:1]), *table.column_names)))
        columns = Columns.of(read, chunk.file, found, None)
    for name in columns.names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows))
    first = chunk.first_row or 0
    wrong = [(first + row, what) for row, what in malformed]
    wrong += [(int(numbers[row]), what) for row, what in bad]
    return RawChunk(columns, table, kept, sorted(wrong))


def _read_json(content: bytes, types: Mapping[str, pa.DataType], schema: Schema | None) -> pa.Table:
    if not content.strip():
        return pa.table({name: pa.nulls(0, type_) for name, type_ in types.items()})
    return pyarrow.json.read_json(
        pa.BufferReader(content),
        pyarrow.json.ReadOptions(use_threads=False, block_size=len(content) + 1),
        pyarrow.json.ParseOptions(
            explicit_schema=pa.schema(list(types.items())),
            unexpected_field_behavior="infer" if schema is None else "ignore",
        ),
    )


def _check_declared_text(read: Read, chunk: Chunk, lines: list[bytes]) -> None:
    """Raises UserError for numbers in a column that is declared text."""
    declared = [name for name, type_ in read.types.items() if type_ == "text"]
    for line in lines if declared else ():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        for name in declared:
            if isinstance(value, dict) and _kind(value.get(name, "")) == "number":
                raise lost_zeros(chunk.file, name)


def _amended(
    lines: list[bytes], types: Mapping[str, pa.DataType]
) -> tuple[list[bytes], dict[str, pa.DataType], list[tuple[int, str]]]:
    """Lines that Arrow can read: without those that are no objects, and with text for every value
    of a column that has a type to be checked, or values of several kinds."""
    objects: list[_Object] = []
    bad: list[tuple[int, str]] = []
    for i, line in enumerate(lines):
        try:
            value = json.loads(line)
        except ValueError as error:
            bad.append((i, f"is not JSON: {error}"))
            continue
        if isinstance(value, dict):
            objects.append(value)
        else:
            bad.append((i, "is not a JSON object"))
    kinds: dict[str, set[str]] = {name: {"typed", "text"} for name in types}
    for object_ in objects:
        for name, value in object_.items():
            if value is not None:
                kinds.setdefault(name, set()).add(_kind(value))
    as_text = {name for name, found in kinds.items() if len(found) > 1 and "nested" not in found}
    amended = [
        json.dumps({name: _text(v) if name in as_text else v for name, v in object_.items()})
        for object_ in objects
    ]
    new_types = {**types, **dict.fromkeys(sorted(as_text), pa.string())}
    return [line.encode() for line in amended], new_types, bad


def _kind(value: object) -> str:
    if isinstance(value, dict | list):
        return "nested"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "text"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) or value is None else json.dumps(value)


def _keys(lines: list[bytes]) -> tuple[str, ...]:
    try:
        value = json.loads(lines[0]) if lines else {}
    except ValueError:
        return ()
    return tuple(value) if isinstance(value, dict) else ()


def check_utf8(chunk: Chunk, content: bytes) -> None:
    """Raises UserError with the offset in the file of the first byte that is not UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise chunk.file.mistake(
            f"is not UTF-8: byte 0x{content[error.start]:02X} at offset "
            f"{chunk.start + error.start:,}",
            "JSON is UTF-8; convert the file",
        ) from None
