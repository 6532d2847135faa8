"""What chunks of predictions contribute to the metrics: sums that merge.

Tallies are merged in chunk order, so that no bit depends on who computed them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from lepton_dask.matrix import Floats

EPSILON = float(np.finfo(np.float64).eps)
"""Probabilities are clipped to [eps, 1 - eps] for the log loss, as scikit-learn does."""


class Predicted(NamedTuple):
    """A chunk's target (n,), what was predicted for it (n,), and the rows' weights (n,).

    For two classes the target is 0 or 1 and the prediction the probability of 1; for many, whose
    number is K, it is the index of one and the prediction (n, K) the probabilities of all. NaN
    stands for no prediction: the row is counted as skipped, and in nothing else.
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


class ManyTally(NamedTuple):
    """Weighted sums for K classes.

    `confusion` (K, K) is the weight of the rows of each class (first axis) that were called each
    (second axis); a row is called the most probable class, the first of several. `labels` and
    `called` (K,) count the rows of each class, and those that were called so.
    """

    rows: float = 0.0
    skipped: float = 0.0
    weight: float = 0.0
    log_loss: float = 0.0
    improbable: float = 0.0
    """Rows with a prediction outside [0, 1]."""
    confusion: Floats = np.zeros((1, 1))
    labels: Floats = np.zeros(1)
    called: Floats = np.zeros(1)

    def merged(self, other: ManyTally) -> ManyTally:
        return ManyTally(
            self.rows + other.rows,
            self.skipped + other.skipped,
            self.weight + other.weight,
            self.log_loss + other.log_loss,
            self.improbable + other.improbable,
            self.confusion + other.confusion,
            self.labels + other.labels,
            self.called + other.called,
        )


Tally = ClassTally | ManyTally | NumberTally


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


def many_tally(predicted: Predicted) -> ManyTally:
    """A chunk's tally; its prediction is (n, K)."""
    y, p, w = present(predicted)
    classes = p.shape[1]
    truth, called = y.astype(np.intp), np.argmax(p, axis=1) if len(p) else np.empty(0, np.intp)
    clipped = np.clip(p[np.arange(len(y)), truth], EPSILON, 1.0 - EPSILON)
    confusion = np.zeros(classes**2)
    np.add.at(confusion, truth * classes + called, w)
    return ManyTally(
        rows=float(len(y)),
        skipped=float(len(predicted.target) - len(y)),
        weight=float(w.sum()),
        log_loss=-float((w * np.log(clipped)).sum()),
        improbable=float(np.count_nonzero(((p < 0.0) | (p > 1.0)).any(axis=1))),
        confusion=confusion.reshape(classes, classes),
        labels=np.bincount(truth, minlength=classes).astype(np.float64),
        called=np.bincount(called, minlength=classes).astype(np.float64),
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
    beyond = tuple(range(1, predicted.prediction.ndim))  # the classes, where there are many
    missing = np.asarray(np.isnan(predicted.prediction).any(axis=beyond))
    if not missing.any():
        return predicted
    return Predicted(*(array[~missing] for array in predicted))


def merged_classes(tallies: Iterable[ClassTally]) -> ClassTally:
    """The tally of all rows, merged in the order given."""
    return reduce(ClassTally.merged, tallies, ClassTally())


def merged_many(tallies: Iterable[ManyTally]) -> ManyTally:
    """The tally of all rows, merged in the order given."""
    return reduce(ManyTally.merged, tallies, ManyTally())


def merged_numbers(tallies: Iterable[NumberTally]) -> NumberTally:
    """The tally of all rows, merged in the order given."""
    return reduce(NumberTally.merged, tallies, NumberTally())
