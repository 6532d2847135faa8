"""CSV text without quotes, read by a compiled scan: a third of the time that Arrow's reader takes.

The scan reads what is plain: integers, decimals, texts of few distinct values. What columns there
are, Arrow says from the text's first records; and whatever turns out not to be plain, a date or
`1e-5` or a quote, has Arrow read all of the text. So the table is the one that Arrow would make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lepton_dask.data.formats.scan_sources import SCAN

if TYPE_CHECKING:  # numba takes half a second to import
    from lepton_dask.data.formats import compiled_fields

SAMPLE_BYTES = 1 << 15
"""Of the text, from which Arrow says what the columns are."""

FEWEST_VALUES = 32
"""In the sample: with fewer, many distinct ones mean nothing."""

ROOM = 1.1
"""How many times the rows that the first records promise there is room for. To count the lines of
16 MiB takes 2 ms of 37."""
ROOM_STEP = 4096
"""What that is rounded up to: chunks that take memory of one size take the same memory again."""

MOST_IN_A_BYTE = 127

_compiled = Event()


class Scanned(NamedTuple):
    """What the compiled scan made of n records: C columns' final kinds, their cells, the distinct
    texts, and what it counted."""

    kinds: NDArray[np.int8]
    cells: compiled_fields.Cells
    texts: list[list[bytes]]
    found: compiled_fields.Found


def warm_up() -> None:
    """Compiles the scan, which takes seconds once an installation, or reads it from the disk: a
    fraction of one, most of it numba's import. Until it has returned, `read_plain` reads nothing.
    """
    from lepton_dask.data.formats import compiled_fields as fields

    with SCAN.making("scan"):
        _scanned(b"1,x\n" * 32, ",", (), np.array([fields.INTEGER, fields.TEXT], np.int8))
        _count_compiled(pa.array([0], pa.int8()).to_numpy(), 1)
    _compiled.set()


def is_ready() -> bool:
    """Whether this process has the scan compiled."""
    return _compiled.is_set()


def count_codes(codes: NDArray[Any], distinct: int) -> NDArray[np.int64]:
    """How often each of 0 to `distinct` - 1 occurs among codes of Arrow's: compiled, in a third of
    numpy's time, where the scan is, and they are bytes as it makes them."""
    if is_ready() and codes.dtype == np.int8:
        return _count_compiled(codes, distinct)
    return np.bincount(codes, minlength=distinct).astype(np.int64)


def _count_compiled(codes: NDArray[np.int8], distinct: int) -> NDArray[np.int64]:
    from lepton_dask.data.formats import compiled_fields as fields

    counts = np.zeros((4, distinct), np.int64)
    fields.count_codes(codes, counts)
    summed: NDArray[np.int64] = counts.sum(axis=0)
    return summed


def read_plain(
    records: bytes,
    names: Sequence[str],
    separator: str,
    missing: Sequence[str],
    types: Mapping[str, pa.DataType],
    sampled: Callable[[bytes], pa.Table],
) -> pa.Table | None:
    """UTF-8 records of the fields `names` as Arrow's reader makes them, with texts as dictionaries;
    None where the scan is not compiled yet, or cannot read them.

    `missing` are the fields that stand for a missing value, `types` those that columns have to
    have. `sampled` is Arrow's reading of records: what it makes of the first ones is what columns
    are read, and in which order.
    """
    end = records.rfind(b"\n", 0, SAMPLE_BYTES) + 1
    if not is_ready() or not end or not records.endswith(b"\n") or not separator.isascii():
        return None
    try:
        sample = sampled(records[:end])
    except pa.ArrowInvalid:
        return None
    kinds = _kinds(names, sample)
    scanned = None if kinds is None else _scanned(records, separator, missing, kinds)
    if scanned is None:
        return None
    places = {name: place for place, name in enumerate(names)}
    arrays = [_array(scanned, places[name]) for name in sample.column_names]
    table = pa.Table.from_arrays(arrays, names=sample.column_names)
    return table if _has_types(table, types) else None


def _kinds(names: Sequence[str], sample: pa.Table) -> NDArray[np.int8] | None:
    """What the scan has to read in each field; None where it is to read none of it."""
    from lepton_dask.data.formats import compiled_fields as fields

    kinds = np.full(len(names), fields.SKIPPED, np.int8)
    places = {name: place for place, name in enumerate(names)}
    for name, column in zip(sample.column_names, sample.columns, strict=True):
        place = places[name]
        if pa.types.is_int64(column.type):
            kinds[place] = fields.INTEGER
        elif pa.types.is_float64(column.type):
            kinds[place] = fields.NUMBER
        elif pa.types.is_null(column.type):
            kinds[place] = fields.EMPTY
        elif _is_text(column.type) and not _is_mostly_distinct(column):
            kinds[place] = fields.TEXT
        else:
            return None
    return kinds


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(type_) or pa.types.is_string(type_))


def _is_mostly_distinct(texts: pa.ChunkedArray) -> bool:
    """Whether a dictionary of them would be another copy of them."""
    present = len(texts) - texts.null_count
    if present < FEWEST_VALUES:
        return False
    is_one_dictionary = pa.types.is_dictionary(texts.type) and texts.num_chunks == 1
    distinct = texts.chunk(0).dictionary if is_one_dictionary else texts.unique()
    return bool(2 * len(distinct) > present)


def _has_types(table: pa.Table, types: Mapping[str, pa.DataType]) -> bool:
    """Whether the columns kept the types that they have to have; texts may be dictionaries."""
    return all(
        table[name].type == type_ or (_is_text(type_) and _is_text(table[name].type))
        for name, type_ in types.items()
        if name in table.column_names
    )


def _scanned(
    records: bytes, separator: str, missing: Sequence[str], kinds: NDArray[np.int8]
) -> Scanned | None:
    from lepton_dask.data.formats import compiled_fields as fields

    # A record needs a newline: that they are counted is only for texts whose lines differ much.
    outcome, scanned = _scanned_into(_expected_rows(records), records, separator, missing, kinds)
    if outcome == fields.TOO_MANY_ROWS:
        rows = fields.count_lines(np.frombuffer(records, np.uint8))
        outcome, scanned = _scanned_into(rows, records, separator, missing, kinds)
    return scanned if outcome == fields.DONE else None


def _expected_rows(records: bytes) -> int:
    """Room for the records if those behind the first are about as long."""
    begin = records[:SAMPLE_BYTES]
    rows = int(ROOM * len(records) * begin.count(b"\n") / len(begin))
    return rows + ROOM_STEP - rows % ROOM_STEP


def _scanned_into(
    rows: int, records: bytes, separator: str, missing: Sequence[str], kinds: NDArray[np.int8]
) -> tuple[int, Scanned]:
    """The scan's outcome with room for so many rows, and what it found until then."""
    from lepton_dask.data.formats import compiled_fields as fields
    from lepton_dask.data.formats.vectors import VECTOR_BYTES

    columns, kinds = len(kinds), kinds.copy()
    integers = np.empty((columns, rows), np.int64)
    cells = fields.Cells(
        integers,
        integers.view(np.float64),
        integers.view(np.int16),
        np.zeros((columns, rows), np.bool_),
    )
    texts = fields.Texts(
        np.full(fields.SLOTS, -1, np.int32),
        np.empty((fields.MOST_DISTINCT, 3), np.int64),
        np.empty(fields.TEXT_BYTES, np.uint8),
    )
    found = fields.Found(
        np.zeros(3, np.int64), np.zeros(columns, np.int64), np.zeros(columns, np.int64)
    )
    # The scan looks beyond a record's end: the last ones are scanned in a copy with room there.
    cut = records.rfind(b"\n", 0, max(0, len(records) - VECTOR_BYTES)) + 1
    rest = records[cut:]
    padded = rest + bytes(VECTOR_BYTES)
    outcome = fields.DONE
    for text, stop in ((records, cut), (padded, len(rest))):
        outcome = fields.scan(
            np.frombuffer(text, np.uint8),
            stop,
            np.uint8(ord(separator)),
            kinds,
            _missing_texts(missing),
            cells,
            texts,
            found,
        )
        if outcome != fields.DONE:
            break
    return outcome, Scanned(kinds, cells, _distinct(texts, found), found)


def _distinct(texts: compiled_fields.Texts, found: compiled_fields.Found) -> list[list[bytes]]:
    """Each column's distinct texts by their codes."""
    by_column: list[list[bytes]] = [[] for _ in found.distinct]
    entries = texts.entries[: found.totals[1]]
    held = texts.bytes[: found.totals[2]].tobytes()
    columns, lengths = entries[:, 0] >> 32, entries[:, 0] & 0xFFFFFFFF
    ends = entries[:, 1] + lengths
    # The texts of a column were met, and so entered, in the order of their codes.
    for column, start, end, code in zip(
        columns.tolist(), entries[:, 1].tolist(), ends.tolist(), entries[:, 2].tolist(), strict=True
    ):
        if code >= 0:
            by_column[column].append(held[start:end])
    return by_column


def _missing_texts(missing: Sequence[str]) -> compiled_fields.MissingTexts:
    from lepton_dask.data.formats import compiled_fields as fields

    texts = [text.encode() for text in missing]
    lengths = [len(text) for text in texts]
    starts = list(accumulate(lengths, initial=0))[:-1]
    return fields.MissingTexts(
        np.array(starts, np.int64),
        np.array(lengths, np.int64),
        np.frombuffer(b"".join(texts) + b"\0", np.uint8),
    )


def _array(scanned: Scanned, place: int) -> pa.Array:
    """A column, in memory of its own."""
    from lepton_dask.data.formats import compiled_fields as fields

    kind, rows = scanned.kinds[place], int(scanned.found.totals[0])
    if kind == fields.EMPTY:
        return pa.nulls(rows)
    if kind == fields.TEXT:
        return _dictionary(scanned, place)
    cells = scanned.cells.integers if kind == fields.INTEGER else scanned.cells.floats
    missing = scanned.cells.missing[place, :rows] if scanned.found.missing[place] else None
    return pa.array(cells[place, :rows].copy(), mask=missing)


def _dictionary(scanned: Scanned, place: int) -> pa.DictionaryArray:
    """Texts as codes of a byte where they fit one, and of Arrow's own 4 where not."""
    texts = scanned.texts[place]
    codes = scanned.cells.codes[place, : scanned.found.totals[0]]
    code_type = np.int8 if len(texts) <= MOST_IN_A_BYTE else np.int32
    if scanned.found.missing[place]:
        # No code may lead out of the dictionary, not even that of a missing text.
        indices = pa.array(np.maximum(codes, 0).astype(code_type), mask=codes < 0)
    else:
        indices = pa.array(codes.astype(code_type))
    return pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()), safe=False)
