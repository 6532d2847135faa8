"""How good is good enough: a metric and a bound."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from lepton_dask.component import Component
from lepton_dask.learn.metrics import METRICS


def _known(name: str) -> str:
    if name not in METRICS:
        expected = " or ".join(repr(known) for known in METRICS)
        raise PydanticKnownError("literal_error", {"expected": expected})
    return name


MetricName = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"enum": list(METRICS), "type": "string"})
]


class Goal(Component):
    """`{metric: roc_auc, at_least: 0.9}`; `at_most` for errors. Exactly one bound."""

    metric: MetricName
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Goal:
        if (self.at_least is None) == (self.at_most is None):
            raise PydanticCustomError("goal_bounds", "give either at_least or at_most")
        check_direction(self.metric, self.at_least, self.at_most)
        return self

    def met(self, value: float | None) -> bool:
        """Whether the metric's value is good enough; one that is undefined never is."""
        return within(value, self.at_least, self.at_most)

    def __str__(self) -> str:
        if self.at_least is not None:
            return f"{self.metric} at least {self.at_least:g}"
        return f"{self.metric} at most {self.at_most:g}"


def check_direction(metric: str, at_least: float | None, at_most: float | None) -> None:
    """Raises where a bound is on the bad side: any model meets it, the better ones do not."""
    rises = METRICS[metric].greater_is_better
    if (at_most if rises else at_least) is not None:
        change, bound = ("rises", "at_least") if rises else ("falls", "at_most")
        raise PydanticCustomError(
            "goal_direction",
            "{metric} {change} as a model gets better: give {bound}",
            {"metric": metric, "change": change, "bound": bound},
        )


def within(value: float | None, at_least: float | None, at_most: float | None) -> bool:
    """Whether a value keeps the bounds that are given; None keeps none."""
    if value is None:
        return False
    return (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
