"""The operators in numpy, with SQL's null logic."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import numpy as np

from lepton_dask.data.columns import Bools, Column, MomentColumn, NumberColumn, TextColumn
from lepton_dask.data.expressions.kernels import (
    Kernel,
    any_missing,
    by_value,
    chosen,
    truth,
)
from lepton_dask.data.expressions.texts import compared, joined
from lepton_dask.data.expressions.typed import Written
from lepton_dask.data.types import ColumnType


def _comparison(compare: Callable[..., Bools]) -> Kernel:
    def kernel(columns: Sequence[Column], _: Sequence[Written], __: ColumnType) -> Column:
        left, right = columns
        if isinstance(left, TextColumn) and isinstance(right, TextColumn):
            values = compared(compare, left, right)
        else:
            values = compare(_ticks(left), _ticks(right))
        return truth(values, any_missing(columns))

    return kernel


def _ticks(column: Column) -> object:
    """Values that are in the columns' order: of moments the integers, where NaT is one too."""
    if isinstance(column, MomentColumn):
        return column.values.astype(np.int64)
    assert isinstance(column, NumberColumn)
    return column.values


EQUAL = _comparison(operator.eq)
AT_MOST = _comparison(operator.le)
_BOOLEAN = ColumnType("boolean")


def equal(left: Column, right: Column) -> NumberColumn:
    return _boolean(EQUAL((left, right), (), _BOOLEAN))


def holds(condition: Column) -> Bools:
    """Where a condition is true, and not just not false."""
    true: Bools = _boolean(condition).values != 0
    return true & ~condition.missing


def fails(condition: Column) -> Bools:
    false: Bools = _boolean(condition).values == 0
    return false & ~condition.missing


def _boolean(column: Column) -> NumberColumn:
    assert isinstance(column, NumberColumn)
    return column


def _and(columns: Sequence[Column], _: Sequence[Written], __: ColumnType) -> Column:
    """False where one is false, else missing where one is missing (Kleene)."""
    false = reduce(np.logical_or, [fails(column) for column in columns])
    return truth(~false, any_missing(columns) & ~false)


def _or(columns: Sequence[Column], _: Sequence[Written], __: ColumnType) -> Column:
    true = reduce(np.logical_or, [holds(column) for column in columns])
    return truth(true, any_missing(columns) & ~true)


def _not(columns: Sequence[Column], _: Sequence[Written], __: ColumnType) -> Column:
    return truth(fails(columns[0]), columns[0].missing)


def _is_null(columns: Sequence[Column], _: Sequence[Written], __: ColumnType) -> Column:
    return truth(columns[0].missing, np.zeros(len(columns[0]), dtype=bool))


def _is_true(columns: Sequence[Column], _: Sequence[Written], __: ColumnType) -> Column:
    return truth(holds(columns[0]), np.zeros(len(columns[0]), dtype=bool))


def _is_false(columns: Sequence[Column], _: Sequence[Written], __: ColumnType) -> Column:
    return truth(fails(columns[0]), np.zeros(len(columns[0]), dtype=bool))


def _in(columns: Sequence[Column], written: Sequence[Written], type_: ColumnType) -> Column:
    operand, *items = columns
    return _or([equal(operand, item) for item in items], written, type_)


def _between(columns: Sequence[Column], written: Sequence[Written], type_: ColumnType) -> Column:
    operand, low, high = columns
    above = AT_MOST((low, operand), written, type_)
    return _and([above, AT_MOST((operand, high), written, type_)], written, type_)


def _case(columns: Sequence[Column], _: Sequence[Written], __: ColumnType) -> Column:
    """condition, value, condition, value, ..., the value where none holds."""
    return _first_that_holds(columns[:-1:2], (*columns[1:-1:2], columns[-1]))


def _case_of(columns: Sequence[Column], _: Sequence[Written], __: ColumnType) -> Column:
    """operand, what it may equal, value, ..., the value where it equals none."""
    operand, *rest = columns
    conditions = [equal(operand, column) for column in rest[:-1:2]]
    return _first_that_holds(conditions, (*rest[1:-1:2], rest[-1]))


def _first_that_holds(conditions: Sequence[Column], values: Sequence[Column]) -> Column:
    choice = np.full(len(values[0]), len(values) - 1)
    for i in reversed(range(len(conditions))):
        choice = np.where(holds(conditions[i]), i, choice)
    return chosen(choice, values)


OPERATORS: Mapping[str, Kernel] = {
    "add": by_value(operator.add),
    "subtract": by_value(operator.sub),
    "multiply": by_value(operator.mul),
    "divide": by_value(np.divide),
    "remainder": by_value(np.fmod),
    "negate": by_value(operator.neg),
    "equal": EQUAL,
    "not_equal": _comparison(operator.ne),
    "less": _comparison(operator.lt),
    "at_most": AT_MOST,
    "more": _comparison(operator.gt),
    "at_least": _comparison(operator.ge),
    "and": _and,
    "or": _or,
    "not": _not,
    "is_null": _is_null,
    "is_true": _is_true,
    "is_false": _is_false,
    "in": _in,
    "between": _between,
    "case": _case,
    "case_of": _case_of,
    "joined": joined,
}
"""By the name that an operation of the typed tree has."""
