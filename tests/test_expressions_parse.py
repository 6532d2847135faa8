"""From an expression's text to its tree, and what is no expression."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_dask.data.expressions.errors import ExpressionError
from lepton_dask.data.expressions.parse import MAX_DEPTH, parse
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


def shown(node: Node) -> str:
    """With every operation in parentheses."""
    match node:
        case Value(value):
            return repr(value)
        case Name(name):
            return name
        case Negative(operand):
            return f"(-{shown(operand)})"
        case Arithmetic(sign, left, right) | Comparison(sign, left, right):
            return f"({shown(left)} {sign} {shown(right)})"
        case Joined(left, right):
            return f"({shown(left)} || {shown(right)})"
        case Logic(word, operands):
            return f"({f' {word} '.join(map(shown, operands))})"
        case Not(operand):
            return f"(not {shown(operand)})"
        case Is(operand, what, negated):
            return f"({shown(operand)} is {'not ' * negated}{what})"
        case In(operand, items, negated):
            return f"({shown(operand)} {'not ' * negated}in [{', '.join(map(shown, items))}])"
        case Between(operand, low, high, negated):
            return f"({shown(operand)} {'not ' * negated}in {shown(low)}..{shown(high)})"
        case Case(operand, branches, otherwise):
            of = f" {shown(operand)}" if operand else ""
            cases = "".join(f" {shown(b.when)}:{shown(b.then)}" for b in branches)
            return f"(case{of}{cases}{f' else {shown(otherwise)}' if otherwise else ''})"
        case Call(function, arguments):
            return f"{function}({', '.join(map(shown, arguments))})"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a + b * c - d", "((a + (b * c)) - d)"),
        ("a - b - c", "((a - b) - c)"),
        ("-a * b", "((-a) * b)"),
        ("a - -b", "(a - (-b))"),
        ("+a", "a"),
        ("a or b and c or d", "(a or (b and c) or d)"),
        ("not a = 1 and b", "((not (a = 1)) and b)"),
        ("a == 1 AND b != 2", "((a = 1) and (b <> 2))"),
        ("a between 1 and 2 + 3 and b", "((a in 1..(2 + 3)) and b)"),
        ("a not between 1 and 2", "(a not in 1..2)"),
        ("a NOT IN (1, 'x', null)", "(a not in [1, 'x', None])"),
        ("a + 1 is not null", "((a + 1) is not null)"),
        ("a is true or b is false", "((a is true) or (b is false))"),
        ("a || 'x' = 'yx'", "((a || 'x') = 'yx')"),
        ("(a < b) = c", "((a < b) = c)"),
        ("case when a then 1 when b then 2 else 3 end", "(case a:1 b:2 else 3)"),
        ("case x when 1 then 'a' end", "(case x 1:'a')"),
        ("ROUND(x, 2) % 3", "(round(x, 2) % 3)"),
        ("Age", "Age"),
        ('"capital-gain" > 0', "(capital-gain > 0)"),
        ('"a ""b"""', 'a "b"'),
        ("'it''s'", '"it\'s"'),
        ("capital-gain > 0", "((capital - gain) > 0)"),
        ("1e-3 + .5 + 2. + 10", "(((0.001 + 0.5) + 2.0) + 10)"),
        ("straße = 1", "(straße = 1)"),
        ("true", "True"),
    ],
)
def test_operators_bind_as_in_sql(text: str, tree: str) -> None:
    assert shown(parse(text)) == tree


@pytest.mark.parametrize(
    ("text", "offset", "found", "fix"),
    [
        ("", 0, "an empty expression", "write one, such as age >= 18"),
        ("a >", 3, "the expression ends too early", "a value or a column is missing here"),
        ("(a", 2, "the expression ends too early", "'(' needs ')' here"),
        ("a b", 2, "unexpected 'b'", "an operator (and, or, =, +, ...) is missing"),
        ("1 < x < 3", 6, "'<' after a comparison", "join two comparisons with 'and'"),
        ("a in ()", 6, "unexpected ')'", "list at least one value"),
        ("a is 3", 5, "unexpected '3'", "after 'is' stands null, true or false"),
        ("end > 1", 0, "unexpected 'end'", 'is written "end", in double quotes'),
        ("case x end", 7, "unexpected 'end'", "'case' needs 'when' here"),
        ("case when a then 1", 18, "the expression ends too early", "'case' needs 'end' here"),
        ("a && b", 2, "unexpected '&'", "write 'and'"),
        ("!a", 0, "unexpected '!'", "write 'not'"),
        ("`a` = 1", 0, "unexpected '`'", "put a name in double quotes"),
        ("a = 'x", 4, "a text that does not end", "close it with '"),
        ('"a = 1', 0, "a name that does not end", 'close it with "'),
        ("w.temp > 1", 1, "unexpected '.'", "put a name with a dot in double quotes"),
        ("lag(x, 24h)", 7, "'24h' is neither a number nor a name", "write '24h' for a text"),
        ("1e999", 0, "'1e999' is too large for a number", "write less"),
        ("a; drop", 1, "unexpected ';'", "remove it"),
        ("f(a,)", 4, "unexpected ')'", "a value or a column is missing here"),
    ],
)
def test_what_is_no_expression_is_told_at_its_character(
    text: str, offset: int, found: str, fix: str
) -> None:
    with pytest.raises(ExpressionError) as error:
        parse(text)
    assert (error.value.offset, error.value.found) == (offset, found)
    assert fix in error.value.fix


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "1" + ")" * 4000,
        "-" * 5000 + "1",
        "not " * 2000 + "a",
        "f(" * 3000,
        "case when " * 900,
        "+".join(["a"] * 3000),
        "a or b and not c = d || e + f * -(" * 200,
    ],
)
def test_depth_is_bounded_by_a_message(text: str) -> None:
    with pytest.raises(ExpressionError, match=f"more than {MAX_DEPTH} levels deep"):
        parse(text)


def test_a_long_list_of_conditions_is_not_deep() -> None:
    tree = parse(" or ".join(f"a = {i}" for i in range(500)))
    assert isinstance(tree, Logic)
    assert len(tree.operands) == 500


def test_length_is_bounded_by_a_message() -> None:
    with pytest.raises(ExpressionError, match="10,001 characters; write at most 10,000"):
        parse("a" * 10_001)


TOKENS = re.findall(
    r"\S+",
    """a 1 'x' "y" ( ) , + - * / % || = < <= <> and or not is null in between case when then
    else end true f( 1.5e3 ' " . ! é ?""",
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=12).map(" ".join))
def test_any_text_is_an_expression_or_a_message_at_one_of_its_characters(text: str) -> None:
    error = refused(text)
    assert error is None or (0 <= error.offset <= len(text) and error.found)


def refused(text: str) -> ExpressionError | None:
    try:
        parse(text)
    except ExpressionError as error:
        return error
    return None
