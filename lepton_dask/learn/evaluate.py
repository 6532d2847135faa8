"""The `evaluate` verb."""

from __future__ import annotations

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from lepton_dask.component import Component
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.learn.goal import MetricName, check_direction, within
from lepton_dask.learn.losses import Loss
from lepton_dask.learn.metrics import THRESHOLDED, metric_mistake, scored_task
from lepton_dask.parts import Part


class EvaluationGoal(Component):
    """A goal on one part; `better_than` names baselines that must be beaten."""

    metric: MetricName
    part: Part = "test"
    at_least: float | None = None
    at_most: float | None = None
    better_than: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _something_to_meet(self) -> EvaluationGoal:
        if self.at_least is not None and self.at_most is not None:
            raise PydanticCustomError("goal_bounds", "give either at_least or at_most")
        if self.at_least is None and self.at_most is None and not self.better_than:
            raise PydanticCustomError("goal_bounds", "give at_least, at_most or better_than")
        check_direction(self.metric, self.at_least, self.at_most)
        return self

    def bound_met(self, value: float | None) -> bool:
        """Whether the metric's value keeps the bound; without one, whether it is defined."""
        return within(value, self.at_least, self.at_most)


class Threshold(Component):
    """The decision threshold: the one that keeps `metric` on the validation part at the bound and
    is otherwise best."""

    metric: MetricName
    at_least: float


class Choose(Component):
    metric: MetricName
    part: Part = "validation"


class Evaluate(Component):
    metrics: tuple[MetricName, ...] = Field(min_length=1)
    by: str | None = None
    baselines: tuple[str, ...] = ()
    threshold: Threshold | None = None
    goals: tuple[EvaluationGoal, ...] = ()
    choose: Choose | None = None


def evaluate_mistakes(evaluate: Evaluate, loss: Loss, path: DocumentPath) -> tuple[Mistake, ...]:
    """What the metrics ask for that a model of this loss cannot answer; `path` is the node's."""
    named = [((*path, "metrics", i), metric) for i, metric in enumerate(evaluate.metrics)]
    named += [((*path, "goals", i, "metric"), goal.metric) for i, goal in enumerate(evaluate.goals)]
    if evaluate.threshold is not None and scored_task(loss) != "many_classes":
        named.append(((*path, "threshold", "metric"), evaluate.threshold.metric))
    if evaluate.choose is not None:
        named.append(((*path, "choose", "metric"), evaluate.choose.metric))
    found = [(where, metric_mistake(metric, loss)) for where, metric in named]
    mistakes = [Mistake(where, words) for where, words in found if words is not None]
    if evaluate.threshold is not None and scored_task(loss) == "many_classes":
        words = "the multinomial loss predicts the most probable class, by no threshold"
        mistakes.append(Mistake((*path, "threshold"), words, "leave it out", at_key=True))
    elif evaluate.threshold is not None and evaluate.threshold.metric not in THRESHOLDED:
        where = (*path, "threshold", "metric")
        known = ", ".join(THRESHOLDED)
        found_words = f"{evaluate.threshold.metric} does not depend on the decision threshold"
        mistakes.append(Mistake(where, found_words, f"give one of {known}"))
    return tuple(mistakes)
