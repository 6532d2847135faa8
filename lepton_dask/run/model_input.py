"""Files of rows for a model: read as those that it was trained on, whatever else is in them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lepton_dask.artifacts.predictor import Model
from lepton_dask.data.content import SourceFile
from lepton_dask.data.files import find_files
from lepton_dask.data.head import read_head
from lepton_dask.data.lenient import read_for_prediction
from lepton_dask.data.path_text import captured_from
from lepton_dask.data.read import Read
from lepton_dask.data.roots import Roots
from lepton_dask.data.types import ColumnType, Schema
from lepton_dask.data.wanted import is_ragged
from lepton_dask.errors import Mistake, UserError

TEXT = ColumnType("text")


@dataclass(frozen=True)
class ModelInput:
    """A file of rows, with the model's `read` and schema as they fit it."""

    file: SourceFile
    read: Read
    schema: Schema


def model_inputs(model: Model, path: str) -> list[ModelInput]:
    """The files at `path`, which may have captures, as that of a `read`; without, they are taken
    from a base name like those that the model was trained on.

    Raises UserError for a missing column or capture, and for files of different columns.
    """
    read = Read.model_validate_json(_with_path(model, path))
    found = find_files(read, (), Roots((Path.cwd(),)))
    files = [_with_captures(model, read, file) for file in found]
    inputs = [_fitted(model, read, file) for file in files]
    _check_alike(inputs)
    return inputs


def _with_path(model: Model, path: str) -> str:
    return json.dumps({**model.source.read, "path": path, "format": None})


def _with_captures(model: Model, read: Read, file: SourceFile) -> SourceFile:
    """The file with the captures that the model needs: its path's own, or those of a base name
    like the ones that the model knows. Columns of the file by these names do as well."""
    needed = {column.name for column in model.inputs}
    lacks = [name for name in model.source.captures if name in needed]
    lacks = [name for name in lacks if name not in dict(file.captured)]
    if lacks:
        whole = read.model_copy(update={"columns": None, "types": {}, "missing_values": ()})
        names = read_head(whole, file).summary.types if read.header else ()
        lacks = [name for name in lacks if name not in names]
    if not lacks:
        return file
    for pattern in model.source.patterns:
        captured = captured_from(pattern, file.path)
        if captured is not None and set(lacks) <= dict(captured).keys():
            own = dict(file.captured)
            more = tuple((name, text) for name, text in captured if name not in own)
            return replace(file, captured=(*file.captured, *more))
    name = lacks[0]
    known = next((p for p in model.source.patterns if f"{{{name}}}" in p), None)
    examples = f"'{known}'" if known else f"'table_{{{name}}}.csv' or '{{{name}}}/table.csv'"
    raise UserError(
        [
            Mistake(
                ("path",),
                f"'{file.shown}' does not say its '{name}', which the model takes from the file's "
                "path",
                f"write the path with a capture, as {examples}",
            )
        ]
    )


def _fitted(model: Model, read: Read, file: SourceFile) -> ModelInput:
    """The model's columns with their frozen types; all others as text, to go through unchanged."""
    needed = {column.name: column.type for column in model.inputs}
    known = {column.name: column.type for column in model.source.columns}
    if not read.header and _has_header(read, file, set(needed)):
        read = read.model_copy(update={"header": True, "skip_rows": 0, "columns": None})
    types = _types_in(read, file)
    carried = TEXT if file.format == "csv" else None
    schema = {name: needed.get(name, carried or type_) for name, type_ in known.items()}
    if read.header and file.format != "json":  # where rows are arrays, they name the fields
        read = read.model_copy(update={"columns": None})
        schema |= {
            name: carried or type_ or TEXT for name, type_ in types.items() if name not in schema
        }
    declared = {name: type_ for name, type_ in read.types.items() if name in needed}
    read = read.model_copy(update={"types": declared})
    optional = [name for name in schema if name not in needed]
    return ModelInput(file, *read_for_prediction(read, file, schema, optional))


def _has_header(read: Read, file: SourceFile, needed: set[str]) -> bool:
    """Whether a file has a line of names although those that the model was trained on had none."""
    if file.format != "csv":
        return False
    named = read.model_copy(update={"header": True, "skip_rows": 0, "columns": None, "types": {}})
    try:
        return needed <= set(read_head(named, file).summary.types)
    except UserError:
        return False  # what its first line says is no list of names


def _types_in(read: Read, file: SourceFile) -> Mapping[str, ColumnType | None]:
    if not read.header or is_ragged(file):
        return {}
    whole = read.model_copy(update={"columns": None, "types": {}, "missing_values": ()})
    return read_head(whole, file).summary.types


def _check_alike(inputs: Sequence[ModelInput]) -> None:
    """One output has one list of columns."""
    first = inputs[0]
    mistakes = [
        Mistake(
            ("path",),
            f"'{each.file.shown}' has other columns than '{first.file.shown}'",
            "predict for each on its own",
        )
        for each in inputs
        if list(each.schema.items()) != list(first.schema.items())
    ]
    if mistakes:
        raise UserError(mistakes)
