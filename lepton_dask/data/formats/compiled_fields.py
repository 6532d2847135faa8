"""The fields of CSV text without quotes, compiled: numbers, and texts as codes, which are counted.

Text is looked at 32 bytes at a time, for the byte that ends a field: LLVM makes compares of vectors
of whatever instructions the processor has. Each field is then converted at once, while it is in the
processor's nearest cache. Whatever is not plain ends the scan with a reason, and the caller has
Arrow read the text: nothing here guesses what a text may mean.

It imports numba: import it where it is about to be called, and nowhere else.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.formats.vectors import (
    VECTOR_BYTES,
    compiled,
    differing_bytes,
    inlined,
    lowest_bit,
    special_bytes,
    word,
)

SKIPPED, EMPTY, INTEGER, NUMBER, TEXT = range(5)
"""What a column holds: it is not wanted; no value so far; ..."""

DONE, NOT_PLAIN, TOO_MANY_TEXTS, TOO_MANY_ROWS = range(4)

MOST_DISTINCT = 1 << 14
"""Texts of all columns together: their codes fit 16 bits, and their table the cache."""
SLOTS = 1 << 15
TEXT_BYTES = 1 << 20
MOST_PROBES = 64
MOST_DIGITS = 18
"""An integer of so many digits fits 64 bits."""
EXACT_DIGITS = 15
"""Of a decimal: its digits are an integer, and its power of ten another number, that float64 holds
exactly, so that their quotient is rounded once (Clinger, "How to read floating point numbers
accurately", PLDI 1990)."""
POWERS = 10.0 ** np.arange(EXACT_DIGITS + 1)

_NEWLINE, _TAB, _SPACE, _MINUS, _POINT = (ord(each) for each in "\n\t -.")
_MIX = np.int64(-7046029254386353131)  # 2^64 / the golden ratio, and primes of xxHash64
_MIX_LAST = np.int64(-4417276706812531889)
_MIX_MIDDLE = np.int64(1609587929392839161)


class MissingTexts(NamedTuple):
    """The fields that stand for a missing value: `bytes[starts[k] : starts[k] + lengths[k]]`."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    bytes: NDArray[np.uint8]


class Cells(NamedTuple):
    """The values of C columns, room for n rows each.

    `integers` (C, n) and `floats` (C, n) are the same memory, and `codes` (C, 4 n), of which the
    first n count; `missing` (C, n). A missing number is 0, a missing text has the code -1; of a
    column that is EMPTY still no cell is set.
    """

    integers: NDArray[np.int64]
    floats: NDArray[np.float64]
    codes: NDArray[np.int16]
    missing: NDArray[np.bool_]


class Texts(NamedTuple):
    """The distinct texts of all columns: a hash table of `slots`, -1 where free, which are rows of
    `entries` (column and length in one, start in `bytes`, code)."""

    slots: NDArray[np.int32]
    entries: NDArray[np.int64]
    bytes: NDArray[np.uint8]


class Found(NamedTuple):
    """What a scan counts: `totals` rows, entries, bytes of texts; by column, missing values and
    distinct texts."""

    totals: NDArray[np.int64]
    missing: NDArray[np.int64]
    distinct: NDArray[np.int64]


@compiled
def scan(  # noqa: PLR0915 - in pieces numba counts references to their arrays: 100 ms, not 27
    text: NDArray[np.uint8],
    stop: int,
    separator: np.uint8,
    kinds: NDArray[np.int8],
    missing_texts: MissingTexts,
    cells: Cells,
    texts: Texts,
    found: Found,
) -> int:
    """Reads the records of text[:stop], the last of which ends with a newline, into the cells
    behind those that are there; VECTOR_BYTES behind `stop` have to be readable.

    `kinds` (C,) says what the columns hold, and changes: a column EMPTY so far becomes what its
    first value is, and one of integers one of numbers. Returns DONE, or why it gave up: NOT_PLAIN
    for a record with other fields than there are columns, a byte that plain text does not have, and
    a value that may be something else than the column's kind; TOO_MANY_TEXTS; TOO_MANY_ROWS for the
    cells.
    """
    # Arrays taken out of a tuple inside of the loop would be counted as references, each time.
    missing_starts, missing_lengths, missing_bytes = missing_texts
    integers, floats, codes, missing = cells
    slots, entries, held = texts
    totals, missing_counts, distinct = found
    row, at, columns, room = totals[0], 0, len(kinds), missing.shape[1]
    while at < stop:
        if text[at] == _NEWLINE:  # a blank line
            at += 1
            continue
        if row == room:
            return TOO_MANY_ROWS
        for column in range(columns):
            begin = at
            bits = special_bytes(text, at, separator)
            while bits == 0:
                at += VECTOR_BYTES
                bits = special_bytes(text, at, separator)
            end = at + lowest_bit(bits)
            if text[end] != (_NEWLINE if column == columns - 1 else separator):
                return NOT_PLAIN
            at = end + 1
            kind = kinds[column]
            if kind == EMPTY and not is_missing(
                text, begin, end, missing_starts, missing_lengths, missing_bytes
            ):
                kind = first_kind(text, begin, end)
                if kind == EMPTY:
                    return NOT_PLAIN
                kinds[column] = kind
                for before in range(row):
                    if kind == TEXT:
                        codes[column, before] = -1
                    else:
                        integers[column, before] = 0
            if kind == TEXT:
                length = end - begin
                name = (np.int64(column) << 32) + length
                slot = first_slot(text, begin, end, name)
                entry = np.int64(-1)
                for _ in range(MOST_PROBES):
                    entry = np.int64(slots[slot])
                    if entry < 0 or (
                        entries[entry, 0] == name
                        and are_equal(text, begin, held, entries[entry, 1], length)
                    ):
                        break
                    entry = np.int64(-1)
                    slot = (slot + 1) & (SLOTS - 1)
                if entry < 0:
                    entry, start = totals[1], totals[2]
                    is_full = entry == len(entries) or start + length + VECTOR_BYTES > len(held)
                    if is_full or slots[slot] >= 0:
                        return TOO_MANY_TEXTS
                    for k in range(length):
                        held[start + k] = text[begin + k]
                    code = np.int64(-1)
                    if not is_missing(
                        text, begin, end, missing_starts, missing_lengths, missing_bytes
                    ):
                        code = distinct[column]
                        distinct[column] += 1
                    entries[entry, 0], entries[entry, 1], entries[entry, 2] = name, start, code
                    slots[slot] = entry
                    totals[1], totals[2] = entry + 1, start + length
                code = entries[entry, 2]
                codes[column, row] = code
                missing_counts[column] += code < 0
            elif kind != SKIPPED:
                if is_missing(text, begin, end, missing_starts, missing_lengths, missing_bytes):
                    missing[column, row] = True
                    missing_counts[column] += 1
                    if kind != EMPTY:
                        integers[column, row] = 0  # the bits of 0.0, too
                    continue
                digits, decimals, is_negative = plain_number(text, begin, end)
                if decimals < 0:
                    return NOT_PLAIN
                if kind == INTEGER and decimals == 0:
                    if is_negative and digits == 0:
                        return NOT_PLAIN  # as a float64 it is another number than as an integer
                    integers[column, row] = -digits if is_negative else digits
                    continue
                if kind == INTEGER:
                    kinds[column] = NUMBER
                    for before in range(row):
                        floats[column, before] = float(integers[column, before])
                value = float(digits)
                if decimals > 0:
                    value /= POWERS[decimals]
                floats[column, row] = -value if is_negative else value
        row += 1
        totals[0] = row
    return DONE


@compiled
def count_lines(text: NDArray[np.uint8]) -> int:
    """How many newlines there are."""
    lines = 0
    for byte in text:
        lines += byte == _NEWLINE
    return lines


@compiled
def count_codes(codes: NDArray[np.int8], counts: NDArray[np.int64]) -> None:
    """Adds how often each code occurs, none of them negative, to counts (4, n), the sum of whose
    rows it is: of one row a counter that is mostly the same would wait for itself each time."""
    for i in range(len(codes)):
        counts[i & 3, np.uint8(codes[i])] += 1


@inlined
def plain_number(text: NDArray[np.uint8], begin: int, end: int) -> tuple[int, int, bool]:
    """The digits of a field as one integer, how many of them stand behind the point, and whether
    there is a minus. -1 of them stand there where the field is no plain number."""
    while begin < end and (text[begin] == _SPACE or text[begin] == _TAB):
        begin += 1
    while end > begin and (text[end - 1] == _SPACE or text[end - 1] == _TAB):
        end -= 1
    is_negative = begin < end and text[begin] == _MINUS
    at = begin + 1 if is_negative else begin
    first = at
    digits = np.int64(0)
    while at < end and 48 <= text[at] <= 57:
        digits = digits * 10 + (np.int64(text[at]) - 48)
        at += 1
    whole, decimals = at - first, 0
    if at < end and text[at] == _POINT:
        at += 1
        while at < end and 48 <= text[at] <= 57:
            digits = digits * 10 + (np.int64(text[at]) - 48)
            at += 1
            decimals += 1
        if decimals == 0 or whole + decimals > EXACT_DIGITS:
            decimals = -1
    if at < end or whole == 0 or whole > MOST_DIGITS:
        decimals = -1
    return int(digits), decimals, bool(is_negative)


@inlined
def first_kind(text: NDArray[np.uint8], begin: int, end: int) -> int:
    """What a column holds whose first value this is; EMPTY where it may be one of many things: a
    truth value, a moment, a number as they are seldom written."""
    _, decimals, _ = plain_number(text, begin, end)
    if decimals >= 0:
        return INTEGER if decimals == 0 else NUMBER
    while begin < end and (text[begin] == _SPACE or text[begin] == _TAB):
        begin += 1
    if begin == end:
        return EMPTY
    lower = text[begin] | 32
    # t, f: true, false; n, i: nan, infinity.
    is_text = 97 <= lower <= 122 and lower not in (116, 102, 110, 105)
    return TEXT if is_text else EMPTY


@inlined
def is_missing(
    text: NDArray[np.uint8],
    begin: int,
    end: int,
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    texts: NDArray[np.uint8],
) -> bool:
    """Whether a field is one of those that stand for a missing value."""
    for k in range(len(lengths)):
        length = lengths[k]
        if length == end - begin:
            same = 0
            while same < length and text[begin + same] == texts[starts[k] + same]:
                same += 1
            if same == length:
                return True
    return False


@inlined
def first_slot(text: NDArray[np.uint8], begin: int, end: int, name: int) -> int:
    """Where to look for a text first: from its first 8 bytes, its last, those in the middle."""
    length = end - begin
    first = word(text, begin)
    mixed = name * _MIX_MIDDLE
    if length >= 8:
        mixed ^= word(text, end - 8) * _MIX_LAST
        mixed ^= word(text, begin + ((length - 8) >> 1)) * _MIX_MIDDLE
    else:
        first &= (np.int64(1) << np.int64(8 * length)) - 1
    mixed ^= first * _MIX
    mixed ^= (mixed >> 32) & 0xFFFFFFFF
    return int(((mixed * _MIX) >> 40) & (SLOTS - 1))


@inlined
def are_equal(a: NDArray[np.uint8], i: int, b: NDArray[np.uint8], j: int, length: int) -> bool:
    """Whether a[i : i + length] and b[j : j + length] are the same bytes."""
    differing = np.int64(0)
    for done in range(0, length, VECTOR_BYTES):
        left = min(length - done, VECTOR_BYTES)
        compared = (np.int64(1) << np.int64(left)) - 1
        differing |= compared & differing_bytes(a, i + done, b, j + done)
    return bool(differing == 0)
