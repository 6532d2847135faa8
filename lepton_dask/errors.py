"""What can go wrong, as one tree.

    LeptonError                     exit code
    ├── UserError                   2         what the user wrote or gave is wrong: `mistakes`
    ├── RunError                    1         the run failed: step, file, partition, what to do
    ├── ClusterError                4         no cluster, or lost; trying again is sensible
    └── Interrupted                 130, 143  SIGINT, SIGTERM

A goal that was missed (exit code 3) is an outcome, not an error. Whatever is not in this tree is a
bug and keeps its traceback.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass, replace

DocumentPath = tuple[str | int, ...]
"""Where in a YAML document: `("steps", "model", "train", "penalty", "l2")`."""


@dataclass(frozen=True)
class Place:
    """A position in a file, counted from 1, with the text of its line."""

    file: str
    line: int
    column: int
    source: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Mistake:
    """One thing that a user has to change.

    `path` says where in the document; `found` what stands there ("unknown 'adm'"); `fix` what to do
    ("did you mean 'adam'?"). `at_key` points at the key instead of its value; `offset` at a
    character of a text value, counted from 0. `place` is filled in by whoever knows the file
    (`config.Document.locate`).
    """

    path: DocumentPath
    found: str
    fix: str = ""
    at_key: bool = False
    place: Place | None = None
    offset: int | None = None

    @property
    def subject(self) -> str:
        """The last name on the path, with the index that follows it: `metrics[1]`."""
        names = [i for i, key in enumerate(self.path) if isinstance(key, str)]
        if not names:
            return ""
        last = names[-1]
        return str(self.path[last]) + "".join(f"[{index}]" for index in self.path[last + 1 :])

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        subject = f"{self.subject}: " if self.subject else ""
        fix = f"; {self.fix}" if self.fix else ""
        return f"{where}{subject}{self.found}{fix}"

    def at(self, place: Place) -> Mistake:
        return replace(self, place=place)


class LeptonError(Exception):
    """The base of every error that is not a bug."""

    exit_code = 1


class UserError(LeptonError):
    """The user's files are wrong; `mistakes` holds all that were found, in the file's order."""

    exit_code = 2

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))

    def __reduce__(self) -> tuple[type[UserError], tuple[tuple[Mistake, ...]]]:
        return UserError, (self.mistakes,)


class RunError(LeptonError):
    """The run failed for a reason in the data or the machine: where, what, what to do."""

    def __init__(
        self,
        what: str,
        *,
        fix: str = "",
        step: str | None = None,
        file: str | None = None,
        partition: int | None = None,
    ) -> None:
        self.what, self.fix = what, fix
        self.step, self.file, self.partition = step, file, partition
        super().__init__(str(self))

    def __str__(self) -> str:
        where = [f"step '{self.step}'"] if self.step else []
        where += [self.file] if self.file else []
        where += [f"partition {self.partition}"] if self.partition is not None else []
        text = f"{', '.join(where)}: {self.what}" if where else self.what
        return f"{text}; {self.fix}" if self.fix else text

    def within(self, step: str) -> RunError:
        """The same error with a step's name on it, where it has none yet."""
        return RunError(
            self.what,
            fix=self.fix,
            step=self.step or step,
            file=self.file,
            partition=self.partition,
        )

    def __reduce__(self) -> tuple[object, ...]:
        # Raised on workers too: BaseException's own pickling would lose the keyword arguments.
        return _run_error, (self.what, self.fix, self.step, self.file, self.partition)


def _run_error(
    what: str, fix: str, step: str | None, file: str | None, partition: int | None
) -> RunError:
    return RunError(what, fix=fix, step=step, file=file, partition=partition)


class ClusterError(LeptonError):
    """The cluster could not be reached, or was lost."""

    exit_code = 4


class Interrupted(LeptonError):
    """SIGINT or SIGTERM asked the run to stop."""

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")

    def __reduce__(self) -> tuple[type[Interrupted], tuple[int]]:
        return Interrupted, (self.signal_number,)
