"""Reading for prediction: one row out for every record in, with a reason where one is unfit."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lepton_dask.data.chunks import Chunk, RowNumbers
from lepton_dask.data.content import SourceFile
from lepton_dask.data.formats import csv, json, parquet
from lepton_dask.data.read import Read
from lepton_dask.data.reading import read_raw
from lepton_dask.data.types import ColumnType, Schema
from lepton_dask.data.wanted import is_ragged, made_columns, own_columns, typed_column, what_is_bad
from lepton_dask.errors import Mistake, UserError
from lepton_dask.suggest import did_you_mean, listed


class LenientChunk(NamedTuple):
    """Every record of a chunk in order.

    `reasons[i]` says why row i is not to be scored: a field that does not fit its column's type (it
    is missing), or a record that is no row (all of it is missing); None where nothing is wrong.
    """

    table: pa.Table
    row_numbers: RowNumbers
    reasons: list[str | None]


def read_for_prediction(
    read: Read, file: SourceFile, schema: Schema, optional: Collection[str]
) -> tuple[Read, dict[str, ColumnType]]:
    """A model's `read` node and schema as they fit a file to predict for.

    The columns in `optional` (the target) may be absent: what the node says of them goes. A CSV
    file without a header, or a JSON document of arrays, has all of the model's columns or all but
    these. `rows` does not apply.

    Raises UserError for another column that is absent.
    """
    read = read.model_copy(update={"rows": None})
    if is_ragged(file):
        return _with_fields(read, file, optional), dict(schema)
    names = _names(read, file, schema, optional)
    own = own_columns(read, file, schema)
    needed = [name for name in own if name not in optional]
    absent = [name for name in needed if name not in names]
    if absent:
        found = f"'{file.shown}' has no column {listed(absent)}, which the model reads"
        fix = did_you_mean(absent[0], names)
        raise UserError([Mistake((*file.at, "path"), found, fix)])
    kept = {n: type_ for n, type_ in schema.items() if n in names or n not in own}
    given = read.columns or ()
    missing_values = read.missing_values
    if isinstance(missing_values, dict):
        missing_values = {name: v for name, v in missing_values.items() if name in kept}
    without_header = file.format == "csv" and not read.header
    selected = names if without_header else tuple(name for name in given if name in names)
    update = {
        "columns": selected or None,
        "types": {name: type_ for name, type_ in read.types.items() if name in kept},
        "missing_values": missing_values,
    }
    return read.model_copy(update=update), kept


def parse_leniently(read: Read, chunk: Chunk, schema: Schema) -> LenientChunk:
    """Every record of a settled chunk, with `read` and `schema` from `read_for_prediction`.

    Raises RunError and UserError as `parse_chunk` does, for what is wrong with the whole file.
    """
    raw = read_raw(read, chunk, schema)
    rows = len(raw.row_numbers) + len(raw.malformed)
    first = chunk.first_row or 0
    places = raw.row_numbers - first
    reasons: list[list[str]] = [[] for _ in range(rows)]
    for number, what in raw.malformed:
        reasons[number - first].append(what)
    sources = np.full(rows, -1, np.int64)
    sources[places] = np.arange(len(places))
    source = pa.array(sources, mask=sources < 0)
    arrays: dict[str, pa.Array] = {}
    for name, wanted in raw.columns.wanted.items():
        column = raw.table[name]
        array, bad = typed_column(read, chunk, name, column, wanted)
        for position in bad:
            what = what_is_bad(read, name, column[int(position)].as_py(), wanted)
            reasons[places[position]].append(f"{name}: {what}")
        arrays[name] = array.take(source) if raw.malformed else array
    row_numbers = np.arange(rows, dtype=np.int64) + first
    arrays |= made_columns(read, chunk.file, row_numbers)
    texts = ["; ".join(some) if some else None for some in reasons]
    return LenientChunk(pa.table(arrays), row_numbers, texts)


def _with_fields(read: Read, file: SourceFile, optional: Collection[str]) -> Read:
    """The node with names for as many fields as a document's arrays have: all, or all but these."""
    if file.format != "json" or read.columns is None:
        return read
    few = tuple(name for name in read.columns if name not in optional)
    return read.model_copy(update={"columns": few}) if json.fields(file) == len(few) else read


def _names(
    read: Read, file: SourceFile, schema: Schema, optional: Collection[str]
) -> tuple[str, ...]:
    if file.format == "parquet":
        return parquet.names(file)
    if read.header:
        return csv.names(read, file)
    found = csv.names(read.model_copy(update={"columns": None}), file)
    every = read.columns or own_columns(read, file, schema)
    few = tuple(name for name in every if name not in optional)
    for names in (every, few):
        if len(names) == len(found):
            return names
    raise file.mistake(
        f"has {len(found)} columns, the model reads {len(every)}, or {len(few)} without its target"
    )
