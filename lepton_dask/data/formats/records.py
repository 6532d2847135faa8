"""Where records end in text whose quotes may hold newlines, cut anywhere.

A cut is moved to just behind the first newline byte that follows it. There, a reader of the whole
file is in one of two states: at the start of a record, or inside a quoted field. A chunk is scanned
under both, side by side with the others, and the driver then walks through the answers: each
chunk's state at the end is the next one's at its start (the idea is from Ge, Li, Eilebrecht,
Chandramouli and Kossmann, "Speculative distributed CSV data parsing for big data analytics",
SIGMOD 2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.chunks import Chunk
from lepton_dask.data.content import open_file
from lepton_dask.errors import UserError

Positions = NDArray[np.int64]
Bytes = NDArray[np.uint8]

_NEWLINE, _RETURN, _QUOTE = 10, 13, 34
_LOOK_AHEAD_BYTES = 1 << 16
_CACHED_BYTES = 1 << 18


class Outcome(NamedTuple):
    """A chunk's scan under one assumption about the state at its start.

    first      offset in the file of the first record that starts in the chunk, if any does
    records    how many records start in it, blank lines left out
    open_quote offset of the quote that is open at the chunk's end, if one is; -1 where it was open
               at the start already
    """

    first: int | None
    records: int
    open_quote: int | None


@dataclass(frozen=True)
class Scan:
    """What a chunk's bytes say of its records; `inside` is None where the format has no quotes."""

    outside: Outcome
    inside: Outcome | None


class Ends(NamedTuple):
    """Positions of the newline bytes that end records, and of the quote left open at the end: -1
    where it was open at the start already."""

    positions: Positions
    open_quote: int | None


def record_ends(text: Bytes, separator: str | None, inside: bool) -> Ends:
    """The ends of the records in a text that starts at a record (or `inside` a quoted field).

    A quote opens a field only as the field's first byte, as in Arrow's reader; elsewhere in an
    unquoted field it is an ordinary character. `separator` None: the format has no quotes.
    """
    newlines = _newlines(text)
    quotes = np.flatnonzero(text == _QUOTE) if separator is not None else newlines[:0]
    if quotes.size == 0:
        return Ends(newlines[:0], -1) if inside else Ends(newlines, None)
    may_open = _may_open(text, quotes, ord(separator or ","))
    opening = np.arange(inside, quotes.size, 2)
    # A quote right behind the one that closes the field is the second half of an escaped quote.
    escaped = np.zeros(quotes.size, bool)
    escaped[1:] = np.diff(quotes) == 1
    if bool((may_open | escaped)[opening].all()):
        before = np.searchsorted(quotes, newlines)
        ends = newlines[(before + inside) % 2 == 0]
        is_open = (quotes.size + inside) % 2 == 1
        last = quotes[opening[-1]] if opening.size else -1
        return Ends(ends, _opened(quotes, escaped, int(last)) if is_open else None)
    opened, closed = _walked(quotes, may_open, escaped, inside)
    within = np.searchsorted(opened, newlines) > np.searchsorted(closed, newlines)
    return Ends(newlines[~within], int(opened[-1]) if len(opened) > len(closed) else None)


def scan_records(chunk: Chunk, data_start: int, separator: str | None) -> Scan:
    """Scans the chunk between its own cuts, moved to the newlines behind them."""
    with open_file(chunk.file) as stream:
        start, stop = _moved_cuts(stream, chunk, data_start)
        records = _count_lines(stream, start, stop, quoted=separator is not None)
        if records is not None:
            return plain_scan(start, records, separator)
        stream.seek(start)
        text = np.frombuffer(stream.read(stop - start), np.uint8)
    outside = _outcome(text, start, separator, inside=False)
    if separator is None:
        return Scan(outside, None)
    return Scan(outside, _outcome(text, start, separator, inside=True))


def plain_scan(start: int, records: int, separator: str | None) -> Scan:
    """What there is to say of a chunk in which no quote stands, and only newlines end records."""
    inside = None if separator is None else Outcome(None, 0, -1)
    return Scan(Outcome(start if records else None, records, None), inside)


def lines_between(chunk: Chunk, data_start: int) -> tuple[int, bytes]:
    """The text between the chunk's own cuts, moved to the newlines behind them, and where in the
    file it starts: the chunk's records, unless quotes or carriage returns end or hold lines."""
    with open_file(chunk.file) as stream:
        start, stop = _moved_cuts(stream, chunk, data_start)
        stream.seek(start)
        return start, stream.read(stop - start)


def _moved_cuts(stream: IO[bytes], chunk: Chunk, data_start: int) -> tuple[int, int]:
    start = max(_behind_newline(stream, chunk.start), data_start) if chunk.index else data_start
    return start, max(_behind_newline(stream, chunk.stop), start)


def _count_lines(stream: IO[bytes], start: int, stop: int, *, quoted: bool) -> int | None:
    """Lines that are not blank, at the speed of memory; None where the text has carriage returns,
    or quotes that may mean something."""
    records, before = 0, True
    stream.seek(start)
    while start < stop:
        block = stream.read(min(_CACHED_BYTES, stop - start))
        if not block:
            break
        start += len(block)
        if b"\r" in block or (quoted and b'"' in block):
            return None
        ends = np.frombuffer(block, np.uint8) == _NEWLINE
        # A line is blank where a newline follows a newline.
        records += int(np.count_nonzero(ends) - np.count_nonzero(ends[1:] & ends[:-1]))
        records -= int(before and ends[0])
        before = bool(ends[-1])
    return records + int(not before)


def settle_records(chunks: Sequence[Chunk], scans: Sequence[Scan]) -> tuple[Chunk, ...]:
    """The chunks of one file with exact bounds, first row numbers and counts of records.

    Chunks in which no record starts are left out, but for the first.

    Raises UserError where a quote is never closed.
    """
    settled: list[Chunk] = []
    rows, open_quote = 0, None
    for chunk, scan in zip(chunks, scans, strict=True):
        outcome = scan.outside if open_quote is None or scan.inside is None else scan.inside
        if outcome.first is not None or chunk.index == 0:
            first = chunk.start if outcome.first is None else outcome.first
            settled.append(replace(chunk, start=first, first_row=rows, rows=outcome.records))
        rows += outcome.records
        # -1: the field that was open before the chunk is open still.
        open_quote = open_quote if outcome.open_quote == -1 else outcome.open_quote
    file = chunks[0].file
    if open_quote is not None:
        raise unclosed_quote(chunks[0], open_quote)
    stops = [chunk.start for chunk in settled[1:]] + [file.size_bytes]
    return tuple(replace(chunk, stop=stop) for chunk, stop in zip(settled, stops, strict=True))


def unclosed_quote(chunk: Chunk, offset: int) -> UserError:
    return chunk.file.mistake(
        f"has a quote at byte {offset:,} that is never closed",
        "close it, or write it twice inside a quoted field",
    )


def count_records(text: Bytes, ends: Positions) -> int:
    """Records that end at `ends` or at the end of the text, blank lines left out."""
    tail = text.size > (ends[-1] + 1 if ends.size else 0)
    return int(np.count_nonzero(~_blank(text, ends))) + int(tail)


def without_records(
    content: bytes, separator: str | None, byte: int
) -> tuple[bytes, NDArray[np.int64]]:
    """A text that starts at a record without the records that hold a byte, and the positions of
    these among all of its records."""
    text = np.frombuffer(content, np.uint8)
    ends = record_ends(text, separator, inside=False).positions
    starts = np.concatenate([np.zeros(1, np.int64), ends + 1])
    stops = np.concatenate([ends + 1, np.array([text.size])])
    holding = np.unique(np.searchsorted(ends, np.flatnonzero(text == byte)))
    kept = np.ones(text.size, bool)
    for record in holding:
        kept[starts[record] : stops[record]] = False
    counted = np.concatenate([~_blank(text, ends), np.ones(1, bool)])
    return text[kept].tobytes(), (np.cumsum(counted) - 1)[holding]


def _newlines(text: Bytes) -> Positions:
    """Line feeds, and carriage returns that no line feed follows."""
    feeds = np.flatnonzero(text == _NEWLINE)
    returns = np.flatnonzero(text == _RETURN)
    if returns.size:
        behind = np.minimum(returns + 1, text.size - 1)
        alone = returns[text[behind] != _NEWLINE]
        feeds = np.sort(np.concatenate([feeds, alone])) if alone.size else feeds
    return feeds


def _may_open(text: Bytes, quotes: Positions, separator: int) -> NDArray[np.bool_]:
    """Whether a quote stands where a field starts."""
    before = text[np.maximum(quotes - 1, 0)]
    starts = (before == separator) | (before == _NEWLINE) | (before == _RETURN)
    return np.asarray(starts | (quotes == 0))


def _opened(quotes: Positions, escaped: NDArray[np.bool_], last: int) -> int:
    """The quote that opened the field in which `last` stands, going back over escaped pairs."""
    if last < 0:
        return -1
    i = int(np.searchsorted(quotes, last))
    while i >= 1 and escaped[i]:
        i -= 2
    return int(quotes[i]) if i >= 0 else -1


def _walked(
    quotes: Positions, may_open: NDArray[np.bool_], escaped: NDArray[np.bool_], inside: bool
) -> tuple[list[int], list[int]]:
    """Quote by quote: where fields open and close. For text with stray quotes."""
    openers = np.flatnonzero(may_open)
    opened: list[int] = [-1] if inside else []
    closed: list[int] = []
    i = 0
    while i < quotes.size:
        if len(opened) == len(closed):
            j = int(np.searchsorted(openers, i))
            if j == openers.size:
                break
            i = int(openers[j])
            opened.append(int(quotes[i]))
            i += 1
        elif i + 1 < quotes.size and escaped[i + 1]:
            i += 2
        else:
            closed.append(int(quotes[i]))
            i += 1
    return opened, closed


def _blank(text: Bytes, ends: Positions) -> NDArray[np.bool_]:
    """Whether nothing stands between a record's end and the newline before it."""
    last = ends - 1
    after_return = (text[ends] == _NEWLINE) & (last >= 0) & (text[np.maximum(last, 0)] == _RETURN)
    last = last - after_return
    before = text[np.maximum(last, 0)]
    return np.asarray((last < 0) | (before == _NEWLINE) | (before == _RETURN))


def _outcome(text: Bytes, start: int, separator: str | None, inside: bool) -> Outcome:
    ends, open_quote = record_ends(text, separator, inside)
    position = open_quote if open_quote is None or open_quote < 0 else start + open_quote
    if not inside:
        records = count_records(text, ends)
        return Outcome(start if records else None, records, position)
    if ends.size == 0:
        return Outcome(None, 0, position)
    behind = int(ends[0]) + 1
    records = count_records(text[behind:], ends[1:] - behind)
    return Outcome(start + behind if records else None, records, position)


def _behind_newline(stream: IO[bytes], position: int) -> int:
    """The offset behind the first line feed at or after a position, or the end of the file."""
    for offset, block in _blocks(stream, position):
        found = block.find(b"\n")
        if found >= 0:
            return offset + found + 1
        position = offset + len(block)
    return position


def _blocks(stream: IO[bytes], position: int) -> Iterator[tuple[int, bytes]]:
    stream.seek(position)
    while block := stream.read(_LOOK_AHEAD_BYTES):
        yield position, block
        position += len(block)
