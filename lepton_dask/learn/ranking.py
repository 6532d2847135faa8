"""Rankings of rows by their predictions, exact and in pieces.

Each chunk sorts its own predictions (`rank`) and is cut at common splitters into ranges (`cut`);
each range is merged over the chunks (`merge`) and summed up (`range_tally`); the few range tallies
give the exact area under the ROC curve (`concordance`). A range is the most that one place holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lepton_dask.matrix import Floats

RANGE_ROWS = 1 << 20
"""Rows that a range is meant to hold: 24 MiB of three float64 columns."""

SAMPLES_PER_RANGE = 16
"""Predictions that each chunk offers for each range's splitters."""


class Ranks(NamedTuple):
    """Distinct predictions, ascending, with the weights of positive and negative rows at each."""

    prediction: Floats
    positive: Floats
    negative: Floats


class RangeTally(NamedTuple):
    """The positive and negative weight of a range of rows, or of all, and the weight of its
    concordant pairs: a positive and a negative row, the positive one higher, ties counted half."""

    positive: float
    negative: float
    concordant: float


def rank(target: Floats, prediction: Floats, weight: Floats) -> Ranks:
    """A chunk's rows (n,) by their predictions, none of them NaN; target 1 is positive, 0 not."""
    return _distinct(prediction, weight * target, weight * (1.0 - target))


def merge(parts: Sequence[Ranks]) -> Ranks:
    """Several chunks' ranks as one. Weights at one prediction are added in the order given."""
    if not parts:
        return Ranks(*(np.empty(0) for _ in Ranks._fields))
    return _distinct(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def sample(ranks: Ranks, ranges: int) -> Floats:
    """Predictions at even distances along a chunk's ranks."""
    n = len(ranks.prediction)
    count = min(n, ranges * SAMPLES_PER_RANGE)
    return ranks.prediction[np.linspace(0, n - 1, count).astype(np.intp)] if n else np.empty(0)


def splitters(samples: Sequence[Floats], ranges: int) -> Floats:
    """Where to cut for `ranges` ranges of about equal size: ranges - 1 values."""
    pooled = np.sort(np.concatenate([*samples, np.empty(0)]))
    if not len(pooled):
        return np.zeros(ranges - 1)
    return pooled[(np.arange(1, ranges) * len(pooled)) // ranges]


def cut(ranks: Ranks, at: Floats) -> tuple[Ranks, ...]:
    """The ranks as len(at) + 1 ranges, lowest first; a prediction at a splitter goes above."""
    bounds = [0, *np.searchsorted(ranks.prediction, at, side="left"), len(ranks.prediction)]
    return tuple(
        Ranks(*(column[start:stop] for column in ranks))
        for start, stop in itertools.pairwise(bounds)
    )


def range_tally(ranks: Ranks) -> RangeTally:
    """The sums of one range that is merged over all chunks."""
    below = np.cumsum(ranks.negative) - ranks.negative
    concordant = ranks.positive * (below + 0.5 * ranks.negative)
    return RangeTally(
        float(ranks.positive.sum()), float(ranks.negative.sum()), float(concordant.sum())
    )


def concordance(ranges: Sequence[RangeTally]) -> RangeTally:
    """All rows' tally from those of the ranges, lowest first."""
    positive = negative = concordant = 0.0
    for tally in ranges:
        concordant += tally.concordant + tally.positive * negative
        positive += tally.positive
        negative += tally.negative
    return RangeTally(positive, negative, concordant)


def _distinct(prediction: Floats, positive: Floats, negative: Floats) -> Ranks:
    if not len(prediction):
        return Ranks(prediction, positive, negative)
    order = np.argsort(prediction, kind="stable")
    ascending = prediction[order]
    starts = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]]))
    return Ranks(
        ascending[starts],
        np.add.reduceat(positive[order], starts),
        np.add.reduceat(negative[order], starts),
    )
