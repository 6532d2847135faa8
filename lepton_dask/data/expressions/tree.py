"""An expression as it is written: nodes that know where they stand in the text.

Operators are nodes of their own, `not in` a negated `in`; nothing is typed yet (typed.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Constant = float | int | str | bool | None

ComparisonSign = Literal["=", "<>", "<", "<=", ">", ">="]
ArithmeticSign = Literal["+", "-", "*", "/", "%"]


@dataclass(frozen=True)
class Value:
    """A number, a text, true, false or null, written out."""

    value: Constant
    offset: int


@dataclass(frozen=True)
class Name:
    """A column; `quoted` in double quotes."""

    name: str
    offset: int
    quoted: bool = False


@dataclass(frozen=True)
class Negative:
    operand: Node
    offset: int


@dataclass(frozen=True)
class Arithmetic:
    sign: ArithmeticSign
    left: Node
    right: Node
    offset: int


@dataclass(frozen=True)
class Joined:
    """Texts put together: `a || b`."""

    left: Node
    right: Node
    offset: int


@dataclass(frozen=True)
class Comparison:
    sign: ComparisonSign
    left: Node
    right: Node
    offset: int


@dataclass(frozen=True)
class Logic:
    """Two or more conditions."""

    word: Literal["and", "or"]
    operands: tuple[Node, ...]
    offset: int


@dataclass(frozen=True)
class Not:
    operand: Node
    offset: int


@dataclass(frozen=True)
class Is:
    """`x is null`, `x is true`, `x is false`."""

    operand: Node
    what: Literal["null", "true", "false"]
    negated: bool
    offset: int


@dataclass(frozen=True)
class In:
    operand: Node
    items: tuple[Node, ...]
    negated: bool
    offset: int


@dataclass(frozen=True)
class Between:
    operand: Node
    low: Node
    high: Node
    negated: bool
    offset: int


@dataclass(frozen=True)
class Branch:
    when: Node
    then: Node


@dataclass(frozen=True)
class Case:
    """The value of the first branch that holds, or equals `operand`, where there is one."""

    operand: Node | None
    branches: tuple[Branch, ...]
    otherwise: Node | None
    offset: int


@dataclass(frozen=True)
class Call:
    """A function, in lower case, and its arguments."""

    function: str
    arguments: tuple[Node, ...]
    offset: int


Node = (
    Value
    | Name
    | Negative
    | Arithmetic
    | Joined
    | Comparison
    | Logic
    | Not
    | Is
    | In
    | Between
    | Case
    | Call
)
