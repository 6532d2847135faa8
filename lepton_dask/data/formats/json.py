"""Whole JSON documents: an array of rows, at the top or where a pointer leads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NoReturn

from dask.utils import format_bytes

from lepton_dask.data.chunks import Chunk, ParsedChunk, whole_file
from lepton_dask.data.content import SourceFile, read_content
from lepton_dask.data.formats.jsonl import check_utf8, parse_objects
from lepton_dask.data.read import Read
from lepton_dask.data.types import Schema
from lepton_dask.data.wanted import RawChunk, finish
from lepton_dask.errors import UserError
from lepton_dask.suggest import counted, did_you_mean, listed

MAX_DOCUMENT_BYTES = 256 << 20
"""A document is parsed in one piece, by every pointer into it, and takes about 6 times its size in
memory meanwhile: 550 MiB, and 12 s, for one of 88 MiB with 900,000 objects of five keys."""

_INDEX = re.compile(r"0|[1-9][0-9]*")

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


def plan(file: SourceFile) -> tuple[Chunk, ...]:
    """One chunk: a document can only be read whole. Raises UserError for one that is too large."""
    if file.size_bytes > MAX_DOCUMENT_BYTES:
        raise _too_large(file)
    return whole_file(file)


def parse(read: Read, chunk: Chunk, schema: Schema | None) -> RawChunk:
    """The elements of the array as rows, of the types of `schema`, or declared and inferred ones.

    An element is an object, or an array whose fields `columns:` names; the first one says which,
    and others are set aside. Raises UserError where the pointer leads to no array, or the document
    is none.
    """
    array = _read(chunk.file)
    names = _names(read, chunk.file, array)
    lines: list[bytes] = []
    malformed: list[tuple[int, str]] = []
    for i, element in enumerate(array):
        wrong = _what_is_wrong(element, names)
        if wrong:
            malformed.append((i, wrong))
        elif isinstance(element, list):
            lines.append(json.dumps(dict(zip(names or (), element, strict=True))).encode())
        else:
            lines.append(json.dumps(element).encode())
        array[i] = None  # a row is held once: as an object it takes several times its text
    return parse_objects(read, chunk, lines, malformed, schema)


def head(read: Read, file: SourceFile) -> tuple[ParsedChunk, int]:
    """All rows, and the bytes of the document: no part of it says what the rest is."""
    chunk = whole_file(file)[0]
    parsed = finish(read, chunk, parse(read, chunk, None))
    bad = parsed.quarantined.rows
    if bad is not None and parsed.table.num_rows == 0:
        raise file.mistake(f"has no element that is a row: {bad.what}")
    return parsed, file.size_bytes


def fields(file: SourceFile) -> int | None:
    """How many fields the rows have, where they are arrays. Raises UserError as `parse` does."""
    first = next(iter(_read(file)), None)
    return len(first) if isinstance(first, list) else None


def _read(file: SourceFile) -> list[Json]:
    """The array that the file's pointer leads to."""
    (chunk,) = plan(file)
    content = read_content(file, MAX_DOCUMENT_BYTES + 1)
    if len(content) > MAX_DOCUMENT_BYTES:
        raise _too_large(file)
    check_utf8(chunk, content)
    return _array(file, _document(file, content))


def _document(file: SourceFile, content: bytes) -> Json:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON number")

    try:
        document: Json = json.loads(content, parse_constant=refuse)
    except RecursionError:
        raise file.mistake("is not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise file.mistake(
            f"is not one JSON document ({error})",
            "if it holds one object a line, add 'format: jsonl' to the read step",
        ) from None
    return document


def _array(file: SourceFile, document: Json) -> list[Json]:
    """What the pointer leads to, token by token (RFC 6901)."""
    value, so_far = document, ""
    pointer = file.pointer
    if pointer and not pointer.startswith("/"):
        raise file.mistake("has a pointer without a slash", f"write '#/{pointer}'")
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        match value:
            case dict() if key in value:
                value = value[key]
            case list() if _INDEX.fullmatch(key) and int(key) < len(value):
                value = value[int(key)]
            case dict():
                raise _leads_nowhere(file, so_far, key, list(value))
            case list():
                elements = counted(len(value), "element")
                raise file.mistake(
                    f"leads nowhere: the array at '#{so_far}' has {elements} and no '{key}'",
                    _arrays_below(document),
                )
            case _:
                raise file.mistake(
                    f"leads nowhere: there is {_kind(value)} at '#{so_far}'",
                    _arrays_below(document),
                )
        so_far += f"/{token}"
    if not isinstance(value, list):
        where = f"leads to {_kind(value)}" if pointer else f"holds {_kind(value)}"
        raise file.mistake(f"{where}, not an array", _arrays_below(value, so_far))
    return value


def _leads_nowhere(file: SourceFile, at: str, key: str, keys: list[str]) -> UserError:
    pointers = [f"#{at}/{_escaped(key)}" for key in keys]
    fix = did_you_mean(f"#{at}/{_escaped(key)}", pointers)
    return file.mistake(f"leads nowhere: the object at '#{at}' has no '{key}'", fix)


def _arrays_below(value: Json, at: str = "") -> str:
    pointers = list(_pointers_to_arrays(value, at))
    return f"there are arrays at {listed(pointers)}" if pointers else ""


def _pointers_to_arrays(value: Json, at: str, depth: int = 3) -> Iterator[str]:
    if isinstance(value, list):
        yield f"#{at}"
    elif isinstance(value, dict) and depth:
        for key, inner in value.items():
            yield from _pointers_to_arrays(inner, f"{at}/{_escaped(key)}", depth - 1)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _names(read: Read, file: SourceFile, array: list[Json]) -> tuple[str, ...] | None:
    """The names of the elements' fields where they are arrays; None where they are objects."""
    first = array[0] if array else None
    if not isinstance(first, list):
        return None
    if read.columns is None:
        given = ", ".join(f"column_{i + 1}" for i in range(len(first)))
        raise file.mistake(
            f"has arrays of {len(first)} for rows, whose fields have no names",
            f"name them: 'columns: [{given}]'",
        )
    if len(read.columns) != len(first):
        raise file.mistake(
            f"has arrays of {len(first)} for rows, and {len(read.columns)} columns are named",
            "name every field, in order",
            key="columns",
        )
    return read.columns


def _what_is_wrong(element: Json, names: tuple[str, ...] | None) -> str:
    if names is None:
        return "" if isinstance(element, dict) else f"is {_kind(element)}, not an object"
    if not isinstance(element, list):
        return f"is {_kind(element)}, not an array"
    if len(element) != len(names):
        return f"expected {len(names)} fields, found {len(element)}"
    return ""


def _kind(value: Json) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return "an array"
        case str():
            return "a text"
        case bool():
            return "true or false"
        case None:
            return "null"
    return "a number"


def _too_large(file: SourceFile) -> UserError:
    return file.mistake(
        f"is a JSON document of more than {format_bytes(MAX_DOCUMENT_BYTES)}",
        "convert it to JSON lines, one object a line: those are read in chunks",
    )
