"""What a person sees while a run works: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from lepton_dask.artifacts.redact import Redactor
from lepton_dask.events import (
    Compiling,
    Event,
    Iterated,
    MetaRound,
    OptimizerChosen,
    RowsLost,
    RowsUnmatched,
    RunFailed,
    RunStarted,
    SearchStarted,
    StepFinished,
    StepProgressed,
    StepStarted,
    TrialEnded,
    Warned,
)
from lepton_dask.suggest import counted

PLAIN_EVERY = 10
"""Without a terminal one line stands for this many iterations, and for ten times as many after each
power of ten: a thousand iterations are no hundred lines."""


def line(event: Event) -> str | None:
    """The plain line for an event, or None where it has none."""
    match event:
        case RunStarted():
            return f"running {event.pipeline} on {event.cluster}\ndashboard: {event.dashboard}"
        case Compiling():
            return f"compiling {event.what}: some seconds, once an installation"
        case StepStarted():
            return f"{event.step}: {event.verb} ..."
        case StepFinished():
            return f"{event.step}: {event.summary} ({event.seconds:.1f} s)"
        case RowsLost():
            lost = event.before - event.after
            return f"{event.step}: {lost:,} of {event.before:,} rows left out: {event.reason}"
        case RowsUnmatched():
            of = f"{event.unmatched:,} of {event.rows:,} rows"
            return f"{event.step}: {of} have no match in '{event.table}'"
        case RunFailed():
            return f"the run failed; what it left: {event.folder}"
        case Warned():
            where = f"{event.step}: " if event.step else ""
            return f"warning: {where}{event.message}"
        case OptimizerChosen():
            return f"{event.step}: {event.optimizer}, {event.reason}"
        case SearchStarted():
            return f"{event.step}: {_begun(event)}"
        case TrialEnded() if event.is_best:
            return f"{event.step}: {_best_of(event)}"
        case Iterated() if _is_told(event.iteration):
            return f"{event.step}: {_progress_of(event)}"
        case MetaRound() if _is_told(event.number):
            return f"{event.step}: {_round(event)}"
    return None


def _is_told(iteration: int) -> bool:
    power_of_ten: int = 10 ** (len(str(iteration)) - 1)
    return iteration % max(PLAIN_EVERY, power_of_ten) == 0


def _progress_of(event: Iterated) -> str:
    validation = "" if event.validation is None else f", validation {event.validation:.5g}"
    return (
        f"iteration {event.iteration}, loss {event.loss:.6g}, "
        f"gradient {event.gradient_norm:.1e}{validation}"
    )


def _round(event: MetaRound) -> str:
    return f"round {event.number}, held-out {event.metric} {event.score:.5g}, best {event.best:.5g}"


def _begun(event: SearchStarted) -> str:
    text = f"searching {', '.join(event.fields)}"
    if event.known:
        return f"{text}, from {counted(event.known, 'result')} of the earlier run"
    if event.starts:
        return f"{text}, first where others won ({event.portfolio}): {'; '.join(event.starts)}"
    return text


def _best_of(event: TrialEnded) -> str:
    found = "none" if event.best is None else f"{event.best:.5g} ({event.point})"
    return f"best {event.metric} {found} in {event.trials}/{event.of} trials"


class PlainConsole:
    """A listener that prints a line for whatever is worth one; for logs, pipes and tests."""

    def __init__(self, console: Console, redactor: Redactor) -> None:
        self._console, self._redactor = console, redactor

    def __enter__(self) -> PlainConsole:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def __call__(self, event: Event) -> None:
        text = line(event)
        if text is not None:
            self._console.print(
                self._redactor.text(text), markup=False, highlight=False, soft_wrap=True
            )


class LiveConsole:
    """A listener that keeps one bar for the run and a line for each step that works."""

    def __init__(self, console: Console, redactor: Redactor) -> None:
        self._console, self._redactor = console, redactor
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._run: TaskID | None = None
        self._steps: dict[str, TaskID] = {}

    def __enter__(self) -> LiveConsole:
        self._progress.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._run = self._progress.add_task(
                    event.pipeline, total=len(event.steps), note="steps"
                )
            case StepStarted():
                self._progress.update(self._task(event.step), note=event.verb)
            case StepProgressed():
                self._progress.update(
                    self._task(event.step),
                    completed=event.done,
                    total=event.total,
                    note=f"{event.note} {event.done}/{event.total}",
                )
            case Iterated():
                self._progress.update(self._task(event.step), note=_progress_of(event))
            case MetaRound():
                self._progress.update(self._task(event.step), note=_round(event))
            case TrialEnded():
                self._progress.update(
                    self._task(event.step),
                    completed=event.trials,
                    total=event.of,
                    note=_best_of(event),
                )
            case StepFinished():
                self._progress.remove_task(self._task(event.step))
                del self._steps[event.step]
                if self._run is not None:
                    self._progress.advance(self._run)
        text = line(event)
        quiet = StepStarted | Iterated | MetaRound | TrialEnded
        if text is not None and not isinstance(event, quiet):
            self._console.print(
                self._redactor.text(text), markup=False, highlight=False, soft_wrap=True
            )

    def _task(self, step: str) -> TaskID:
        """A step's line. Work may follow after a step is done: `profile` looks at its table."""
        if step not in self._steps:
            self._steps[step] = self._progress.add_task(f"  {step}", total=None, note="")
        return self._steps[step]
