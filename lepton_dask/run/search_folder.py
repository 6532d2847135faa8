"""A search on disk: its results so far and its trials' checkpoints, in search/<step>/ of the run.

    progress.json      where it began, the seconds it took, every result in the order of coming
    trial-0003.npz     what trial 3 has come to: as many descents as there are folds, or one

Both are written by the commit protocol, the checkpoint first: a result that is told has one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lepton_dask.artifacts.checkpoint import load_checkpoint, save_checkpoint
from lepton_dask.artifacts.commit import write_json
from lepton_dask.errors import RunError
from lepton_dask.learn.descent import Descent
from lepton_dask.learn.search.portfolio import frozen_point
from lepton_dask.learn.search.space import Point
from lepton_dask.run.search_outcome import TrialResult

PROGRESS = "progress.json"


@dataclass
class SearchFolder:
    """`starts` are the points that the first trials begin with, as the portfolio had them."""

    path: Path
    starts: tuple[Point, ...] = ()
    results: list[TrialResult] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def new(cls, path: Path, starts: Sequence[Point]) -> SearchFolder:
        path.mkdir(parents=True, exist_ok=True)
        return cls(path, tuple(starts))

    @classmethod
    def resumed(cls, path: Path, old: Path) -> SearchFolder | None:
        """The search as another run left it, its files copied; None where it left none."""
        if not (old / PROGRESS).is_file():
            return None
        path.mkdir(parents=True, exist_ok=True)
        for file in sorted(old.iterdir()):
            if file.is_file() and not file.name.startswith("."):
                shutil.copy2(file, path / file.name)
        try:
            document = json.loads((path / PROGRESS).read_text())
            results = [_result(each) for each in document["results"]]
            starts = tuple(frozen_point(each) for each in document["starts"])
            return cls(path, starts, results, float(document["seconds"]))
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"it is not the JSON that a search wrote ({error})",
                fix="run the search again without --resume",
                file=str(old / PROGRESS),
            ) from None

    def add(self, result: TrialResult, descents: Sequence[Descent], seconds: float) -> None:
        """A result with what the trial has come to, `seconds` after the search began."""
        if descents:
            save_checkpoint(self._checkpoint(result.trial), tuple(descents))
        self.results.append(result)
        self.seconds = seconds
        self._write()

    def descents(self, trial: int) -> tuple[Descent, ...]:
        """What a trial has come to; nothing where it has not begun."""
        path = self._checkpoint(trial)
        if not path.exists():
            return ()
        loaded: tuple[Descent, ...] = load_checkpoint(path)
        return loaded

    def keep_only(self, trial: int) -> None:
        """Deletes the other trials' checkpoints, once nothing goes on with them."""
        for path in self.path.glob("trial-*.npz"):
            if path != self._checkpoint(trial):
                path.unlink()

    def _checkpoint(self, trial: int) -> Path:
        return self.path / f"trial-{trial:04d}.npz"

    def _write(self) -> None:
        document = {
            "starts": list(self.starts),
            "seconds": self.seconds,
            "results": [asdict(each) for each in self.results],
        }
        write_json(self.path / PROGRESS, document)


def _result(document: dict[str, Any]) -> TrialResult:
    return TrialResult(**{**document, "point": frozen_point(document["point"])})
