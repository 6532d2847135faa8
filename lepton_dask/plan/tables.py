"""Planning what makes one table of another (clean, derive, split), and what writes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from os.path import normpath
from pathlib import Path, PurePosixPath

from lepton_dask.artifacts.run_folder import RUN_FILES
from lepton_dask.artifacts.tablefile import FORMATS
from lepton_dask.data.clean import Clean, clean_schema
from lepton_dask.data.derive import Derive, Derived, check_derive
from lepton_dask.data.python_function import load_function
from lepton_dask.data.selectors import select
from lepton_dask.data.split import Split, check_split, split_parts
from lepton_dask.data.types import Schema
from lepton_dask.data.write import Write
from lepton_dask.errors import DocumentPath, Mistake, UserError
from lepton_dask.plan.drawn import Drawn, changed_columns, type_name, unchanged_columns
from lepton_dask.plan.planned import PlannedColumn
from lepton_dask.plan.shapes import TableShape


def draw_clean(clean: Clean, table: TableShape, at: DocumentPath) -> Drawn:
    schema, mistakes = clean_schema(clean, table.schema, at)
    droppers = ("require", "drop_missing", "drop_duplicates", "filter")
    whole = [name for name in droppers if getattr(clean, name)]
    why = [f"rows are dropped by {', '.join(whole)}"] if whole else ["no row is dropped"]
    dropped_by = (*table.dropped_by, str(at[1])) if whole else table.dropped_by
    return Drawn(
        replace(table, schema=schema, dropped_by=dropped_by),
        why=tuple(why),
        columns=tuple(_cleaned_columns(clean, table.schema)),
        mistakes=tuple(mistakes),
    )


def _cleaned_columns(clean: Clean, schema: Schema) -> Iterator[PlannedColumn]:
    """Every column that comes in: what it is called now, or what drops it."""
    dropped_by = {
        name: selector
        for selector in reversed(clean.drop)
        for name in select(selector, list(schema), ())[0]
    }
    for name, type_ in schema.items():
        if name in dropped_by:
            reason = f"drop: '{dropped_by[name]}'"
            yield PlannedColumn(name, type_name(type_), "dropped", reason)
        elif name in clean.rename:
            reason = f"rename: from '{name}'"
            yield PlannedColumn(clean.rename[name], type_name(type_), "renamed", reason)
        else:
            yield PlannedColumn(name, type_name(type_), "", "as it comes in")


def draw_derive(derive: Derive, table: TableShape, at: DocumentPath, folder: Path) -> Drawn:
    derived = check_derive(derive, table.schema, at)
    mistakes = derived.mistakes
    if derive.python is not None:
        try:
            load_function(derive, folder, at)
        except UserError as error:
            mistakes += error.mistakes
    return Drawn(
        replace(table, schema=derived.schema),
        why=tuple(_how_derived(derive, derived)),
        columns=tuple(_derived_columns(derive, table.schema, derived.schema)),
        mistakes=tuple(mistakes),
        warnings=tuple(_window_warnings(derived, table)),
    )


def _window_warnings(derived: Derived, table: TableShape) -> Iterator[str]:
    """Where windows see other rows than their user may think."""
    if not any(each.is_windowed for each in derived.expressions.values()):
        return
    # A part that a split has made begins where another ends, those of official files do not.
    if table.parts and not any(chunk.file.part for chunk in table.chunks):
        yield "windows look back within each part alone: derive them before the split"
    if table.dropped_by:
        yield (
            f"windows look back on other rows when a model predicts: those that "
            f"'{table.dropped_by[0]}' drops stay there; derive them before they are dropped"
        )


def _how_derived(derive: Derive, derived: Derived) -> Iterator[str]:
    if derive.python is not None:
        yield f"{derive.python} on each chunk"
        return
    windows = [name for name, checked in derived.expressions.items() if checked.is_windowed]
    if len(windows) < len(derived.expressions):
        yield "expressions, chunk by chunk"
    if windows:
        within = f" within each '{derive.group}'" if derive.group else ""
        yield f"windows in the order of '{derive.order}'{within}, carried over the chunks' borders"


def _derived_columns(derive: Derive, before: Schema, after: Schema) -> Iterator[PlannedColumn]:
    for column in changed_columns(before, after, f"outputs of {derive.python}"):
        text = derive.columns.get(column.name)
        yield column if text is None or column.name in before else replace(column, reason=text)


def draw_split(split: Split, table: TableShape, at: DocumentPath) -> Drawn:
    mistakes = check_split(split, table.schema, table.parts, at)
    parts = split_parts(split, table.parts)
    return Drawn(
        replace(table, parts=parts),
        why=(f"{', '.join(parts)}: {_how(split)}",),
        columns=unchanged_columns(table),
        mistakes=tuple(mistakes),
        warnings=tuple(_past_and_future(split, table)),
    )


def _past_and_future(split: Split, table: TableShape) -> Iterator[str]:
    """A warning where rows that bear a time go to the parts at random."""
    moments = [name for name, type_ in table.schema.items() if type_.kind in ("date", "timestamp")]
    if not moments or table.parts or split.time or split.group or split.column:
        return
    name = moments[0]
    yield (
        f"the parts are drawn at random, and '{name}' is a {table.schema[name].kind}: a model that "
        f"forecasts is tested on the future with 'split: {{time: {name}}}'"
    )


def _how(split: Split) -> str:
    if split.column is not None:
        return f"as '{split.column}' says"
    if split.time is not None:
        return f"in the order of '{split.time}'"
    if split.stratify is not None:
        return f"at random within each class of '{split.stratify}'"
    if split.group is not None:
        return f"whole groups of '{split.group}', at random"
    return "at random, by a hash of seed, file and row number"


def draw_write(write: Write, table: TableShape, at: DocumentPath) -> Drawn:
    path = PurePosixPath(normpath(write.path))
    mistakes = []
    if path.is_absolute() or path.parts[:1] == ("..",):
        found = f"'{write.path}' leaves the run folder"
        mistakes.append(Mistake((*at, "path"), found, f"say 'path: {path.name}'"))
    elif path.parts[0] in RUN_FILES:
        found = f"'{path.parts[0]}' is written by every run itself"
        mistakes.append(Mistake((*at, "path"), found, "name another one"))
    if path.suffix not in FORMATS:
        found = f"'{path.name}' says no format that can be written"
        mistakes.append(Mistake((*at, "path"), found, f"end its name with {', '.join(FORMATS)}"))
    why = f"into {path} in the run folder"
    return Drawn(table, why=(why,), columns=unchanged_columns(table), mistakes=tuple(mistakes))
