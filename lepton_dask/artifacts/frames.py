"""Rows that a caller holds (a pandas DataFrame, a mapping of arrays) as a model's input columns.

No pandas is imported here: a DataFrame brings its own, and a mapping needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.columns import Bools, Column, Columns, MomentColumn, NumberColumn, TextColumn
from lepton_dask.data.types import ColumnType, Kind, Schema
from lepton_dask.errors import Mistake, UserError
from lepton_dask.suggest import did_you_mean

MissingValues = tuple[str, ...] | Mapping[str, tuple[str, ...]]
"""Texts that stand for a missing value: in every column, or by column."""

_TRUTH = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}


class Frame(Protocol):
    """A pandas DataFrame, or a mapping of column name to an array, a list or a Series."""

    def keys(self) -> Iterable[Any]: ...

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True)
class InputColumn:
    """A column as a model was trained with it: its kind, the zone of a timestamp that has one, and
    the strptime format of dates and timestamps that come as text (ISO 8601 without)."""

    name: str
    kind: Kind
    zone: str | None = None
    format: str | None = None

    @property
    def type(self) -> ColumnType:
        return ColumnType(self.kind, self.zone)


class ReadFrame(NamedTuple):
    """Typed columns of `rows` rows, their kinds, and in words what could not be read, by row."""

    columns: Columns
    kinds: Mapping[str, Kind]
    problems: Mapping[int, str]
    rows: int

    @property
    def schema(self) -> Schema:
        """The columns' types."""
        return {
            name: ColumnType(
                self.kinds[name], column.zone if isinstance(column, MomentColumn) else None
            )
            for name, column in self.columns.items()
        }


class _Values(NamedTuple):
    """One column as it was given: a numpy array, where it is missing, whether it is in UTC."""

    array: NDArray[Any]
    missing: Bools
    is_utc: bool


def read_frame(
    frame: Frame, inputs: Sequence[InputColumn], missing_values: MissingValues = ()
) -> ReadFrame:
    """The input columns out of a frame of whatever dtypes.

    None, NaN, NaT and pandas' NA are missing, and so are the texts in `missing_values`. Numbers may
    come as text. A single value that cannot be read is a problem of its row; raises UserError for
    columns that are not there, not of one length, or not of the model's type, and for what has no
    columns at all.
    """
    if not hasattr(frame, "keys"):
        found = f"expected a DataFrame or a mapping of columns, found a {type(frame).__name__}"
        raise UserError([Mistake((), found, "read a file before; 'lepton predict' scores files")])
    names = [str(name) for name in frame.keys()]  # noqa: SIM118 - a Frame need not be iterable
    absent = [
        Mistake((column.name,), "the frame has no such column", did_you_mean(column.name, names))
        for column in inputs
        if column.name not in names
    ]
    if absent:
        raise UserError(absent)
    columns: dict[str, Column] = {}
    problems: dict[int, str] = {}
    mistakes: list[Mistake] = []
    for column in inputs:
        given = _as_given(frame[column.name])
        values = _with_missing(given, _listed(column, missing_values))
        try:
            columns[column.name], bad = _typed(
                column, _with_missing(values, _listed(column, missing_values))
            )
        except _WrongTypeError as error:
            mistakes.append(Mistake((column.name,), str(error)))
            continue
        for row, text in bad.items():
            reason = f"'{column.name}': {text!r} cannot be read as {column.kind}"
            problems[row] = f"{problems[row]}; {reason}" if row in problems else reason
    mistakes += _length_mistakes(columns)
    if mistakes:
        raise UserError(mistakes)
    kinds = {column.name: column.kind for column in inputs}
    return ReadFrame(columns, kinds, problems, len(next(iter(columns.values()), ())))


def _listed(column: InputColumn, missing_values: MissingValues) -> Collection[str]:
    if isinstance(missing_values, Mapping):
        return frozenset(missing_values.get(column.name, ()))
    return frozenset(missing_values)


class _WrongTypeError(Exception):
    """A whole column is of another type than the model's."""


def _length_mistakes(columns: Columns) -> list[Mistake]:
    lengths = {name: len(column) for name, column in columns.items()}
    first = next(iter(lengths.values()), 0)
    return [
        Mistake((name,), f"has {length} rows, and the first column {first}")
        for name, length in lengths.items()
        if length != first
    ]


def _as_given(values: Any) -> _Values:
    if hasattr(values, "isna"):
        missing = np.asarray(values.isna(), dtype=bool)
        dtype = getattr(values.dtype, "pyarrow_dtype", values.dtype)
        zone = getattr(dtype, "tz", None)
        if zone is not None:
            # A Series has its clock methods under `dt`, an Index at hand.
            values = getattr(values, "dt", values).tz_convert("UTC")
            values = getattr(values, "dt", values).tz_localize(None)
        return _Values(np.asarray(values.to_numpy()), missing, zone is not None)
    array = np.asarray(values)
    if array.dtype.kind == "U" and not isinstance(values, np.ndarray):
        # numpy turns a list of texts and numbers into texts.
        array = np.asarray(values, dtype=object)
    return _Values(array, _missing_in(array), is_utc=False)


def _missing_in(array: NDArray[Any]) -> Bools:
    if array.dtype.kind == "O":
        return np.array([_is_missing(value) for value in array], dtype=bool)
    return np.asarray(array != array, dtype=bool)  # noqa: PLR0124 - NaN and NaT differ from themselves


def _is_missing(value: object) -> bool:
    differs = value != value  # noqa: PLR0124 - NaN, NaT; pandas' NA gives NA
    return value is None or not isinstance(differs, bool | np.bool_) or bool(differs)


def _with_missing(values: _Values, listed: Collection[str]) -> _Values:
    if not listed or values.array.dtype.kind not in "OU":
        return values
    found = np.array([isinstance(v, str) and v in listed for v in values.array], dtype=bool)
    return values._replace(missing=values.missing | found)


def _typed(column: InputColumn, values: _Values) -> tuple[Column, dict[int, str]]:
    match column.kind:
        case "text":
            return _text(values), {}
        case "date" | "timestamp":
            return _moments(column, values)
        case _:
            return _numbers(column, values)


def _text(values: _Values) -> TextColumn:
    present = values.array[~values.missing]
    stranger = next((value for value in present if not isinstance(value, str)), None)
    if stranger is not None:
        raise _WrongTypeError(f"is text in the model, and was given {stranger}")
    index: dict[str, int] = {}
    codes = np.full(len(values.array), -1, dtype=np.int32)
    codes[~values.missing] = [index.setdefault(text, len(index)) for text in present]
    return TextColumn(codes, tuple(index))


def _numbers(column: InputColumn, values: _Values) -> tuple[NumberColumn, dict[int, str]]:
    array, missing = values.array, values.missing
    if array.dtype.kind not in "biufOU":
        raise _WrongTypeError(f"is {column.kind} in the model, and was given {array.dtype}")
    numbers = np.zeros(len(array))
    if array.dtype.kind in "biuf":
        numbers[~missing] = array[~missing]
        return NumberColumn(numbers, missing), {}
    return _each(array, missing, numbers, _number)


def _each(
    array: NDArray[Any], missing: Bools, numbers: NDArray[np.float64], read: Callable[[Any], float]
) -> tuple[NumberColumn, dict[int, str]]:
    bad: dict[int, str] = {}
    for row in np.flatnonzero(~missing):
        try:
            numbers[row] = read(array[row])
        except (ValueError, TypeError):
            bad[int(row)] = str(array[row])
    return NumberColumn(numbers, _and_rows(missing, bad)), bad


def _number(value: Any) -> float:
    if isinstance(value, str):
        # Python alone reads 1_000 as a number; no file does.
        return _TRUTH[value] if value in _TRUTH else float(value.replace("_", "?"))
    return float(value)


def _moments(column: InputColumn, values: _Values) -> tuple[MomentColumn, dict[int, str]]:
    unit = "D" if column.kind == "date" else "ns"
    array, missing = values.array, values.missing
    moments = np.full(len(array), np.datetime64("NaT"), dtype=f"datetime64[{unit}]")
    bad: dict[int, str] = {}
    if array.dtype.kind == "M":
        _check_zone(column, has_zone=values.is_utc)
        moments[~missing] = array[~missing]
    elif array.dtype.kind in "OU":
        for row in np.flatnonzero(~missing):
            try:
                moments[row] = _moment(column, array[row])
            except ValueError:
                bad[int(row)] = str(array[row])
    else:
        raise _WrongTypeError(f"is {column.kind} in the model, and was given {array.dtype}")
    return MomentColumn(moments, column.zone), bad


def _check_zone(column: InputColumn, *, has_zone: bool) -> None:
    if column.kind == "timestamp" and has_zone != (column.zone is not None):
        model = f"in {column.zone}" if column.zone else "without a zone"
        raise _WrongTypeError(
            f"is a timestamp {model} in the model, and was given one "
            f"{'with' if has_zone else 'without'} a zone"
        )


def _moment(column: InputColumn, value: Any) -> np.datetime64:
    """One moment, in UTC if the column has a zone; ValueError for a text that is none."""
    if isinstance(value, np.datetime64):
        _check_zone(column, has_zone=False)
        return value
    if isinstance(value, str):
        value = _parsed(column, value)
    elif isinstance(value, datetime):
        _check_zone(column, has_zone=value.tzinfo is not None)
    if isinstance(value, datetime):
        # A pandas Timestamp is a datetime that also counts nanoseconds.
        naive = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        exact = getattr(naive, "to_datetime64", None)
        return np.datetime64(naive) if exact is None else exact()
    if isinstance(value, date):
        return np.datetime64(value)
    raise _WrongTypeError(f"is {column.kind} in the model, and was given {value}")


def _parsed(column: InputColumn, text: str) -> datetime:
    """A text as the file's reader reads it: without an offset it is what the zone's clocks show."""
    if column.format is not None:
        moment = datetime.strptime(text.strip(), column.format)
    else:
        moment = datetime.fromisoformat(text)
    if column.kind == "date" or (moment.tzinfo is not None and column.zone is not None):
        return moment
    if moment.tzinfo is not None:
        _check_zone(column, has_zone=True)
    return moment if column.zone is None else moment.replace(tzinfo=ZoneInfo(column.zone))


def _and_rows(missing: Bools, rows: Iterable[int]) -> Bools:
    also = missing.copy()
    also[list(rows)] = True
    return also
