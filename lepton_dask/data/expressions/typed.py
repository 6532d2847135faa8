"""An expression as it is evaluated: checked, every node with its type.

There are four kinds of node: a column, a constant, an operation on values of the same row, and a
window on values of other rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from lepton_dask.data.expressions.reach import Reach
from lepton_dask.data.types import ColumnType

Written = int | float | str | bool
"""An argument that has to be written out: digits, a zone, a text to look for."""


@dataclass(frozen=True)
class ColumnValue:
    name: str
    type: ColumnType


@dataclass(frozen=True)
class Constant:
    """The same value in every row: days since 1970 for a date, nanoseconds for a timestamp."""

    value: int | float | str | bool | None
    type: ColumnType


@dataclass(frozen=True)
class Operation:
    """A function or operator of functions.py or operators.py, by name."""

    name: str
    arguments: tuple[Typed, ...]
    type: ColumnType
    written: tuple[Written, ...] = ()


@dataclass(frozen=True)
class Window:
    """A window function over the last `rows` rows or `span_ns` nanoseconds; `lag` and `lead` by as
    many."""

    function: str
    operand: Typed
    type: ColumnType
    rows: int | None = None
    span_ns: int | None = None


Typed = ColumnValue | Constant | Operation | Window


@dataclass(frozen=True)
class Checked:
    """An expression that fits a table: its type, the columns it reads in order of appearance, and
    how far it looks."""

    text: str
    tree: Typed
    type: ColumnType
    reads: tuple[str, ...]
    reach: Reach

    @property
    def is_windowed(self) -> bool:
        """Whether it looks at other rows, and so needs an ordering."""
        return not self.reach.is_empty
