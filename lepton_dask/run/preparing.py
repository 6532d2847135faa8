"""Running a `prepare`: profiles, the fit, and a design matrix for each part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import NamedTuple

import numpy as np

from lepton_dask.artifacts.replay import Derived, DerivedColumn
from lepton_dask.data.arrow import to_columns
from lepton_dask.data.fit import fit
from lepton_dask.data.fit_target import TargetLimit
from lepton_dask.data.hashed_text import chosen_rows
from lepton_dask.data.prepare import Prepare, Target
from lepton_dask.data.prepared import Prepared
from lepton_dask.data.profile import Profile
from lepton_dask.data.roles import Task
from lepton_dask.data.tables import Partition
from lepton_dask.data.target import target_column
from lepton_dask.data.treatments import resolve_treatments
from lepton_dask.errors import UserError
from lepton_dask.events import LevelsUnknown
from lepton_dask.learn.stored import StoredBlock, store_block
from lepton_dask.learn.sweeps import Shards
from lepton_dask.matrix import Block
from lepton_dask.run.deriving import evaluate_columns
from lepton_dask.run.hashing import touched_buckets
from lepton_dask.run.memory import matrix_fits
from lepton_dask.run.profiling import begin_profile
from lepton_dask.run.suspecting import suspect
from lepton_dask.run.values import FeaturesValue, PartName, PartTable, TableValue
from lepton_dask.run.work import Work
from lepton_dask.scratch import travels_by_name


@dataclass(frozen=True)
class DesignFacts:
    """What the driver needs to know of a prepared chunk.

    `problems` count rows left out for each reason; `others[q]` the rows of code column q whose
    level is none of the learnt ones.
    """

    rows: int
    problems: Mapping[str, int]
    others: tuple[int, ...]


class Designed(NamedTuple):
    """A prepared chunk. A tuple, so that Dask measures the arrays in it."""

    block: Block | StoredBlock
    facts: DesignFacts


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
    profiling = begin_profile(work, table)
    try:
        fitted = fit(
            treated,
            prepare,
            profiling.whole,
            profiling.training,
            at=work.at,
            task=task,
            limits=limits,
            touched=touched_buckets(work, treated, table.parts[table.training()]),
        )
    except UserError:
        # A chunk that is unlike the others may be why.
        profiling.finish(work, table)
        raise
    for warning in fitted.warnings:
        work.warn(warning)
    design = _design
    if not matrix_fits(work.dispatch, table.rows, fitted.prepared.layout):
        design = _design_on_disk
    shards = {
        name: _shards(work, name, part, fitted.prepared, design)
        for name, part in table.parts.items()
    }
    value = FeaturesValue(table, fitted.prepared, shards)
    profiled = profiling.finish(work, table)
    suspect(work, value, profiled.whole, profiled.training)
    return replace(value, missing=_missing(fitted.prepared, profiled.whole)), profiled.to_json()


def _missing(prepared: Prepared, profile: Profile) -> float:
    """The share of missing values among those of the columns that are learnt from."""
    columns = [profile.columns[name] for name in prepared.columns if name in profile.columns]
    total = sum(column.count + column.missing for column in columns)
    return sum(column.missing for column in columns) / total if total else 0.0


def _with_target(work: Work, prepare: Prepare, table: TableValue) -> TableValue:
    """The table with the column that the target's expression makes, where it is one."""
    made, _ = target_column(prepare, table.schema, work.at)
    if made is None:
        return table
    assert isinstance(prepare.target, Target)
    order, group = prepare.target.order, prepare.target.group
    evaluated = evaluate_columns(
        work, {made.name: made.checked}, table, order, group, at=(*work.at, "target", "order")
    ).table
    checked = made.checked
    column = DerivedColumn(made.name, checked.text, checked.reads, checked.is_windowed)
    # Predicting never asks for it; adapting to rows that are to be learnt from does.
    step = Derived(work.step, (column,), order, group)
    return replace(evaluated, origin=evaluated.origin.then(step))


def _shards(
    work: Work,
    name: PartName,
    part: PartTable,
    prepared: Prepared,
    design: Callable[[Partition, Prepared], Designed],
) -> Shards:
    """The part's design matrix. A chunk's block is one task's result, and nothing else holds it."""
    # As a task's result: an argument Dask looks through for each chunk, which took a millisecond.
    fitted = work.dispatch.submit("fitted", _same, prepared)
    chunks = work.map("design", design, part.partitions, repeat(fitted))
    work.settle(chunks, f"{name} chunks prepared")
    asked = work.dispatch.ask_where_they_lie("facts", _facts, chunks)
    # Meanwhile, and so before it is known how many rows they hold.
    shards = Shards.of_blocks(work.dispatch, chunks, prepared.layout, prepared.features, rows=0)
    facts: list[DesignFacts] = work.dispatch.answers(asked)
    _tell(work, name, part, prepared, facts)
    return replace(shards, rows=sum(each.rows for each in facts))


def _same(prepared: Prepared) -> Prepared:
    return prepared


def _facts(designed: Designed) -> DesignFacts:
    return designed.facts


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


def _design(rows: Partition, prepared: Prepared) -> Designed:
    """A chunk's rows that can be learnt from or scored: those with a target and no problem."""
    made, target, weight, usable, unusable = prepared.learnable(
        to_columns(rows.table, prepared.inputs)
    )
    sparse = made.sparse
    block = Block(made.dense, made.codes, target, weight, sparse)
    if not usable.all():
        sparse = None if sparse is None else chosen_rows(sparse, usable)
        block = Block(
            made.dense[usable], made.codes[usable], target[usable], weight[usable], sparse
        )
    facts = DesignFacts(
        rows=len(block.target),
        problems=unusable,
        others=tuple(int(count) for count in made.others),
    )
    return Designed(block, facts)


def _design_on_disk(rows: Partition, prepared: Prepared) -> Designed:
    """The same, the block in a file of the worker's."""
    block, facts = _design(rows, prepared)
    assert isinstance(block, Block)
    return Designed(store_block(block), facts)


travels_by_name(Designed)
