"""Running a `derive`: by expressions, with windows carried over the chunks' borders, or by a
function of the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

import pyarrow as pa
from dask.utils import format_bytes
from distributed import Future

from lepton_dask.artifacts.frames import InputColumn
from lepton_dask.artifacts.replay import Derived, DerivedColumn, PythonStep
from lepton_dask.artifacts.side_table import SideTable
from lepton_dask.data import windowed as chunks
from lepton_dask.data.arrow import to_columns
from lepton_dask.data.arrow_types import declared_format
from lepton_dask.data.derive import Derive, check_derive
from lepton_dask.data.expressions.check import Checked
from lepton_dask.data.expressions.on_arrow import evaluate
from lepton_dask.data.python_function import derive_chunk, load_function
from lepton_dask.data.tables import Partition, plain_table
from lepton_dask.data.types import Schema
from lepton_dask.data.windowed import ChunkOrder, Windowed
from lepton_dask.errors import DocumentPath, Mistake, RunError, UserError
from lepton_dask.run import memory
from lepton_dask.run.memory import most_bytes_at_once
from lepton_dask.run.values import PartName, PartTable, TableValue
from lepton_dask.run.work import Work

HISTORY_BYTES = 16 << 20
"""The most that the rows which windows look back on may take in a model."""


@dataclass(frozen=True)
class Evaluated:
    """A table with the new columns, and the last rows of each group, which rows to come look back
    on; None without windows."""

    table: TableValue
    history: Future | None


def derive_table(work: Work, derive: Derive, table: TableValue, folder: Path) -> TableValue:
    """The table with its new columns; `folder` is where a user's own module lies.

    Raises UserError where windows need an order that the rows have not, and they are too many to
    be sorted in one worker's memory.
    """
    derived = check_derive(derive, table.schema, work.at)
    if derived.mistakes:
        raise UserError(derived.mistakes)
    if derive.python is not None:
        return _derive_by_function(work, derive, table, derived.schema, folder)
    evaluated = evaluate_columns(
        work, derived.expressions, table, derive.order, derive.group, at=(*work.at, "order")
    )
    columns = tuple(
        DerivedColumn(name, checked.text, checked.reads, checked.is_windowed)
        for name, checked in derived.expressions.items()
    )
    step = Derived(work.step, columns, derive.order, derive.group)
    tables = _kept_history(work, step.history, table.schema, evaluated.history)
    return replace(evaluated.table, origin=table.origin.then(step, tables=tables))


def evaluate_columns(
    work: Work,
    expressions: Mapping[str, Checked],
    table: TableValue,
    order: str | None,
    group: str | None,
    *,
    at: DocumentPath,
) -> Evaluated:
    """The table with a column for each expression, part by part. `at` is where the pipeline says
    in which order windows look."""
    schema = {**table.schema, **{name: checked.type for name, checked in expressions.items()}}
    windowed = (
        Windowed(expressions, order, group)
        if order is not None and any(each.is_windowed for each in expressions.values())
        else None
    )
    parts: dict[PartName, PartTable] = {}
    history: list[Future] = []
    for name, part in table.parts.items():
        if windowed is None:
            made = work.map("derive", _evaluate, repeat(expressions), part.partitions)
            work.settle(made, "chunks derived")
        else:
            made, last = _evaluate_windows(work, windowed, part, at)
            carried = _carried(work, windowed, [*history, last])
            work.dispatch.wait([carried])
            history = [carried]
        parts[name] = replace(part, partitions=tuple(made), schema=schema)
    return Evaluated(replace(table, parts=parts, schema=schema), *(history or [None]))


def _evaluate(expressions: Mapping[str, Checked], rows: Partition) -> Partition:
    table, (plain, row_numbers) = rows.table, rows.plain()
    for name, checked in expressions.items():
        made = evaluate(checked, plain)
        table, plain = table.append_column(name, made), plain.append_column(name, made)
    return Partition(table, row_numbers)


def _evaluate_windows(
    work: Work, windowed: Windowed, part: PartTable, at: DocumentPath
) -> tuple[list[Future], Future]:
    """The part's chunks with the new columns, and the rows that those behind it look back on."""
    orders = work.map("order", _order, repeat(windowed), part.partitions)
    [whole] = work.reduce("order", ChunkOrder.then, [orders])
    if whole.inexact_groups:
        found = f"'{windowed.group}' has integers of 2^53 and more, which are not told apart"
        fix = "declare it as text under 'types' of its read step"
        raise UserError([Mistake((*at[:-1], "group"), found, fix)])
    if not whole.in_order:
        return _evaluate_sorted(work, windowed, part, at)
    tails = work.map("tail", _tail, repeat(windowed), part.partitions)
    before: list[Future | None] = [None]
    for own in tails:
        before.append(_carried(work, windowed, [before[-1], own]))
    behind: list[Future | None] = [None] * len(tails)
    if windowed.reach.ahead_rows:
        heads = work.map("head", _head, repeat(windowed), part.partitions)
        for i in reversed(range(len(heads) - 1)):
            arguments = (windowed, heads[i + 1], behind[i + 1])
            behind[i] = work.dispatch.submit("head", chunks.head, *arguments)
    made = work.map(
        "derive", _evaluate_chunk, repeat(windowed), before[:-1], part.partitions, behind
    )
    last = before[-1]
    assert last is not None
    work.settle(made, "chunks derived")
    work.dispatch.wait([last])
    return made, last


def _carried(work: Work, windowed: Windowed, tails: Sequence[Future | None]) -> Future:
    """The last rows of consecutive chunks' last rows."""
    *before, last = [each for each in tails if each is not None]
    if not before:
        return last
    return work.dispatch.submit("carry", chunks.tail, windowed, before[0], last)


def _evaluate_sorted(
    work: Work, windowed: Windowed, part: PartTable, at: DocumentPath
) -> tuple[list[Future], Future]:
    """The same where the rows are not in order: what the windows look at is sorted by one task."""
    looked_at = work.map("looked_at", _looked_at, repeat(windowed), part.partitions)
    size = sum(work.gather(work.map("size", _size_bytes, looked_at)))
    most = most_bytes_at_once(work.dispatch)
    if size > most:
        found = (
            f"the rows are not in the order of '{windowed.order}', and the "
            f"{format_bytes(size)} of them that windows look at are more than "
            f"{format_bytes(int(most))}, {memory.SHARE:.0%} of a worker's memory"
        )
        raise UserError([Mistake(at, found, "sort the files, or start workers with more memory")])
    together = work.dispatch.submit("sorted", chunks.evaluate_together, windowed, looked_at)
    numbers = range(len(part.partitions))
    columns = work.map("columns", _columns_of, repeat(together), numbers)
    made = work.map("derive", _with_columns, repeat(windowed), part.partitions, columns)
    [last] = work.pick("tail", [together], 1)
    work.settle(made, "chunks derived")
    work.dispatch.wait([last])
    return made, last


def _order(windowed: Windowed, rows: Partition) -> ChunkOrder:
    return chunks.order_of_chunk(windowed, rows.plain()[0])


def _tail(windowed: Windowed, rows: Partition) -> pa.Table:
    return chunks.tail(windowed, None, rows.plain()[0])


def _head(windowed: Windowed, rows: Partition) -> pa.Table:
    return chunks.head(windowed, rows.plain()[0], None)


def _evaluate_chunk(
    windowed: Windowed, before: pa.Table | None, rows: Partition, behind: pa.Table | None
) -> Partition:
    table, row_numbers = rows.plain()
    return Partition(chunks.evaluate_chunk(windowed, before, table, behind), row_numbers)


def _looked_at(windowed: Windowed, rows: Partition) -> pa.Table:
    return plain_table(rows.table.select(list(windowed.looked_at)))


def _size_bytes(table: pa.Table) -> int:
    return int(table.nbytes)


def _columns_of(together: tuple[tuple[pa.Table, ...], pa.Table], number: int) -> pa.Table:
    return together[0][number]


def _with_columns(windowed: Windowed, rows: Partition, made: pa.Table) -> Partition:
    table, row_numbers = rows.plain()
    return Partition(chunks.with_columns(windowed, table, made), row_numbers)


def _kept_history(
    work: Work, name: str, schema: Schema, history: Future | None
) -> tuple[SideTable, ...]:
    """The last rows of every group, to travel with the model as the table `name`."""
    if history is None:
        return ()
    [size] = work.gather(work.map("size", _size_bytes, [history]))
    if size > HISTORY_BYTES:
        work.warn(
            f"the rows that windows look back on take {format_bytes(size)}, more than the "
            f"{format_bytes(HISTORY_BYTES)} that a model carries: predicting looks back over the "
            "rows it is given alone"
        )
        return ()
    [rows] = work.gather([history])
    columns = tuple(
        InputColumn(name, schema[name].kind, schema[name].zone) for name in rows.column_names
    )
    return (SideTable(name, columns, to_columns(rows)),)


def _derive_by_function(
    work: Work, derive: Derive, table: TableValue, schema: Schema, folder: Path
) -> TableValue:
    parts: dict[PartName, PartTable] = {}
    for name, part in table.parts.items():
        files = [file.shown for file in part.files]
        made = work.map(
            "derive",
            _call,
            repeat(derive),
            repeat(folder),
            repeat(work.at),
            part.partitions,
            files,
        )
        work.settle(made, "chunks derived")
        parts[name] = replace(part, partitions=tuple(made), schema=schema)
    step = _python_step(derive, table, schema)
    return TableValue(parts, schema, table.origin.then(step))


def _python_step(derive: Derive, table: TableValue, schema: Schema) -> PythonStep:
    outputs = tuple(
        InputColumn(name, schema[name].kind, schema[name].zone, declared_format(declared))
        for name, declared in derive.outputs.items()
    )
    return PythonStep(derive.python or "", outputs, tuple(table.schema))


def _call(derive: Derive, folder: Path, at: DocumentPath, rows: Partition, file: str) -> Partition:
    # Loaded where it runs: a worker that joins later has never heard of the module's folder.
    function = load_function(derive, folder, at)
    table, row_numbers = rows.plain()
    try:
        return Partition(derive_chunk(derive, function, table, row_numbers), row_numbers)
    except RunError as error:
        raise RunError(error.what, fix=error.fix, file=file) from error
