"""Running a `split`: where each row goes, then one table a part."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

import numpy as np
import pyarrow as pa

from lepton_dask.data.split import Split, plan_split, split_parts
from lepton_dask.data.splits.assignment import (
    LEFT_OUT,
    NO_VALUE,
    Assignment,
    FirstPhase,
    PartCodes,
    Rows,
)
from lepton_dask.data.tables import Partition
from lepton_dask.errors import Mistake, UserError
from lepton_dask.parts import PARTS, Part
from lepton_dask.run.values import PartName, PartTable, TableValue
from lepton_dask.run.work import Work

Statistics = object


def split_table(work: Work, split: Split, table: TableValue) -> TableValue:
    """The table in parts. Raises UserError where a part would be empty."""
    source: PartName = next(iter(table.parts)) if split.of is None else split.of
    whole = table.parts[source]
    stems = [file.stem for file in whole.files]
    assignment = _assignment(work, split, whole, stems)
    codes = work.map("assign", _assign, repeat(assignment), whole.partitions, stems)
    work.settle(codes, "chunks split")
    counts: list[tuple[int, ...]] = work.gather(work.map("counts", _counts, codes))
    _tell(work, whole, counts)
    made = [
        part for part in split_parts(split, ()) if any(count[PARTS.index(part)] for count in counts)
    ]
    _check_parts(work, split, made)
    others: dict[PartName, PartTable] = {
        name: part for name, part in table.parts.items() if name != source
    }
    parts = others | {part: _part(work, part, whole, codes, counts) for part in made}
    work.settle([chunk for part in parts.values() for chunk in part.partitions], "parts made")
    return TableValue(
        {part: parts[part] for part in PARTS if part in parts}, table.schema, table.origin
    )


def _assignment(work: Work, split: Split, whole: PartTable, stems: Sequence[str]) -> Assignment:
    plan = plan_split(split, whole.schema, work.seed, work.at)
    if isinstance(plan, Assignment):
        return plan
    gathered = work.map("gather", _gather, repeat(plan), whole.partitions, stems)
    [statistics] = work.reduce("merge", plan.merge, [gathered])
    return plan.decide(statistics)


def _rows(rows: Partition, stem: str) -> Rows:
    return Rows(rows.table, rows.row_numbers, stem)


def _gather(plan: FirstPhase[Statistics], rows: Partition, stem: str) -> Statistics:
    return plan.gather(_rows(rows, stem))


def _assign(assignment: Assignment, rows: Partition, stem: str) -> PartCodes:
    return assignment.assign(_rows(rows, stem))


def _counts(codes: PartCodes) -> tuple[int, ...]:
    """Rows by part in the order of PARTS, then those left out, then those without a value."""
    return tuple(
        int(np.count_nonzero(codes == code)) for code in (*range(len(PARTS)), LEFT_OUT, NO_VALUE)
    )


def _tell(work: Work, whole: PartTable, counts: Sequence[tuple[int, ...]]) -> None:
    rows = sum(whole.rows)
    *_, left_out, no_value = np.sum(counts, axis=0) if counts else (0, 0)
    work.lost(rows, rows - int(left_out), "in a gap, or before the first part")
    work.lost(rows, rows - int(no_value), "no value to split by")


def _check_parts(work: Work, split: Split, made: Sequence[Part]) -> None:
    wanted = [*split.given, split.rest] if split.column is None else [split.rest]
    mistakes = [
        Mistake(work.at, f"no row falls into {part}", "give it a larger share, or other bounds")
        for part in dict.fromkeys(wanted)
        if part not in made
    ]
    if mistakes:
        raise UserError(mistakes)


def _part(
    work: Work,
    part: Part,
    whole: PartTable,
    codes: Sequence[object],
    counts: Sequence[tuple[int, ...]],
) -> PartTable:
    code = PARTS.index(part)
    return PartTable(
        partitions=tuple(work.map(part, _of_part, whole.partitions, codes, repeat(code))),
        files=whole.files,
        rows=tuple(count[code] for count in counts),
        schema=whole.schema,
    )


def _of_part(rows: Partition, codes: PartCodes, code: int) -> Partition:
    mask = codes == code
    return Partition(rows.table.filter(pa.array(mask)), rows.row_numbers[mask])
