"""Expressions evaluated with Arrow: what a run does on chunks.

Text is worked on by its distinct values, and what depends on a C library's rounding or tables
(logarithms, powers, time zones) is left to numpy: there both evaluators share one kernel. All else
is Arrow's, on float64 for numbers of either kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lepton_dask.data.arrow import one_array, to_columns
from lepton_dask.data.arrow_types import arrow_type
from lepton_dask.data.columns import (
    INEXACT_INTEGER,
    Column,
    MomentColumn,
    NumberColumn,
    TextColumn,
    taken,
)
from lepton_dask.data.expressions.on_numpy import KERNELS, positions, windowed
from lepton_dask.data.expressions.ordering import Ordering
from lepton_dask.data.expressions.typed import (
    Checked,
    ColumnValue,
    Constant,
    Operation,
    Typed,
    Window,
    Written,
)
from lepton_dask.data.types import ColumnType

Value: TypeAlias = "pa.Array | TextColumn"
"""n rows: text as codes and levels, everything else as Arrow has it (integers as float64)."""

ArrowKernel = Callable[[Sequence[pa.Array], Sequence[Written], ColumnType], pa.Array]

_INT64_END, _INT64_MAX = 2.0**63, 2**63 - 1


def evaluate(checked: Checked, table: pa.Table, ordering: Ordering | None = None) -> pa.Array:
    """The value of an expression in each row, of exactly `arrow_type(checked.type)`.

    Raises ValueError for an expression with windows and no ordering.
    """
    with np.errstate(all="ignore"):  # what is not finite becomes missing
        return _finished(_evaluated(checked.tree, table, ordering), checked.type)


def _evaluated(node: Typed, table: pa.Table, ordering: Ordering | None) -> Value:
    match node:
        case ColumnValue(name, type_):
            return _read(one_array(table.column(name)), type_)
        case Constant():
            return _constant(node, table.num_rows)
        case Operation(name, arguments, type_, written):
            values = [_evaluated(argument, table, ordering) for argument in arguments]
            kernel = ARROW_KERNELS.get(name)
            if kernel is None or any(isinstance(value, TextColumn) for value in values):
                columns = [_to_column(value) for value in values]
                return _to_value(KERNELS[name](columns, written, type_), type_)
            return kernel(values, written, type_)
        case Window(operand=operand):
            return _windowed(node, _evaluated(operand, table, ordering), ordering)


def _read(array: pa.Array, type_: ColumnType) -> Value:
    if type_.kind == "text":
        if not pa.types.is_dictionary(array.type):
            array = array.cast(pa.string())
        column = _to_column(array)
        assert isinstance(column, TextColumn)
        return column
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if type_.kind in ("integer", "number"):
        return _usable(array.cast(pa.float64(), safe=False), ColumnType("number"))
    return array.cast(arrow_type(type_))


def _constant(node: Constant, rows: int) -> Value:
    if node.type.kind == "text":
        levels = () if node.value is None else (str(node.value),)
        return TextColumn(np.full(rows, len(levels) - 1, np.int32), levels)
    if node.value is None:
        return pa.nulls(rows, _working_type(node.type))
    return pa.repeat(_scalar(node.value, node.type), rows).cast(_working_type(node.type))


def _scalar(value: Written, type_: ColumnType) -> pa.Scalar:
    """A constant in what it is counted in: dates in days, timestamps in nanoseconds."""
    match type_.kind:
        case "date":
            return pa.scalar(value, pa.int32())
        case "timestamp":
            return pa.scalar(value, pa.int64())
        case "boolean":
            return pa.scalar(value, pa.bool_())
        case _:
            # Python rounds an integer past 2^53, which Arrow would refuse to.
            return pa.scalar(float(value), pa.float64())


def _working_type(type_: ColumnType) -> pa.DataType:
    return pa.float64() if type_.kind == "integer" else arrow_type(type_)


def _windowed(node: Window, operand: Value, ordering: Ordering | None) -> Value:
    if ordering is None:
        raise ValueError(f"'{node.function}' needs an ordering")
    if node.function not in ("lag", "lead"):
        return _to_value(windowed(node, _to_column(operand), ordering), node.type)
    places = positions(node, ordering)
    if isinstance(operand, TextColumn):
        column = taken(operand, places)
        assert isinstance(column, TextColumn)
        return column
    return operand.take(pa.array(places, mask=places < 0))


def _finished(value: Value, type_: ColumnType) -> pa.Array:
    if isinstance(value, TextColumn):
        codes = pa.array(value.codes, mask=value.missing)
        levels = pa.array(value.levels, pa.string())
        return pa.DictionaryArray.from_arrays(codes, levels).cast(pa.string())
    if type_.kind == "integer":
        # Integers that were only passed on may have been rounded up, out of int64.
        beyond = pc.greater_equal(value, _INT64_END)
        whole = pc.if_else(beyond, 0.0, value).cast(pa.int64())
        return pc.if_else(beyond, _INT64_MAX, whole)
    return value.cast(arrow_type(type_))


def _to_column(value: Value) -> Column:
    if isinstance(value, TextColumn):
        return value
    return to_columns(pa.table({"": value}))[""]


def _to_value(column: Column, type_: ColumnType) -> Value:
    match column:
        case TextColumn():
            return column
        case MomentColumn(values):
            return pa.array(values, mask=column.missing).cast(_working_type(type_))
        case NumberColumn(values, missing):
            working = _working_type(type_)
            if pa.types.is_boolean(working):
                return pa.array(values != 0, mask=missing)
            return pa.array(values, mask=missing)


def _usable(values: pa.Array, type_: ColumnType) -> pa.Array:
    """Numbers, null where they are not finite; integers also where they are not exact."""
    good = pc.is_finite(values)
    if type_.kind == "integer":
        good = pc.less(pc.abs(values), INEXACT_INTEGER)
    return pc.if_else(good, values, None)


def _number(function: Callable[..., pa.Array]) -> ArrowKernel:
    return lambda values, written, type_: _usable(function(*values, *written), type_)


def _plain(function: Callable[..., pa.Array]) -> ArrowKernel:
    return lambda values, _, __: function(*values)


def _round(values: pa.Array, digits: int = 0) -> pa.Array:
    """As functions.py rounds, step by step."""
    unit = 10.0 ** abs(digits)
    up, down = (pc.multiply, pc.divide) if digits >= 0 else (pc.divide, pc.multiply)
    scaled = pc.abs(up(values, unit))
    below = pc.floor(scaled)
    is_up = pc.greater_equal(pc.subtract(scaled, below), 0.5)
    whole = pc.if_else(is_up, pc.add(below, 1.0), below)
    rounded = pc.multiply(down(whole, unit), pc.if_else(pc.less(values, 0.0), -1.0, 1.0))
    return pc.if_else(pc.less(scaled, 2.0**52), rounded, values)


def _true(condition: pa.Array) -> pa.Array:
    return pc.fill_null(condition, False)


def _false(condition: pa.Array) -> pa.Array:
    return pc.fill_null(pc.invert(condition), False)


def _in(values: Sequence[pa.Array], _: Sequence[Written], __: ColumnType) -> pa.Array:
    operand, *items = values
    return reduce(pc.or_kleene, [pc.equal(operand, item) for item in items])


def _between(operand: pa.Array, low: pa.Array, high: pa.Array) -> pa.Array:
    return pc.and_kleene(pc.less_equal(low, operand), pc.less_equal(operand, high))


def _case(values: Sequence[pa.Array], _: Sequence[Written], __: ColumnType) -> pa.Array:
    return _first_that_holds(values[:-1:2], (*values[1:-1:2], values[-1]))


def _case_of(values: Sequence[pa.Array], _: Sequence[Written], __: ColumnType) -> pa.Array:
    operand, *rest = values
    conditions = [pc.equal(operand, value) for value in rest[:-1:2]]
    return _first_that_holds(conditions, (*rest[1:-1:2], rest[-1]))


def _first_that_holds(conditions: Sequence[pa.Array], values: Sequence[pa.Array]) -> pa.Array:
    result = values[-1]
    for condition, value in zip(reversed(conditions), reversed(values[:-1]), strict=True):
        result = pc.if_else(_true(condition), value, result)
    return result


def _nullif(a: pa.Array, b: pa.Array) -> pa.Array:
    return pc.if_else(_true(pc.equal(a, b)), None, a)


def _extreme(function: Callable[..., pa.Array]) -> ArrowKernel:
    """Of moments by their ticks: Arrow compares no timestamps with a zone here."""

    def kernel(values: Sequence[pa.Array], _: Sequence[Written], __: ColumnType) -> pa.Array:
        type_ = values[0].type
        if not pa.types.is_timestamp(type_):
            return function(*values)
        return function(*(value.cast(pa.int64()) for value in values)).cast(type_)

    return kernel


def _part(function: Callable[..., pa.Array]) -> ArrowKernel:
    """A part of dates and moments. What the clocks of a zone show comes from numpy's tables: Arrow
    follows no rule for summer time past 2037."""

    def kernel(values: Sequence[pa.Array], _: Sequence[Written], __: ColumnType) -> pa.Array:
        return function(_shown(values[0])).cast(pa.float64())

    return kernel


def _shown(moments: pa.Array) -> pa.Array:
    zone = getattr(moments.type, "tz", None)
    if zone is None:
        return moments
    shown = KERNELS["local"]([_to_column(moments)], (zone,), ColumnType("timestamp"))
    return _to_value(shown, ColumnType("timestamp"))


def _date(values: Sequence[pa.Array], _: Sequence[Written], __: ColumnType) -> pa.Array:
    return _shown(values[0]).cast(pa.date32())


ARROW_KERNELS: Mapping[str, ArrowKernel] = {
    "add": _number(pc.add),
    "subtract": _number(pc.subtract),
    "multiply": _number(pc.multiply),
    "divide": _number(pc.divide),
    "negate": _number(pc.negate),
    "abs": _number(pc.abs),
    "ceil": _number(pc.ceil),
    "floor": _number(pc.floor),
    "round": _number(_round),
    "sign": _number(pc.sign),
    "sqrt": _number(pc.sqrt),
    "equal": _plain(pc.equal),
    "not_equal": _plain(pc.not_equal),
    "less": _plain(pc.less),
    "at_most": _plain(pc.less_equal),
    "more": _plain(pc.greater),
    "at_least": _plain(pc.greater_equal),
    "and": lambda values, _, __: reduce(pc.and_kleene, values),
    "or": lambda values, _, __: reduce(pc.or_kleene, values),
    "not": _plain(pc.invert),
    "is_null": _plain(pc.is_null),
    "is_true": _plain(_true),
    "is_false": _plain(_false),
    "in": _in,
    "between": _plain(_between),
    "case": _case,
    "case_of": _case_of,
    "coalesce": _plain(pc.coalesce),
    "nullif": _plain(_nullif),
    "least": _extreme(pc.min_element_wise),
    "greatest": _extreme(pc.max_element_wise),
    "year": _part(pc.year),
    "quarter": _part(pc.quarter),
    "month": _part(pc.month),
    "day": _part(pc.day),
    "day_of_year": _part(pc.day_of_year),
    "weekday": _part(pc.day_of_week),
    "hour": _part(pc.hour),
    "minute": _part(pc.minute),
    "second": _part(pc.second),
    "date": _date,
}
"""What Arrow computes itself, where no argument is text; all else is numpy's kernel."""
