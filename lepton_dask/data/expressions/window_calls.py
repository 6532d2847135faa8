"""What a window function is given, and whether it may be called where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lepton_dask.data.durations import DAY_NS, duration_ns
from lepton_dask.data.expressions.calls import written_value
from lepton_dask.data.expressions.errors import ExpressionError
from lepton_dask.data.expressions.functions import WINDOWS, WindowFunction
from lepton_dask.data.expressions.reach import Reach, RowStage, SpanStage
from lepton_dask.data.expressions.tree import Call, Node
from lepton_dask.data.types import ColumnType

WindowRule = Literal["none", "backward", "any"]
"""Whether an expression may look at other rows: at none, at those before, or ahead too."""

MAX_LAG_ROWS = 1_000_000
MAX_ROLLING_ROWS = 10_000
"""A rolling statistic takes as many passes over its rows as its window is long."""


@dataclass(frozen=True)
class WindowCall:
    function: WindowFunction
    operand: Node
    rows: int | None
    span_ns: int | None

    def seen_from(self, reach: Reach) -> Reach:
        """What the window looks back on, over values of a reach."""
        if self.function.name == "lead":
            return Reach(ahead_rows=self.rows or 0)
        if self.span_ns is not None:
            return reach.seen_from(SpanStage(self.span_ns))
        rows = self.rows or 0
        return reach.seen_from(RowStage(rows if self.function.name == "lag" else rows - 1))


def window_call(
    call: Call, rule: WindowRule, order: ColumnType | None, within: tuple[str, ...]
) -> WindowCall:
    """The call of a window function inside those named in `within`.

    Raises ExpressionError where it may not stand, or is not given what it needs.
    """
    function = WINDOWS[call.function]
    _allowed(call, rule, order, within)
    if len(call.arguments) != 2:
        count = len(call.arguments)
        found = f"'{call.function}' with {count} argument{'' if count == 1 else 's'}"
        raise ExpressionError(found, f"write {function.signature}", call.offset)
    operand, length = call.arguments
    value = written_value(length)
    if isinstance(value, str) and call.function != "lead":
        return WindowCall(function, operand, None, _span_ns(call, value, length, order))
    least = 0 if call.function == "lag" else 1
    most = MAX_LAG_ROWS if call.function in ("lag", "lead") else MAX_ROLLING_ROWS
    if not isinstance(value, int) or not least <= value <= most:
        duration = "" if call.function == "lead" else ", or a duration such as '24h'"
        found = f"'{call.function}' takes a number of rows from {least} to {most:,}{duration}"
        raise ExpressionError(found, f"write {function.signature}", length.offset)
    return WindowCall(function, operand, value, None)


def _allowed(
    call: Call, rule: WindowRule, order: ColumnType | None, within: tuple[str, ...]
) -> None:
    name = call.function
    if rule == "none":
        fix = "compute it as a column of a 'derive' step with 'order:' before"
        raise ExpressionError(f"'{name}' looks at other rows", fix, call.offset)
    if name == "lead" and rule != "any":
        fix = "only 'prepare: {target: {expression: ...}}' may, for what is to be forecast"
        raise ExpressionError("'lead' looks ahead", fix, call.offset)
    if within and (name == "lead" or "lead" in within):
        found = f"'{name}' inside '{within[-1]}'"
        raise ExpressionError(found, "'lead' does not go with other windows", call.offset)
    if order is None:
        fix = "say by which column: 'order: COLUMN' (and 'group: COLUMN', if any)"
        raise ExpressionError(f"'{name}' needs an order", fix, call.offset)
    if order.kind in ("text", "boolean"):
        found = f"'{name}' needs an order, and the order column is {order.kind}"
        raise ExpressionError(found, "order by a number, a date or a timestamp", call.offset)


def _span_ns(call: Call, text: str, node: Node, order: ColumnType | None) -> int:
    try:
        span_ns = duration_ns(text)
        if not span_ns:
            raise ValueError(f"'{text}' is no time")
    except ValueError as error:
        fix = "write a number of rows or a duration"
        raise ExpressionError(str(error), fix, node.offset) from None
    kind = order.kind if order else "integer"
    if kind not in ("date", "timestamp"):
        found = f"'{text}' needs an order in time, and the order column holds {kind}s"
        raise ExpressionError(found, f"count rows: {call.function}(x, 24)", node.offset)
    if kind == "date" and call.function == "lag" and span_ns % DAY_NS:
        found = f"'{text}' is not a number of days, and the order column holds dates"
        raise ExpressionError(found, "write it in days, such as '7d'", node.offset)
    return span_ns
