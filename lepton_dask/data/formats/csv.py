"""CSV: a file's records, and their fields as typed columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from lepton_dask.data.arrow_types import arrow_type
from lepton_dask.data.chunks import Chunk, ParsedChunk, byte_chunks, whole_file
from lepton_dask.data.content import SourceFile, read_content, read_range
from lepton_dask.data.convert import FALSE_VALUES, TRUE_VALUES
from lepton_dask.data.formats.encoding import as_utf8, can_be_cut, in_utf8
from lepton_dask.data.formats.opening import OPENING_BYTES, no_row_fits, opening
from lepton_dask.data.formats.plain_csv import MOST_IN_A_BYTE, read_plain
from lepton_dask.data.formats.records import (
    Scan,
    lines_between,
    plain_scan,
    record_ends,
    scan_records,
    unclosed_quote,
    without_records,
)
from lepton_dask.data.read import Read
from lepton_dask.data.types import Schema
from lepton_dask.data.wanted import Columns, RawChunk, finish
from lepton_dask.errors import RunError

PARSED_BYTES = 1 << 20
"""Arrow parses a chunk in blocks of this size: what lies between tokenising and converting stays in
the processor's cache. 16 MiB of 42 columns took 56 ms in blocks, 185 ms in one piece."""

MOST_TEXTS = 10_000
"""Distinct texts in a block up to which a column is read as a dictionary. Beyond, most texts occur
once and a dictionary would only be another copy of them."""


def plan(read: Read, file: SourceFile, chunk_bytes: int) -> tuple[Chunk, ...]:
    """The file's chunks; one where it is compressed, or in an encoding that cannot be cut."""
    if file.compression is None and can_be_cut(read, file):
        return byte_chunks(file, chunk_bytes)
    return whole_file(file)


def scan(read: Read, chunk: Chunk) -> Scan:
    """Where the records of one chunk of several start and end."""
    head = read_range(chunk.file, 0, OPENING_BYTES)
    return scan_records(chunk, opening(read, chunk.file, head).data_start, read.separator)


class CutRecords(NamedTuple):
    """The rows of a chunk that found its bounds itself, numbered from 0, and what a scan of it
    would have said."""

    raw: RawChunk
    scan: Scan


def parse_cut(read: Read, chunk: Chunk) -> CutRecords | None:
    """Scanning and parsing one chunk of several in one go; None where it has quotes or carriage
    returns: then its records may begin elsewhere, and the file has to be scanned."""
    file = chunk.file
    found = opening(read, file, read_range(file, 0, OPENING_BYTES))
    start, content = lines_between(chunk, found.data_start)
    text = as_utf8(read, file, content, start)
    raw = _parse_plain(read, chunk, found.names, text, None)
    if raw is None:
        if b'"' in content or b"\r" in content:
            return None
        raw = _parse_by_arrow(read, chunk, found.names, text, None)
    records = len(raw.row_numbers) + len(raw.malformed)
    return CutRecords(raw, plain_scan(start, records, read.separator))


def parse(read: Read, chunk: Chunk, schema: Schema | None) -> RawChunk:
    """The rows of one settled chunk, of the types of `schema`, or declared and inferred ones."""
    file = chunk.file
    if file.compression is None and can_be_cut(read, file):
        start_of_file = read_range(file, 0, OPENING_BYTES)
        found = opening(read, file, start_of_file)
        start = max(chunk.start, found.data_start) if chunk.index == 0 else chunk.start
        records = as_utf8(read, file, read_range(file, start, chunk.stop), start)
    else:
        content = as_utf8(read, file, read_content(file), 0)
        found = opening(in_utf8(read), file, content)
        records, start = content[found.data_start :], found.data_start
    if chunk.rows is None:
        _check_quotes(read, chunk, records, start)
    return parse_records(read, chunk, found.names, records, schema)


def head(read: Read, file: SourceFile, head_bytes: int) -> tuple[ParsedChunk, int]:
    """The rows whose records lie within the first bytes of the file, and how many bytes they are.

    Raises UserError for what the head shows to be wrong.
    """
    raw = read_content(file, head_bytes + 1)
    content = as_utf8(read, file, raw, 0, is_cut=len(raw) > head_bytes)
    found = opening(in_utf8(read), file, content)
    records = content[found.data_start :]
    if len(raw) > head_bytes:
        ends = record_ends(np.frombuffer(records, np.uint8), read.separator, inside=False)
        records = records[: int(ends.positions[-1]) + 1] if ends.positions.size else b""
    else:
        _check_quotes(read, Chunk(file, 0, 0, file.size_bytes, 0), records, found.data_start)
    chunk = Chunk(file, 0, 0, len(content), first_row=0)
    parsed = finish(read, chunk, parse_records(read, chunk, found.names, records, None))
    bad = parsed.quarantined.rows
    if bad is not None and parsed.table.num_rows == 0:
        raise no_row_fits(read, file, found.names, records, bad.what)
    return parsed, len(records)


def names(read: Read, file: SourceFile) -> tuple[str, ...]:
    """The file's columns, from its first bytes. Raises UserError as `opening` does."""
    content = read_content(file, OPENING_BYTES + 1)
    text = as_utf8(read, file, content, 0, is_cut=len(content) > OPENING_BYTES)
    return opening(in_utf8(read), file, text).names


def parse_records(
    read: Read, chunk: Chunk, names: tuple[str, ...], records: bytes, schema: Schema | None
) -> RawChunk:
    """UTF-8 records without a header as a chunk's rows."""
    plain = _parse_plain(read, chunk, names, records, schema)
    return _parse_by_arrow(read, chunk, names, records, schema) if plain is None else plain


def _parse_plain(
    read: Read, chunk: Chunk, names: tuple[str, ...], records: bytes, schema: Schema | None
) -> RawChunk | None:
    """The rows by the compiled scan, where it can read them: there is no quote, no carriage return
    and no NUL byte in them then."""
    columns = Columns.of(read, chunk.file, names, schema)
    types = _types(columns)
    missing = ("", *_listed(read))

    def sampled(sample: bytes) -> pa.Table:
        return _read_csv(read, names, columns.names, types, sample)[0]

    table = read_plain(records, names, read.separator, missing, types, sampled)
    if table is None:
        return None
    _check_count(chunk, table.num_rows)
    numbers = np.arange(table.num_rows, dtype=np.int64) + (chunk.first_row or 0)
    return RawChunk(columns, table, numbers)


def _parse_by_arrow(
    read: Read, chunk: Chunk, names: tuple[str, ...], records: bytes, schema: Schema | None
) -> RawChunk:
    columns = Columns.of(read, chunk.file, names, schema)
    with_nul: NDArray[np.int64] = np.empty(0, np.int64)
    if b"\0" in records:
        records, with_nul = without_records(records, read.separator, 0)
    try:
        table, bad_rows = _read_strictly(read, names, columns, records)
    except pa.ArrowInvalid as error:
        raise RunError(
            f"the records cannot be read ({error})", file=chunk.file.shown, partition=chunk.index
        ) from error
    total = table.num_rows + len(bad_rows) + len(with_nul)
    _check_count(chunk, total)
    numbers = np.arange(total, dtype=np.int64) + (chunk.first_row or 0)
    malformed = [(int(numbers[row]), "holds a NUL byte") for row in with_nul]
    numbers = np.delete(numbers, with_nul) if len(with_nul) else numbers
    malformed += [
        (int(numbers[row]), f"expected {expected} fields, found {actual}")
        for row, expected, actual in bad_rows
    ]
    kept = np.delete(numbers, [row for row, _, _ in bad_rows]) if bad_rows else numbers
    return RawChunk(columns, table, kept, sorted(malformed))


def _check_count(chunk: Chunk, records: int) -> None:
    if chunk.rows is not None and chunk.rows != records:
        raise RunError(
            f"{records:,} records were read where {chunk.rows:,} had been counted",
            fix="the file must not change while it is read",
            file=chunk.file.shown,
            partition=chunk.index,
        )


def _types(columns: Columns) -> dict[str, pa.DataType]:
    """Those that Arrow has to read columns as; it infers the others."""
    as_text = dict.fromkeys(columns.read_as_text, pa.string())
    typed = {
        name: arrow_type(wanted) for name, wanted in columns.wanted.items() if wanted is not None
    }
    return {**typed, **as_text}


def _read_strictly(
    read: Read, names: tuple[str, ...], columns: Columns, records: bytes
) -> tuple[pa.Table, list[tuple[int, int, int]]]:
    """Arrow's reading, with the wanted types where every value fits them and as text where not."""
    types = _types(columns)
    try:
        table, bad = _read_csv(read, names, columns.names, types, records)
    except pa.ArrowInvalid:
        types = dict.fromkeys(types, pa.string())
        table, bad = _read_csv(read, names, columns.names, types, records)
    times = [field.name for field in table.schema if pa.types.is_time(field.type)]
    if times:  # a time of day is text here, as it was written
        types |= dict.fromkeys(times, pa.string())
        table, bad = _read_csv(read, names, columns.names, types, records)
    # Every block has its own dictionaries.
    return _narrowed(table.unify_dictionaries().combine_chunks()), bad


def _read_csv(
    read: Read,
    names: tuple[str, ...],
    included: tuple[str, ...],
    types: Mapping[str, pa.DataType],
    records: bytes,
) -> tuple[pa.Table, list[tuple[int, int, int]]]:
    """The table, and (position, expected fields, actual fields) of each malformed record."""
    if not records.lstrip(b"\r\n"):
        empty = {name: pa.nulls(0, types.get(name, pa.null())) for name in included}
        return pa.table(empty), []
    if not records.endswith((b"\n", b"\r")):
        records += b"\n"  # or Arrow takes an empty last field for a quoted one
    try:
        return _read_in_blocks(read, names, included, types, records, PARSED_BYTES)
    except pa.ArrowInvalid as error:
        if "straddl" not in str(error):
            raise
    # A record that is longer than a block.
    return _read_in_blocks(read, names, included, types, records, len(records) + 1)


def _read_in_blocks(
    read: Read,
    names: tuple[str, ...],
    included: tuple[str, ...],
    types: Mapping[str, pa.DataType],
    records: bytes,
    block_bytes: int,
) -> tuple[pa.Table, list[tuple[int, int, int]]]:
    """What `_read_csv` gives; types are inferred from all blocks, whatever their size."""
    bad: list[tuple[int, int, int]] = []

    def skip(row: Any) -> str:
        bad.append((row.number - 1, row.expected_columns, row.actual_columns))
        return "skip"

    table = pyarrow.csv.read_csv(
        pa.BufferReader(records),
        pyarrow.csv.ReadOptions(
            use_threads=False, column_names=list(names), block_size=max(block_bytes, 1 << 16)
        ),
        pyarrow.csv.ParseOptions(
            delimiter=read.separator,
            newlines_in_values=b'"' in records,
            invalid_row_handler=skip,
        ),
        pyarrow.csv.ConvertOptions(
            column_types=dict(types),
            include_columns=list(included),
            null_values=["", *_listed(read)],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=list(TRUE_VALUES),
            false_values=list(FALSE_VALUES),
            auto_dict_encode=True,
            auto_dict_max_cardinality=MOST_TEXTS,
        ),
    )
    return table, bad


def _listed(read: Read) -> tuple[str, ...]:
    """What stands for a missing value in every column."""
    return read.missing_values if isinstance(read.missing_values, tuple) else ()


def _narrowed(table: pa.Table) -> pa.Table:
    """The table with one byte a row for texts of few values: most of what chunks keep in memory."""
    columns = [_narrow(column) for column in table.columns]
    return pa.Table.from_arrays(columns, names=table.column_names)


def _narrow(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if not pa.types.is_dictionary(column.type) or column.num_chunks != 1:
        return column
    encoded = column.chunk(0)
    if len(encoded.dictionary) > MOST_IN_A_BYTE:
        return column
    # They fit and lie within the dictionary: Arrow made them, so nothing is checked again.
    indices = encoded.indices.cast(pa.int8(), safe=False)
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, safe=False)


def _check_quotes(read: Read, chunk: Chunk, records: bytes, start: int) -> None:
    """Arrow reads an open quote to the end of the file without a word."""
    if records.count(b'"') == 0:
        return
    ends = record_ends(np.frombuffer(records, np.uint8), read.separator, inside=False)
    if ends.open_quote is not None:
        raise unclosed_quote(chunk, start + ends.open_quote)
