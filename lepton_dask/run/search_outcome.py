"""What a search came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lepton_dask.learn.goal import Goal
from lepton_dask.learn.metrics import METRICS
from lepton_dask.learn.search.domains import shown
from lepton_dask.learn.search.space import Point


@dataclass(frozen=True)
class TrialResult:
    """A trial at the end of a rung. `passes` and `seconds` are the trial's own so far; `value` is
    None where the metric has none; `status` is why its training ended there, `stopped` where the
    search was over first."""

    trial: int
    rung: int
    passes: float
    seconds: float
    value: float | None
    status: str
    point: Point


@dataclass(frozen=True)
class Searched:
    """A step's search: its results in the order in which they came, and the best of them."""

    step: str
    metric: str
    goal: Goal | None
    fields: tuple[str, ...]
    results: tuple[TrialResult, ...]
    best: TrialResult
    ended: str

    @property
    def missed(self) -> str | None:
        """The goal that no trial met, in words."""
        if self.goal is None or self.goal.met(self.best.value):
            return None
        return f"{self.step}: {self.goal}; the best of the search has {self.best.value:.6g}"

    def to_json(self) -> dict[str, object]:
        return {
            "metric": self.metric,
            "best": self.best.value,
            "point": dict(self.best.point),
            "trials": len({each.trial for each in self.results}),
            "ended": self.ended,
        }

    @property
    def summary(self) -> str:
        trials = len({each.trial for each in self.results})
        return (
            f"{trials} trials, best {self.metric} {self.best.value:.6g} "
            f"({point_text(self.best.point)}); {self.ended}"
        )


def best_of(results: Sequence[TrialResult], metric: str) -> TrialResult | None:
    """The best of the trials' last results; of equals the one on the higher rung, then the trial
    that started first. None while nothing has a value."""
    rises = METRICS[metric].greater_is_better
    last = {each.trial: each for each in results if each.status != "stopped"}
    valued = [each for each in last.values() if each.value is not None]
    return min(
        valued,
        key=lambda each: (-_number(each) if rises else _number(each), -each.rung, each.trial),
        default=None,
    )


def point_text(point: Point) -> str:
    """`penalty.l2 0.001, optimizer lbfgs`."""
    return ", ".join(f"{name} {shown(value)}" for name, value in point.items())


def _number(result: TrialResult) -> float:
    assert result.value is not None
    return result.value
