"""What every replayed step is: rows in, rows out, and what the rows behind them need."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

from lepton_dask.artifacts.frames import ReadFrame
from lepton_dask.data.columns import Columns

Tables = Mapping[str, Columns]
"""Tables beside the rows, by name: those to join, and the rows that windows look back on."""

Names = frozenset[str]


class Played(NamedTuple):
    """The rows after a step, and the tables for the rows that come behind them."""

    frame: ReadFrame
    tables: Tables


class ReplayStep(ABC):
    """A step between a model's first `read` and its `prepare`, played again on rows to predict.

    No row is ever dropped, added or moved.
    """

    @abstractmethod
    def play(self, given: ReadFrame, tables: Tables) -> Played:
        """The rows after the step. Raises RunError where it cannot be played here."""

    @abstractmethod
    def leading_to(self, needed: Names) -> ReplayStep | None:
        """The step as far as it leads to the `needed` columns; None where it does not matter."""

    @abstractmethod
    def before(self, needed: Names) -> Names:
        """The columns that it takes to have the `needed` ones behind it."""

    @classmethod
    @abstractmethod
    def from_json(cls, document: Mapping[str, Any]) -> ReplayStep:
        """The step that `replay_to_json` wrote; KeyError or TypeError otherwise."""

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that it looks into."""
        return ()

    @property
    def carries(self) -> bool:
        """Whether rows depend on those played before them."""
        return False

    def looked_at(self, table: str) -> Names | None:  # noqa: ARG002 - for those that look
        """The columns of the table that it looks at; None for all of them."""
        return None
