"""DataFrames, pandas' and Dask's, as the rest of the package takes tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lepton_dask.data.arrow import known_type, to_columns
from lepton_dask.data.arrow_types import UnsupportedType, arrow_type
from lepton_dask.data.prepared import Prepared
from lepton_dask.data.profile import Profile, merge_profiles, profile_table
from lepton_dask.data.types import Schema, described
from lepton_dask.errors import Mistake, UserError
from lepton_dask.learn.dispatch import Dispatch, active_client
from lepton_dask.learn.meta.base import GroupedRows
from lepton_dask.learn.meta.chunks import (
    Chunks,
    GroupedChunk,
    GroupFacts,
    LocalChunks,
    SpreadChunks,
)
from lepton_dask.meta.group_rows import grouped_chunk


class Rows(Protocol):
    """The rows of a DataFrame, wherever they lie."""

    def profile(self, schema: Schema) -> Profile:
        """What is known of these columns, of all rows."""

    def chunks(self, schema: Schema, prepared: Prepared, group: str) -> Chunks:
        """The prepared rows by group."""


@dataclass(frozen=True)
class PandasRows:
    """A pandas DataFrame."""

    frame: pd.DataFrame

    def profile(self, schema: Schema) -> Profile:
        return profile_table(arrow_table(self.frame, schema))

    def chunks(self, schema: Schema, prepared: Prepared, group: str) -> Chunks:
        return LocalChunks(chunk_of(self.frame, schema, prepared, group))


@dataclass(frozen=True)
class DaskRows:
    """A Dask DataFrame: on the active client's workers, or without one in this process."""

    partitions: Sequence[Any]
    dispatch: Dispatch | None

    def profile(self, schema: Schema) -> Profile:
        import dask

        tasks = [dask.delayed(_profile)(part, schema) for part in self.partitions]
        profiles: list[Profile] = self._computed(tasks)
        return reduce(merge_profiles, profiles)

    def chunks(self, schema: Schema, prepared: Prepared, group: str) -> Chunks:
        import dask

        tasks = [dask.delayed(chunk_of)(part, schema, prepared, group) for part in self.partitions]
        if self.dispatch is not None:
            return SpreadChunks(self.dispatch, tuple(self.dispatch.begin(tasks)))
        found: list[GroupedChunk] = self._computed(tasks)
        rows = GroupedRows.merged([chunk.rows for chunk in found])
        facts = GroupFacts.added(chunk.facts for chunk in found)
        return LocalChunks(GroupedChunk(rows, facts))

    def _computed(self, tasks: Sequence[Any]) -> list[Any]:
        import dask

        if self.dispatch is not None:
            return self.dispatch.compute(tasks)
        return list(dask.compute(*tasks, scheduler="sync"))


def rows_of(frame: Any) -> tuple[Rows, pd.DataFrame]:
    """The rows, and a DataFrame that shows their columns. Raises TypeError for what has none."""
    if isinstance(frame, pd.DataFrame):
        return PandasRows(frame), frame
    pattern = getattr(frame, "_meta", None)
    if not isinstance(pattern, pd.DataFrame):
        raise TypeError(f"expected a pandas or Dask DataFrame, found {type(frame).__name__}")
    client = active_client()
    dispatch = None if client is None else Dispatch(client, label="meta")
    return DaskRows(frame.to_delayed(), dispatch), pattern


def schema_of(pattern: pd.DataFrame, names: Sequence[str]) -> Schema:
    """The types of these columns. Raises UserError for one that no column here can have."""
    schema = {}
    for name in names:
        try:
            schema[name] = known_type(_plain(pa.Schema.from_pandas(pattern[[name]]).types[0]))
        except (UnsupportedType, pa.ArrowException) as error:
            found = f"holds values of no type known here: {error}"
            raise UserError([Mistake((name,), found, "leave the column out")]) from None
    return schema


def _plain(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def arrow_table(frame: pd.DataFrame, schema: Schema) -> pa.Table:
    """The columns of the schema; what is not finite is missing."""
    arrays = {name: _array(frame[name], name, schema) for name in schema}
    return pa.table(arrays)


def _array(column: pd.Series[Any], name: str, schema: Schema) -> pa.Array:
    type_ = arrow_type(schema[name])
    try:
        array = pa.Array.from_pandas(column)
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        array = array.cast(type_)
    except pa.ArrowException as error:
        found = f"is {described(schema[name])}, and holds another value: {error}"
        raise UserError([Mistake((name,), found, "convert the column")]) from None
    if pa.types.is_floating(type_):
        array = pc.if_else(pc.is_finite(array), array, pa.scalar(None, type_))
    return array


def chunk_of(frame: pd.DataFrame, schema: Schema, prepared: Prepared, group: str) -> GroupedChunk:
    """A DataFrame's rows, prepared, by group."""
    names = tuple(dict.fromkeys((*prepared.inputs, group)))
    table = arrow_table(frame, {name: schema[name] for name in names})
    return grouped_chunk(to_columns(table), prepared, group)


def _profile(frame: pd.DataFrame, schema: Schema) -> Profile:
    return profile_table(arrow_table(frame, schema))
