"""How far one column alone tells the two classes apart: counts by bin, and the area that they give.

A column that nearly gives the answer away was most often written down after it was known.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lepton_dask.matrix import Block, Floats

Counts = NDArray[np.int64]
"""Rows of a part by bin and class: (bins, 2), the negative class first."""

SUSPICIOUS = 0.99
LEAST_ROWS = 10
"""Rows that each class needs: of fewer, some column of many ranks all by chance."""


def class_counts(
    block: Block, edges: Sequence[Floats], levels: Sequence[int], one_of: int = 1
) -> Counts:
    """A chunk's rows by bin and class, the bins of all columns one after the other.

    With `one_of` k > 1 it counts n / k rows alone, drawn with replacement; the same ones in every
    run.

    `edges` are ascending, for each dense column that is to be counted (all, or none): n edges make
    n + 1 bins, each from an edge on to the next. The bins of a code column are its levels.
    """
    is_positive = block.target == 1.0
    counted = [np.empty((0, 2), dtype=np.int64)]
    drawn: slice | NDArray[np.int64] = slice(None)
    if one_of > 1:
        rows = len(is_positive)
        drawn = np.random.default_rng(rows).integers(0, max(rows, 1), rows // one_of)
    positive = np.flatnonzero(is_positive[drawn])
    for p, at in enumerate(edges):
        bins = np.searchsorted(at, block.dense[drawn, p], side="right")
        counted.append(_by_class(bins, positive, len(at) + 1))
    for q, count in enumerate(levels):
        counted.append(_by_class(block.codes[drawn, q], positive, count))
    return np.concatenate(counted)


def _by_class(bins: NDArray[np.integer], positive: NDArray[np.int64], count: int) -> Counts:
    """Rows by bin and class, of which `positive` are the positive ones."""
    rows = np.bincount(bins, minlength=count)
    of_positive = np.bincount(bins[positive], minlength=count)
    return np.column_stack([rows - of_positive, of_positive]).astype(np.int64)


def split_columns(counts: Counts, widths: Sequence[int]) -> list[Counts]:
    """The counts of each column, which has `widths[i]` bins."""
    ends = np.cumsum([0, *widths])
    return [counts[start:stop] for start, stop in pairwise(ends)]


def area(counts: Counts) -> float:
    """The area under the ROC curve of the bins in ascending order, ties counted half; whichever
    class is the higher. 0.5, no suspicion, where a class has fewer than LEAST_ROWS rows."""
    negative, positive = counts.T
    if min(negative.sum(), positive.sum()) < LEAST_ROWS:
        return 0.5
    below = np.cumsum(negative) - negative
    concordant = float(np.sum(positive * (below + 0.5 * negative)))
    share = concordant / (float(negative.sum()) * float(positive.sum()))
    return max(share, 1.0 - share)


def level_area(counts: Counts, training: Counts) -> float:
    """The area of a code column's levels, in the order of the training rows' positive share."""
    rows = training.sum(axis=1)
    whole = training[:, 1].sum() / max(1, rows.sum())
    share = np.divide(training[:, 1], rows, out=np.full(len(rows), whole), where=rows > 0)
    shares, place = np.unique(share, return_inverse=True)
    by_share = np.zeros((len(shares), 2), dtype=np.int64)
    np.add.at(by_share, place, counts)
    return area(by_share)
