"""The trials of a search: trainings at points of its space, carried on from rung to rung."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lepton_dask.errors import Mistake, UserError
from lepton_dask.learn.descent import Descent, Halfway, Passes, descend
from lepton_dask.learn.folds import Fold
from lepton_dask.learn.metrics import scored_task
from lepton_dask.learn.passes import ShardPasses
from lepton_dask.learn.scoring import score
from lepton_dask.learn.search.some_rows import SomeRows
from lepton_dask.learn.search.space import Point, with_point
from lepton_dask.learn.sweeps import Shards, Sweeps
from lepton_dask.learn.train import Train
from lepton_dask.matrix import Floats
from lepton_dask.run.choosing import chosen_features
from lepton_dask.run.search_outcome import TrialResult
from lepton_dask.run.training import Fitting, make_fitting, validation_part
from lepton_dask.run.values import FeaturesValue
from lepton_dask.run.work import Work


@dataclass(frozen=True)
class Advanced:
    """A trial at the end of a rung: its descents, one a fold, and the metric's mean over these;
    `spent` are the passes since the last rung."""

    descents: tuple[Descent, ...]
    value: float | None
    spent: float

    @property
    def passes(self) -> float:
        return sum(each.passes for each in self.descents)

    @property
    def status(self) -> str:
        codes = [each.stopped.code for each in self.descents]
        if "diverged" in codes:
            return "diverged"
        if self.value is None:
            return "undefined"
        return "max_passes" if "max_passes" in codes else codes[0]


class Trials:
    """Makes and scores the trainings of one step's search; any thread may ask."""

    def __init__(self, work: Work, train: Train, features: FeaturesValue) -> None:
        assert train.search is not None
        self.train = train
        self._work, self._features = work, features
        self.search = train.search
        self.ends = self.search.rungs.limits(train.max_passes)
        self._lock = threading.Lock()
        self._chosen: dict[tuple[str, ...] | None, FeaturesValue] = {}

    def has_ended(self, result: TrialResult) -> bool:
        """Whether a trial would come no further: it has ended by itself, or is on the top."""
        if result.rung == len(self.ends) - 1:
            return True
        return self.search.rungs.by == "passes" and result.status != "max_passes"

    def fitting(self, point: Point) -> Fitting:
        """The training at a point, on the columns that it chooses."""
        return make_fitting(self._work, with_point(self.train, point), self._features, self._choose)

    def final(self, work: Work, point: Point) -> Fitting:
        """The same for the step itself, in its own place in the queue."""
        return make_fitting(work, with_point(self.train, point), self._features, self._choose)

    def advance(
        self,
        point: Point,
        rung: int,
        before: Sequence[Descent],
        check: Callable[[], None],
    ) -> Advanced:
        """Carries a trial on to the end of a rung, from where it stands, and scores it there."""
        fitting = self.fitting(point)
        folds: Sequence[int | None] = range(self.search.folds) if self.search.folds else (None,)
        descents, spent = [], 0.0
        for place, fold in enumerate(folds):
            old = before[place] if before else None
            new = self._descend(fitting, fold, rung, old, check)
            spent += new.passes - (old.passes if old is not None else 0.0)
            descents.append(new)
        value = None
        if all(each.stopped.code != "diverged" for each in descents):
            thetas = [each.theta for each in descents]
            value = self.score(fitting, thetas)
        return Advanced(tuple(descents), value, spent)

    def score(self, fitting: Fitting, thetas: Sequence[Floats]) -> float | None:
        """The search's metric on the validation part, or its mean over the folds, each scored on
        the rows that its parameters have not seen. None where it is undefined."""
        if self.search.folds is None:
            [theta] = thetas
            return self._metric(fitting, self.validation(fitting), theta)
        values = [
            self._metric(fitting, fitting.training, theta, self.fold(number, held_out=True))
            for number, theta in enumerate(thetas)
        ]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(values) else None

    def fold(self, number: int, held_out: bool = False) -> Fold:
        assert self.search.folds is not None
        return Fold(number, self.search.folds, self._work.seed, held_out)

    def validation(self, fitting: Fitting) -> Shards:
        """Raises UserError where no row falls into the part."""
        if "validation" not in fitting.features.shards:
            found = "needs a validation part, and no row falls into it"
            raise UserError([Mistake((*self._work.at, "search"), found, "or give it `folds`")])
        return fitting.features.shards["validation"]

    def _metric(
        self, fitting: Fitting, shards: Shards, theta: Floats, fold: Fold | None = None
    ) -> float | None:
        sweeps = Sweeps(self._work.dispatch, shards, fitting.linear, fold)
        task = scored_task(fitting.linear.loss)
        metric = self.search.scored_by
        value = score(sweeps.dispatch, sweeps.predict(theta), [metric], task).values[metric]
        return value if value is not None and math.isfinite(value) else None

    def _descend(
        self,
        fitting: Fitting,
        fold: int | None,
        rung: int,
        old: Descent | None,
        check: Callable[[], None],
    ) -> Descent:
        train, end = fitting.train, self.ends[rung]
        if self.search.rungs.by == "rows":
            return self._on_some_rows(fitting, fold, end, old, check)
        if old is not None and (old.halfway is None or old.passes >= train.max_passes):
            return old  # it has ended by itself, below this rung
        most = min(train.max_passes, math.ceil(end))
        begin = None if old is None else old.halfway
        return self._run(fitting, fold, train.model_copy(update={"max_passes": most}), begin, check)

    def _on_some_rows(
        self,
        fitting: Fitting,
        fold: int | None,
        share: float,
        old: Descent | None,
        check: Callable[[], None],
    ) -> Descent:
        """Until it has converged on a share of the rows, from where it converged on fewer."""
        of = round(1.0 / share)
        begin = None if old is None else old.theta
        found = self._run(fitting, fold, fitting.train, begin, check, of)
        before = 0.0 if old is None else old.passes
        return replace(found, passes=before + found.passes / of, halfway=None)

    def _run(
        self,
        fitting: Fitting,
        fold: int | None,
        train: Train,
        begin: Halfway | Floats | None,
        check: Callable[[], None],
        of: int = 1,
    ) -> Descent:
        began = time.monotonic()
        passes: Passes = self._passes(fitting, fold)
        if of > 1:
            passes = SomeRows(passes, of)
        before = begin.seconds if isinstance(begin, Halfway) else 0.0
        descent = descend(
            train,
            fitting.optimizer,
            passes,
            seed=self._work.seed,
            check=check,
            begin=begin,
            keep=True,
        )
        return replace(descent, seconds=before + time.monotonic() - began)

    def _passes(self, fitting: Fitting, fold: int | None) -> ShardPasses:
        dispatch = self._work.dispatch
        if fold is None:
            validation = validation_part(self._work, fitting.train, fitting.features)
            return ShardPasses.over(dispatch, fitting.objective, fitting.training, validation)
        sweeps = Sweeps(dispatch, fitting.training, fitting.linear, self.fold(fold))
        return ShardPasses(fitting.objective, sweeps, None)

    def _choose(
        self, work: Work, selectors: Sequence[str] | None, features: FeaturesValue
    ) -> FeaturesValue:
        """The columns that a trial learns from; trials that choose the same share one matrix."""
        key = None if selectors is None else tuple(selectors)
        with self._lock:
            if key not in self._chosen:
                self._chosen[key] = chosen_features(work, selectors, features)
            return self._chosen[key]
