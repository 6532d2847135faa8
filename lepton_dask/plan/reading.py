"""Planning a `read`: files, chunks, and the types that their heads show."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from dask.utils import format_bytes

from lepton_dask.data.chunks import CHUNK_BYTES, Chunk
from lepton_dask.data.content import SourceFile
from lepton_dask.data.files import find_files
from lepton_dask.data.head import HEAD_BYTES, Head, read_head
from lepton_dask.data.read import Read
from lepton_dask.data.reading import plan_chunks
from lepton_dask.data.roots import Roots
from lepton_dask.data.settle import settle_types
from lepton_dask.data.types import Schema
from lepton_dask.errors import DocumentPath, UserError
from lepton_dask.parts import PARTS
from lepton_dask.plan.drawn import Drawn, type_name
from lepton_dask.plan.planned import PlannedColumn
from lepton_dask.plan.shapes import TableShape

MOST_HEADS = 8
"""Heads looked at side by side: files may be far away, and Arrow lets go of the interpreter."""


def draw_read(read: Read, name: str, at: DocumentPath, roots: Roots) -> Drawn:
    """Opens footers and heads, and nothing else. Raises UserError, RunError for damaged files."""
    files = find_files(read, at, roots)
    with ThreadPoolExecutor(MOST_HEADS, thread_name_prefix="head") as pool:
        heads = list(pool.map(partial(read_head, read), files))
    settled = settle_types(read, [head.summary for head in heads])
    chunks = tuple(chunk for file in files for chunk in plan_chunks(read, file))
    rows = sum(head.expected_rows for head in heads)
    shape = TableShape(
        schema=settled.schema,
        chunks=chunks,
        rows=rows,
        bytes=sum(file.size_bytes for file in files),
        parts=tuple(part for part in PARTS if any(file.part == part for file in files)),
        origin=name,
    )
    return Drawn(
        shape,
        why=tuple(_why(files, chunks, heads)),
        columns=tuple(_columns(read, settled.schema, files, heads)),
        warnings=(*settled.warnings, *(text for head in heads for text in head.warnings)),
    )


def _why(files: tuple[SourceFile, ...], chunks: tuple[Chunk, ...], heads: list[Head]) -> list[str]:
    formats = sorted({file.format for file in files})
    shown = files[0].shown if len(files) == 1 else f"{len(files)} files"
    size = format_bytes(sum(file.size_bytes for file in files))
    why = [f"{shown}: {', '.join(formats)}, {size}"]
    if len(chunks) == len(files):
        why.append(f"a file is a chunk up to {format_bytes(CHUNK_BYTES)}, or where it is packed")
    else:
        why.append(f"chunks of {format_bytes(CHUNK_BYTES)} or one row group")
    if not all(head.is_exact for head in heads):
        why.append("rows estimated from the head and the size")
    return why


def _columns(
    read: Read, schema: Schema, files: tuple[SourceFile, ...], heads: list[Head]
) -> list[PlannedColumn]:
    source = _source(files, heads)
    reasons = dict.fromkeys(schema, source) | dict.fromkeys(read.types, "declared under types")
    if read.row_number is not None:
        reasons[read.row_number] = "row_number: counts the rows of each file"
    return [
        PlannedColumn(column, type_name(type_), "read", reasons[column])
        for column, type_ in schema.items()
    ]


def _source(files: tuple[SourceFile, ...], heads: list[Head]) -> str:
    """What the types that are not declared come from."""
    if all(file.format == "parquet" for file in files):
        return "the file's schema says so"
    if all(file.format == "json" for file in files):
        return f"inferred from all {sum(head.rows for head in heads):,} rows"
    each = "" if len(files) == 1 else " of each file"
    rows = sum(head.rows for head in heads)
    return f"inferred from the first {format_bytes(HEAD_BYTES)}{each} ({rows:,} rows)"


def try_read(read: Read, name: str, at: DocumentPath, roots: Roots) -> Drawn:
    """The same with mistakes collected instead of raised."""
    try:
        return draw_read(read, name, at, roots)
    except UserError as error:
        return Drawn(None, mistakes=error.mistakes)
