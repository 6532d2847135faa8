"""Priority classes: from importance and urgency to an order.

A level is a word or a number from 1 to 9. The class of a task is set by the higher of its
importance and its urgency: what is urgent cannot wait for what is important, nor the reverse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ImportanceLevel = Literal["low", "normal", "high", "critical"]
Level = ImportanceLevel | int

LEVELS: dict[ImportanceLevel, int] = {"low": 2, "normal": 5, "high": 7, "critical": 9}
"""Each word on the scale of 1 to 9; the numbers between belong to the class below."""


@dataclass(frozen=True)
class PriorityClass:
    """A class, and the Dask priority of its tasks (higher goes first; 0 is Dask's default)."""

    name: ImportanceLevel
    dask_priority: int


_CLASSES = (
    PriorityClass("critical", 20),
    PriorityClass("high", 10),
    PriorityClass("normal", 0),
    PriorityClass("low", -10),
)


def classify(importance: Level, urgency: Level | None = None) -> PriorityClass:
    """The class of a task: the highest whose level its importance or urgency reaches.

    >>> classify("normal", urgency=8).name
    'high'
    """
    score = max(_score(importance), 0 if urgency is None else _score(urgency))
    return next(
        (each for each in _CLASSES if score >= LEVELS[each.name]),
        _CLASSES[-1],
    )


def _score(level: Level) -> int:
    return level if isinstance(level, int) else LEVELS[level]
