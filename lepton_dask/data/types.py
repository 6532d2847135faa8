"""Column types: what a column holds once it is read.

Nothing but the standard library is imported here: the types leave with the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["integer", "number", "text", "boolean", "date", "timestamp"]


@dataclass(frozen=True)
class ColumnType:
    """What a column holds once it is read. In Arrow: int64, float64, string, bool, date32,
    timestamp[ns, zone]; a naive timestamp has no zone."""

    kind: Kind
    zone: str | None = None


Schema = Mapping[str, ColumnType]


def described(type_: ColumnType) -> str:
    """`an integer`, `timestamp in UTC`: for messages."""
    match type_.kind:
        case "integer":
            return "an integer"
        case "number":
            return "a number"
        case "boolean":
            return "true or false"
        case "timestamp" if type_.zone:
            return f"a timestamp in {type_.zone}"
        case _:
            return f"a {type_.kind}"
