"""Tables that a model asks for, read from the files that are given to `lepton predict`."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from lepton_dask.artifacts.predictor import Model
from lepton_dask.artifacts.replay import Joined, Tables
from lepton_dask.artifacts.side_table import Recipe, SideTable
from lepton_dask.config.pipeline import VERBS
from lepton_dask.data.arrow import to_columns
from lepton_dask.data.clean import Clean
from lepton_dask.data.columns import Column, Columns, concatenated
from lepton_dask.data.content import SourceFile
from lepton_dask.data.declared import DeclaredType
from lepton_dask.data.derive import Derive
from lepton_dask.data.files import find_files
from lepton_dask.data.read import Read
from lepton_dask.data.reading import plan_chunks
from lepton_dask.data.roots import Roots
from lepton_dask.data.tables import Partition, empty_partition
from lepton_dask.data.types import described
from lepton_dask.errors import DocumentPath, Mistake, UserError
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.run.cleaning import clean_table
from lepton_dask.run.deriving import derive_table
from lepton_dask.run.lookups import too_large
from lepton_dask.run.memory import most_bytes_at_once
from lepton_dask.run.reading import read_table
from lepton_dask.run.values import TableValue
from lepton_dask.run.work import Work
from lepton_dask.suggest import did_you_mean

OPTION = "--table"


def check_given(model: Model, given: Mapping[str, str]) -> None:
    """Raises UserError for a table that the model asks for and that is not given, and for one that
    it does not ask for."""
    asked = [table.name for table in model.tables if table.rows is None]
    mistakes = [
        Mistake(
            (OPTION,),
            f"the model joins the table '{name}', which does not travel in it",
            f"add '{OPTION} {name}=FILE'",
        )
        for name in asked
        if name not in given
    ]
    mistakes += [
        Mistake((OPTION,), f"the model asks for no table '{name}'", did_you_mean(name, asked))
        for name in given
        if name not in asked
    ]
    if mistakes:
        raise UserError(mistakes)


def tables_for(dispatch: Dispatch, model: Model, given: Mapping[str, str]) -> Tables:
    """All that the model looks into: what travels in it, and what the `given` files hold.

    Raises UserError for a file that is not like the model's table, is too large to be sent to
    every worker, or has a key twice.
    """
    tables: dict[str, Columns] = {}
    for table in model.tables:
        kept = table.rows
        tables[table.name] = _read(dispatch, table, given[table.name]) if kept is None else kept
    for step in model.replay:
        if isinstance(step, Joined):
            step.index(tables)
    return tables


def _read(dispatch: Dispatch, table: SideTable, path: str) -> Columns:
    """The table that a file holds, by way of everything that made the model's own of its files."""
    recipe = table.recipe or Recipe({}, (), ())
    work = Work(table.name, (OPTION, table.name), 0, dispatch, emit=lambda _: None)
    read = Read.model_validate_json(json.dumps({**recipe.read, "path": path, "format": None}))
    files = _files(read, table, work.at)
    read = _with_types(read, recipe, table, dict(files[0].captured))
    chunks = [chunk for file in files for chunk in plan_chunks(read, file)]
    actions = [
        VERBS[step["verb"]].model_validate_json(json.dumps(step["node"])) for step in recipe.steps
    ]
    cleaning = next((action for action in actions if isinstance(action, Clean)), Clean())
    value = read_table(work, read, chunks, cleaning.max_bad_share, ())
    for action in actions:
        value = _after(work, action, value)
    _check_columns(table, value, path)
    return _gathered(work, table, value, path)


def _files(read: Read, table: SideTable, at: DocumentPath) -> tuple[SourceFile, ...]:
    """The files that are given for a table; what is wrong with their paths, by its name."""
    try:
        return find_files(read, at, Roots((Path.cwd(),)))
    except UserError as error:
        said = f"{OPTION} {table.name}"
        raise UserError(replace(mistake, path=(said,)) for mistake in error.mistakes) from None


def _after(work: Work, action: object, value: TableValue) -> TableValue:
    if isinstance(action, Clean):
        return clean_table(work, action, value)
    assert isinstance(action, Derive)
    return derive_table(work, action, value, Path.cwd())


def _with_types(read: Read, recipe: Recipe, table: SideTable, captures: Collection[str]) -> Read:
    """The model's own `read`, with the types that it found; what the path captures is text anyway.
    Without steps behind it, only the table's columns have to be there."""
    columns = recipe.columns if recipe.steps else table.columns
    types: dict[str, DeclaredType] = {
        column.name: read.types.get(column.name, column.kind)
        for column in columns
        # A zone is only declared with a format: without one it is inferred, and checked afterwards.
        if column.name in read.types or column.zone is None
    }
    for made in (read.row_number, *captures):
        types.pop(made or "", None)
    return read.model_copy(update={"types": types})


def _check_columns(table: SideTable, value: TableValue, path: str) -> None:
    mistakes = []
    for column in table.columns:
        wanted, found = column.type, value.schema.get(column.name)
        if found is None:
            what = f"'{path}' has no column '{column.name}', which the model reads"
            fix = did_you_mean(column.name, value.schema)
            mistakes.append(Mistake((OPTION, table.name), what, fix))
        elif found != wanted and {found.kind, wanted.kind} != {"integer", "number"}:
            what = (
                f"'{column.name}' is {described(found)} in '{path}', "
                f"and {described(wanted)} in the model"
            )
            mistakes.append(Mistake((OPTION, table.name), what))
    if mistakes:
        raise UserError(mistakes)


def _gathered(work: Work, table: SideTable, value: TableValue, path: str) -> Columns:
    names = [column.name for column in table.columns]
    partitions = [each for part in value.parts.values() for each in part.partitions]
    arguments = [(partition, names) for partition in partitions]
    size = sum(work.gather(work.dispatch.starmap("size", _size, arguments)))
    most = most_bytes_at_once(work.dispatch)
    if size > most:
        found = f"'{path}' {too_large(size, most)}"
        raise UserError([Mistake((OPTION, table.name), found)])
    chunks: list[Columns] = work.gather(work.dispatch.starmap("table", _columns, arguments))
    chunks = chunks or [_columns(empty_partition(value.schema), names)]
    together: dict[str, Column] = {
        name: concatenated([chunk[name] for chunk in chunks]) for name in names
    }
    return together


def _size(rows: Partition, names: list[str]) -> int:
    return int(rows.plain()[0].select(names).nbytes)


def _columns(rows: Partition, names: list[str]) -> Columns:
    return to_columns(rows.table, names)
