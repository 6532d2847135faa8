"""The `search` block of a `train` step, as a pipeline writes it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from lepton_dask.component import Component
from lepton_dask.learn.goal import Goal, MetricName
from lepton_dask.learn.search.domains import Domain

MOST_FOLDS = 100
FIRST_PASSES = 4
FIRST_SHARE = 1 / 27


class Budget(Component):
    """What a search may spend: so many trials, so many minutes, so many passes over the training
    rows; whichever is spent first ends it."""

    trials: int = Field(default=32, gt=0)
    minutes: float | None = Field(default=None, gt=0)
    passes: float | None = Field(default=None, gt=0)


class SearchGoal(Component):
    """A bound of the search's metric: with the name of the metric, or without."""

    metric: MetricName | None = None
    at_least: float | None = None
    at_most: float | None = None


class Rungs(Component):
    """How far a trial trains before it is compared with others.

    By `passes`: `first` of them at the lowest rung (4), `factor` times as many at each next one, up
    to the step's own max_passes. By `rows`: until it has converged on a share of the rows, `first`
    (1/27), then `factor` times as many, up to all of them. The best 1 / `factor` of a rung go on to
    the next.
    """

    by: Literal["passes", "rows"] = "passes"
    first: float | None = Field(default=None, gt=0)
    factor: int = Field(default=3, ge=2)

    @model_validator(mode="after")
    def _a_share_of_rows(self) -> Rungs:
        if self.by == "rows" and self.first is not None and self.first >= 1:
            raise PydanticCustomError(
                "rungs_first", "by rows, first is a share of them: give a number below 1"
            )
        return self

    def limits(self, most: float) -> tuple[float, ...]:
        """Where each rung ends: passes up to `most`, or shares of the rows up to 1."""
        first = self.first or (FIRST_PASSES if self.by == "passes" else FIRST_SHARE)
        top = float(most) if self.by == "passes" else 1.0
        ends = []
        while first < top * (1 - 1e-9):
            ends.append(float(first))
            first *= self.factor
        return (*ends, top)


class Search(Component):
    """Tries values of other fields of its step and keeps the best by `metric`.

    Trials are scored on the validation part, or with `folds` on rows of the training part that they
    did not train on. The search ends at its `goal`, or when the `budget` is spent.
    """

    space: dict[str, Domain] = Field(min_length=1)
    budget: Budget = Budget()
    metric: MetricName | None = None
    goal: SearchGoal | None = None
    folds: int | None = Field(default=None, ge=2, le=MOST_FOLDS)
    rungs: Rungs = Rungs()
    portfolio: bool | str = True
    sampler: Literal["random", "optuna"] = "random"
    parallel: int = Field(default=2, gt=0)

    @model_validator(mode="after")
    def _one_metric(self) -> Search:
        named = self.goal.metric if self.goal is not None else None
        if self.metric is None and named is None:
            raise PydanticCustomError("search_metric", "a search needs a metric; add 'metric:'")
        if self.metric is not None and named is not None and named != self.metric:
            raise PydanticCustomError(
                "search_metric",
                "the goal is of {goal}, and the metric is {metric}; name one of them",
                {"goal": named, "metric": self.metric},
            )
        self.wanted  # noqa: B018 - its own checks
        return self

    @property
    def scored_by(self) -> str:
        """The metric's name, wherever it is said."""
        name = self.metric or (self.goal.metric if self.goal is not None else None)
        assert name is not None
        return name

    @property
    def wanted(self) -> Goal | None:
        """The goal, its metric filled in."""
        if self.goal is None:
            return None
        return Goal(metric=self.scored_by, at_least=self.goal.at_least, at_most=self.goal.at_most)
