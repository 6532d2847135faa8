"""Parsing a table's chunks: in one go where a chunk can find its own bounds, and otherwise after a
scan of its file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, repeat
from pathlib import Path
from typing import NamedTuple

from distributed import Future, get_worker

from lepton_dask.data.arrow_types import column_type
from lepton_dask.data.cached import CachedPartition, cache
from lepton_dask.data.chunks import Chunk, ChunkSummary, ParsedChunk
from lepton_dask.data.content import SourceFile
from lepton_dask.data.formats.records import Scan
from lepton_dask.data.profile import Profile, merge_profiles, profile_table
from lepton_dask.data.read import Read
from lepton_dask.data.reading import (
    can_be_parsed_cut,
    needs_scan,
    parse_chunk,
    parse_cut,
    scan_chunk,
    settle_bounds,
)
from lepton_dask.data.tables import Partition
from lepton_dask.data.types import Schema
from lepton_dask.run.warming import warm_up_scan
from lepton_dask.run.work import Work

Rows = Partition | CachedPartition

SCANNED_FROM = 16
"""CSV chunks. To get ready for the compiled scan takes a worker about half a second, which it saves
in a dozen of chunks."""


@dataclass
class Parsed:
    """The chunks of a table in order: `partitions[i]` yields the rows of `summaries[i].chunk`.

    `profiles` are those begun while other chunks were parsed, by the key of their partition, and
    `merged` their merges, by the keys of the profiles.
    """

    partitions: list[Future] = field(default_factory=list)
    summaries: list[ChunkSummary] = field(default_factory=list)
    profiles: dict[str, Future] = field(default_factory=dict)
    merged: dict[tuple[str, ...], Future] = field(default_factory=dict)


class CutRows(NamedTuple):
    """A chunk's rows, numbered from 0, and what a scan of the chunk would have said."""

    rows: Partition
    scan: Scan


class CutFacts(NamedTuple):
    """What the driver needs to know of them."""

    summary: ChunkSummary
    scan: Scan


class Attempt(NamedTuple):
    """A chunk that parsed itself: its CutRows, its profile if that was begun, and the facts; none
    where its file has to be scanned."""

    rows: Future
    profile: Future | None
    facts: CutFacts | None


def parse_chunks(
    work: Work, read: Read, planned: Sequence[Chunk], *, in_files: bool, profiled: bool
) -> Parsed:
    """All rows of the planned chunks. `in_files`: in the workers' scratch folders; `profiled`: the
    profiles are begun at once, for a step that will ask for them.

    Raises UserError for what the reading shows to be wrong.
    """
    if sum(chunk.file.format == "csv" for chunk in planned) >= SCANNED_FROM:
        warm_up_scan(work.dispatch, work.emit)
    cut = [chunk for chunk in planned if not in_files and can_be_parsed_cut(read, chunk)]
    result = Parsed()
    attempts = _attempted(work, read, cut, profiled, result.merged)
    chunks = _settled(work, read, planned, attempts)
    taken = [_still_right(chunk, attempts.get(_place(chunk))) for chunk in chunks]
    kept = [(c, attempt) for c, attempt in zip(chunks, taken, strict=True) if attempt is not None]
    others = [chunk for chunk, attempt in zip(chunks, taken, strict=True) if attempt is None]
    first_rows = [chunk.first_row or 0 for chunk, _ in kept]
    numbered = work.map("rows", _numbered, [attempt.rows for _, attempt in kept], first_rows)
    parsed = work.map("parse", parse, repeat(read), others, repeat(in_files))
    work.settle(parsed, "chunks read")
    found = iter(
        zip(parsed, work.dispatch.where_they_lie("types", summary_of, parsed, others), strict=True)
    )
    # Until the scheduler has read their graph the rows that they are made from must be held.
    work.dispatch.wait(numbered[:1])
    made = iter(numbered)
    for chunk, attempt in zip(chunks, taken, strict=True):
        if attempt is None or attempt.facts is None:
            rows, summary = next(found)
        else:
            rows, summary = next(made), _moved(attempt.facts.summary, chunk)
            if attempt.profile is not None:
                result.profiles[rows.key] = attempt.profile
        result.partitions.append(rows)
        result.summaries.append(summary)
    return result


def _attempted(
    work: Work,
    read: Read,
    chunks: Sequence[Chunk],
    profiled: bool,
    merged: dict[tuple[str, ...], Future],
) -> dict[tuple[SourceFile, int], Attempt]:
    """By file and place in it. Adds the merges of profiles to `merged`."""
    rows = work.map("parse", _parse_cut, repeat(read), chunks)
    # At once: so a worker makes them while another still parses.
    profiles = work.map("profile", _profile_cut, rows) if profiled else []
    by_part: dict[str, list[Future]] = defaultdict(list)
    for chunk, profile in zip(chunks, profiles, strict=False):
        by_part[chunk.file.part or "all"].append(profile)
    for of_part in by_part.values():
        merged |= work.begin_reduce("merge", merge_profiles, of_part)
    work.settle(rows, "chunks read")
    facts: list[CutFacts | None] = work.dispatch.where_they_lie("facts", _facts, rows, chunks)
    attempts = map(Attempt, rows, profiles or [None] * len(rows), facts)
    return dict(zip(map(_place, chunks), attempts, strict=True))


def _place(chunk: Chunk) -> tuple[SourceFile, int]:
    return chunk.file, chunk.index


def _settled(
    work: Work,
    read: Read,
    planned: Sequence[Chunk],
    attempts: Mapping[tuple[SourceFile, int], Attempt],
) -> list[Chunk]:
    """The chunks with exact bounds; files that did not parse themselves are scanned for them."""
    files = [list(chunks) for _, chunks in groupby(planned, key=lambda chunk: chunk.file)]
    scans: list[Sequence[Scan] | None] = []
    scanned: dict[int, list[Future]] = {}
    for number, chunks in enumerate(files):
        facts = [attempts[_place(c)].facts if _place(c) in attempts else None for c in chunks]
        known = [each.scan for each in facts if each is not None]
        scans.append(known if len(known) == len(chunks) else None)
        if scans[-1] is None and needs_scan(chunks):
            scanned[number] = work.map("scan", scan_chunk, repeat(read), chunks)
    work.settle([future for futures in scanned.values() for future in futures], "chunks scanned")
    for number, futures in scanned.items():
        scans[number] = work.gather(futures)
    return [
        chunk
        for chunks, of_file in zip(files, scans, strict=True)
        for chunk in (chunks if of_file is None else settle_bounds(read, chunks, of_file))
    ]


def _still_right(chunk: Chunk, attempt: Attempt | None) -> Attempt | None:
    """An attempt that found the bounds that the chunk turned out to have."""
    if attempt is None or attempt.facts is None:
        return None
    found = attempt.facts.scan.outside
    is_right = found.records == chunk.rows and found.first in (None, chunk.start)
    return attempt if is_right else None


def _moved(summary: ChunkSummary, chunk: Chunk) -> ChunkSummary:
    quarantined = summary.quarantined.moved(chunk.first_row or 0)
    return replace(summary, chunk=chunk, quarantined=quarantined)


def parse(read: Read, chunk: Chunk, in_files: bool) -> Rows:
    """The rows of a settled chunk."""
    return placed(parse_chunk(read, chunk), read, None, in_files)


def placed(parsed: ParsedChunk, read: Read, schema: Schema | None, in_files: bool) -> Rows:
    """A chunk in the worker's memory, or in a file of its scratch folder, which goes with it."""
    if in_files:
        return cache(parsed, read, schema, Path(get_worker().local_directory) / "parsed")
    return Partition(parsed.table, parsed.row_numbers, parsed.quarantined)


def loaded(rows: Rows, chunk: Chunk) -> ParsedChunk:
    """The parsed chunk that `placed` took."""
    if isinstance(rows, CachedPartition):
        rows = rows.loaded()
    return ParsedChunk(chunk, rows.table, rows.row_numbers, rows.quarantined)


def summary_of(rows: Rows, chunk: Chunk) -> ChunkSummary:
    """What the driver needs of a chunk to settle the types."""
    return loaded(rows, chunk).summary()


def _parse_cut(read: Read, chunk: Chunk) -> CutRows | None:
    found = parse_cut(read, chunk)
    if found is None:
        return None
    parsed = found.parsed
    return CutRows(Partition(parsed.table, parsed.row_numbers, parsed.quarantined), found.scan)


def _facts(cut: CutRows | None, chunk: Chunk) -> CutFacts | None:
    return None if cut is None else CutFacts(summary_of(cut.rows, chunk), cut.scan)


def _profile_cut(cut: CutRows | None) -> Profile | None:
    """None where the chunk will be read again, because it holds no value to infer a type from."""
    if cut is None or any(column_type(field.type) is None for field in cut.rows.table.schema):
        return None
    return profile_table(cut.rows.table)


def _numbered(cut: CutRows, first_row: int) -> Partition:
    table, numbers, quarantined = cut.rows
    return Partition(table, numbers + first_row, quarantined.moved(first_row))
