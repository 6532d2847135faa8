"""The metrics: what they are computed from, and their formulas.

A metric is a formula over sums that chunks of rows contribute to one by one: a `ClassTally`, a
`ManyTally`, a `NumberTally`, or for roc_auc the `RangeTally`s of ranking.py. So no place ever needs
all the rows.
Each equals scikit-learn's metric of that name, sample weights included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lepton_dask.learn.losses import Loss, Task
from lepton_dask.learn.ranking import RangeTally, concordance
from lepton_dask.learn.tallies import ClassTally, ManyTally, NumberTally
from lepton_dask.suggest import listed


@dataclass(frozen=True)
class Undefined:
    """Why a metric has no value on some rows, in words."""

    reason: str


Score = float | Undefined
ScoredTask = Task | Literal["many_classes"]
"""What a model predicts: the probability of the second of two classes, those of any number of
classes, or a number."""
NO_ROWS = Undefined("no row has a prediction and a weight above zero")
NOT_PROBABILITIES = Undefined("some predictions are not probabilities")


@dataclass(frozen=True)
class Metric:
    """A metric's name, the task it is for, and which way is better."""

    name: str
    kind: Task
    greater_is_better: bool

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is strictly better than `other`."""
        return one > other if self.greater_is_better else one < other


@dataclass(frozen=True)
class ClassMetric(Metric):
    """A formula over a ClassTally; it works on arrays of tallies too."""

    formula: Callable[[ClassTally], Any]
    of_probabilities: bool = False
    thresholded: bool = False

    def score(self, tally: ClassTally) -> Score:
        if not tally.weight > 0:
            return NO_ROWS
        if self.of_probabilities and tally.improbable:
            return NOT_PROBABILITIES
        return float(self.formula(tally))


@dataclass(frozen=True)
class ManyMetric(Metric):
    """A formula over a ManyTally."""

    formula: Callable[[ManyTally], float]
    of_probabilities: bool = False

    def score(self, tally: ManyTally) -> Score:
        if not tally.weight > 0:
            return NO_ROWS
        if self.of_probabilities and tally.improbable:
            return NOT_PROBABILITIES
        return float(self.formula(tally))


@dataclass(frozen=True)
class RankMetric(Metric):
    """A formula over the whole ranking of the rows by their predictions."""

    formula: Callable[[RangeTally], float]

    def score(self, ranges: Sequence[RangeTally]) -> Score:
        whole = concordance(ranges)
        if not (whole.positive > 0 and whole.negative > 0):
            return Undefined("the rows are of one class")
        return self.formula(whole)


@dataclass(frozen=True)
class NumberMetric(Metric):
    """A formula over a NumberTally."""

    formula: Callable[[NumberTally], float]
    least_rows: int = 1

    def score(self, tally: NumberTally) -> Score:
        if not tally.weight > 0:
            return NO_ROWS
        if tally.rows < self.least_rows:
            return Undefined(f"needs {self.least_rows} rows")
        return self.formula(tally)


def _ratio(part: Any, whole: Any) -> Any:
    """part / whole, and 0 where whole is 0: scikit-learn's `zero_division=0`."""
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole != 0)


def _accuracy(t: ClassTally) -> Any:
    return _ratio(t.true_positive + t.true_negative, t.weight)


def _precision(t: ClassTally) -> Any:
    return _ratio(t.true_positive, t.true_positive + t.false_positive)


def _recall(t: ClassTally) -> Any:
    return _ratio(t.true_positive, t.true_positive + t.false_negative)


def _specificity(t: ClassTally) -> Any:
    return _ratio(t.true_negative, t.true_negative + t.false_positive)


def _f1(t: ClassTally) -> Any:
    return _ratio(2 * t.true_positive, 2 * t.true_positive + t.false_positive + t.false_negative)


def _balanced_accuracy(t: ClassTally) -> Any:
    """The mean of the recalls of the classes that are there."""
    has_positive = (np.asarray(t.true_positive + t.false_negative) > 0).astype(float)
    has_negative = (np.asarray(t.true_negative + t.false_positive) > 0).astype(float)
    return _ratio(_recall(t) + _specificity(t), has_positive + has_negative)


def _f1_macro(t: ClassTally) -> Any:
    """The mean of the two classes' f1."""
    negative = _ratio(
        2 * t.true_negative, 2 * t.true_negative + t.false_negative + t.false_positive
    )
    there = (np.asarray(t.true_positive + t.false_negative + t.false_positive) > 0).astype(float)
    others = (np.asarray(t.true_negative + t.false_negative + t.false_positive) > 0).astype(float)
    return _ratio(_f1(t) + negative, there + others)


def _accuracy_of_many(t: ManyTally) -> float:
    return float(np.trace(t.confusion)) / t.weight


def _balanced_accuracy_of_many(t: ManyTally) -> float:
    """The mean of the recalls of the classes that are there."""
    truth = t.confusion.sum(axis=1)
    return float(np.mean(np.diag(t.confusion)[truth > 0] / truth[truth > 0]))


def _f1_macro_of_many(t: ManyTally) -> float:
    """The mean f1 of the classes that a row has or was called."""
    there = (t.labels > 0) | (t.called > 0)
    whole = t.confusion.sum(axis=0) + t.confusion.sum(axis=1)
    return float(np.mean(_ratio(2 * np.diag(t.confusion), whole)[there]))


def _explained(unexplained: float, total: float) -> float:
    """1 - unexplained / total; for a constant target 1 where nothing is left, else 0."""
    if total > 0:
        return 1.0 - unexplained / total
    return 1.0 if unexplained == 0 else 0.0


def _r2(t: NumberTally) -> float:
    return _explained(t.squared_error, t.target.variation(t.weight))


def _explained_variance(t: NumberTally) -> float:
    return _explained(t.error.variation(t.weight), t.target.variation(t.weight))


_ALL: tuple[ClassMetric | RankMetric | NumberMetric, ...] = (
    RankMetric("roc_auc", "classification", True, lambda r: r.concordant / r.positive / r.negative),
    ClassMetric(
        "log_loss", "classification", False, lambda t: t.log_loss / t.weight, of_probabilities=True
    ),
    ClassMetric("accuracy", "classification", True, _accuracy, thresholded=True),
    ClassMetric("balanced_accuracy", "classification", True, _balanced_accuracy, thresholded=True),
    ClassMetric("precision", "classification", True, _precision, thresholded=True),
    ClassMetric("recall", "classification", True, _recall, thresholded=True),
    ClassMetric("f1", "classification", True, _f1, thresholded=True),
    ClassMetric("f1_macro", "classification", True, _f1_macro, thresholded=True),
    ClassMetric(
        "brier",
        "classification",
        False,
        lambda t: t.squared_error / t.weight,
        of_probabilities=True,
    ),
    NumberMetric("rmse", "regression", False, lambda t: float(np.sqrt(t.squared_error / t.weight))),
    NumberMetric("mae", "regression", False, lambda t: t.absolute_error / t.weight),
    NumberMetric("r2", "regression", True, _r2, least_rows=2),
    NumberMetric(
        "explained_variance",
        "regression",
        True,
        _explained_variance,
    ),
)

_OF_MANY = (
    ManyMetric(
        "log_loss", "classification", False, lambda t: t.log_loss / t.weight, of_probabilities=True
    ),
    ManyMetric("accuracy", "classification", True, _accuracy_of_many),
    ManyMetric("balanced_accuracy", "classification", True, _balanced_accuracy_of_many),
    ManyMetric("f1_macro", "classification", True, _f1_macro_of_many),
)

OF_MANY: dict[str, ManyMetric] = {m.name: m for m in _OF_MANY}
"""The metrics that a model of any number of classes has, by name; each of them is in METRICS too,
as it is for two classes."""

METRICS: dict[str, ClassMetric | RankMetric | NumberMetric] = {m.name: m for m in _ALL}
"""Every metric by the name that a pipeline gives it."""

THRESHOLDED = tuple(m.name for m in _ALL if isinstance(m, ClassMetric) and m.thresholded)
"""The metrics that depend on the decision threshold."""


def scored_task(loss: Loss) -> ScoredTask:
    """What a model of `loss` predicts."""
    return "many_classes" if loss.name == "multinomial" else loss.task


def metric_mistake(metric: str, loss: Loss) -> str | None:
    """Why a model of `loss` has no such metric, in words; None where it has."""
    if scored_task(loss) == "many_classes" and METRICS[metric].kind == "classification":
        if metric in OF_MANY:
            return None
        return f"{metric} is of two classes; the multinomial loss has {listed(OF_MANY)}"
    wanted = METRICS[metric].kind
    if loss.task == wanted:
        return None
    target = "a two-class target" if wanted == "classification" else "a numeric target"
    return f"{metric} needs {target}; the loss is {loss.name}"
