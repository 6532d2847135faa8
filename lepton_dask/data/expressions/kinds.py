"""Parts of an expression with their types: which go together, and what to do where not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lepton_dask.data.expressions.errors import ExpressionError
from lepton_dask.data.expressions.moments import ticks_of_text
from lepton_dask.data.expressions.reach import NO_REACH, Reach, union
from lepton_dask.data.expressions.tree import Name, Node, Value
from lepton_dask.data.expressions.typed import Constant, Operation, Typed
from lepton_dask.data.types import ColumnType, described

NUMERIC = ("integer", "number")
BOOLEAN = ColumnType("boolean")


@dataclass(frozen=True)
class Part:
    """A part of an expression that has been checked: what was written, what it became, how far its
    windows look. The type of a bare `null` is open."""

    written: Node
    typed: Typed
    reach: Reach = NO_REACH

    @property
    def type(self) -> ColumnType:
        return self.typed.type

    @property
    def is_null(self) -> bool:
        return isinstance(self.written, Value) and self.written.value is None

    @property
    def is_text_literal(self) -> bool:
        return isinstance(self.written, Value) and isinstance(self.written.value, str)

    @property
    def offset(self) -> int:
        return self.written.offset

    def __str__(self) -> str:
        """`'age' is an integer`, `this is text`: for messages."""
        name = f"'{self.written.name}'" if isinstance(self.written, Name) else "this"
        if isinstance(self.written, Value):
            value = self.written.value
            name = f"'{value}'" if isinstance(value, str) else str(value).lower()
        type_ = self.type
        shown = "text" if type_.kind == "text" else described(type_)
        if type_.kind == "timestamp" and type_.zone is None:
            shown += " without a time zone"
        return f"{name} is {shown}"


def of_one_type(parts: Sequence[Part], *, zones_may_differ: bool = False) -> list[Part]:
    """The parts with one type for all: nulls take that of the others, texts that are written out
    beside dates or timestamps are read as such, integers beside numbers are numbers.

    Raises ExpressionError at the first part that does not go with those before it.
    """
    known = [part for part in parts if not part.is_null]
    if not known:
        return list(parts)
    leading = _leading(known)
    read = [_read_as(part, leading.type) for part in parts]
    for part in read:
        if not part.is_null and not _go_together(leading.type, part.type, zones_may_differ):
            raise _mismatch(leading, part)
    type_ = leading.type
    if any(part.type.kind == "number" for part in read if not part.is_null):
        type_ = ColumnType("number")
    return [of_type(part, type_) for part in read]


def common_type(parts: Sequence[Part]) -> ColumnType:
    """The type of parts that `of_one_type` gave."""
    kinds = [part.type for part in parts]
    number = ColumnType("number")
    return number if number in kinds else kinds[0]


def _leading(parts: Sequence[Part]) -> Part:
    """The part that says what the others have to be: the first that is no text written out."""
    return next((part for part in parts if not part.is_text_literal), parts[0])


def _read_as(part: Part, type_: ColumnType) -> Part:
    if not part.is_text_literal or type_.kind not in ("date", "timestamp"):
        return part
    assert isinstance(part.typed, Constant)
    try:
        ticks = ticks_of_text(str(part.typed.value), type_)
    except ValueError as error:
        fix = "write it as ISO 8601 does"
        raise ExpressionError(str(error), fix, part.offset) from None
    return replace(part, typed=Constant(ticks, type_))


def _go_together(a: ColumnType, b: ColumnType, zones_may_differ: bool) -> bool:
    if a.kind in NUMERIC:
        return b.kind in NUMERIC
    if a.kind != b.kind:
        return False
    if zones_may_differ:
        return (a.zone is None) == (b.zone is None)
    return a.zone == b.zone


def _mismatch(a: Part, b: Part) -> ExpressionError:
    return ExpressionError(f"{a}, and {b}", _remedy(a, b), b.offset)


def _remedy(a: Part, b: Part) -> str:
    kinds = {a.type.kind, b.type.kind}
    if kinds == {"date", "timestamp"}:
        moment = a if a.type.kind == "timestamp" else b
        return f"take the timestamp's date: date({_short(moment)})"
    if kinds == {"timestamp"}:
        zoned = a if a.type.zone else b
        return f"take the clock time of one: local({_short(zoned)}, '{zoned.type.zone}')"
    if "boolean" in kinds:
        truth = a if a.type.kind == "boolean" else b
        return f"make a number of it: case when {_short(truth)} then 1 else 0 end"
    for part, other in ((a, b), (b, a)):
        if isinstance(part.written, Value) and other.type.kind in NUMERIC and _is_number(part):
            return f"write {part.written.value} without quotes"
        if isinstance(part.written, Value) and other.type.kind == "text":
            return f"write '{part.written.value}' in single quotes"
    return "nothing is converted here; declare the column's type where it is read"


def _is_number(part: Part) -> bool:
    assert isinstance(part.written, Value)
    try:
        float(str(part.written.value))
    except ValueError:
        return False
    return True


def _short(part: Part) -> str:
    if not isinstance(part.written, Name):
        return "..."
    name = part.written.name
    return f'"{name}"' if part.written.quoted else name


def constant(node: Value) -> Constant:
    """What is written out; the type of a bare null stays open, and number stands for it."""
    match node.value:
        case bool():
            return Constant(node.value, BOOLEAN)
        case int():
            return Constant(node.value, ColumnType("integer"))
        case float():
            return Constant(node.value, ColumnType("number"))
        case str():
            return Constant(node.value, ColumnType("text"))
        case None:
            return Constant(None, ColumnType("number"))


def operation(node: Node, name: str, parts: Sequence[Part], type_: ColumnType) -> Part:
    """An operation of the typed tree on parts that fit it, as a part."""
    arguments: tuple[Typed, ...] = tuple(part.typed for part in parts)
    reach = union(part.reach for part in parts)
    return Part(node, Operation(name, arguments, type_), reach)


def of_type(part: Part, type_: ColumnType) -> Part:
    """A null of a type; anything else has it already."""
    return replace(part, typed=Constant(None, type_)) if part.is_null else part


def needs_number(part: Part, what: str) -> ExpressionError | None:
    """What is wrong with a part that has to be a number."""
    if part.is_null or part.type.kind in NUMERIC:
        return None
    fixes = {
        "boolean": f"write case when {_short(part)} then 1 else 0 end",
        "text": "nothing is converted here; declare the column as a number where it is read",
        "date": f"take a part of it, such as day_of_year({_short(part)})",
        "timestamp": f"take a part of it, such as hour({_short(part)})",
    }
    return ExpressionError(f"{part}, and {what} a number", fixes[part.type.kind], part.offset)


def needs_condition(part: Part, what: str) -> ExpressionError | None:
    """What is wrong with a part that has to be true or false."""
    if part.is_null or part.type.kind == "boolean":
        return None
    compare = {"text": "= 'yes'", "integer": "<> 0", "number": "> 0"}
    fix = f"compare it: {_short(part)} {compare.get(part.type.kind, 'is not null')}"
    return ExpressionError(f"{part}, and {what} a condition", fix, part.offset)


def _needs(kinds: tuple[str, ...], what: str, fix: str) -> Callable[[Part], ExpressionError | None]:
    def needs(part: Part) -> ExpressionError | None:
        if part.type.kind in kinds and not part.is_null:
            return None
        found = "null" if part.is_null else str(part)
        return ExpressionError(f"{found}, and this needs {what}", fix, part.offset)

    return needs


needs_text = _needs(("text",), "text", "nothing is converted here")
needs_order = _needs(
    ("integer", "number", "date", "timestamp"), "numbers, dates or timestamps", "write a case"
)
NEEDS: dict[str, Callable[[Part], ExpressionError | None]] = {
    "number": lambda part: needs_number(part, "this needs"),
    "text": needs_text,
    "day": _needs(("date", "timestamp"), "a date or a timestamp", "declare it where it is read"),
    "moment": _needs(("timestamp",), "a timestamp", "a date has no time of day or zone"),
    "same": lambda _: None,
    "ordered": lambda _: None,  # looked at when texts have been read as moments
}
