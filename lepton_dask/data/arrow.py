"""From Arrow tables to numpy columns."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from lepton_dask.data.arrow_types import column_type
from lepton_dask.data.columns import (
    INEXACT_INTEGER,
    Column,
    Columns,
    MomentColumn,
    NumberColumn,
    TextColumn,
)
from lepton_dask.data.types import ColumnType


def known_type(data_type: pa.DataType) -> ColumnType:
    """The column type of an Arrow type; a column that is all missing counts as text."""
    return column_type(data_type) or ColumnType("text")


def to_columns(table: pa.Table, names: Iterable[str] | None = None) -> Columns:
    """The named columns of a table (all by default) as numpy columns."""
    wanted = table.column_names if names is None else names
    return {name: _to_column(one_array(table.column(name))) for name in wanted}


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _to_column(array: pa.Array) -> Column:
    type_ = known_type(array.type)
    if type_.kind == "text":
        return _to_text(array)
    missing = (
        array.is_null().to_numpy(zero_copy_only=False)
        if array.null_count
        else np.zeros(len(array), dtype=bool)
    )
    if type_.kind in ("date", "timestamp"):
        ticks = ticks_of(array)
        values = ticks.view("datetime64[D]" if type_.kind == "date" else "datetime64[ns]")
        if array.null_count:
            values = np.where(missing, np.datetime64("NaT"), values)
        return MomentColumn(values, type_.zone)
    # Filled with 0, not with NaN: an integer column would be refused.
    filled = array
    if array.null_count:
        filled = pc.fill_null(array, False if type_.kind == "boolean" else 0)
    return NumberColumn(filled.to_numpy(zero_copy_only=False).astype(np.float64), missing)


def has_inexact_integers(column: pa.ChunkedArray) -> bool:
    """Whether there are integers that their numpy column could not tell apart."""
    if not pt.is_integer(column.type):
        return False
    least, most = pc.min_max(column).as_py().values()
    return least is not None and max(-least, most) >= INEXACT_INTEGER


def ticks_of(array: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Dates as days and timestamps as nanoseconds since 1970, int64; 0 where missing."""
    if pt.is_date(array.type):
        days = array.cast(pa.date32()).view(pa.int32())
        return np.asarray(pc.fill_null(days, 0).to_numpy(), dtype=np.int64)
    nanoseconds = array.cast(pa.timestamp("ns", array.type.tz)).view(pa.int64())
    return np.asarray(pc.fill_null(nanoseconds, 0).to_numpy(), dtype=np.int64)


def _to_text(array: pa.Array) -> TextColumn:
    encoded = array if pt.is_dictionary(array.type) else array.dictionary_encode()
    indices = encoded.indices
    if indices.null_count:
        indices = pc.fill_null(indices, -1)
    codes = indices.to_numpy(zero_copy_only=False).astype(np.int32)
    return TextColumn(codes, tuple(encoded.dictionary.to_pylist()))
