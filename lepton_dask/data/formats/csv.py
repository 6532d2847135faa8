"""CSV: the opening of a file, its records, and their fields as typed columns."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from lepton_dask.data.arrow_types import arrow_type
from lepton_dask.data.chunks import Chunk, ParsedChunk, byte_chunks, whole_file
from lepton_dask.data.content import SourceFile, read_content, read_range
from lepton_dask.data.convert import FALSE_VALUES, TRUE_VALUES
from lepton_dask.data.formats.records import (
    Scan,
    record_ends,
    scan_records,
    unclosed_quote,
    without_records,
)
from lepton_dask.data.read import Read
from lepton_dask.data.types import Schema
from lepton_dask.data.wanted import Columns, RawChunk, finish
from lepton_dask.errors import Mistake, RunError, UserError
from lepton_dask.suggest import did_you_mean

OPENING_BYTES = 1 << 20
"""The header must lie within this many bytes."""

_ASCII_COMPATIBLE = re.compile(r"^(utf_8|ascii|latin_1|iso8859_\d+|cp125\d|koi8_[rtu])$")
_SNIFFED_BYTES = 1000
_NO_BYTES = np.empty(0, np.uint8)
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Opening:
    """What the first bytes of a file say: the columns' names and where the first record starts."""

    names: tuple[str, ...]
    data_start: int


def plan(read: Read, file: SourceFile, chunk_bytes: int) -> tuple[Chunk, ...]:
    """The file's chunks; one where it is compressed, or in an encoding that cannot be cut."""
    if file.compression is None and _can_be_cut(read, file):
        return byte_chunks(file, chunk_bytes)
    return whole_file(file)


def scan(read: Read, chunk: Chunk) -> Scan:
    """Where the records of one chunk of several start and end."""
    head = read_range(chunk.file, 0, OPENING_BYTES)
    return scan_records(chunk, opening(read, chunk.file, head).data_start, read.separator)


def parse(read: Read, chunk: Chunk, schema: Schema | None) -> RawChunk:
    """The rows of one settled chunk, of the types of `schema`, or declared and inferred ones."""
    file = chunk.file
    if file.compression is None and _can_be_cut(read, file):
        start_of_file = read_range(file, 0, OPENING_BYTES)
        found = opening(read, file, start_of_file)
        start = max(chunk.start, found.data_start) if chunk.index == 0 else chunk.start
        records = _as_utf8(read, file, read_range(file, start, chunk.stop), start)
    else:
        content = _as_utf8(read, file, read_content(file), 0)
        found = opening(_utf8(read), file, content)
        records, start = content[found.data_start :], found.data_start
    if chunk.rows is None:
        _check_quotes(read, chunk, records, start)
    return parse_records(read, chunk, found.names, records, schema)


def head(read: Read, file: SourceFile, head_bytes: int) -> tuple[ParsedChunk, int]:
    """The rows whose records lie within the first bytes of the file, and how many bytes they are.

    Raises UserError for what the head shows to be wrong.
    """
    raw = read_content(file, head_bytes + 1)
    content = _as_utf8(read, file, raw, 0, is_cut=len(raw) > head_bytes)
    found = opening(_utf8(read), file, content)
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
        raise _no_row_fits(read, file, found.names, records, bad.what)
    return parsed, len(records)


def _no_row_fits(
    read: Read, file: SourceFile, names: tuple[str, ...], records: bytes, what: str
) -> UserError:
    """What to write where every row is longer or shorter than the header."""
    ends = record_ends(np.frombuffer(records, np.uint8), read.separator, inside=False).positions
    first = records[: int(ends[0]) + 1] if ends.size else records
    fields = len(_fields(_utf8(read), file, first))
    found = f"has no row that fits its {len(names)} column names: {what}"
    if not read.header or fields == len(names):
        return file.mistake(found, "name every column")
    instead = f"header: false, skip_rows: {read.skip_rows + 1}"
    if fields == len(names) + 1:
        listed = ", ".join(_in_yaml(name) for name in ("row", *names))
        return file.mistake(
            f"{found}; its first column has no name, as R writes row names",
            f"name it: '{instead}, columns: [{listed}]'",
        )
    return file.mistake(
        found,
        f"replace the header: '{instead}' calls them column_1 to column_{fields}, and 'columns:' "
        "gives other names",
    )


def _in_yaml(name: str) -> str:
    """A name as it may stand in a list."""
    plain = re.fullmatch(r"[A-Za-z_][\w .()/%-]*", name) and name == name.strip()
    return name if plain else json.dumps(name, ensure_ascii=False)


def names(read: Read, file: SourceFile) -> tuple[str, ...]:
    """The file's columns, from its first bytes. Raises UserError as `opening` does."""
    content = read_content(file, OPENING_BYTES + 1)
    text = _as_utf8(read, file, content, 0, is_cut=len(content) > OPENING_BYTES)
    return opening(_utf8(read), file, text).names


def opening(read: Read, file: SourceFile, content: bytes) -> Opening:
    """Names and start of the data, from a file's first bytes.

    Raises UserError for a header that is missing, double, or of another separator, and for names
    under `columns:` that are too few or too many.
    """
    _check_is_text(file, content)
    start = len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0
    for _ in range(read.skip_rows):
        line_end = re.compile(rb"\r\n|\n|\r").search(content, start)
        start = line_end.end() if line_end else len(content)
    while content[start : start + 1] in (b"\n", b"\r"):  # blank lines before the header
        start += 1
    text = np.frombuffer(content, np.uint8, offset=start) if start < len(content) else _NO_BYTES
    ends = record_ends(text[:OPENING_BYTES], read.separator, inside=False).positions
    stop = start + int(ends[0]) + 1 if ends.size else len(content)
    fields = _fields(read, file, content[start:stop])
    if not read.header:
        return Opening(_given_names(read, file, len(fields)), start)
    if not fields:
        raise file.mistake("has no header", "it holds no line behind the rows skipped")
    names = tuple(name or f"column_{i + 1}" for i, name in enumerate(fields))
    _check_header(file, names)
    return Opening(names, stop)


def parse_records(
    read: Read, chunk: Chunk, names: tuple[str, ...], records: bytes, schema: Schema | None
) -> RawChunk:
    """UTF-8 records without a header as a chunk's rows."""
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
    if chunk.rows is not None and chunk.rows != total:
        raise RunError(
            f"{total:,} records were read where {chunk.rows:,} had been counted",
            fix="the file must not change while it is read",
            file=chunk.file.shown,
            partition=chunk.index,
        )
    numbers = np.arange(total, dtype=np.int64) + (chunk.first_row or 0)
    malformed = [(int(numbers[row]), "holds a NUL byte") for row in with_nul]
    numbers = np.delete(numbers, with_nul)
    malformed += [
        (int(numbers[row]), f"expected {expected} fields, found {actual}")
        for row, expected, actual in bad_rows
    ]
    kept = np.delete(numbers, [row for row, _, _ in bad_rows])
    return RawChunk(columns, table, kept, sorted(malformed))


def _read_strictly(
    read: Read, names: tuple[str, ...], columns: Columns, records: bytes
) -> tuple[pa.Table, list[tuple[int, int, int]]]:
    """Arrow's reading, with the wanted types where every value fits them and as text where not."""
    as_text = dict.fromkeys(columns.read_as_text, pa.string())
    typed = {
        name: arrow_type(wanted) for name, wanted in columns.wanted.items() if wanted is not None
    }
    types = {**typed, **as_text}
    try:
        table, bad = _read_csv(read, names, columns.names, types, records)
    except pa.ArrowInvalid:
        types = {**dict.fromkeys(typed, pa.string()), **as_text}
        table, bad = _read_csv(read, names, columns.names, types, records)
    times = [field.name for field in table.schema if pa.types.is_time(field.type)]
    if times:  # a time of day is text here, as it was written
        types |= dict.fromkeys(times, pa.string())
        table, bad = _read_csv(read, names, columns.names, types, records)
    return table, bad


def _read_csv(
    read: Read,
    names: tuple[str, ...],
    included: tuple[str, ...],
    types: Mapping[str, pa.DataType],
    records: bytes,
) -> tuple[pa.Table, list[tuple[int, int, int]]]:
    """The table, and (position, expected fields, actual fields) of each malformed record."""
    bad: list[tuple[int, int, int]] = []

    def skip(row: Any) -> str:
        bad.append((row.number - 1, row.expected_columns, row.actual_columns))
        return "skip"

    if not records.strip(b"\r\n"):
        empty = {name: pa.nulls(0, types.get(name, pa.null())) for name in included}
        return pa.table(empty), bad
    if not records.endswith((b"\n", b"\r")):
        records += b"\n"  # or Arrow takes an empty last field for a quoted one
    listed = read.missing_values if isinstance(read.missing_values, tuple) else ()
    table = pyarrow.csv.read_csv(
        pa.BufferReader(records),
        # One block: types are inferred from all of it, and a record may be as long as it.
        pyarrow.csv.ReadOptions(
            use_threads=False, column_names=list(names), block_size=max(len(records) + 1, 1 << 16)
        ),
        pyarrow.csv.ParseOptions(
            delimiter=read.separator,
            newlines_in_values=b'"' in records,
            invalid_row_handler=skip,
        ),
        pyarrow.csv.ConvertOptions(
            column_types=dict(types),
            include_columns=list(included),
            null_values=["", *listed],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=list(TRUE_VALUES),
            false_values=list(FALSE_VALUES),
        ),
    )
    return table, bad


def _check_quotes(read: Read, chunk: Chunk, records: bytes, start: int) -> None:
    """Arrow reads an open quote to the end of the file without a word."""
    if records.count(b'"') == 0:
        return
    ends = record_ends(np.frombuffer(records, np.uint8), read.separator, inside=False)
    if ends.open_quote is not None:
        raise unclosed_quote(chunk, start + ends.open_quote)


def _fields(read: Read, file: SourceFile, record: bytes) -> list[str]:
    text = _as_utf8(read, file, record, 0).decode()
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=read.separator)
    return next((row for row in rows if row), [])


def _given_names(read: Read, file: SourceFile, count: int) -> tuple[str, ...]:
    if read.columns is None:
        return tuple(f"column_{i + 1}" for i in range(count))
    if count and len(read.columns) != count:
        raise file.mistake(
            f"has {count} columns, and {len(read.columns)} are named",
            "name every column, in the file's order",
            key="columns",
        )
    return read.columns


def _check_header(file: SourceFile, names: tuple[str, ...]) -> None:
    double = [name for name, count in Counter(names).items() if count > 1]
    if double:
        raise file.mistake(
            f"has two columns called '{double[0]}'",
            "if the first line is a row already, add 'header: false'; with 'skip_rows: 1' and "
            "'columns:' it replaces the header",
        )
    other = next((mark for mark in ";\t|," if len(names) == 1 and mark in names[0]), None)
    if other:
        raise file.mistake(
            f"has one column only, '{names[0][:40]}'",
            f"its separator seems to be {other!r}: add 'separator: \"{_escaped(other)}\"'",
        )


def _escaped(mark: str) -> str:
    return "\\t" if mark == "\t" else mark


def _check_is_text(file: SourceFile, content: bytes) -> None:
    if content[:2] == b"\x1f\x8b" or content[:4] in (b"PK\x03\x04", b"PAR1"):
        what = {b"\x1f\x8b": "gzip", b"PK": "zip", b"PA": "Parquet"}[content[:2]]
        raise file.mistake(f"is not text but a {what} file", "correct its name or 'format:'")


def _codec(read: Read, file: SourceFile) -> str:
    try:
        return codecs.lookup(read.encoding).name.replace("-", "_")
    except LookupError:
        known = ("utf-8", "utf-16", "latin-1", "cp1252", "ascii", "shift_jis", "gb18030", "big5")
        raise UserError(
            [
                Mistake(
                    (*file.at, "encoding"),
                    f"unknown encoding '{read.encoding}'",
                    did_you_mean(read.encoding, known),
                )
            ]
        ) from None


def _can_be_cut(read: Read, file: SourceFile) -> bool:
    """Whether a newline byte is always a newline, wherever the text is cut."""
    return bool(_ASCII_COMPATIBLE.match(_codec(read, file)))


def _utf8(read: Read) -> Read:
    return read.model_copy(update={"encoding": "utf-8"})


def _as_utf8(
    read: Read, file: SourceFile, content: bytes, offset: int, is_cut: bool = False
) -> bytes:
    """Checked or transcoded; `offset` is where the bytes stand in the file, and `is_cut` says that
    the last character may be cut.

    Raises UserError with the offset of the first byte that is not of the encoding.
    """
    codec = _codec(read, file)
    if codec == "utf_8" and offset == 0 and content[:2] in _UTF16_MARKS:
        raise file.mistake(
            "is UTF-16, not UTF-8", "add 'encoding: utf-16' to the read step", key="path"
        )
    start = content[:_SNIFFED_BYTES]
    # Half of the bytes of Latin text in UTF-16 are NUL; a damaged table has a few.
    if codec == "utf_8" and start.count(0) * 3 > len(start):
        raise file.mistake(
            f"is not UTF-8: {start.count(0)} of {len(start)} bytes are NUL",
            "if it is UTF-16, add 'encoding: utf-16-le' (or utf-16-be) to the read step",
        )
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        text = decoder.decode(content, final=not is_cut)
    except UnicodeDecodeError as error:
        raise file.mistake(
            f"is not {read.encoding}: byte 0x{content[error.start]:02X} at offset "
            f"{offset + error.start:,} ({error.reason})",
            "if it is Latin-1, add 'encoding: latin-1' to the read step",
        ) from None
    if codec != "utf_8":
        return text.encode()
    return content if not is_cut else content[: len(content) - len(decoder.getstate()[0])]
