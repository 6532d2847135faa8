"""Tables and expressions drawn at random, for the tests that hold two evaluators to each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from lepton_dask.data.columns import Column, MomentColumn, NumberColumn, TextColumn
from lepton_dask.data.expressions.functions import FUNCTIONS
from lepton_dask.data.types import ColumnType, Schema

Below = Callable[[str], str]
"""Draws an expression of a kind."""

ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")

SCHEMA: Schema = {
    "n": ColumnType("integer"),
    "m": ColumnType("integer"),
    "x": ColumnType("number"),
    "y": ColumnType("number"),
    "s": ColumnType("text"),
    "u": ColumnType("text"),
    "b": ColumnType("boolean"),
    "c": ColumnType("boolean"),
    "d": ColumnType("date"),
    "t": ColumnType("timestamp"),
    "z": ColumnType("timestamp", "America/New_York"),
    "w": ColumnType("timestamp", "Australia/Lord_Howe"),
}

_POOLS: dict[str, list[object]] = {
    "integer": [*range(-20, 21), 2**53, -(2**53), 2**31],
    "number": [0.0, -0.0, 0.5, 1.5, -2.5, 1e-300, 1e300, 0.1, 2.675, -123.456, 7.0],
    "text": ["", "a", "A", "ab", " b ", "é", "straße", "\U0001f600x", "b"],
    "boolean": [True, False],
}
_ARROW = {"integer": pa.int64(), "number": pa.float64(), "text": pa.string(), "boolean": pa.bool_()}
_YEAR_S = 365 * 86_400


@st.composite
def tables(draw: st.DrawFn, most: int = 12) -> pa.Table:
    """A table of SCHEMA, with nulls; texts as strings, large strings or dictionaries."""
    return table_of(draw(st.integers(0, most)), draw(st.integers(0, 10_000)))


def table_of(rows: int, seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table({name: _array(random, type_, rows) for name, type_ in SCHEMA.items()})


def _array(random: np.random.Generator, type_: ColumnType, rows: int) -> pa.Array:
    missing = random.random(rows) < random.choice([0.0, 0.3])
    match type_.kind:
        case "date":
            days = random.integers(-200_000, 200_000, rows).astype(np.int32)
            return pa.array(days, mask=missing).cast(pa.date32())
        case "timestamp":
            # From 1972, since when quarters of an hour tell a zone's offsets, to 2199; some equal.
            seconds = random.integers(2 * _YEAR_S, 229 * _YEAR_S, 3)[random.integers(0, 3, rows)]
            ticks = (seconds + random.integers(-3, 4, rows)) * 10**9 + 7
            return pa.array(ticks, mask=missing).cast(pa.timestamp("ns", type_.zone))
    pool = _POOLS[type_.kind]
    picked = [pool[i] for i in random.integers(0, len(pool), rows)]
    array = pa.array(picked, _ARROW[type_.kind], mask=missing)
    if type_.kind == "text":
        form = random.integers(3)
        array = array.cast(pa.large_string()) if form == 1 else array
        array = array.dictionary_encode() if form == 2 else array
    return array


@st.composite
def expressions(draw: st.DrawFn, kind: str, depth: int = 3, windows: bool = False) -> str:
    """The text of a well-typed expression of a kind ("number" for integers and numbers)."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return draw(_leaf(kind))

    def below(of: str) -> str:
        return draw(expressions(of, depth - 1, windows))

    if windows and draw(st.integers(0, 3)) == 0:
        return _window(draw, kind, below)
    if draw(st.integers(0, 5)) == 0:
        return _general(draw, kind, below)
    match kind:
        case "number":
            return _number(draw, below)
        case "text":
            return _text(draw, below)
        case "boolean":
            return _condition(draw, below)
        case "date":
            return f"date({draw(st.sampled_from(['t', 'z', 'w', 'd']))})"
        case "naive":
            zone = draw(st.sampled_from(ZONES))
            return draw(st.sampled_from(["t", f"local(z, '{zone}')", f"local(w, '{zone}')"]))
        case _:
            return draw(_leaf(kind))


def _leaf(kind: str) -> st.SearchStrategy[str]:
    leaves = {
        "number": ["n", "m", "x", "y", "0", "1", "-3", "0.5", "2.5e3", "7"],
        "text": ["s", "u", "'a'", "''", "'it''s'", "'ab'"],
        "boolean": ["b", "c", "true", "false", "(b is null)"],
        "date": ["d"],
        "naive": ["t"],
        "zoned": ["z"],
    }
    return st.sampled_from(leaves[kind])


_NUMERIC = sorted(
    name
    for name, function in FUNCTIONS.items()
    if next(parameter.kind for parameter in function.parameters) == "number"
    and name not in ("round", "power")
)
_OF_DAYS = sorted(
    name
    for name, function in FUNCTIONS.items()
    if function.parameters[0].kind == "day" and name != "date"
)


def _number(draw: st.DrawFn, below: Below) -> str:
    match draw(st.integers(0, 9)):
        case 0 | 1 | 2:
            sign = draw(st.sampled_from("+-*/%"))
            return f"({below('number')} {sign} {below('number')})"
        case 3:
            return f"{draw(st.sampled_from(_NUMERIC))}({below('number')})"
        case 4:
            return f"round({below('number')}, {draw(st.integers(-3, 5))})"
        case 5:
            return f"-{below('number')}"
        case 6:
            return f"power({below('number')}, {draw(st.sampled_from(['2', '0.5', '-1']))})"
        case 7:
            of = draw(st.sampled_from(["date", "naive", "zoned"]))
            return f"{draw(st.sampled_from(_OF_DAYS))}({below(of)})"
        case 8:
            clock = draw(st.sampled_from(["hour", "minute", "second"]))
            return f"{clock}({below(draw(st.sampled_from(['naive', 'zoned'])))})"
        case _:
            return f"length({below('text')})"


def _text(draw: st.DrawFn, below: Below) -> str:
    match draw(st.integers(0, 3)):
        case 0:
            return f"({below('text')} || {below('text')})"
        case 1:
            return f"{draw(st.sampled_from(['lower', 'upper', 'trim']))}({below('text')})"
        case 2:
            return f"replace({below('text')}, 'a', 'zz')"
        case _:
            return f"substring({below('text')}, {draw(st.integers(-2, 3))}, 2)"


def _condition(draw: st.DrawFn, below: Below) -> str:
    match draw(st.integers(0, 7)):
        case 0 | 1:
            sign = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">=", "==", "!="]))
            of = draw(st.sampled_from(["number", "text", "date", "naive"]))
            return f"({below(of)} {sign} {below(of)})"
        case 2:
            return f"({below('boolean')} {draw(st.sampled_from(['and', 'or']))} {below('boolean')})"
        case 3:
            return f"(not {below('boolean')})"
        case 4:
            of = draw(st.sampled_from(["number", "text", "boolean", "date", "naive", "zoned"]))
            return f"({below(of)} is {draw(st.sampled_from(['', 'not ']))}null)"
        case 5:
            of = draw(st.sampled_from(["number", "text"]))
            null = draw(st.sampled_from(["", ", null"]))
            negated = draw(st.sampled_from(["", "not "]))
            return f"({below(of)} {negated}in ({below(of)}, {below(of)}{null}))"
        case 6:
            of = draw(st.sampled_from(["number", "text", "date", "naive"]))
            return f"({below(of)} between {below(of)} and {below(of)})"
        case _:
            literal = "'2020-06-01T12:00'"
            sign = draw(st.sampled_from(["=", "<", ">="]))
            choices = [
                f"(z {sign} w)",
                f"(w {sign} {literal})",
                f"(t {sign} {literal})",
                f"(d {sign} '2020-06-01')",
                f"({below('boolean')} is not true)",
                f"({below('boolean')} is false)",
                f"starts_with({below('text')}, 'a')",
                f"contains({below('text')}, 'b')",
                f"ends_with({below('text')}, 'b')",
            ]
            return draw(st.sampled_from(choices))


def _general(draw: st.DrawFn, kind: str, below: Below) -> str:
    """What any type can be in."""
    match draw(st.integers(0, 4)):
        case 0:
            last = draw(st.sampled_from(["", f" else {below(kind)}", " else null"]))
            second = f"when {below('boolean')} then {below(kind)}"
            return f"(case when {below('boolean')} then {below(kind)} {second}{last} end)"
        case 1:
            of = draw(st.sampled_from(["number", "text"]))
            first = f"case {below(of)} when {below(of)} then {below(kind)}"
            return f"({first} when {below(of)} then {below(kind)} else {below(kind)} end)"
        case 2:
            return f"coalesce({below(kind)}, {below(kind)})"
        case 3:
            return f"nullif({below(kind)}, {below(kind)})"
        case _:
            if kind in ("text", "boolean"):
                return f"coalesce({below(kind)}, null, {below(kind)})"
            return f"{draw(st.sampled_from(['least', 'greatest']))}({below(kind)}, {below(kind)})"


def _window(draw: st.DrawFn, kind: str, below: Below) -> str:
    length = draw(st.sampled_from(["1", "2", "5", "'1s'", "'3s'", "'500ms'"]))
    statistics = ["mean", "sum", "min", "max", "std", "count"]
    if kind == "number" and draw(st.booleans()):
        return f"rolling_{draw(st.sampled_from(statistics))}({below('number')}, {length})"
    return f"lag({below(kind)}, {draw(st.sampled_from([length, '0']))})"


def same(a: Column, b: Column, relative: float = 1e-12) -> None:
    """Raises AssertionError where two columns are missing elsewhere or hold other values."""
    assert type(a) is type(b)
    np.testing.assert_array_equal(a.missing, b.missing)
    present = ~a.missing
    match a, b:
        case NumberColumn(), NumberColumn():
            np.testing.assert_allclose(a.values[present], b.values[present], rtol=relative, atol=0)
        case MomentColumn(), MomentColumn():
            assert a.zone == b.zone
            np.testing.assert_array_equal(a.values[present], b.values[present])
        case TextColumn(), TextColumn():
            assert as_texts(a) == as_texts(b)


def as_texts(column: TextColumn) -> list[str | None]:
    return [None if code < 0 else column.levels[code] for code in column.codes]
