"""Running a `clean` and a `derive`: chunk by chunk, but for duplicates."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

import pandas as pd

from lepton_dask.artifacts.frames import InputColumn
from lepton_dask.artifacts.replay import Drop, PythonStep, Rename
from lepton_dask.data.arrow_types import declared_format
from lepton_dask.data.clean import Clean, clean_chunk, clean_schema, duplicate_columns
from lepton_dask.data.derive import Derive, derive_chunk, derive_schema, load_function
from lepton_dask.data.duplicates import (
    Positions,
    bucket_of_keys,
    later_duplicates,
    without_rows,
)
from lepton_dask.data.hashing import Hashes, row_keys
from lepton_dask.data.tables import to_frame, to_table
from lepton_dask.data.types import Schema
from lepton_dask.errors import DocumentPath, RunError, UserError
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
        parts[name] = (
            _without_duplicates(work, clean, cleaned) if clean.drop_duplicates else cleaned
        )
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
    return PartTable(tuple(frames), part.files, rows, schema)


def _clean(clean: Clean, frame: pd.DataFrame) -> tuple[pd.DataFrame, _Losses]:
    cleaned = clean_chunk(clean, *to_table(frame))
    rows = cleaned.table.num_rows
    return to_frame(cleaned.table, cleaned.row_numbers), _Losses(rows, cleaned.lost)


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
    rows = work.gather(work.map("count", len, kept))
    work.lost(sum(part.rows), sum(rows), "the row stands before")
    return replace(part, partitions=tuple(kept), rows=tuple(rows))


def _keys(clean: Clean, frame: pd.DataFrame) -> Hashes:
    table, _ = to_table(frame)
    return row_keys(duplicate_columns(clean, table))


def _unique(
    frame: pd.DataFrame, number: int, repeats: Sequence[tuple[Positions, ...]]
) -> pd.DataFrame:
    table, row_numbers = to_table(frame)
    return to_frame(*without_rows(table, row_numbers, [each[number] for each in repeats]))


def derive_table(work: Work, derive: Derive, table: TableValue, folder: Path) -> TableValue:
    """The table with the columns that the user's function makes; `folder` is where its module
    lies."""
    schema, mistakes = derive_schema(derive, table.schema, work.at)
    if mistakes:
        raise UserError(mistakes)
    parts: dict[PartName, PartTable] = {}
    for name, part in table.parts.items():
        files = [file.shown for file in part.files]
        made = work.map(
            "derive",
            _derive,
            repeat(derive),
            repeat(folder),
            repeat(work.at),
            part.partitions,
            files,
        )
        work.settle(made, "chunks derived")
        parts[name] = replace(part, partitions=tuple(made), schema=schema)
    return TableValue(parts, schema, table.origin.then(_python_step(derive, table, schema)))


def _python_step(derive: Derive, table: TableValue, schema: Schema) -> PythonStep:
    outputs = tuple(
        InputColumn(name, schema[name].kind, schema[name].zone, declared_format(declared))
        for name, declared in derive.outputs.items()
    )
    return PythonStep(derive.python or "", outputs, tuple(table.schema))


def _derive(
    derive: Derive, folder: Path, at: DocumentPath, frame: pd.DataFrame, file: str
) -> pd.DataFrame:
    # Loaded where it runs: a worker that joins later has never heard of the module's folder.
    function = load_function(derive, folder, at)
    table, row_numbers = to_table(frame)
    try:
        return to_frame(derive_chunk(derive, function, table, row_numbers), row_numbers)
    except RunError as error:
        raise RunError(error.what, fix=error.fix, file=file) from error
