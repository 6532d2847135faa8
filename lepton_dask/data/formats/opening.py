"""The first lines of a CSV file: its columns' names, and where its records start."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.content import SourceFile
from lepton_dask.data.formats.encoding import as_utf8, in_utf8
from lepton_dask.data.formats.records import record_ends
from lepton_dask.data.read import Read
from lepton_dask.errors import UserError

OPENING_BYTES = 1 << 20
"""The header must lie within this many bytes."""

_SHORT_BYTES = 1 << 14
_NO_BYTES = np.empty(0, np.uint8)


@dataclass(frozen=True)
class Opening:
    """What the first bytes of a file say: the columns' names and where the first record starts."""

    names: tuple[str, ...]
    data_start: int


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
    end = _first_end(text[:OPENING_BYTES], read.separator)
    stop = len(content) if end is None else start + end + 1
    fields = _fields(read, file, content[start:stop])
    if not read.header:
        return Opening(_given_names(read, file, len(fields)), start)
    if not fields:
        raise file.mistake("has no header", "it holds no line behind the rows skipped")
    names = tuple(name or f"column_{i + 1}" for i, name in enumerate(fields))
    _check_header(file, names)
    return Opening(names, stop)


def _first_end(text: NDArray[np.uint8], separator: str) -> int | None:
    """Where the first record ends: headers are short, so the first bytes are looked at alone."""
    for size in (_SHORT_BYTES, text.size):
        ends = record_ends(text[:size], separator, inside=False).positions
        # The last bytes may mean something else with what follows: '\r' before '\n', a quote
        # before a quote.
        if ends.size and (size >= text.size or ends[0] < size - 2):
            return int(ends[0])
    return None


def no_row_fits(
    read: Read, file: SourceFile, names: tuple[str, ...], records: bytes, what: str
) -> UserError:
    """What to write where every row is longer or shorter than the header."""
    ends = record_ends(np.frombuffer(records, np.uint8), read.separator, inside=False).positions
    first = records[: int(ends[0]) + 1] if ends.size else records
    fields = len(_fields(in_utf8(read), file, first))
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


def _fields(read: Read, file: SourceFile, record: bytes) -> list[str]:
    text = as_utf8(read, file, record, 0).decode()
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
    with_nul = next((name for name in names if "\0" in name), None)
    if with_nul is not None:
        raise file.mistake(f"has a NUL byte in the name {with_nul!r}", "mend its header")
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
