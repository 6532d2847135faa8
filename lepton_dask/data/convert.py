"""Columns into the six column types, with the values that do not fit set aside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from lepton_dask.data.arrow_types import arrow_type, column_type
from lepton_dask.data.types import ColumnType

TRUE_VALUES = ("true", "True", "TRUE")
FALSE_VALUES = ("false", "False", "FALSE")

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_NO_POSITIONS = np.empty(0, np.int64)


class Converted(NamedTuple):
    """A column of the wanted type, and the positions of the values that did not fit: those are
    missing now."""

    array: pa.Array
    bad: NDArray[np.int64]


def canonical(column: pa.ChunkedArray) -> Converted:
    """A column as the one of the six types that holds its Arrow type.

    NaN, infinities and moments outside the years 1677 to 2262 do not fit. Raises UnsupportedType
    for nested columns, and pyarrow.ArrowInvalid for integers of 2^63 and more.
    """
    wanted = column_type(column.type)
    array = _one_array(column)
    if wanted is None:
        return Converted(array, _NO_POSITIONS)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    elif pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    if wanted.kind == "timestamp":
        return _in_nanoseconds(array)
    array = array.cast(arrow_type(wanted))
    return _finite(array) if wanted.kind == "number" else Converted(array, _NO_POSITIONS)


def convert(column: pa.ChunkedArray, wanted: ColumnType, format_: str | None) -> Converted:
    """A column of any of the six types as another one; text is read as CSV's fields are, or by a
    strptime format.

    What does not fit exactly is bad: 1.5 as an integer, 2^53 + 1 as a number, 'abc' as either.
    """
    array, bad = canonical(column)
    target = arrow_type(wanted)
    if array.type == target:
        return Converted(array, bad)
    if pa.types.is_null(array.type):
        return Converted(array.cast(target), bad)
    if pa.types.is_string(array.type):
        if format_ is not None:
            return _by_format(array, wanted, format_)
        return _by_value(array, lambda texts: reread(texts, target), target)
    converted, more = _by_value(array, lambda values: values.cast(target), target)
    return Converted(converted, np.union1d(bad, more))


def reread(texts: pa.Array, type_: pa.DataType | None = None) -> pa.Array:
    """Texts as Arrow's CSV reader reads them, of a given type or of the one that it infers.

    Raises pyarrow.ArrowInvalid where a text does not fit the given type.
    """
    if len(texts) == 0:
        return pa.nulls(0, type_ or pa.null())
    sink = pa.BufferOutputStream()
    csv.write_csv(pa.table({"v": texts}), sink, csv.WriteOptions(include_header=False))
    content = sink.getvalue()
    table = csv.read_csv(
        pa.BufferReader(content),
        csv.ReadOptions(
            use_threads=False, column_names=["v"], block_size=max(content.size + 1, 1 << 16)
        ),
        csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        csv.ConvertOptions(
            column_types={"v": type_} if type_ else {},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=list(TRUE_VALUES),
            false_values=list(FALSE_VALUES),
        ),
    )
    array = _one_array(table["v"])
    # A time of day has no type here: the text stays as it was written.
    return texts if pa.types.is_time(array.type) else array


def missing_where_listed(column: pa.ChunkedArray, listed: tuple[str, ...]) -> pa.ChunkedArray:
    """A text column with the listed values missing."""
    found = pc.is_in(column, value_set=pa.array(listed, column.type))
    if not pc.any(found).as_py():
        return column
    return pc.if_else(found, pa.scalar(None, column.type), column)


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _without(array: pa.Array, bad: NDArray[np.bool_]) -> Converted:
    if not bad.any():
        return Converted(array, _NO_POSITIONS)
    nulled = pc.if_else(pa.array(bad), pa.scalar(None, array.type), array)
    return Converted(nulled, np.flatnonzero(bad))


def _finite(array: pa.Array) -> Converted:
    finite = pc.is_finite(array)
    if pc.all(finite).as_py() is not False:
        return Converted(array, _NO_POSITIONS)
    return _without(array, ~pc.fill_null(finite, True).to_numpy(zero_copy_only=False))


def _in_nanoseconds(array: pa.Array) -> Converted:
    wanted = pa.timestamp("ns", array.type.tz)
    factor = 10**9 // _PER_SECOND[array.type.unit]
    if factor == 1:
        return Converted(array, _NO_POSITIONS)
    try:
        return Converted(array.cast(wanted), _NO_POSITIONS)
    except pa.ArrowInvalid:
        most = (2**63 - 1) // factor
        counts = pc.fill_null(array.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        nulled, bad = _without(array, (counts > most) | (counts < -most))
        return Converted(nulled.cast(wanted), bad)


def _by_value(
    array: pa.Array, convert_all: Callable[[pa.Array], pa.Array], target: pa.DataType
) -> Converted:
    """Converts a column whole, or where that fails its distinct values, halving to the bad ones."""
    try:
        converted, more = canonical(convert_all(array))
    except pa.ArrowInvalid:
        encoded = array.dictionary_encode()
        values, bad_values = _halved(encoded.dictionary, convert_all, target)
        indices = encoded.indices
        converted, more = canonical(values.take(indices))
        places = pc.fill_null(indices, 0).to_numpy(zero_copy_only=False)
        present = array.is_valid().to_numpy(zero_copy_only=False)
        more = np.union1d(more, np.flatnonzero(bad_values[places] & present))
    except pa.ArrowNotImplementedError:
        present = array.is_valid().to_numpy(zero_copy_only=False)
        return Converted(pa.nulls(len(array), target), np.flatnonzero(present))
    return Converted(converted.cast(target), more)


def _halved(
    values: pa.Array, convert_all: Callable[[pa.Array], pa.Array], target: pa.DataType
) -> tuple[pa.Array, NDArray[np.bool_]]:
    try:
        return convert_all(values), np.zeros(len(values), bool)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return pa.nulls(1, target), np.ones(1, bool)
    middle = len(values) // 2
    left, bad_left = _halved(values[:middle], convert_all, target)
    right, bad_right = _halved(values[middle:], convert_all, target)
    return pa.concat_arrays([left, right]), np.concatenate([bad_left, bad_right])


def _by_format(texts: pa.Array, wanted: ColumnType, format_: str) -> Converted:
    """Moments read by a strptime format; naive ones are taken to be in the wanted zone, the
    earlier one where a clock change repeats an hour."""
    moments, bad = _parsed_by_format(texts, format_)
    if wanted.kind == "date":
        return Converted(moments.cast(pa.timestamp(moments.type.unit)).cast(pa.date32()), bad)
    if wanted.zone and moments.type.tz is None:
        moments = pc.assume_timezone(
            moments, wanted.zone, ambiguous="earliest", nonexistent="earliest"
        )
    moments = moments.cast(pa.timestamp(moments.type.unit, wanted.zone))
    converted, more = _in_nanoseconds(moments)
    return Converted(converted, np.union1d(bad, more))


def _parsed_by_format(texts: pa.Array, format_: str) -> Converted:
    if "%f" in format_:  # C's strptime has no fractions of a second
        return _parsed_by_python(texts, format_)
    moments = pc.strptime(texts, format=format_, unit="s", error_is_null=True)
    bad = pc.and_(texts.is_valid(), moments.is_null()).to_numpy(zero_copy_only=False)
    rolled_over = _rolled_over(texts, moments, format_)
    return _without(moments, bad | rolled_over)


def _rolled_over(texts: pa.Array, moments: pa.Array, format_: str) -> NDArray[np.bool_]:
    """Where the text names a day that its month has not.

    C's strptime turns 30 February into 1 or 2 March. So only the first three days of a month are
    suspect, and of those only what does not print as it was read.
    """
    day = pc.fill_null(pc.day(moments), 31)
    printed = pc.strftime(moments, format=format_)
    suspect = pc.and_(pc.less_equal(day, 3), pc.fill_null(pc.not_equal(printed, texts), False))
    wrong = np.zeros(len(texts), bool)
    positions = np.flatnonzero(suspect.to_numpy(zero_copy_only=False))
    if positions.size:
        again = _parsed_by_python(texts.take(pa.array(positions)), format_)
        wrong[positions[again.bad]] = True
    return wrong


def _parsed_by_python(texts: pa.Array, format_: str) -> Converted:
    encoded = texts.dictionary_encode()
    zone = "UTC" if "%z" in format_ else None
    values = [_moment(text, format_) for text in encoded.dictionary.to_pylist()]
    moments = pa.array(values, pa.timestamp("us", zone)).take(encoded.indices)
    bad = pc.and_(texts.is_valid(), moments.is_null()).to_numpy(zero_copy_only=False)
    return Converted(moments, np.flatnonzero(bad))


def _moment(text: str, format_: str) -> datetime | None:
    try:
        moment = datetime.strptime(text.strip(), format_)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment
