"""Between Arrow's types and the six that a column can have."""

from __future__ import annotations

import pyarrow as pa
from pyarrow import types as is_type

from lepton_dask.data.declared import Date, DeclaredType, Timestamp
from lepton_dask.data.types import ColumnType


class UnsupportedType(Exception):
    """An Arrow type that no column of a table here can have: a list, a struct, raw bytes."""


def arrow_type(type_: ColumnType) -> pa.DataType:
    """int64, float64, string, bool, date32 or timestamp[ns, zone]."""
    match type_.kind:
        case "integer":
            return pa.int64()
        case "number":
            return pa.float64()
        case "text":
            return pa.string()
        case "boolean":
            return pa.bool_()
        case "date":
            return pa.date32()
        case "timestamp":
            return pa.timestamp("ns", type_.zone)


def column_type(type_: pa.DataType) -> ColumnType | None:
    """What a column of an Arrow type is read as; None for Arrow's null type.

    Times of day and durations have no place in the six and are read as text. Raises UnsupportedType
    for anything nested and for raw bytes.
    """
    if is_type.is_dictionary(type_) or is_type.is_run_end_encoded(type_):
        return column_type(type_.value_type)
    if is_type.is_null(type_):
        return None
    if is_type.is_integer(type_):
        return ColumnType("integer")
    if is_type.is_floating(type_) or is_type.is_decimal(type_):
        return ColumnType("number")
    if is_type.is_boolean(type_):
        return ColumnType("boolean")
    if is_type.is_date(type_):
        return ColumnType("date")
    if is_type.is_timestamp(type_):
        return ColumnType("timestamp", type_.tz)
    if (
        is_type.is_string(type_)
        or is_type.is_large_string(type_)
        or is_type.is_string_view(type_)
        or is_type.is_time(type_)
        or is_type.is_duration(type_)
    ):
        return ColumnType("text")
    raise UnsupportedType(str(type_))


def declared_type(declared: DeclaredType) -> ColumnType:
    """The type that a declaration under `types:` gives. A format with an offset (`%z`) and no zone
    gives UTC."""
    if isinstance(declared, Timestamp):
        zone = declared.zone or ("UTC" if "%z" in declared.timestamp else None)
        return ColumnType("timestamp", zone)
    if isinstance(declared, Date):
        return ColumnType("date")
    return ColumnType(declared)


def declared_format(declared: DeclaredType | None) -> str | None:
    """The strptime format of a declaration, where it has one."""
    if isinstance(declared, Timestamp):
        return declared.timestamp
    if isinstance(declared, Date):
        return declared.date
    return None
