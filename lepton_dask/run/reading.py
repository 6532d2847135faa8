"""Running a `read`: bounds, rows, one schema for all chunks, and what was set aside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import repeat

from distributed import Future

from lepton_dask.data.chunks import Chunk, ChunkSummary
from lepton_dask.data.quarantine import merge_quarantined, too_many_bad
from lepton_dask.data.read import Read
from lepton_dask.data.reading import conform_chunk
from lepton_dask.data.settle import settle_types
from lepton_dask.data.types import Schema
from lepton_dask.errors import RunError
from lepton_dask.parts import PARTS
from lepton_dask.run.memory import is_too_large
from lepton_dask.run.parsing import Rows, loaded, parse_chunks, placed, summary_of
from lepton_dask.run.values import Origin, PartName, PartTable, TableValue
from lepton_dask.run.work import Work


def read_table(
    work: Work,
    read: Read,
    planned: Sequence[Chunk],
    max_bad_share: float,
    patterns: tuple[str, ...],
    profiled: bool = False,
) -> TableValue:
    """The files' rows on the workers, one partition a chunk.

    `patterns` are the base names with captures that a model may show. `profiled`: a step will want
    the profiles of the chunks as they are read.

    Raises UserError for what the reading shows to be wrong, RunError where more than
    `max_bad_share` of the rows or of a column's values were set aside.
    """
    in_files = is_too_large(work.dispatch, list(dict.fromkeys(chunk.file for chunk in planned)))
    parsed = parse_chunks(work, read, planned, in_files=in_files, profiled=profiled)
    found = parsed.summaries
    settled = settle_types(read, found)
    chunks = [summary.chunk for summary in found]
    partitions, final = _conformed(work, read, parsed.partitions, found, settled.schema, in_files)
    for warning in settled.warnings:
        work.warn(warning)
    _check_quarantine(work, final, max_bad_share)
    parts: dict[PartName, list[int]] = defaultdict(list)
    for i, chunk in enumerate(chunks):
        parts[chunk.file.part or "all"].append(i)
    ordered: list[PartName] = [*(part for part in PARTS if part in parts)] or ["all"]
    return TableValue(
        parts={
            name: PartTable(
                partitions=tuple(partitions[i] for i in parts[name]),
                files=tuple(chunks[i].file for i in parts[name]),
                rows=tuple(final[i].rows for i in parts[name]),
                schema=settled.schema,
                profiles=parsed.profiles,
                merged=parsed.merged,
            )
            for name in ordered
        },
        schema=settled.schema,
        origin=Origin(
            read,
            settled.schema,
            captures=tuple(name for name, _ in chunks[0].file.captured),
            patterns=patterns,
        ),
    )


def _conformed(
    work: Work,
    read: Read,
    partitions: Sequence[Future],
    found: Sequence[ChunkSummary],
    schema: Schema,
    in_files: bool,
) -> tuple[list[Future], list[ChunkSummary]]:
    """All chunks in the types of the schema; most are, and stay what they are."""
    others = [
        number
        for number, summary in enumerate(found)
        if list(summary.types.items()) != list(schema.items())
    ]
    chunks = [found[number].chunk for number in others]
    parsed = [partitions[number] for number in others]
    made = work.map(
        "conform", _conform, repeat(read), chunks, parsed, repeat(schema), repeat(in_files)
    )
    work.settle(made, "chunks typed")
    summaries = work.dispatch.where_they_lie("types", summary_of, made, chunks)
    conformed, final = list(partitions), list(found)
    for number, partition, summary in zip(others, made, summaries, strict=True):
        conformed[number], final[number] = partition, summary
    return conformed, final


def _check_quarantine(work: Work, summaries: Sequence[ChunkSummary], max_bad_share: float) -> None:
    quarantined = merge_quarantined(summary.quarantined for summary in summaries)
    rows = sum(summary.rows for summary in summaries)
    reasons = too_many_bad(quarantined, rows, max_bad_share)
    if reasons:
        first = quarantined.rows or next(iter(quarantined.values.values()))
        raise RunError(
            "; ".join(reasons),
            fix="mend the data, or allow more with max_bad_share in a clean step",
            step=work.step,
            file=first.file,
        )
    if quarantined.rows:
        bad = quarantined.rows
        work.warn(f"{bad.count:,} malformed rows were left out; the first: {bad}")
    for column, bad in quarantined.values.items():
        work.warn(f"column '{column}': {bad.count:,} bad values became missing; the first: {bad}")


def _conform(read: Read, chunk: Chunk, rows: Rows, schema: Schema, in_files: bool) -> Rows:
    return placed(conform_chunk(read, loaded(rows, chunk), schema), read, schema, in_files)
