"""Running a `clean`: chunk by chunk, but for duplicates."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat

from distributed import Future

from lepton_dask.artifacts.replay import Drop, Rename
from lepton_dask.data.clean import (
    Clean,
    check_filter,
    clean_chunk,
    clean_schema,
    duplicate_columns,
    filter_chunk,
)
from lepton_dask.data.duplicates import (
    Positions,
    bucket_of_keys,
    later_duplicates,
    without_rows,
)
from lepton_dask.data.expressions.check import Checked
from lepton_dask.data.hashing import row_keys
from lepton_dask.data.mixing import Hashes
from lepton_dask.data.tables import Partition
from lepton_dask.data.types import Schema
from lepton_dask.errors import UserError
from lepton_dask.run.values import Origin, PartName, PartTable, TableValue
from lepton_dask.run.work import Work

BUCKET_ROWS = 2_000_000
"""Rows whose keys one task compares: 32 MB of keys."""


@dataclass(frozen=True)
class _Losses:
    rows: int
    lost: Mapping[str, int]


def clean_table(work: Work, clean: Clean, table: TableValue) -> TableValue:
    schema, mistakes = clean_schema(clean, table.schema, work.at)
    if mistakes:
        raise UserError(mistakes)
    parts: dict[PartName, PartTable] = {}
    for name, part in table.parts.items():
        cleaned = _clean_part(work, clean, part, schema)
        if clean.drop_duplicates:
            cleaned = _without_duplicates(work, clean, cleaned)
        if clean.filter is not None:
            cleaned = _filtered(work, clean.filter, cleaned)
        parts[name] = cleaned
    return TableValue(parts, schema, _cleaned_origin(clean, table, schema))


def _cleaned_origin(clean: Clean, table: TableValue, schema: Schema) -> Origin:
    """What a model has to play again: names, not rows; no row to predict is ever dropped."""
    renamed = {clean.rename.get(name, name): name for name in table.schema}
    dropped = tuple(old for new, old in renamed.items() if new not in schema)
    origin = table.origin
    if dropped:
        origin = origin.then(Drop(dropped))
    return origin.then(Rename(clean.rename)) if clean.rename else origin


def _clean_part(work: Work, clean: Clean, part: PartTable, schema: Schema) -> PartTable:
    tasks = work.map("clean", _clean, repeat(clean), part.partitions)
    return _kept(work, tasks, replace(part, schema=schema))


def _filtered(work: Work, text: str, part: PartTable) -> PartTable:
    checked, _ = check_filter(text, part.schema, (*work.at, "filter"))
    assert checked is not None  # the schema was made with it
    return _kept(work, work.map("filter", _filter, repeat(checked), part.partitions), part)


def _kept(work: Work, tasks: Sequence[Future], part: PartTable) -> PartTable:
    """The part with the rows that tasks have kept, telling how many they have not, and why."""
    work.settle(tasks, "chunks cleaned")
    losses: list[_Losses] = work.gather(work.pick("lost", tasks, 1))
    lost: Counter[str] = Counter()
    for each in losses:
        lost.update(each.lost)
    before = sum(part.rows)
    for reason, count in lost.items():
        work.lost(before, before - count, reason)
        before -= count
    frames = work.pick("rows", tasks, 0)
    work.settle(frames, "chunks kept")
    rows = tuple(each.rows for each in losses)
    return replace(part, partitions=tuple(frames), rows=rows)


def _clean(clean: Clean, rows: Partition) -> tuple[Partition, _Losses]:
    cleaned = clean_chunk(clean, rows.table, rows.row_numbers)
    losses = _Losses(cleaned.table.num_rows, cleaned.lost)
    return Partition(cleaned.table, cleaned.row_numbers), losses


def _filter(checked: Checked, rows: Partition) -> tuple[Partition, _Losses]:
    cleaned = filter_chunk(checked, rows.table, rows.row_numbers)
    losses = _Losses(cleaned.table.num_rows, cleaned.lost)
    return Partition(cleaned.table, cleaned.row_numbers), losses


def _without_duplicates(work: Work, clean: Clean, part: PartTable) -> PartTable:
    """The part without rows that stand before, in this chunk or in one before it."""
    count = max(1, math.ceil(sum(part.rows) / BUCKET_ROWS))
    keys = work.map("keys", _keys, repeat(clean), part.partitions)
    buckets = [
        work.map("bucket", bucket_of_keys, keys, repeat(number), repeat(count))
        for number in range(count)
    ]
    repeats = work.map("repeats", later_duplicates, buckets)
    numbers = range(len(part.partitions))
    kept = work.map("unique", _unique, part.partitions, numbers, repeat(repeats))
    rows = work.gather(work.map("count", _row_count, kept))
    work.lost(sum(part.rows), sum(rows), "the row stands before")
    return replace(part, partitions=tuple(kept), rows=tuple(rows))


def _keys(clean: Clean, rows: Partition) -> Hashes:
    table, _ = rows.plain()
    return row_keys(duplicate_columns(clean, table))


def _row_count(rows: Partition) -> int:
    return int(rows.table.num_rows)


def _unique(rows: Partition, number: int, repeats: Sequence[tuple[Positions, ...]]) -> Partition:
    gone = [each[number] for each in repeats]
    return Partition(*without_rows(rows.table, rows.row_numbers, gone))
