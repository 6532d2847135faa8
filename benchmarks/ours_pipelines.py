"""The package's run of whole pipelines, on a cluster that is there before the clock starts.

Beside ours.py the only place that calls the package; it too lives in an arm's own process.
"""

from __future__ import annotations

import csv
import ctypes
import gc
import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from distributed import SchedulerPlugin
from numpy.typing import NDArray

from benchmarks import census
from benchmarks.ours import Cluster
from benchmarks.peers.tables import Facts
from lepton_dask.artifacts.redact import Redactor
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import Logistic
from lepton_dask.learn.sweeps import Sweeps
from lepton_dask.run.pipeline import load_and_plan, run_planned, started
from lepton_dask.run.records import Records
from lepton_dask.run.values import FeaturesValue
from lepton_dask.run.walk import walk

CENSUS = {
    "header": False,
    "missing_values": [census.MISSING],
}
PREPARE = {
    "target": {"column": census.TARGET, "positive": census.POSITIVE},
    "exclude": [census.WEIGHT],
    "numeric": {"impute": "median", "scale": "standard"},
    "categorical": {"minimum_count": 1},
}


@dataclass(frozen=True)
class Prepared:
    seconds: float
    facts: Facts
    rows: int
    matrix_bytes: int


@dataclass(frozen=True)
class Trained:
    """A pipeline's run from files to scores. `objective` is J at the end of training."""

    seconds: float
    objective: float
    scores: dict[str, float | None]
    optimizer: str
    passes: float
    train_seconds: float
    theta: NDArray[np.float64]
    parts: dict[str, float]


class Losses(SchedulerPlugin):
    """Counts the workers that the scheduler loses: killed by their nannies, or gone."""

    name = "lost-workers"

    def __init__(self) -> None:
        self.count = 0

    def remove_worker(self, *_arguments: Any, **_named: Any) -> None:
        self.count += 1


class Pipelines:
    """Runs pipelines written as JSON (which is YAML) on two one-thread workers."""

    def __init__(self, memory: str | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="lepton-benchmark-"))
        self._cluster = Cluster(memory)
        self._losses = Losses()
        local = self._cluster.client.cluster
        local.scheduler.add_plugin(self._losses)
        self._number = 0

    def close(self) -> None:
        self._cluster.client.cluster.scheduler.remove_plugin(self._losses.name)
        self._cluster.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start_seconds(self) -> float:
        return self._cluster.start_seconds

    def pids(self) -> list[int]:
        return self._cluster.pids()

    def lost_workers(self) -> int:
        return self._losses.count

    def trim(self) -> None:
        """Gives what the last run left back to the system, so that a peak is this run's own."""
        self._cluster.client.run(_trim)

    def prepare(self, files: census.Census) -> Prepared:
        """Read, profile, fit and encode; the clock stops when the design matrix is there."""
        path = self._pipeline(
            people={"read": CENSUS | {"path": [str(path) for path in files.train]}},
            features={"prepare": PREPARE},
        )
        records = Records(self._output(), Redactor(()))
        began = time.perf_counter()
        planned = load_and_plan(path)
        with started(planned, self._cluster.address, records, _unheard) as (running, check):
            value = walk(running, planned.steps, check, keep="features")
            seconds = time.perf_counter() - began
            assert isinstance(value, FeaturesValue)
            return _described(running.dispatch, value, seconds)

    def train_census(self, files: census.Census, l2: float) -> Trained:
        """The census files to a logistic model, scored on the official test file."""
        path = {"train": [str(path) for path in files.train], "test": str(files.test)}
        steps: dict[str, dict[str, Any]] = {
            "people": {"read": CENSUS | {"path": path}},
            "features": {"prepare": PREPARE},
            "model": {"train": {"loss": "logistic", "penalty": {"l2": l2}}},
            "scores": {"evaluate": {"metrics": ["roc_auc", "log_loss"]}},
        }
        return self.train(steps, "test")

    def train_numbers(self, paths: list[Path], l2: float) -> Trained:
        """Parquet files of numbers and a target `y` to a logistic model, nothing scaled."""
        steps: dict[str, dict[str, Any]] = {
            "rows": {"read": {"path": [str(path) for path in paths]}},
            "features": {"prepare": {"target": "y", "numeric": {"scale": "none"}}},
            "model": {"train": {"loss": "logistic", "penalty": {"l2": l2}}},
        }
        return self.train(steps, "all")

    def train(self, steps: dict[str, dict[str, Any]], part: str, model: str = "model") -> Trained:
        """A whole run, its folder included. `part` is the one whose scores are told, if the
        pipeline evaluates."""
        path = self._pipeline(**steps)
        heard: list[Any] = []
        began = time.perf_counter()
        planned = load_and_plan(path)
        outcome = run_planned(
            planned,
            scheduler=self._cluster.address,
            output=self._output() / "run",
            listeners=[heard.append],
        )
        seconds = time.perf_counter() - began
        training = json.loads((outcome.folder / "training.json").read_text())[model]
        with (outcome.folder / "history.csv").open() as lines:
            history = list(csv.DictReader(lines))
        scores = [dict(each.scores[part]) for each in outcome.metrics.values()]
        return Trained(
            seconds=seconds,
            objective=float(history[-1]["loss"]),
            scores=scores[0] if scores else {},
            optimizer=training["optimizer"],
            passes=training["passes"],
            train_seconds=training["seconds"],
            theta=_theta(outcome.folder / "model"),
            parts={
                event.step: event.seconds
                for event in heard
                if type(event).__name__ == "StepFinished"
            },
        )

    def _pipeline(self, **steps: dict[str, Any]) -> Path:
        self._number += 1
        path = self._folder / f"pipeline{self._number}.yaml"
        path.write_text(json.dumps({"name": "benchmark", "steps": steps}))
        return path

    def _output(self) -> Path:
        folder = self._folder / f"output{self._number}"
        folder.mkdir()
        return folder


def _theta(folder: Path) -> NDArray[np.float64]:
    import lepton_dask

    model = lepton_dask.load(folder)
    return np.append(np.ravel(model.coefficient_array), np.ravel(model.intercept))


def _described(dispatch: Dispatch, value: FeaturesValue, seconds: float) -> Prepared:
    """The facts of a design matrix on the workers, from its column sums."""
    (shards,) = value.shards.values()
    sweeps = Sweeps(dispatch, shards, LinearModel(Logistic(), shards.layout))
    sums = sweeps.column_sums()
    squares, positives = sums.squares, float(np.sum(sums.target))
    P, levels = shards.layout.dense, shards.layout.levels
    counts = np.rint(squares[P:]).astype(np.int64)
    counts = np.sort(counts[counts > 0])  # levels kept for rows that are not here
    facts = Facts(shards.rows, P + len(counts), round(positives), squares[:P], counts)
    return Prepared(seconds, facts, shards.rows, shards.rows * (8 * P + 4 * len(levels) + 16))


def _trim() -> None:
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def _unheard(_event: Any) -> None:
    """Nobody listens."""
