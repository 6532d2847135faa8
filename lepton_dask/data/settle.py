"""One schema for a table from what its chunks hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lepton_dask.data.chunks import ChunkSummary
from lepton_dask.data.content import SourceFile
from lepton_dask.data.read import Read
from lepton_dask.data.types import ColumnType, Schema, described
from lepton_dask.data.wanted import check_names, own_columns
from lepton_dask.errors import Mistake, UserError
from lepton_dask.suggest import did_you_mean, listed

TEXT = ColumnType("text")
NUMBER = ColumnType("number")

_Types = dict[str, ColumnType | None]


@dataclass(frozen=True)
class Settled:
    """The schema of a table, and what its user should know of how it came about."""

    schema: Schema
    warnings: tuple[str, ...]


def settle_types(read: Read, summaries: Sequence[ChunkSummary]) -> Settled:
    """The types of a table's columns, from all of its chunks in order.

    Within a file, integers and numbers make numbers, dates and timestamps make timestamps, and any
    other mixture makes text, as it would if the file were one chunk. Between files only the first
    two are made; a mixture is a mistake, for there the files mean different things.

    Raises UserError for columns that only some files have, and for types that differ.
    """
    by_file: dict[SourceFile, list[ChunkSummary]] = {}
    for summary in summaries:
        by_file.setdefault(summary.chunk.file, []).append(summary)
    warnings: list[str] = []
    mistakes: list[Mistake] = []
    files: list[tuple[SourceFile, _Types]] = []
    for file, chunks in by_file.items():
        types = _types_of_file(chunks, warnings)
        files.append((file, types))
        try:
            check_names(read, file, own_columns(read, file, types))
        except UserError as error:
            mistakes += error.mistakes
    mistakes += _different_columns(files, warnings)
    if mistakes:
        raise UserError(mistakes)
    schema: dict[str, ColumnType] = {}
    for name in files[0][1]:
        type_ = _type_of_column(name, files, warnings, mistakes)
        schema[name] = type_
    if mistakes:
        raise UserError(mistakes)
    return Settled(schema, tuple(warnings))


def common_type(a: ColumnType | None, b: ColumnType | None) -> ColumnType | None:
    """The type that holds both without loss of meaning; None where only text would."""
    if a is None or b is None or a == b:
        return a or b
    kinds = {a.kind, b.kind}
    if kinds == {"integer", "number"}:
        return NUMBER
    naive = a.zone is None and b.zone is None
    return ColumnType("timestamp") if kinds == {"date", "timestamp"} and naive else None


def _types_of_file(chunks: Sequence[ChunkSummary], warnings: list[str]) -> _Types:
    types: _Types = {}
    for summary in chunks:
        for name, type_ in summary.types.items():
            before = types.get(name)
            both = common_type(before, type_)
            if both is None and before is not None and type_ is not None:
                both = TEXT
                if before != TEXT:
                    row = summary.chunk.first_row or 0
                    warnings.append(
                        f"'{summary.chunk.file.shown}': column '{name}' is read as text: it holds "
                        f"{described(before)} before row {row} and {described(type_)} after it; "
                        "list what stands for a missing value under 'missing_values'"
                    )
            types[name] = both
    return types


def _different_columns(
    files: Sequence[tuple[SourceFile, _Types]], warnings: list[str]
) -> list[Mistake]:
    """Columns that the first file has and another has not, or the other way round."""
    (first, expected), *others = files
    mistakes = []
    for file, types in others:
        lacks = [name for name in expected if name not in types]
        extra = [name for name in types if name not in expected]
        for name in lacks:
            mistakes.append(
                Mistake(
                    file.named_at,
                    f"'{file.shown}' has no column '{name}', '{first.shown}' has one",
                    _near(name, extra),
                )
            )
        if extra and not lacks:
            mistakes.append(
                Mistake(
                    file.named_at,
                    f"'{file.shown}' has {listed(extra)}, which '{first.shown}' has not",
                    "read columns that all files have, with 'columns:'",
                )
            )
        if not lacks and not extra and list(types) != list(expected):
            warnings.append(
                f"'{file.shown}': the columns stand in another order than in '{first.shown}'; "
                "they are taken by name"
            )
    return mistakes


def _near(name: str, extra: Sequence[str]) -> str:
    near = did_you_mean(name, extra)
    if near.startswith("did"):
        return f"is it the file's {near[len('did you mean ') : -1]}?"
    return "read columns that all files have, with 'columns:'"


def _type_of_column(
    name: str,
    files: Sequence[tuple[SourceFile, _Types]],
    warnings: list[str],
    mistakes: list[Mistake],
) -> ColumnType:
    settled: ColumnType | None = None
    settled_by = files[0][0]
    for file, types in files:
        type_ = types[name]
        both = common_type(settled, type_)
        if both is None and settled is not None and type_ is not None:
            mistakes.append(
                Mistake(
                    file.named_at,
                    f"column '{name}' is {described(type_)} in '{file.shown}' and "
                    f"{described(settled)} in '{settled_by.shown}'",
                    f"declare it: 'types: {{{name}: text}}', or list what is missing under "
                    "'missing_values'",
                )
            )
            return TEXT
        settled_by = file if settled is None else settled_by
        settled = both
    empty = [file.shown for file, types in files if types[name] is None]
    if settled is None:
        settled = NUMBER
        warnings.append(f"column '{name}' has no value at all; it is taken for a number")
    elif empty:
        warnings.append(f"column '{name}' has no value in {listed(empty)}")
    return settled
