"""Names, types and windows of an expression's parts, from the leaves up.

All that is wrong is collected. A part that is wrong is not looked at again from above, so that one
cause is told once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lepton_dask.data.expressions.awkward import awkward_name, quoted
from lepton_dask.data.expressions.calls import arguments_of, unknown_function
from lepton_dask.data.expressions.errors import ExpressionError
from lepton_dask.data.expressions.functions import FUNCTIONS, WINDOWS
from lepton_dask.data.expressions.kinds import (
    BOOLEAN,
    NEEDS,
    Part,
    common_type,
    constant,
    needs_condition,
    needs_number,
    needs_order,
    needs_text,
    of_one_type,
    of_type,
    operation,
)
from lepton_dask.data.expressions.reach import union
from lepton_dask.data.expressions.tree import (
    Arithmetic,
    Between,
    Call,
    Case,
    Comparison,
    In,
    Is,
    Joined,
    Logic,
    Name,
    Negative,
    Node,
    Not,
    Value,
)
from lepton_dask.data.expressions.typed import (
    ColumnValue,
    Operation,
    Window,
)
from lepton_dask.data.expressions.window_calls import WindowRule, window_call
from lepton_dask.data.types import ColumnType, Schema
from lepton_dask.suggest import did_you_mean, nearest

_SIGNS = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "%": "remainder",
    "=": "equal",
    "<>": "not_equal",
    "<": "less",
    "<=": "at_most",
    ">": "more",
    ">=": "at_least",
}


class Checker:
    """The columns, what was found wrong with the expression, and what it reads."""

    def __init__(
        self, text: str, schema: Schema, windows: WindowRule, order: ColumnType | None
    ) -> None:
        self.text, self.schema = text, schema
        self.windows, self.order = windows, order
        self.errors: list[ExpressionError] = []
        self.reads: dict[str, None] = {}
        self._within: list[str] = []
        self._awkward: set[str] = set()

    def complain(self, found: str, fix: str, offset: int) -> None:
        self.errors.append(ExpressionError(found, fix, offset))

    def part(self, node: Node) -> Part | None:
        """The node checked; None where something in it is wrong."""
        match node:
            case Value():
                return Part(node, constant(node))
            case Name():
                return self._name(node)
            case Negative(operand):
                return self._arithmetic(node, "negate", [operand])
            case Arithmetic(sign, left, right):
                return self._arithmetic(node, _SIGNS[sign], [left, right])
            case Joined(left, right):
                return self._joined(node, [left, right])
            case Comparison(sign, left, right):
                return self._compared(node, _SIGNS[sign], [left, right])
            case Between(operand, low, high, negated):
                return self._compared(node, "between", [operand, low, high], negated)
            case In(operand, items, negated):
                return self._compared(node, "in", [operand, *items], negated)
            case Logic(word, operands):
                return self._logic(node, word, operands, f"'{word}' needs")
            case Not(operand):
                return self._logic(node, "not", [operand], "'not' needs")
            case Is():
                return self._is(node)
            case Case():
                return self._case(node)
            case Call():
                return self._call(node)

    def _parts(self, nodes: Sequence[Node]) -> list[Part] | None:
        parts = [self.part(node) for node in nodes]
        good = [part for part in parts if part is not None]
        return good if len(good) == len(parts) else None

    def _name(self, node: Name) -> Part | None:
        if node.name in self.schema:
            self.reads[node.name] = None
            return Part(node, ColumnValue(node.name, self.schema[node.name]))
        found = f"unknown column '{node.name}'"
        awkward = None if node.quoted else awkward_name(self.text, node.offset, self.schema)
        if awkward is None:
            self.complain(found, self._meant(node), node.offset)
        elif awkward not in self._awkward:
            self._awkward.add(awkward)
            self.complain(found, quoted(awkward), node.offset)
        return None

    def _meant(self, node: Name) -> str:
        if node.quoted and nearest(node.name, self.schema) is None:
            return f"a text goes in single quotes: '{node.name}'"
        return did_you_mean(node.name, self.schema)

    def _all(self, parts: Sequence[Part], needs: Callable[[Part], ExpressionError | None]) -> bool:
        """Whether every part is what it has to be."""
        return self._nothing_wrong(needs(part) for part in parts)

    def _nothing_wrong(self, found: Iterable[ExpressionError | None]) -> bool:
        wrong = [error for error in found if error is not None]
        self.errors += wrong
        return not wrong

    def _arithmetic(self, node: Node, name: str, operands: Sequence[Node]) -> Part | None:
        parts = self._parts(operands)
        if parts is None or not self._all(parts, lambda p: needs_number(p, "arithmetic needs")):
            return None
        agreed = of_one_type(parts)
        type_ = ColumnType("number") if name == "divide" else common_type(agreed)
        return operation(node, name, agreed, type_)

    def _joined(self, node: Node, operands: Sequence[Node]) -> Part | None:
        parts = self._parts(operands)
        if parts is None or not self._all(parts, needs_text):
            return None
        return operation(node, "joined", parts, ColumnType("text"))

    def _compared(
        self, node: Node, name: str, operands: Sequence[Node], negated: bool = False
    ) -> Part | None:
        parts = self._parts(operands)
        if parts is None:
            return None
        for part in parts if name != "in" else parts[:1]:
            if part.is_null:
                self.complain("a comparison with null is null", "write 'is null'", part.offset)
                return None
        agreed = self._of_one_type(parts, zones_may_differ=True)
        if agreed is None:
            return None
        if agreed[0].type.kind == "boolean" and name not in ("equal", "not_equal", "in"):
            self.complain(f"{agreed[0]}: it has no order", "compare it with =", node.offset)
            return None
        whole = operation(node, name, agreed, BOOLEAN)
        return operation(node, "not", [whole], BOOLEAN) if negated else whole

    def _of_one_type(
        self, parts: Sequence[Part], *, zones_may_differ: bool = False
    ) -> list[Part] | None:
        try:
            return of_one_type(parts, zones_may_differ=zones_may_differ)
        except ExpressionError as error:
            self.errors.append(error)
            return None

    def _logic(self, node: Node, name: str, operands: Sequence[Node], what: str) -> Part | None:
        parts = self._parts(operands)
        if parts is None or not self._all(parts, lambda p: needs_condition(p, what)):
            return None
        return operation(node, name, [of_type(part, BOOLEAN) for part in parts], BOOLEAN)

    def _is(self, node: Is) -> Part | None:
        part = self.part(node.operand)
        if part is None:
            return None
        what = f"'is {node.what}' needs"
        if node.what != "null" and not self._all([part], lambda p: needs_condition(p, what)):
            return None
        typed = of_type(part, BOOLEAN) if part.is_null else part
        whole = operation(node, f"is_{node.what}", [typed], BOOLEAN)
        return operation(node, "not", [whole], BOOLEAN) if node.negated else whole

    def _case(self, node: Case) -> Part | None:
        otherwise = node.otherwise or Value(None, node.offset)
        operand = None if node.operand is None else self.part(node.operand)
        whens, thens = self._branches(node)
        last = self.part(otherwise)
        if whens is None or thens is None or last is None:
            return None
        if node.operand is None:
            if not self._all(whens, lambda p: needs_condition(p, "'when' needs")):
                return None
            head, whens = [], [of_type(when, BOOLEAN) for when in whens]
        else:
            agreed = operand and self._of_one_type([operand, *whens], zones_may_differ=True)
            if not agreed:
                return None
            head, whens = agreed[:1], agreed[1:]
        values = self._of_one_type([*thens, last])
        if values is None:
            return None
        if all(value.is_null for value in values):
            self.complain("null in every branch", "write a value in one", node.offset)
            return None
        between = [part for pair in zip(whens, values, strict=False) for part in pair]
        name = "case" if node.operand is None else "case_of"
        return operation(node, name, [*head, *between, values[-1]], common_type(values))

    def _branches(self, node: Case) -> tuple[list[Part] | None, list[Part] | None]:
        parts = [(self.part(branch.when), self.part(branch.then)) for branch in node.branches]
        whens = [when for when, _ in parts if when is not None]
        thens = [then for _, then in parts if then is not None]
        complete = len(whens) == len(thens) == len(parts)
        return (whens, thens) if complete else (None, None)

    def _call(self, node: Call) -> Part | None:
        if node.function in WINDOWS:
            return self._window(node)
        function = FUNCTIONS.get(node.function)
        if function is None:
            self.errors.append(unknown_function(node))
            for argument in node.arguments:
                self.part(argument)
            return None
        try:
            given, written = arguments_of(function, node)
        except ExpressionError as error:
            self.errors.append(error)
            return None
        parts = self._parts([argument for argument, _ in given])
        if parts is None:
            return None
        kinds = [kind for _, kind in given]
        fits = (NEEDS[kind](part) for part, kind in zip(parts, kinds, strict=True))
        if not self._nothing_wrong(fits):
            return None
        if kinds[0] in ("same", "ordered"):
            agreed = self._of_one_type(parts)
            if agreed is None:
                return None
            if kinds[0] == "ordered" and not self._all(agreed[:1], needs_order):
                return None
            parts = agreed
            if all(part.is_null for part in parts):
                self.complain("null in every row", "write a value", node.offset)
                return None
        type_ = function.gives(common_type(parts), written)
        whole = Operation(node.function, tuple(part.typed for part in parts), type_, written)
        return Part(node, whole, union(part.reach for part in parts))

    def _window(self, node: Call) -> Part | None:
        try:
            call = window_call(node, self.windows, self.order, tuple(self._within))
        except ExpressionError as error:
            self.errors.append(error)
            return None
        self._within.append(node.function)
        operand = self.part(call.operand)
        self._within.pop()
        if operand is None:
            return None
        if operand.is_null:
            self.complain("null in every row", "write a column", operand.offset)
            return None
        if call.function.takes == "number" and not self._all(
            [operand], lambda p: needs_number(p, f"'{node.function}' needs")
        ):
            return None
        type_ = call.function.gives(operand.type, ())
        typed = Window(node.function, operand.typed, type_, call.rows, call.span_ns)
        return Part(node, typed, call.seen_from(operand.reach))
