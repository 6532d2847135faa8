"""Plain YAML scalars, by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema).

Narrower than the schema where a reader could take a value for two things: `012` (ten in YAML 1.1,
twelve in 1.2), not-a-number, the infinities and whole numbers beyond 64 bits are refused.
"""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"([-+]?)0+([0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?)")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INT64_DIGITS = 19


class RefusedScalar(ValueError):
    """A plain scalar that reads as two things, or as no finite number: what, and what to do."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(f"{found}; {fix}")
        self.found, self.fix = found, fix


def read_scalar(text: str) -> Scalar:
    """The value of a plain (unquoted) scalar.

    Raises RefusedScalar for `012`, `.nan`, `.inf`, `1e400` and integers beyond 64 bits.
    """
    if text in _NOTHING:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if match := _LEADING_ZERO.fullmatch(text):
        raise RefusedScalar(
            f"'{text}' is ambiguous (octal or decimal)",
            f"write {match[1]}{match[2]} for the number or '{text}', in quotes, for the text",
        )
    if _DECIMAL.fullmatch(text):
        return _integer(text, base=10)
    if _BASED.fullmatch(text):
        return _integer(text, base=0)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise RefusedScalar(f"'{text}' is too large for a number", "write a smaller one")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise RefusedScalar(
            f"'{text}' is not a finite number", "write a number, or put the text in quotes"
        )
    return text


def _integer(text: str, base: int) -> int:
    too_large = RefusedScalar(
        f"'{_short(text)}' does not fit into 64 bits", "write a smaller number, or quote the text"
    )
    if base == 10 and len(text.lstrip("+-")) > _INT64_DIGITS:
        raise too_large
    number = int(text, base)
    if not -(2**63) <= number < 2**63:
        raise too_large
    return number


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:20]}..."
