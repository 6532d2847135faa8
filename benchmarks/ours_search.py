"""The package's search: penalties fitted one by one and together, and searches of shipped tables.

As ours.py it calls the package, and lives in an arm's own process.
"""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ours import Trainer
from benchmarks.ours_pipelines import Pipelines
from benchmarks.problems import Problem
from lepton_dask.learn.descent import descend
from lepton_dask.learn.folds import Fold
from lepton_dask.learn.kernels.candidates import NO_FOLD
from lepton_dask.learn.objective import penalised
from lepton_dask.learn.optimizers import Lbfgs
from lepton_dask.learn.passes import ShardPasses
from lepton_dask.learn.penalty import Penalty
from lepton_dask.learn.search.lock_step import descend_together
from lepton_dask.learn.search.shared_passes import Candidate, Folding, SharedSweeps
from lepton_dask.learn.sweeps import Sweeps
from lepton_dask.learn.train import Size, Train, choose_optimizer
from lepton_dask.run.pipeline import load_and_plan, run_planned

SEED = 0


@dataclass(frozen=True)
class Fits:
    """Candidates' objectives at the end (K,), and the passes over the rows that were made."""

    seconds: float
    objectives: NDArray[np.float64]
    passes: float


class Paths(Trainer):
    """Fits of one problem under several penalties, and with each of several folds left out."""

    def __init__(self, problem: Problem, penalties: Sequence[float], folds: int) -> None:
        super().__init__(problem, penalties[0])
        self._pairs = [
            (l2, fold) for l2 in penalties for fold in (range(folds) if folds > 1 else [NO_FOLD])
        ]
        self._folding = Folding(folds, SEED)

    def separate(self, tolerance: float) -> Fits:
        """One fit after the other, each as a pipeline would run it alone."""
        entries = self.problem.columns + len(self.problem.levels)
        size = Size(self.problem.rows, self._model.parameters, entries, sum(self.problem.levels))
        objectives, passes = [], 0.0
        began = time.perf_counter()
        for l2, number in self._pairs:
            train = _train(l2, tolerance)
            fold = None if number == NO_FOLD else Fold(number, self._folding.of, SEED)
            sweeps = Sweeps(self._dispatch, self._shards, self._model, fold)
            objective = penalised(self._model, train.penalty, self._shards.features)
            descent = descend(
                train, choose_optimizer(train, size)[0], ShardPasses(objective, sweeps, None)
            )
            objectives.append(descent.history[-1].loss)
            passes += descent.passes
        return Fits(time.perf_counter() - began, np.array(objectives), passes)

    def shared(self, tolerance: float) -> Fits:
        """All of them in lock step."""
        made = [0]

        def counted(_active: int) -> None:
            made[0] += 1

        began = time.perf_counter()
        candidates = []
        for l2, number in self._pairs:
            train = _train(l2, tolerance)
            objective = penalised(self._model, train.penalty, self._shards.features)
            candidates.append(Candidate(train, Lbfgs(), objective, number))
        sweeps = Sweeps(self._dispatch, self._shards, self._model)
        found = descend_together(candidates, SharedSweeps(sweeps, self._folding), on_pass=counted)
        seconds = time.perf_counter() - began
        ends = [found[number].history[-1].loss for number in range(len(candidates))]
        return Fits(seconds, np.array(ends), float(made[0]))


def _train(l2: float, tolerance: float) -> Train:
    return Train(loss="logistic", penalty=Penalty(l2=l2), tolerance=tolerance)


class Searches(Pipelines):
    """Searches of shipped tables, each a run of a pipeline."""

    def search(
        self, steps: dict[str, Any], seed: int, portfolio: str | None, trials: int
    ) -> list[float]:
        """The metric of each trial of a search, in the order of their numbers."""
        model = steps["model"]["train"]
        searched = {**model["search"], "budget": {"trials": trials}, "portfolio": False}
        if portfolio is not None:
            path = Path(tempfile.mkdtemp(prefix="portfolio-")) / "portfolio.json"
            path.write_text(portfolio)
            searched["portfolio"] = str(path)
        document = {
            "name": "searched",
            "seed": seed,
            "steps": {**steps, "model": {"train": {**model, "search": searched}}},
        }
        self._number += 1
        file = self._folder / f"search-{self._number}.yaml"
        file.write_text(json.dumps(document))
        folder = self._folder / f"run-{self._number}"
        run_planned(load_and_plan(file), scheduler=self._cluster.address, output=folder)
        with (folder / "search.csv").open() as lines:
            rows = [
                (int(row["trial"]), float(row["metric"]))
                for row in csv.DictReader(lines)
                if row["metric"]
            ]
        self.remembered = json.loads(path.read_text()) if portfolio is not None else None
        shutil.rmtree(folder)
        return [value for _, value in sorted(rows)]

    def remember(self, steps: dict[str, Any], seed: int, trials: int) -> dict[str, Any]:
        """What the portfolio would hold of a search."""
        self.search(steps, seed, json.dumps({"searches": []}), trials)
        assert self.remembered is not None
        entry: dict[str, Any] = self.remembered["searches"][0]
        return entry
