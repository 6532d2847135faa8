"""`lepton init`: one look at a file, and a pipeline that learns from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from lepton_dask.config.load import load_config
from lepton_dask.data.chunks import Chunk
from lepton_dask.data.content import SourceFile
from lepton_dask.data.declared import DeclaredType
from lepton_dask.data.files import stem_of
from lepton_dask.data.guess_roles import (
    TargetGuess,
    guess_excluded,
    guess_prose,
    guess_target,
    guess_time,
)
from lepton_dask.data.guess_types import (
    MissingTexts,
    Moments,
    declared,
    guess_missing,
    guess_moments,
    with_moments,
)
from lepton_dask.data.profile import ColumnProfile, Profile, profile_table
from lepton_dask.data.read import Read
from lepton_dask.data.reading import (
    conform_chunk,
    needs_scan,
    parse_chunk,
    plan_chunks,
    scan_chunk,
    settle_bounds,
)
from lepton_dask.data.settle import settle_types
from lepton_dask.errors import Mistake, UserError
from lepton_dask.run.bare_file import BareFile, look_at
from lepton_dask.run.initial_text import Initial, pipeline_text
from lepton_dask.run.pipeline import roots_of
from lepton_dask.suggest import did_you_mean

MOST_CHUNKS = 16
"""Chunks that are looked at, 256 MiB of text: they are held here, in one process."""


@dataclass(frozen=True)
class _Rows:
    table: pa.Table
    are_all: bool


def initial_pipeline(path: str, target: str) -> str:
    """The text of a pipeline that learns column `target` (a name, or a position) of the file.

    Raises UserError for a wrong path, an unknown target, or one that cannot be learnt; RunError
    for a damaged file.
    """
    try:
        return pipeline_text(_decided(path, target))
    except UserError as error:
        # There is no document that they could stand in.
        raise UserError(replace(each, path=(), place=None) for each in error.mistakes) from None


def write_initial(text: str, output: Path) -> None:
    """Writes a new file. Raises UserError where there is one, or no folder for it."""
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        found, fix = f"--output: '{output}' is there already", "name a new file, or move it away"
        raise UserError([Mistake((), found, fix)]) from None
    except OSError as error:
        found = f"--output: '{output}' cannot be written ({error.strerror})"
        raise UserError([Mistake((), found)]) from None


def _decided(path: str, target: str) -> Initial:
    bare = look_at(path, (), roots_of(load_config(None), Path.cwd() / "pipeline.yaml"))
    rows = _read(bare.read, bare.files)
    missing = guess_missing(rows.table)
    read = bare.read
    if missing.rows:
        read = read.model_copy(update={"missing_values": tuple(missing.rows)})
        rows = _read(read, bare.files)
    moments = guess_moments(rows.table)
    table = with_moments(rows.table, moments)
    profile = profile_table(table)
    guessed = guess_target(*_target(target, profile))
    if isinstance(guessed, Mistake):
        raise UserError([guessed])
    excluded = guess_excluded(table, profile, guessed)
    prose = guess_prose(table, profile, excluded, guessed)
    excluded = {name: reason for name, reason in excluded.items() if name not in prose}
    _check_something_left(profile, excluded, guessed)
    return Initial(
        name=_name(path),
        given=path,
        asked=target,
        read=read.model_copy(update={"types": _types(profile, moments)}),
        zones={
            name: column.type.zone
            for name, column in profile.columns.items()
            if column.type.zone is not None and name not in moments.formats
        },
        reasons=_reasons(bare, missing, moments),
        rows=profile.rows if rows.are_all else None,
        target=guessed,
        time=guess_time(table, profile, excluded, guessed),
        excluded=excluded,
        prose=prose,
    )


def _name(path: str) -> str:
    """The file's base name, or its folder's where it is a glob without one."""
    return stem_of(Path(path).name).strip("*?[]_-. ") or Path(path).absolute().parent.name


def _read(read: Read, files: Sequence[SourceFile]) -> _Rows:
    """The rows of the files, or of their first chunks, in one table of settled types."""
    chunks = [chunk for file in files for chunk in _settled(read, file)]
    parsed = [parse_chunk(read, chunk) for chunk in chunks[:MOST_CHUNKS]]
    schema = settle_types(read, [each.summary() for each in parsed]).schema
    tables = [conform_chunk(read, each, schema).table for each in parsed]
    table = pa.concat_tables(tables).combine_chunks()
    if table.num_rows == 0:
        raise UserError([Mistake((), f"'{files[0].shown}' has no rows to learn from")])
    return _Rows(table, len(chunks) <= MOST_CHUNKS)


def _settled(read: Read, file: SourceFile) -> Sequence[Chunk]:
    chunks = plan_chunks(read, file)
    if not needs_scan(chunks):
        return chunks
    return settle_bounds(read, chunks, [scan_chunk(read, chunk) for chunk in chunks])


def _target(target: str, profile: Profile) -> tuple[str, ColumnProfile]:
    """The column that a name or a position means."""
    names = list(profile.columns)
    if target not in names and target.lstrip("-").isdigit():
        if not -len(names) <= int(target) < len(names):
            found = f"--target: no column at position {target}"
            raise UserError([Mistake((), found, f"there are {len(names)} columns")])
        target = names[int(target)]
    if target not in names:
        found = f"--target: '{target}' is not a column"
        raise UserError([Mistake((), found, did_you_mean(target, names))])
    return target, profile.columns[target]


def _check_something_left(
    profile: Profile, excluded: Mapping[str, str], target: TargetGuess
) -> None:
    if any(name not in excluded for name in profile.columns if name != target.column):
        return
    reasons = "; ".join(f"'{name}': {reason}" for name, reason in excluded.items())
    why = f" ({reasons})" if reasons else ""
    raise UserError([Mistake((), f"no column is left to learn from{why}")])


def _types(profile: Profile, moments: Moments) -> dict[str, DeclaredType]:
    """Of every column that can be declared: a key that reads like a reference is refused."""
    types = {
        name: moments.formats.get(name) or declared(column.type)
        for name, column in profile.columns.items()
        if "${" not in name
    }
    return {name: type_ for name, type_ in types.items() if type_ is not None}


def _reasons(bare: BareFile, missing: MissingTexts, moments: Moments) -> dict[str, str]:
    """By key of the `read` step, or by column under `types`, what a reader should know of it."""
    reasons = dict(bare.guess.reasons) if bare.guess is not None else {}
    if bare.read.format is not None:
        reasons["format"] = "the name does not say it"
    if missing.rows:
        counts = ", ".join(f"'{text}' {count:,} times" for text, count in missing.rows.items())
        reasons["missing_values"] = f"{counts}, in {_columns(missing.columns)}"
    for name, formats in moments.ambiguous.items():
        reasons[f"types.{name}"] = f"a date? {' or '.join(formats)}: say which"
    return reasons


def _columns(names: Sequence[str]) -> str:
    return f"'{names[0]}'" if len(names) == 1 else f"{len(names)} columns"
