"""From what a format's reader yields to the columns that a `read` step asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lepton_dask.data.arrow_types import (
    UnsupportedType,
    column_type,
    declared_format,
    declared_type,
)
from lepton_dask.data.chunks import Chunk, ParsedChunk, RowNumbers
from lepton_dask.data.content import SourceFile
from lepton_dask.data.convert import Converted, canonical, convert, missing_where_listed, reread
from lepton_dask.data.levels import FEW_TEXTS
from lepton_dask.data.quarantine import Bad, Quarantined
from lepton_dask.data.read import Read
from lepton_dask.data.types import ColumnType, Schema, described
from lepton_dask.errors import Mistake, RunError, UserError
from lepton_dask.suggest import did_you_mean


@dataclass(frozen=True)
class Columns:
    """The columns to read, in order, with the wanted type of each; None: as it is found.

    `read_as_text` have to reach `finish` as text, because their types need a format, or because
    they have missing values of their own.
    """

    wanted: dict[str, ColumnType | None]
    read_as_text: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.wanted)

    @classmethod
    def of(
        cls, read: Read, file: SourceFile, names: tuple[str, ...], schema: Schema | None
    ) -> Columns:
        """The columns of a file that has columns `names`.

        Without a schema, all that the `read` step takes, with the types that it declares; with
        one, the schema's. Raises UserError for a column that the file has not.
        """
        check_made(read, file, names)
        if not is_ragged(file):
            check_names(read, file, names)
        if schema is None:
            taken = read.columns if read.columns and _selects(read, file) else names
            wanted: dict[str, ColumnType | None] = {
                name: declared_type(read.types[name]) if name in read.types else None
                for name in taken
            }
        else:
            wanted = {name: schema[name] for name in own_columns(read, file, schema)}
            if not is_ragged(file):
                _check_known(file, tuple(wanted), names, "path")
        own_missing = read.missing_values if isinstance(read.missing_values, dict) else {}
        as_text = tuple(
            name
            for name in wanted
            if name in own_missing or declared_format(read.types.get(name)) is not None
        )
        return cls(wanted, as_text)


def check_names(read: Read, file: SourceFile, names: tuple[str, ...]) -> None:
    """Raises UserError where `columns`, `types` or `missing_values` name a column that the file
    has not."""
    if _selects(read, file):
        _check_known(file, read.columns or (), names, "columns")
    _check_known(file, tuple(read.types), names, "types")
    if isinstance(read.missing_values, dict):
        _check_known(file, tuple(read.missing_values), names, "missing_values")


def check_made(read: Read, file: SourceFile, names: Collection[str]) -> None:
    """Raises UserError where a column that reading makes (a capture, the row number) has the name
    of one that the file has."""
    captures = {name for name, _ in file.captured}
    for name in captures:
        if name in names:
            raise file.mistake(f"has a column '{name}' already", f"rename the capture '{{{name}}}'")
    if read.row_number in names or read.row_number in captures:
        raise file.mistake(
            f"has a column '{read.row_number}' already", "name another", key="row_number"
        )


def own_columns(read: Read, file: SourceFile, names: Iterable[str]) -> tuple[str, ...]:
    """Those of a table's columns that stand in the file itself."""
    made = {read.row_number, *(name for name, _ in file.captured)}
    return tuple(name for name in names if name not in made)


def is_ragged(file: SourceFile) -> bool:
    """Whether a row, and so a chunk, need not have every column: JSON leaves keys out."""
    return file.format in ("jsonl", "json")


@dataclass(frozen=True)
class RawChunk:
    """A chunk as its format's reader yields it: columns of whatever Arrow type.

    `malformed` has the number in the file of each record that is no row, and what is wrong with
    it; `row_numbers` those of the others.
    """

    columns: Columns
    table: pa.Table
    row_numbers: RowNumbers
    malformed: Sequence[tuple[int, str]] = ()


def finish(read: Read, chunk: Chunk, raw: RawChunk) -> ParsedChunk:
    """The wanted columns of their types; missing where listed; bad values set aside and counted;
    rows beyond `rows:` left out; captures and the row number added."""
    table, row_numbers, malformed = raw.table, raw.row_numbers, raw.malformed
    if read.rows is not None:
        kept = int(np.searchsorted(row_numbers, read.rows))
        table, row_numbers = table.slice(0, kept), row_numbers[:kept]
        malformed = [(row, what) for row, what in malformed if row < read.rows]
    arrays: dict[str, pa.Array] = {}
    values: dict[str, Bad] = {}
    for name, wanted in raw.columns.wanted.items():
        column = table[name]
        array, positions = typed_column(read, chunk, name, column, wanted)
        arrays[name] = array
        if positions.size:
            first = int(positions[0])
            values[name] = Bad(
                int(positions.size),
                chunk.file.shown,
                int(row_numbers[first]),
                what_is_bad(read, name, column[first].as_py(), wanted),
            )
    arrays |= made_columns(read, chunk.file, row_numbers)
    finished = pa.table(arrays) if arrays else pa.table({})
    bad_rows = Bad(len(malformed), chunk.file.shown, *malformed[0]) if malformed else None
    return ParsedChunk(chunk, finished, row_numbers, Quarantined(bad_rows, values))


def made_columns(read: Read, file: SourceFile, row_numbers: RowNumbers) -> dict[str, pa.Array]:
    """The columns that reading makes, behind the file's own: captures, then the row number."""
    arrays = {name: pa.repeat(pa.scalar(text), len(row_numbers)) for name, text in file.captured}
    if read.row_number is not None:
        arrays[read.row_number] = pa.array(row_numbers)
    return arrays


def typed_column(
    read: Read, chunk: Chunk, name: str, column: pa.ChunkedArray, wanted: ColumnType | None
) -> Converted:
    """A reader's column of the wanted type, or of the one it is found to have."""
    try:
        if _was_number(column.type) and read.types.get(name) == "text":
            raise lost_zeros(chunk.file, name)
        if pa.types.is_null(column.type) or column_type(column.type) != ColumnType("text"):
            if wanted is None:
                return canonical(column)
            return convert(column, wanted, None)
        listed = read.missing_values
        own = listed.get(name, ()) if isinstance(listed, dict) else listed
        # Read as text whatever it is, for its own list to be looked for.
        is_csv = chunk.file.format == "csv"
        is_reread = is_csv and name in _own_missing(read)
        if wanted is None and is_csv and not is_reread and _is_kept_encoded(column, own):
            return Converted(column, np.empty(0, np.int64))
        texts = canonical(column).array
        kept = missing_where_listed(texts, own) if own else texts
        if wanted is not None:
            return convert(kept, wanted, declared_format(read.types.get(name)))
        if is_reread or (is_csv and kept is not texts):
            return canonical(reread(kept))
        return Converted(kept, np.empty(0, np.int64))
    except UnsupportedType as error:
        raise _unsupported(chunk.file, name, f"is of type {error}") from None
    except pa.ArrowInvalid as error:
        if pa.types.is_uint64(column.type):
            raise _unsupported(chunk.file, name, "has integers of 2^63 and more") from None
        raise RunError(
            f"column '{name}' cannot be read ({error})",
            file=chunk.file.shown,
            partition=chunk.index,
        ) from error


def _is_kept_encoded(column: pa.ChunkedArray, listed: tuple[str, ...]) -> bool:
    """Whether a column is a dictionary of texts none of which stands for a missing value."""
    if not pa.types.is_dictionary(column.type):
        return False
    if sum(len(chunk.dictionary) for chunk in column.chunks) <= FEW_TEXTS:
        return not any(
            text in listed for chunk in column.chunks for text in chunk.dictionary.to_pylist()
        )
    texts = pa.array(listed, column.type.value_type)
    return not any(
        pc.any(pc.is_in(chunk.dictionary, value_set=texts)).as_py() for chunk in column.chunks
    )


def lost_zeros(file: SourceFile, name: str) -> UserError:
    """What is wrong with numbers that are declared text."""
    found = f"'{file.shown}' holds numbers, which have lost their leading zeros if they had any"
    fix = (
        "leave it out here, and learn from them as levels with "
        f"'prepare: {{columns: {{{name}: {{as: category}}}}}}'"
    )
    return UserError([Mistake((*file.at, "types", name), found, fix)])


def _was_number(type_: pa.DataType) -> bool:
    found = column_type(type_)
    return found is not None and found.kind in ("integer", "number")


def _own_missing(read: Read) -> dict[str, tuple[str, ...]]:
    return read.missing_values if isinstance(read.missing_values, dict) else {}


def _unsupported(file: SourceFile, name: str, what: str) -> UserError:
    return file.mistake(
        f"has a column '{name}' that {what}",
        "columns hold integers, numbers, text, booleans, dates or timestamps; "
        "leave it out with 'columns:'",
    )


def what_is_bad(read: Read, name: str, value: object, wanted: ColumnType | None) -> str:
    """Why a value was set aside, in words."""
    text = f"'{value[:40]}'" if isinstance(value, str) else str(value)
    format_ = declared_format(read.types.get(name))
    if format_ is not None:
        return f"{text} does not fit the format '{format_}'"
    if wanted is None or (wanted.kind == "number" and isinstance(value, float)):
        return f"{text} is not finite" if isinstance(value, float) else f"{text} is out of range"
    return f"{text} is not {described(wanted)}"


def _selects(read: Read, file: SourceFile) -> bool:
    """Whether `columns:` selects; in a CSV file without a header it names."""
    return read.columns is not None and (read.header or file.format != "csv")


def _check_known(
    file: SourceFile, asked: tuple[str, ...], names: tuple[str, ...], key: str
) -> None:
    captures = dict(file.captured)
    mistakes = [
        Mistake(
            (*file.at, key, name) if key in ("types", "missing_values") else (*file.at, key),
            f"'{name}' is a capture of the path, and text"
            if name in captures
            else f"'{file.shown}' has no column '{name}'",
            "leave it out here" if name in captures else did_you_mean(name, names),
            at_key=key in ("types", "missing_values"),
        )
        for name in asked
        if name not in names
    ]
    if mistakes:
        raise UserError(mistakes)
