"""What happened, as frozen records.

The run emits them; the progress bar, the log and the events file only listen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something that happened in a run."""


@dataclass(frozen=True)
class RunStarted(Event):
    pipeline: str
    cluster: str
    dashboard: str
    steps: tuple[str, ...]


@dataclass(frozen=True)
class StepStarted(Event):
    step: str
    verb: str


@dataclass(frozen=True)
class StepProgressed(Event):
    """`done` of `total` units of the step's work; `note` is for people."""

    step: str
    done: int
    total: int
    note: str = ""


@dataclass(frozen=True)
class Compiling(Event):
    """The workers compile something, as they do once an installation."""

    what: str


@dataclass(frozen=True)
class OptimizerChosen(Event):
    """Which optimizer a training uses, and why."""

    step: str
    optimizer: str
    reason: str


@dataclass(frozen=True)
class Iterated(Event):
    """One iteration of a training loop; `validation` is None where nothing validates."""

    step: str
    iteration: int
    passes: float
    seconds: float
    loss: float
    gradient_norm: float
    validation: float | None = None


@dataclass(frozen=True)
class MetaRound(Event):
    """One round of learning from groups: how far off the predictions for the held-out groups are,
    and the least so far."""

    step: str
    number: int
    seconds: float
    score: float
    best: float
    metric: str


@dataclass(frozen=True)
class SearchStarted(Event):
    """A search of these fields begins: with the points `starts` that the `portfolio` (a file) had
    for it, and `known` results of an earlier run."""

    step: str
    fields: tuple[str, ...]
    starts: tuple[str, ...]
    portfolio: str
    known: int


@dataclass(frozen=True)
class TrialEnded(Event):
    """A trial of a search came to the end of a rung. `best` is the best value of the metric so far,
    None while there is none, `point` what it was reached with; `trials` of `of` have begun."""

    step: str
    trial: int
    rung: int
    passes: float
    seconds: float
    metric: str
    value: float | None
    status: str
    is_best: bool
    best: float | None
    point: str
    trials: int
    of: int


@dataclass(frozen=True)
class RowsLost(Event):
    step: str
    before: int
    after: int
    reason: str


@dataclass(frozen=True)
class RowsUnmatched(Event):
    """`unmatched` of `rows` rows found none in the joined `table`; what it brings is missing."""

    step: str
    table: str
    unmatched: int
    rows: int


@dataclass(frozen=True)
class LevelsUnknown(Event):
    """`rows` of a part have a level of `column` that was not learnt; they count as `(other)`."""

    step: str
    part: str
    column: str
    rows: int


@dataclass(frozen=True)
class Warned(Event):
    """Something that a user should know and that did not stop the run."""

    step: str | None
    message: str


@dataclass(frozen=True)
class StepFinished(Event):
    step: str
    seconds: float
    summary: str


@dataclass(frozen=True)
class RunFinished(Event):
    exit_code: int
    seconds: float


@dataclass(frozen=True)
class RunFailed(Event):
    """`folder` will hold error.json."""

    message: str
    exit_code: int
    folder: str


Listener = Callable[[Event], None]


class Emitter:
    """Hands each event to every listener, one event at a time, whichever thread it comes from.

    A warning is told once: what a file's head shows, its rows show again.
    """

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners
        self._lock = threading.Lock()
        self._warned: set[Warned] = set()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, Warned):
                if event in self._warned:
                    return
                self._warned.add(event)
            for listener in self._listeners:
                listener(event)
