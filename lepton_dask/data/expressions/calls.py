"""What a call is given: how many arguments, which of them written out."""

from __future__ import annotations

from zoneinfo import ZoneInfo, available_timezones

from lepton_dask.data.expressions.errors import ExpressionError
from lepton_dask.data.expressions.functions import (
    FUNCTIONS,
    WINDOWS,
    Function,
    Parameter,
    ParameterKind,
)
from lepton_dask.data.expressions.tree import Call, Negative, Node, Value
from lepton_dask.data.expressions.typed import Written
from lepton_dask.suggest import did_you_mean

_ELSEWHERE = {
    "avg": "write rolling_mean(x, n)",
    "cast": "declare the column's type where it is read",
    "concat": "write a || b",
    "count": "write rolling_count(x, n)",
    "date_part": "write year(t), month(t), ...",
    "dayofweek": "write weekday(t)",
    "dow": "write weekday(t)",
    "extract": "write year(t), month(t), ...",
    "if": "write case when ... then ... else ... end",
    "iff": "write case when ... then ... else ... end",
    "ifnull": "write coalesce(x, y)",
    "iif": "write case when ... then ... else ... end",
    "isnull": "write x is null",
    "len": "write length(x)",
    "like": "write contains(x, 'a'), starts_with or ends_with",
    "log": "write ln(x) or log10(x)",
    "max": "write greatest(a, b), or rolling_max(x, n)",
    "mean": "write rolling_mean(x, n)",
    "min": "write least(a, b), or rolling_min(x, n)",
    "mod": "write x % y",
    "now": "take it from a column, so that a run can be repeated",
    "pow": "write power(x, y)",
    "row_number": "write row_number: NAME in the read step",
    "std": "write rolling_std(x, n)",
    "stddev": "write rolling_std(x, n)",
    "sum": "write rolling_sum(x, n)",
}
"""What other dialects call it, where that is not near enough to be guessed."""

_MOST_DIGITS = 15


def unknown_function(call: Call) -> ExpressionError:
    known = [*FUNCTIONS, *WINDOWS]
    fix = _ELSEWHERE.get(call.function) or did_you_mean(call.function, known)
    return ExpressionError(f"unknown function '{call.function}'", fix, call.offset)


def arguments_of(
    function: Function, call: Call
) -> tuple[list[tuple[Node, ParameterKind]], tuple[Written, ...]]:
    """The arguments that are evaluated, each with the kind it must be, and those written out.

    Raises ExpressionError for too many, too few, and one that has to be written out and is not.
    """
    most = len(function.parameters)
    least = most - function.optional
    count = len(call.arguments)
    if count < least or (count > most and not function.repeats):
        found = f"'{function.name}' with {count} argument{'' if count == 1 else 's'}"
        raise ExpressionError(found, f"write {function.signature}", call.offset)
    evaluated: list[tuple[Node, ParameterKind]] = []
    written: list[Written] = []
    for i, argument in enumerate(call.arguments):
        parameter = function.parameters[min(i, most - 1)]
        if parameter.kind in ("written integer", "written text", "zone"):
            written.append(_written(function, parameter, argument))
        else:
            evaluated.append((argument, parameter.kind))
    return evaluated, tuple(written)


def written_value(node: Node) -> Written | None:
    """The number or text that is written out; None for anything else."""
    if isinstance(node, Negative) and isinstance(node.operand, Value):
        value = node.operand.value
        return -value if isinstance(value, int | float) and not isinstance(value, bool) else None
    return node.value if isinstance(node, Value) and not isinstance(node.value, bool) else None


def _written(function: Function, parameter: Parameter, node: Node) -> Written:
    value = written_value(node)
    if parameter.kind == "written integer":
        if not isinstance(value, int) or abs(value) > _limit(parameter):
            found = f"'{parameter.name}' of '{function.name}' has to be an integer, written out"
            raise ExpressionError(found, f"write {function.signature}", node.offset)
        return value
    if not isinstance(value, str):
        found = f"{parameter.name} of '{function.name}' has to be a text, written out"
        raise ExpressionError(found, f"write {function.signature}", node.offset)
    if parameter.kind == "zone" and not _is_zone(value):
        fix = did_you_mean(value, sorted(available_timezones()))
        raise ExpressionError(f"unknown time zone '{value}'", fix, node.offset)
    return value


def _limit(parameter: Parameter) -> int:
    return _MOST_DIGITS if parameter.name == "digits" else 2**31


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return False
    return True
