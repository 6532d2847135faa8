"""The functions that an expression may call: what each takes, gives and does, in one place.

A record's kernel is its meaning in numpy. `on_arrow` computes some of them with Arrow instead, and
is held to the same results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lepton_dask.data.columns import Column
from lepton_dask.data.expressions.kernels import Floats, Kernel, by_value, chosen
from lepton_dask.data.expressions.moments import day, local, part
from lepton_dask.data.expressions.operators import OPERATORS, equal, holds
from lepton_dask.data.expressions.texts import substring, to_number, to_text
from lepton_dask.data.expressions.typed import Written
from lepton_dask.data.expressions.windows import Statistic
from lepton_dask.data.types import ColumnType

ParameterKind = Literal[
    "number",
    "text",
    "day",
    "moment",
    "same",
    "ordered",
    "written integer",
    "written text",
    "zone",
]
"""`day`: a date or timestamp; `moment`: a timestamp; `same`: any type, one for all such arguments;
`ordered`: the same of numbers, dates or timestamps; `written ...`: a constant, written out."""

ResultRule = Callable[[ColumnType, Sequence[Written]], ColumnType]
"""From the type of the first argument, all of one type taken together, and what is written out."""


@dataclass(frozen=True)
class Parameter:
    name: str
    kind: ParameterKind


@dataclass(frozen=True)
class Function:
    """`optional`: how many of the last parameters may be left out; `repeats`: the last one may be
    given any number of times."""

    name: str
    parameters: tuple[Parameter, ...]
    gives: ResultRule
    kernel: Kernel
    does: str
    optional: int = 0
    repeats: bool = False

    @property
    def signature(self) -> str:
        """`round(x[, digits])`."""
        return signature(self.name, [p.name for p in self.parameters], self.optional, self.repeats)


@dataclass(frozen=True)
class WindowFunction:
    """A function of values in other rows. `statistic` is what a rolling window computes."""

    name: str
    takes: Literal["number", "any"]
    gives: ResultRule
    does: str
    statistic: Statistic | None = None

    @property
    def signature(self) -> str:
        return f"{self.name}(x, n)"


def signature(name: str, names: Sequence[str], optional: int, repeats: bool) -> str:
    needed = len(names) - optional
    text = ", ".join(names[:needed]) + (", ..." if repeats else "")
    return f"{name}({text}{''.join(f'[, {name}]' for name in names[needed:])})"


def _always(kind: Literal["integer", "number", "text", "boolean", "date"]) -> ResultRule:
    return lambda _, __: ColumnType(kind)


def _same(type_: ColumnType, _: Sequence[Written]) -> ColumnType:
    return type_


def _rounded(_: ColumnType, written: Sequence[Written]) -> ColumnType:
    return ColumnType("number" if written and float(written[0]) > 0 else "integer")


def _naive(_: ColumnType, __: Sequence[Written]) -> ColumnType:
    return ColumnType("timestamp")


def _round(values: Floats, digits: int = 0) -> Floats:
    """Halves away from zero, as SQL rounds. Where the unit is below a float64's own, the value."""
    unit = 10.0 ** abs(digits)
    scaled = np.abs(values * unit if digits >= 0 else values / unit)
    whole = np.floor(scaled)
    whole += scaled - whole >= 0.5
    rounded = np.copysign(whole / unit if digits >= 0 else whole * unit, values)
    return np.where(scaled < 2.0**52, rounded, values)


def _coalesce(columns: Sequence[Column], _: Sequence[Written], __: ColumnType) -> Column:
    choice = np.full(len(columns[0]), -1)
    for i in reversed(range(len(columns))):
        choice = np.where(columns[i].missing, choice, i)
    return chosen(choice, columns)


def _nullif(columns: Sequence[Column], _: Sequence[Written], __: ColumnType) -> Column:
    return chosen(np.where(holds(equal(*columns)), -1, 0), columns[:1])


def _extreme(comparison: Literal["less", "more"]) -> Kernel:
    def kernel(columns: Sequence[Column], written: Sequence[Written], _: ColumnType) -> Column:
        best = columns[0]
        for column in columns[1:]:
            better = OPERATORS[comparison]((column, best), written, ColumnType("boolean"))
            choice = np.where(holds(better) | best.missing, 1, 0)
            best = chosen(choice, (best, column))
        return best

    return kernel


_X = Parameter("x", "number")
_TEXT = Parameter("text", "text")
_DAY = Parameter("t", "day")
_MOMENT = Parameter("t", "moment")
_number, _integer = _always("number"), _always("integer")
_text, _boolean = _always("text"), _always("boolean")


def _numeric(name: str, gives: ResultRule, function: Callable[..., Floats], does: str) -> Function:
    return Function(name, (_X,), gives, by_value(function), does)


_FUNCTIONS = (
    _numeric("abs", _same, np.abs, "without its sign"),
    _numeric("ceil", _integer, np.ceil, "the next integer above"),
    _numeric("floor", _integer, np.floor, "the next integer below"),
    Function(
        "round",
        (_X, Parameter("digits", "written integer")),
        _rounded,
        by_value(_round),
        "to so many digits behind the point, or to an integer; halves away from zero",
        optional=1,
    ),
    _numeric("sign", _integer, np.sign, "-1, 0 or 1"),
    _numeric("sqrt", _number, np.sqrt, "square root"),
    _numeric("exp", _number, np.exp, "e to the power x"),
    _numeric("ln", _number, np.log, "natural logarithm"),
    _numeric("log10", _number, np.log10, "logarithm to base 10"),
    _numeric("log1p", _number, np.log1p, "ln(1 + x), exact near 0"),
    Function(
        "power",
        (_X, Parameter("y", "number")),
        _number,
        by_value(np.power),
        "x to the power y",
    ),
    _numeric("sin", _number, np.sin, "sine of an angle in radians"),
    _numeric("cos", _number, np.cos, "cosine of an angle in radians"),
    Function(
        "least",
        (Parameter("a", "ordered"), Parameter("b", "ordered")),
        _same,
        _extreme("less"),
        "the smallest value that is there",
        repeats=True,
    ),
    Function(
        "greatest",
        (Parameter("a", "ordered"), Parameter("b", "ordered")),
        _same,
        _extreme("more"),
        "the largest value that is there",
        repeats=True,
    ),
    Function(
        "coalesce",
        (Parameter("a", "same"), Parameter("b", "same")),
        _same,
        _coalesce,
        "the first value that is not null",
        repeats=True,
    ),
    Function(
        "nullif",
        (Parameter("a", "same"), Parameter("b", "same")),
        _same,
        _nullif,
        "null where a = b, else a",
    ),
    Function("lower", (_TEXT,), _text, to_text(str.lower), "in lower case"),
    Function("upper", (_TEXT,), _text, to_text(str.upper), "in upper case"),
    Function("trim", (_TEXT,), _text, to_text(str.strip), "without white space at both ends"),
    Function("length", (_TEXT,), _integer, to_number(len), "how many characters"),
    Function(
        "starts_with",
        (_TEXT, Parameter("'start'", "written text")),
        _boolean,
        to_number(str.startswith),
        "whether the text starts so",
    ),
    Function(
        "ends_with",
        (_TEXT, Parameter("'end'", "written text")),
        _boolean,
        to_number(str.endswith),
        "whether the text ends so",
    ),
    Function(
        "contains",
        (_TEXT, Parameter("'part'", "written text")),
        _boolean,
        to_number(str.__contains__),
        "whether the part is in the text",
    ),
    Function(
        "replace",
        (_TEXT, Parameter("'old'", "written text"), Parameter("'new'", "written text")),
        _text,
        to_text(str.replace),
        "every old part replaced",
    ),
    Function(
        "substring",
        (_TEXT, Parameter("start", "written integer"), Parameter("length", "written integer")),
        _text,
        to_text(substring),
        "from a character on (the first is 1), so many or all",
        optional=1,
    ),
    Function("year", (_DAY,), _integer, part("year"), "the year"),
    Function("quarter", (_DAY,), _integer, part("quarter"), "1 to 4"),
    Function("month", (_DAY,), _integer, part("month"), "1 to 12"),
    Function("day", (_DAY,), _integer, part("day"), "1 to 31"),
    Function("day_of_year", (_DAY,), _integer, part("day_of_year"), "1 to 366"),
    Function("weekday", (_DAY,), _integer, part("weekday"), "0 (Monday) to 6"),
    Function("hour", (_MOMENT,), _integer, part("hour"), "0 to 23"),
    Function("minute", (_MOMENT,), _integer, part("minute"), "0 to 59"),
    Function("second", (_MOMENT,), _integer, part("second"), "0 to 59"),
    Function("date", (_DAY,), _always("date"), day, "the date, in the column's zone"),
    Function(
        "local",
        (_MOMENT, Parameter("'zone'", "zone")),
        _naive,
        local,
        "what clocks in a zone such as 'America/New_York' show, a timestamp without a zone",
    ),
)

_WINDOWS = (
    WindowFunction(
        "lag", "any", _same, "the value n rows before, or a duration such as '24h' before"
    ),
    WindowFunction("lead", "any", _same, "the value n rows ahead; only where a target is computed"),
    WindowFunction("rolling_mean", "number", _number, "the mean", "mean"),
    WindowFunction("rolling_sum", "number", _same, "the sum", "sum"),
    WindowFunction("rolling_min", "number", _same, "the smallest value", "min"),
    WindowFunction("rolling_max", "number", _same, "the largest value", "max"),
    WindowFunction(
        "rolling_std", "number", _number, "the sample's standard deviation; null below 2", "std"
    ),
    WindowFunction("rolling_count", "any", _integer, "how many values are not null", "count"),
)

FUNCTIONS: Mapping[str, Function] = {function.name: function for function in _FUNCTIONS}
WINDOWS: Mapping[str, WindowFunction] = {function.name: function for function in _WINDOWS}
