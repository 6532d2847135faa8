"""The `evaluate` verb."""

from __future__ import annotations

from pydantic import Field

from lepton_dask.component import Component
from lepton_dask.parts import Part


class EvaluationGoal(Component):
    """A goal on one part; `better_than` names baselines that must be beaten."""

    metric: str
    part: Part = "test"
    at_least: float | None = None
    at_most: float | None = None
    better_than: tuple[str, ...] = ()


class Threshold(Component):
    """The decision threshold: the one that keeps `metric` on the validation part at the bound and
    is otherwise best."""

    metric: str
    at_least: float


class Choose(Component):
    metric: str
    part: Part = "validation"


class Evaluate(Component):
    metrics: tuple[str, ...] = Field(min_length=1)
    by: str | None = None
    baselines: tuple[str, ...] = ()
    threshold: Threshold | None = None
    goals: tuple[EvaluationGoal, ...] = ()
    choose: Choose | None = None
