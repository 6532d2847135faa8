"""Where in its file a character of a scalar stands.

A scalar's value is what is left of its source once quotes, escapes, indentation and line breaks are
dealt with. What these change are blanks alone, so the characters that are not blank are counted in
both: the n-th of the value is the n-th of the source, an escape being one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lepton_dask.config.nodes import Mark, ScalarNode

_BLANKS = " \t\r\n\x85\u2028\u2029"
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
_HEADER = re.compile(r"[^\r\n\x85\u2028\u2029]*")
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_BLANK_ESCAPES = "tnrNLP \t"

Unit = tuple[int, int]
"""Where one character of a value starts in the source, and where it ends."""


def mark_in(node: ScalarNode, offset: int) -> Mark:
    """Where the character at `offset` (from 0) of a text value stands; behind the last one where
    the text has no more.

    The scalar's own place where its value came through a reference, or is no text.
    """
    if node.referred or not isinstance(node.value, str):
        return node.mark
    source, value = node.mark.source, node.value
    before = value[:offset].rstrip(_BLANKS)
    count = sum(character not in _BLANKS for character in before)
    is_blank = value[offset : offset + 1] in _BLANKS  # so is the end: '' is in every text
    units = _units(source.text, source.index(node.mark))
    start, end = -1, -1
    for _ in range(count + (not is_blank)):
        start, end = next(units, (-1, -1))
    if start < 0:
        return node.mark
    if not is_blank:
        return source.mark_at(start)
    # A blank on the line of the character before it; the end of that line where it was folded.
    line_end = _HEADER.match(source.text, end)
    behind = end + offset - len(before)
    return source.mark_at(min(behind, line_end.end() if line_end else end))


def _units(text: str, start: int) -> Iterator[Unit]:
    """The characters of a scalar that are not blank, from its first on. What follows a plain or a
    block scalar is not told from it: the caller knows how many to take."""
    properties = _PROPERTIES.match(text, start)
    start = properties.end() if properties else start
    match text[start : start + 1]:
        case "'":
            return _single_quoted(text, start + 1)
        case '"':
            return _double_quoted(text, start + 1)
        case "|" | ">":
            header = _HEADER.match(text, start)
            return _plain(text, header.end() if header else start)
        case _:
            return _plain(text, start)


def _plain(text: str, start: int) -> Iterator[Unit]:
    for i in range(start, len(text)):
        if text[i] not in _BLANKS:
            yield i, i + 1


def _single_quoted(text: str, start: int) -> Iterator[Unit]:
    i = start
    while i < len(text):
        length = 2 if text[i : i + 2] == "''" else 1
        if text[i] not in _BLANKS:
            yield i, i + length
        i += length


def _double_quoted(text: str, start: int) -> Iterator[Unit]:
    i = start
    while i < len(text):
        escape = _ESCAPE.match(text, i)
        end = escape.end() if escape else i + 1
        if not (_is_blank_escape(escape[0]) if escape else text[i] in _BLANKS):
            yield i, end
        i = end


def _is_blank_escape(escape: str) -> bool:
    """Whether an escape stands for a blank, or for nothing: a line that goes on in the next."""
    if escape[1] in "xuU":
        return chr(int(escape[2:], 16)) in _BLANKS
    return escape[1] in _BLANK_ESCAPES + _BLANKS
