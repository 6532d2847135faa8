"""From an expression's text to its tree, by precedence climbing.

From loosest to tightest: or; and; not; comparisons, is, in, between; ||; + -; * / %; unary -.
Both the nesting of the text and the height of the tree are bounded, so that what follows may
recurse.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, cast

from lepton_dask.data.expressions.errors import ExpressionError
from lepton_dask.data.expressions.tokens import Token, tokens
from lepton_dask.data.expressions.tree import (
    Arithmetic,
    ArithmeticSign,
    Between,
    Branch,
    Call,
    Case,
    Comparison,
    ComparisonSign,
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

__all__ = ["MAX_DEPTH", "ExpressionError", "parse"]

MAX_DEPTH = 64

_COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
_NEGATED = ("in", "between")
_IS: tuple[Literal["null", "true", "false"], ...] = ("null", "true", "false")
_POWERS = {
    "or": 1,
    "and": 2,
    **dict.fromkeys((*_COMPARISONS, "is", *_NEGATED), 3),
    "||": 4,
    **dict.fromkeys("+-", 5),
    **dict.fromkeys("*/%", 6),
}
_UNARY = 7
_CONSTANTS = {"true": True, "false": False, "null": None}
_INT64 = 2**63


def parse(text: str) -> Node:
    """The tree of an expression.

    Raises ExpressionError at the first place where the text is no expression.
    """
    return _Parser(text).whole().node


class _Tall(NamedTuple):
    """A node and the levels below and with it."""

    node: Node
    height: int


class _Parser:
    """One pass over the tokens."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> _Tall:
        if self._now.kind == "end":
            raise ExpressionError("an empty expression", "write one, such as age >= 18", 0)
        tall = self._expression()
        if self._next < len(self._tokens) - 1:
            raise self._unexpected()
        return tall

    @property
    def _now(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._now
        self._next += 1
        return token

    def _stands(self, *texts: str) -> bool:
        return self._now.kind in ("sign", "word") and self._now.text in texts

    def _took(self, *texts: str) -> bool:
        found = self._stands(*texts)
        self._next += found
        return found

    def _expect(self, text: str, within: str) -> None:
        if not self._took(text):
            raise self._unexpected(f"{within} needs '{text}' here")

    def _unexpected(self, fix: str = "") -> ExpressionError:
        token = self._now
        if token.kind == "end":
            return ExpressionError("the expression ends too early", fix, token.offset)
        shown = f"'{token.text}'" if token.kind != "text" else f"the text '{token.text}'"
        if token.kind == "word" and not fix:
            fix = f'a column of that name is written "{token.text}", in double quotes'
        fix = fix or "an operator (and, or, =, +, ...) is missing, or this is too much"
        return ExpressionError(f"unexpected {shown}", fix, token.offset)

    def _made(self, node: Node, *below: _Tall) -> _Tall:
        height = 1 + max((part.height for part in below), default=0)
        if height > MAX_DEPTH:
            raise _too_deep(node.offset)
        return _Tall(node, height)

    def _expression(self, least: int = 0) -> _Tall:
        """All that binds tighter than `least`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _too_deep(self._now.offset)
        left = self._prefix()
        compared = False
        while self._power() > least:
            if compared and self._stands(*_COMPARISONS):
                raise self._second_comparison()
            compared = self._stands(*_COMPARISONS)
            left = self._infix(left)
        self._depth -= 1
        return left

    def _power(self) -> int:
        """How tight the operator that stands here binds; 0 where there is none."""
        if self._now.kind not in ("sign", "word"):
            return 0
        if self._now.text == "not":
            after = self._tokens[self._next + 1]
            return _POWERS["in"] if after.kind == "word" and after.text in _NEGATED else 0
        return _POWERS.get(self._now.text, 0)

    def _infix(self, left: _Tall) -> _Tall:
        power, token = self._power(), self._take()
        if token.text in ("and", "or"):
            return self._logic(left, token, power)
        if token.text == "is":
            return self._is(left, token.offset)
        if token.text in ("in", "between", "not"):
            negated = token.text == "not"
            word = self._take().text if negated else token.text
            take = self._in if word == "in" else self._between
            return take(left, negated, token.offset)
        right = self._expression(power)
        return self._made(_binary(token, left.node, right.node), left, right)

    def _logic(self, left: _Tall, word: Token, power: int) -> _Tall:
        operands = [left, self._expression(power)]
        while self._took(word.text):
            operands.append(self._expression(power))
        nodes = tuple(operand.node for operand in operands)
        node = Logic("or" if word.text == "or" else "and", nodes, word.offset)
        return self._made(node, *operands)

    def _is(self, operand: _Tall, offset: int) -> _Tall:
        negated = self._took("not")
        for what in _IS:
            if self._took(what):
                return self._made(Is(operand.node, what, negated, offset), operand)
        raise self._unexpected("after 'is' stands null, true or false")

    def _in(self, operand: _Tall, negated: bool, offset: int) -> _Tall:
        self._expect("(", "'in'")
        if self._stands(")"):
            raise self._unexpected("list at least one value: x in (1, 2)")
        items = self._list()
        self._expect(")", "the list of 'in'")
        nodes = tuple(item.node for item in items)
        return self._made(In(operand.node, nodes, negated, offset), operand, *items)

    def _between(self, operand: _Tall, negated: bool, offset: int) -> _Tall:
        low = self._expression(_POWERS["between"])
        self._expect("and", "'between'")
        high = self._expression(_POWERS["between"])
        node = Between(operand.node, low.node, high.node, negated, offset)
        return self._made(node, operand, low, high)

    def _second_comparison(self) -> ExpressionError:
        fix = "join two comparisons with 'and': 1 < x and x < 3"
        return ExpressionError(f"'{self._now.text}' after a comparison", fix, self._now.offset)

    def _prefix(self) -> _Tall:
        token = self._now
        if token.kind in ("number", "text", "quoted"):
            return self._made(_leaf(self._take()))
        if token.kind == "name":
            return self._call() if self._is_call() else self._made(_leaf(self._take()))
        if token.kind == "word" and token.text in _CONSTANTS:
            return self._made(Value(_CONSTANTS[self._take().text], token.offset))
        if self._took("-", "+", "not"):
            return self._signed(token)
        if self._took("case"):
            return self._case(token.offset)
        if self._took("("):
            tall = self._expression()
            self._expect(")", "'('")
            return tall
        raise self._unexpected(
            "" if token.kind == "word" else "a value or a column is missing here"
        )

    def _signed(self, sign: Token) -> _Tall:
        operand = self._expression(_POWERS["and"] if sign.text == "not" else _UNARY)
        if sign.text == "not":
            return self._made(Not(operand.node, sign.offset), operand)
        if sign.text == "-":
            return self._made(Negative(operand.node, sign.offset), operand)
        return operand

    def _is_call(self) -> bool:
        after = self._tokens[self._next + 1]
        return after.kind == "sign" and after.text == "("

    def _call(self) -> _Tall:
        name = self._take()
        self._expect("(", f"'{name.text}'")
        arguments = [] if self._stands(")") else self._list()
        self._expect(")", f"'{name.text}('")
        nodes = tuple(argument.node for argument in arguments)
        return self._made(Call(name.text.lower(), nodes, name.offset), *arguments)

    def _list(self) -> list[_Tall]:
        items = [self._expression()]
        while self._took(","):
            items.append(self._expression())
        return items

    def _case(self, offset: int) -> _Tall:
        operand = None if self._stands("when") else self._expression()
        branches: list[Branch] = []
        below = [operand] if operand else []
        if not self._stands("when"):
            raise self._unexpected("'case' needs 'when' here")
        while self._took("when"):
            when = self._expression()
            self._expect("then", "'when'")
            then = self._expression()
            branches.append(Branch(when.node, then.node))
            below += [when, then]
        otherwise = self._expression() if self._took("else") else None
        below += [otherwise] if otherwise else []
        self._expect("end", "'case'")
        node = Case(
            operand.node if operand else None,
            tuple(branches),
            otherwise.node if otherwise else None,
            offset,
        )
        return self._made(node, *below)


def _binary(sign: Token, left: Node, right: Node) -> Node:
    if sign.text == "||":
        return Joined(left, right, sign.offset)
    if sign.text in _COMPARISONS:
        return Comparison(cast("ComparisonSign", sign.text), left, right, sign.offset)
    return Arithmetic(cast("ArithmeticSign", sign.text), left, right, sign.offset)


def _leaf(token: Token) -> Node:
    if token.kind == "number":
        return Value(_number(token), token.offset)
    if token.kind == "text":
        return Value(token.text, token.offset)
    return Name(token.text, token.offset, quoted=token.kind == "quoted")


def _number(token: Token) -> int | float:
    if token.text.isdecimal() and len(token.text) < 20 and int(token.text) < _INT64:
        return int(token.text)
    value = float(token.text)
    if math.isinf(value):
        raise ExpressionError(
            f"'{token.text}' is too large for a number", "write less", token.offset
        )
    return value


def _too_deep(offset: int) -> ExpressionError:
    return ExpressionError(
        f"more than {MAX_DEPTH} levels deep", "compute a part of it as a column before", offset
    )
