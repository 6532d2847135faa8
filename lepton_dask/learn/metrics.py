"""The metrics: what they are computed from, and their formulas.

A metric is a formula over sums that chunks of rows contribute to one by one: a `ClassTally`, a
`NumberTally`, or for roc_auc the `RangeTally`s of ranking.py. So no place ever needs all the rows.
Each equals scikit-learn's metric of that name, sample weights included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from lepton_dask.learn.losses import LOSSES, Task
from lepton_dask.learn.ranking import RangeTally, concordance
from lepton_dask.matrix import Floats

EPSILON = float(np.finfo(np.float64).eps)
"""Probabilities are clipped to [eps, 1 - eps] for the log loss, as scikit-learn does."""


class Predicted(NamedTuple):
    """A chunk's target (n,), what was predicted for it (n,), and the rows' weights (n,).

    For two classes the target is 0 or 1 and the prediction the probability of 1. NaN stands for no
    prediction: the row is counted as skipped, and in nothing else.
    """

    target: Floats
    prediction: Floats
    weight: Floats


class ClassTally(NamedTuple):
    """Weighted sums for two classes. `rows`, `skipped` and `positives` count rows.

    Fields may be arrays of one shape, one entry a decision threshold.
    """

    rows: Any = 0.0
    skipped: Any = 0.0
    positives: Any = 0.0
    weight: Any = 0.0
    true_positive: Any = 0.0
    false_positive: Any = 0.0
    false_negative: Any = 0.0
    true_negative: Any = 0.0
    log_loss: Any = 0.0
    squared_error: Any = 0.0
    improbable: Any = 0.0
    """Rows whose prediction lies outside [0, 1]."""

    def merged(self, other: ClassTally) -> ClassTally:
        return ClassTally(*(a + b for a, b in zip(self, other, strict=True)))


class Moments(NamedTuple):
    """Weighted moments of a number about a pivot: sum w (x - pivot), sum w (x - pivot)^2.

    A mean that is stored rounded is off by a first-order term when chunks are merged about it; the
    first moment about whatever the pivot is carries that term, so nothing is lost.
    """

    pivot: float = 0.0
    first: float = 0.0
    second: float = 0.0

    def about(self, pivot: float, weight: float) -> Moments:
        """The same about another pivot; `weight` is the sum of the weights."""
        gap = self.pivot - pivot
        second = self.second + gap * (2.0 * self.first + weight * gap)
        return Moments(pivot, self.first + weight * gap, second)

    def merged(self, weight: float, other: Moments, other_weight: float) -> Moments:
        """The moments of both, about their common mean as rounded."""
        total = weight + other_weight
        if not total > 0:
            return self
        moved = other.about(self.pivot, other_weight)
        mean = self.pivot + (self.first + moved.first) / total
        mine, others = self.about(mean, weight), other.about(mean, other_weight)
        return Moments(mean, mine.first + others.first, mine.second + others.second)

    def variation(self, weight: float) -> float:
        """The sum of squares about the mean."""
        return max(0.0, self.second - self.first**2 / weight)


class NumberTally(NamedTuple):
    """Weighted sums for a number, with the moments of the target and of its error."""

    rows: float = 0.0
    skipped: float = 0.0
    weight: float = 0.0
    absolute_error: float = 0.0
    squared_error: float = 0.0
    target: Moments = Moments()
    error: Moments = Moments()

    def merged(self, other: NumberTally) -> NumberTally:
        return NumberTally(
            self.rows + other.rows,
            self.skipped + other.skipped,
            self.weight + other.weight,
            self.absolute_error + other.absolute_error,
            self.squared_error + other.squared_error,
            self.target.merged(self.weight, other.target, other.weight),
            self.error.merged(self.weight, other.error, other.weight),
        )


Tally = ClassTally | NumberTally


def class_tally(predicted: Predicted, threshold: float) -> ClassTally:
    """A chunk's tally; a row is predicted positive where its probability reaches `threshold`."""
    y, p, w = present(predicted)
    positive, called = y == 1.0, p >= threshold
    clipped = np.clip(p, EPSILON, 1.0 - EPSILON)
    return ClassTally(
        rows=float(len(y)),
        skipped=float(len(predicted.target) - len(y)),
        positives=float(np.count_nonzero(positive)),
        weight=float(w.sum()),
        true_positive=float(w[positive & called].sum()),
        false_positive=float(w[~positive & called].sum()),
        false_negative=float(w[positive & ~called].sum()),
        true_negative=float(w[~positive & ~called].sum()),
        log_loss=-float((w * np.log(np.where(positive, clipped, 1.0 - clipped))).sum()),
        squared_error=float((w * (p - y) ** 2).sum()),
        improbable=float(np.count_nonzero((p < 0.0) | (p > 1.0))),
    )


def number_tally(predicted: Predicted) -> NumberTally:
    """A chunk's tally."""
    y, prediction, w = present(predicted)
    weight = float(w.sum())
    if not weight > 0:
        return NumberTally(rows=float(len(y)), skipped=float(len(predicted.target) - len(y)))
    error = y - prediction
    return NumberTally(
        rows=float(len(y)),
        skipped=float(len(predicted.target) - len(y)),
        weight=weight,
        absolute_error=float(w @ np.abs(error)),
        squared_error=float(w @ error**2),
        target=_moments(y, w, weight),
        error=_moments(error, w, weight),
    )


def _moments(x: Floats, w: Floats, weight: float) -> Moments:
    pivot = float(w @ x) / weight
    apart = x - pivot
    return Moments(pivot, float(w @ apart), float(w @ apart**2))


def present(predicted: Predicted) -> Predicted:
    """The rows that have a prediction."""
    missing = np.isnan(predicted.prediction)
    if not missing.any():
        return predicted
    return Predicted(*(array[~missing] for array in predicted))


def merged_classes(tallies: Iterable[ClassTally]) -> ClassTally:
    """The tally of all rows, merged in the order given."""
    return reduce(ClassTally.merged, tallies, ClassTally())


def merged_numbers(tallies: Iterable[NumberTally]) -> NumberTally:
    """The tally of all rows, merged in the order given."""
    return reduce(NumberTally.merged, tallies, NumberTally())


@dataclass(frozen=True)
class Undefined:
    """Why a metric has no value on some rows, in words."""

    reason: str


Score = float | Undefined
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

METRICS: dict[str, ClassMetric | RankMetric | NumberMetric] = {m.name: m for m in _ALL}
"""Every metric by the name that a pipeline gives it."""

THRESHOLDED = tuple(m.name for m in _ALL if isinstance(m, ClassMetric) and m.thresholded)
"""The metrics that depend on the decision threshold."""


def metric_mistake(metric: str, loss: str) -> str | None:
    """Why a model of `loss` has no such metric, in words; None where it has."""
    wanted = METRICS[metric].kind
    if LOSSES[loss].task == wanted:
        return None
    target = "a two-class target" if wanted == "classification" else "a numeric target"
    return f"{metric} needs {target}; the loss is {loss}"
