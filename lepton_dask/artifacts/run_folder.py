"""The run folder: what a run leaves behind.

    runs/2026-08-01T12-30-05-medical_diagnosis/
        run.json         state (finished or failed), exit code, when; written last
        pipeline.yaml    as run: overrides applied, references kept, so no secret is in it
        plan.json        steps, inputs, chunks, sizes, priority classes, and why
        profile.json     what the preparation saw of every column
        history.csv      iteration,passes,seconds,loss,gradient_norm,validation
        comparison.csv   of a model learnt from groups: beside pooled and independent fits
        training.json    optimizer, iterations, passes, stopped, seconds of every train step
        metrics.json     scores of every evaluate step, by part
        versions.json    of Python and of the packages that decide results
        events.jsonl     what happened, in order
        search.csv       trial,rung,passes,seconds,metric,status and the fields of a search
        search.svg       its trials as a picture
        search/<step>/   what a killed search goes on with
        models/<step>/   a bundle for every train step
        model/           the bundle of the one model, or of the chosen one
        error.json       of a failed run: step, file, partition, what to do

A run writes into a hidden folder beside its final one and is renamed when it ends, so that a
killed run leaves nothing that looks finished. `runs/latest` points at the last that finished.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from lepton_dask.artifacts.commit import sync_folder, write_json
from lepton_dask.errors import Mistake, RunError, UserError
from lepton_dask.parts import PARTS

State = Literal["finished", "failed"]
MANIFEST = "run.json"
LATEST = "latest"
SEARCHES = "search"
RUN_FILES = (
    MANIFEST,
    "pipeline.yaml",
    "plan.json",
    "profile.json",
    "history.csv",
    "comparison.csv",
    "training.json",
    "metrics.json",
    "versions.json",
    "events.jsonl",
    "search.csv",
    "search.svg",
    SEARCHES,
    "models",
    "model",
    "error.json",
)
"""What a run writes into its folder by itself."""


@dataclass(frozen=True)
class RunFolder:
    """A run folder that is being written: `work` now, `final` once it is committed."""

    work: Path
    final: Path
    started: datetime

    @classmethod
    def beneath(cls, runs: Path, name: str) -> RunFolder:
        """A new folder runs/<time>-<name>; two runs in one second get -2, -3 and so on."""
        started = datetime.now(UTC)
        _make(runs)
        stem = f"{started.strftime('%Y-%m-%dT%H-%M-%S')}-{name}"
        for final in _numbered(runs, stem):
            work = _aside(final)
            try:
                # mkdir is what two runs cannot both succeed at.
                work.mkdir()
            except FileExistsError:
                continue
            if final.exists():
                work.rmdir()
                continue
            return cls(work, final, started)
        raise AssertionError("unreachable: the numbering has no end")

    @classmethod
    def exactly(cls, folder: Path) -> RunFolder:
        """The folder that the user named; refused with UserError if it is not empty."""
        folder = folder.absolute()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(
                [Mistake((), f"the output folder {folder} is not empty", "name one that is new")]
            )
        _make(folder.parent)
        work = _aside(folder)
        try:
            work.mkdir()
        except FileExistsError:
            raise UserError(
                [
                    Mistake(
                        (),
                        f"another run is writing, or was killed writing, {work}",
                        "wait for it, or remove that folder",
                    )
                ]
            ) from None
        return cls(work, folder, datetime.now(UTC))

    @property
    def seconds(self) -> float:
        """Since the run started."""
        return (datetime.now(UTC) - self.started).total_seconds()

    def commit(self, state: State, exit_code: int, name: str) -> Path:
        """Writes the manifest, gives the folder its name and returns it."""
        write_json(
            self.work / MANIFEST,
            {
                "name": name,
                "state": state,
                "exit_code": exit_code,
                "started": self.started.isoformat(timespec="seconds"),
                "seconds": round(self.seconds, 3),
            },
        )
        if self.final.exists():
            self.final.rmdir()
        self.work.rename(self.final)
        sync_folder(self.final.parent)
        return self.final

    def discard(self) -> None:
        """Removes what was written; for runs that never really began."""
        shutil.rmtree(self.work, ignore_errors=True)


def _make(folder: Path) -> None:
    """A folder to write into. Raises UserError where there can be none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = f"the folder {folder} cannot be made ({error.strerror})"
        raise UserError([Mistake((), found, "name another with --output")]) from None
    if not os.access(folder, os.W_OK):
        found = f"the folder {folder} cannot be written to"
        raise UserError([Mistake((), found, "name another with --output")])


def _aside(final: Path) -> Path:
    return final.with_name(f".{final.name}.partial")


def _numbered(runs: Path, stem: str) -> Iterator[Path]:
    yield runs / stem
    number = 2
    while True:
        yield runs / f"{stem}-{number}"
        number += 1


def point_latest(runs: Path, final: Path) -> None:
    """Makes runs/latest a link to `final`, atomically."""
    aside = runs / f".{LATEST}.{os.getpid()}"
    aside.unlink(missing_ok=True)
    aside.symlink_to(final.name)
    aside.replace(runs / LATEST)


@dataclass(frozen=True)
class RunSummary:
    """A line of `lepton runs`."""

    folder: Path
    name: str
    state: State
    exit_code: int
    started: str
    seconds: float
    metrics: dict[str, dict[str, dict[str, float | None]]]
    """metrics[step][part][metric]"""
    labels: dict[str, dict[str, dict[str, int]]]
    """labels[step][part][label]: rows of each label, for two classes; the positive one is last."""


def list_runs(runs: Path) -> tuple[RunSummary, ...]:
    """The committed runs beneath a folder, oldest first."""
    if not runs.is_dir():
        return ()
    folders = sorted(
        folder
        for folder in runs.iterdir()
        if not folder.name.startswith(".")
        and not folder.is_symlink()
        and (folder / MANIFEST).is_file()
    )
    return tuple(sorted((_summary(folder) for folder in folders), key=lambda run: run.started))


def _summary(folder: Path) -> RunSummary:
    scores = folder / "metrics.json"
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        metrics = json.loads(scores.read_text()) if scores.is_file() else {}
    except ValueError as error:
        raise RunError(
            f"it is not the JSON that a run wrote ({error})",
            fix="remove the folder, or restore it",
            file=str(folder),
        ) from None
    return RunSummary(
        folder=folder,
        name=manifest["name"],
        state=manifest["state"],
        exit_code=manifest["exit_code"],
        started=manifest["started"],
        seconds=manifest["seconds"],
        metrics={step: _by_part(entry) for step, entry in metrics.items()},
        labels={step: entry.get("labels", {}) for step, entry in metrics.items()},
    )


def _by_part(entry: dict[str, object]) -> dict[str, dict[str, float | None]]:
    return {part: scores for part in (*PARTS, "all") if isinstance(scores := entry.get(part), dict)}


def unfinished(folder: Path) -> Path:
    """Where a run that was killed has left what it wrote, by the name that it would have got."""
    return _aside(folder)
