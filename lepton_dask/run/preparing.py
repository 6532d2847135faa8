"""Running a `prepare`: profiles, the fit, and a design matrix for each part."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from distributed import Future

from lepton_dask.data.arrow import to_columns
from lepton_dask.data.fit import fit
from lepton_dask.data.fit_target import TargetLimit
from lepton_dask.data.hashed_text import chosen_rows
from lepton_dask.data.prepare import Prepare, Target
from lepton_dask.data.prepared import Prepared
from lepton_dask.data.roles import Task
from lepton_dask.data.tables import to_table
from lepton_dask.data.target import target_column
from lepton_dask.data.treatments import resolve_treatments
from lepton_dask.errors import UserError
from lepton_dask.events import LevelsUnknown
from lepton_dask.learn.sweeps import Shards
from lepton_dask.matrix import Block, DesignMatrix
from lepton_dask.run.deriving import evaluate_columns
from lepton_dask.run.hashing import touched_buckets
from lepton_dask.run.profiling import profile_parts
from lepton_dask.run.suspecting import suspect
from lepton_dask.run.values import FeaturesValue, PartName, PartTable, TableValue
from lepton_dask.run.work import Work


@dataclass(frozen=True)
class DesignFacts:
    """What the driver needs to know of a prepared chunk.

    `problems` count rows left out for each reason; `others[q]` the rows of code column q whose
    level is none of the learnt ones.
    """

    rows: int
    problems: Mapping[str, int]
    others: tuple[int, ...]


def prepare_table(
    work: Work,
    prepare: Prepare,
    table: TableValue,
    task: Task,
    limits: Sequence[TargetLimit] = (),
) -> tuple[FeaturesValue, dict[str, object]]:
    """The prepared parts, and profile.json's entry: of all rows, of the training rows, and
    how likely each chunk is."""
    treated, mistakes = resolve_treatments(prepare, table.schema, work.at, task)
    if mistakes:
        raise UserError(mistakes)
    table = _with_target(work, prepare, table)
    profiled = profile_parts(work, table)
    fitted = fit(
        treated,
        prepare,
        profiled.whole,
        profiled.training,
        at=work.at,
        task=task,
        limits=limits,
        touched=touched_buckets(work, treated, table.parts[table.training()]),
    )
    for warning in fitted.warnings:
        work.warn(warning)
    shards = {
        name: _shards(work, name, part, fitted.prepared) for name, part in table.parts.items()
    }
    value = FeaturesValue(table, fitted.prepared, shards)
    suspect(work, value, profiled.whole, profiled.training)
    return value, profiled.to_json()


def _with_target(work: Work, prepare: Prepare, table: TableValue) -> TableValue:
    """The table with the column that the target's expression makes, where it is one."""
    made, _ = target_column(prepare, table.schema, work.at)
    if made is None:
        return table
    assert isinstance(prepare.target, Target)
    return evaluate_columns(
        work,
        {made.name: made.checked},
        table,
        prepare.target.order,
        prepare.target.group,
        at=(*work.at, "target", "order"),
    ).table


def _shards(work: Work, name: PartName, part: PartTable, prepared: Prepared) -> Shards:
    chunks = work.map("design", _design, part.partitions, repeat(prepared))
    work.settle(chunks, f"{name} chunks prepared")
    facts: list[DesignFacts] = work.gather(work.pick("facts", chunks, 1))
    _tell(work, name, part, prepared, facts)
    blocks = work.pick("block", chunks, 0)
    matrix = _matrix(work, blocks, [each.rows for each in facts], prepared)
    return Shards.place(work.dispatch, matrix)


def _tell(
    work: Work, name: PartName, part: PartTable, prepared: Prepared, facts: list[DesignFacts]
) -> None:
    rows = sum(part.rows)
    problems: Counter[str] = Counter()
    for each in facts:
        problems.update(each.problems)
    for reason, count in problems.items():
        work.lost(rows, rows - count, f"{name}: {reason}")
    others = np.sum([each.others for each in facts], axis=0)
    for code, count in zip(prepared.codes, others, strict=True):
        if count:
            work.emit(LevelsUnknown(work.step, name, code.column, int(count)))


def _matrix(work: Work, blocks: list[Future], rows: list[int], prepared: Prepared) -> DesignMatrix:
    """Aligned Dask arrays over the chunks' blocks."""
    token = uuid.uuid4().hex[:12]
    layout = prepared.layout

    def array(field: str, dtype: Any, *columns: int) -> da.Array:
        name = f"{work.step}.{field}-{token}"
        keys = [(name, i, *(0 for _ in columns)) for i in range(len(blocks))]
        futures = work.dispatch.named(keys, _field, [(block, field) for block in blocks])
        return da.Array(
            dict(zip(keys, futures, strict=True)),
            name,
            chunks=(tuple(rows), *((width,) for width in columns)),
            dtype=dtype,
        )

    return DesignMatrix(
        dense=array("dense", np.float64, layout.dense),
        codes=array("codes", np.int32, len(layout.levels)),
        target=array("target", np.float64),
        weight=array("weight", np.float64),
        layout=prepared.layout,
        features=prepared.features,
        sparse=array("sparse", np.float32, layout.sparse) if prepared.texts else None,
    )


def _field(block: Block, field: str) -> Any:
    return getattr(block, field)


def _design(frame: pd.DataFrame, prepared: Prepared) -> tuple[Block, DesignFacts]:
    """A chunk's rows that can be learnt from or scored: those with a target and no problem."""
    table, _ = to_table(frame)
    columns = to_columns(table)
    rows = prepared.apply(columns)
    target, weight, usable = prepared.target_and_weight(columns)
    problems = Counter({"no target or weight": int(np.count_nonzero(~usable))})
    if rows.problems is not None:
        problems.update(reason for reason in rows.problems[usable] if reason is not None)
        usable = usable & np.array([reason is None for reason in rows.problems], dtype=bool)
    sparse = rows.sparse
    block = Block(rows.dense, rows.codes, target, weight, sparse)
    if not usable.all():
        sparse = None if sparse is None else chosen_rows(sparse, usable)
        block = Block(
            rows.dense[usable], rows.codes[usable], target[usable], weight[usable], sparse
        )
    facts = DesignFacts(
        rows=len(block.target),
        problems={reason: count for reason, count in problems.items() if count},
        others=tuple(int(count) for count in rows.others),
    )
    return block, facts
