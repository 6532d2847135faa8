"""Expressions evaluated with numpy: what a model does when it predicts without Arrow."""

from __future__ import annotations

import numpy as np

from lepton_dask.data.columns import (
    Column,
    Columns,
    MomentColumn,
    NumberColumn,
    TextColumn,
    taken,
)
from lepton_dask.data.expressions.functions import FUNCTIONS, WINDOWS
from lepton_dask.data.expressions.kernels import Kernel, usable
from lepton_dask.data.expressions.operators import OPERATORS
from lepton_dask.data.expressions.ordering import Ordering
from lepton_dask.data.expressions.typed import (
    Checked,
    ColumnValue,
    Constant,
    Operation,
    Typed,
    Window,
)
from lepton_dask.data.expressions.windows import (
    lag_positions,
    rolling,
    span_positions,
    window_firsts,
)

_NOT_A_TIME = np.iinfo(np.int64).min

KERNELS: dict[str, Kernel] = {
    **OPERATORS,
    **{name: function.kernel for name, function in FUNCTIONS.items()},
}


def evaluate(
    checked: Checked, columns: Columns, rows: int, ordering: Ordering | None = None
) -> Column:
    """The value of an expression in each of the rows.

    Raises ValueError for an expression with windows and no ordering.
    """
    with np.errstate(all="ignore"):  # what is not finite becomes missing
        return _evaluated(checked.tree, columns, rows, ordering)


def _evaluated(node: Typed, columns: Columns, rows: int, ordering: Ordering | None) -> Column:
    match node:
        case ColumnValue(name):
            return read(columns[name])
        case Constant():
            return constant(node, rows)
        case Operation(name, arguments, type_, written):
            values = [_evaluated(argument, columns, rows, ordering) for argument in arguments]
            return KERNELS[name](values, written, type_)
        case Window(operand=operand):
            return windowed(node, _evaluated(operand, columns, rows, ordering), ordering)


def read(column: Column) -> Column:
    """A column as an expression sees it: what is not finite is missing."""
    if not isinstance(column, NumberColumn):
        return column
    unusable = column.missing | ~np.isfinite(column.values)
    return NumberColumn(np.where(unusable, 0.0, column.values), unusable)


def constant(node: Constant, rows: int) -> Column:
    """The same value in every row."""
    value = node.value
    if node.type.kind == "text":
        levels = () if value is None else (str(value),)
        return TextColumn(np.full(rows, len(levels) - 1, np.int32), levels)
    if node.type.kind in ("date", "timestamp"):
        unit = "datetime64[D]" if node.type.kind == "date" else "datetime64[ns]"
        ticks = _NOT_A_TIME if value is None else int(value)
        return MomentColumn(np.full(rows, ticks, np.int64).view(unit), node.type.zone)
    number = 0.0 if value is None else float(value)
    return NumberColumn(np.full(rows, number), np.full(rows, value is None))


def windowed(node: Window, operand: Column, ordering: Ordering | None) -> Column:
    """A window function over a column.

    Raises ValueError without an ordering.
    """
    if ordering is None:
        raise ValueError(f"'{node.function}' needs an ordering")
    if node.function in ("lag", "lead"):
        return taken(operand, positions(node, ordering))
    statistic = WINDOWS[node.function].statistic
    assert statistic is not None
    firsts = window_firsts(ordering, rows=node.rows, span_ns=node.span_ns)
    values = operand.values if isinstance(operand, NumberColumn) else np.zeros(len(operand))
    return usable(*rolling(statistic, ordering, firsts, values, operand.missing), node.type)


def positions(node: Window, ordering: Ordering) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(N,) the row that a lag or lead takes each value from; -1 for none."""
    if node.span_ns is not None:
        return span_positions(ordering, node.span_ns)
    rows = node.rows or 0
    return lag_positions(ordering, -rows if node.function == "lead" else rows)
