"""Amounts of a resource: a number, or a size of memory such as 1GiB."""

from __future__ import annotations

import re
from typing import Annotated

from dask.utils import parse_bytes
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

_QUOTED = re.compile(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?")
_SIZE = re.compile(r"[0-9]+(\.[0-9]+)?\s*[A-Za-z]+")


def parse_size(text: str) -> int:
    """Bytes in `2GiB` (binary) or `2 GB` (decimal). Raises ValueError for anything else."""
    try:
        if not _SIZE.fullmatch(text):
            raise ValueError(text)
        return int(parse_bytes(text))
    except (ValueError, OverflowError):
        raise ValueError(f"'{text}' is no size; write one like 2GiB or 500MB") from None


def _amount(value: object) -> object:
    if not isinstance(value, str) or _QUOTED.fullmatch(value):
        return value
    if value.startswith("-") and _SIZE.fullmatch(value[1:]):
        raise ValueError(f"must be at least 0, found {value}")
    try:
        return float(parse_size(value))
    except ValueError:
        raise ValueError(f"'{value}' is no number or size; write one like 10 or 2GiB") from None


def _size(value: str) -> str:
    if parse_size(value) <= 0:
        raise ValueError(f"must be more than 0, found {value}")
    return value


Amount = Annotated[
    float,
    Field(ge=0),
    BeforeValidator(_amount),
    WithJsonSchema({"type": ["number", "string"], "minimum": 0, "pattern": r"^\d+(\.\d+)? ?\w+$"}),
]
"""A number, or the bytes of a size."""

Size = Annotated[str, AfterValidator(_size)]
"""A size of memory, as it is written."""
