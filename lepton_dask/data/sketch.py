"""Quantiles of a column in one pass, with a bound on their error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ordered = NDArray[np.float64 | np.int64]
"""Ascending numbers."""
Counts = NDArray[np.int64]

LEVEL_ITEMS = 4096
"""Items that a level may hold before every other one of them is promoted."""


@dataclass(frozen=True, eq=False)
class QuantileSketch:
    """A deterministic, mergeable summary of the order of n numbers.

    `levels[h]` holds ascending items that stand for 2^h numbers each. A level that outgrows
    LEVEL_ITEMS keeps every other item, which goes up one level with twice the weight. One such
    compaction moves the estimated rank of any number by at most 2^h, upwards if the first of each
    pair is kept and downwards if the second is; the direction with less error so far is taken.

    While n <= LEVEL_ITEMS nothing is compacted and every quantile is exact. Whatever the grouping
    of the merges, `rank_error` bounds |estimated rank - rank|; it grows as n / LEVEL_ITEMS times
    the number of levels, about 0.1 % of n at a million rows.

    Source: Munro and Paterson (1980); Agarwal, Cormode, Huang, Phillips, Wei and Yi, "Mergeable
    Summaries" (2013), section 3.1.
    """

    levels: tuple[Ordered, ...]
    overcount: int = 0
    undercount: int = 0

    @classmethod
    def of(cls, ordered: Ordered, counts: Counts | None = None) -> QuantileSketch:
        """The sketch of ascending, finite numbers, of which each occurs once, or `counts` times.

        A number that occurs c times is an item on the level h for every bit h of c, which is exact.
        """
        if counts is None:
            return _compacted([ordered], overcount=0, undercount=0)
        height = max(1, int(counts.max(initial=0)).bit_length())
        levels = [ordered[(counts >> h) & 1 == 1] for h in range(height)]
        return _compacted(levels, overcount=0, undercount=0)

    @property
    def count(self) -> int:
        """How many numbers it summarises."""
        return sum(len(items) << h for h, items in enumerate(self.levels))

    @property
    def rank_error(self) -> int:
        """The most by which the rank of any number can be off, in rows; 0 while exact."""
        return max(self.overcount, self.undercount)

    def merge(self, other: QuantileSketch) -> QuantileSketch:
        """The sketch of both sets of numbers."""
        height = max(len(self.levels), len(other.levels))
        levels = [
            _merged(a, b)
            for a, b in zip(
                _padded(self.levels, height), _padded(other.levels, height), strict=True
            )
        ]
        return _compacted(
            levels,
            overcount=self.overcount + other.overcount,
            undercount=self.undercount + other.undercount,
        )

    def items(self) -> tuple[Ordered, Counts]:
        """All items in ascending order, with the numbers that each stands for."""
        values = np.concatenate(self.levels)
        powers = 1 << np.arange(len(self.levels), dtype=np.int64)
        weights = np.repeat(powers, [len(items) for items in self.levels])
        order = np.argsort(values, kind="stable")
        return values[order], weights[order]

    def quantile(self, q: float) -> float:
        """The number below which a share q of the numbers lies, interpolated linearly."""
        return weighted_quantiles(*self.items(), [q])[0]


def weighted_quantiles(values: Ordered, weights: Counts, shares: Sequence[float]) -> list[float]:
    """Quantiles of ascending values that occur `weights` times each, by numpy's linear rule.

    With n = sum(weights), share q sits at position q (n - 1) of the repeated values, and between
    two positions the line between their values is taken. At least one value is needed.
    """
    ends = np.cumsum(weights)
    last = int(ends[-1]) - 1
    positions = np.asarray(shares, dtype=np.float64) * last
    lower = np.floor(positions).astype(np.int64)
    fractions = positions - lower
    left = np.searchsorted(ends, lower, side="right")
    right = np.searchsorted(ends, np.minimum(lower + 1, last), side="right")
    return [
        _between(values[a].item(), values[b].item(), float(t))
        for a, b, t in zip(left, right, fractions, strict=True)
    ]


def _between(a: float, b: float, t: float) -> float:
    # numpy's own form: from whichever end is nearer, so that t = 1 gives b exactly.
    return float(b - (b - a) * (1 - t) if t >= 0.5 else a + (b - a) * t)


def _compacted(levels: list[Ordered], overcount: int, undercount: int) -> QuantileSketch:
    """Promotes out of every level that holds too much, from the lowest up."""
    h = 0
    while h < len(levels):
        items = levels[h]
        if len(items) > LEVEL_ITEMS:
            paired = len(items) & ~1
            if overcount <= undercount:
                promoted, overcount = items[0:paired:2].copy(), overcount + (1 << h)
            else:
                promoted, undercount = items[1:paired:2].copy(), undercount + (1 << h)
            levels[h] = items[paired:].copy()
            if h + 1 == len(levels):
                levels.append(promoted)
            else:
                levels[h + 1] = _merged(levels[h + 1], promoted)
        h += 1
    return QuantileSketch(tuple(levels), overcount, undercount)


def _merged(a: Ordered, b: Ordered) -> Ordered:
    if not len(a) or not len(b):
        return a if len(a) else b
    both = np.concatenate([a, b])
    both.sort(kind="stable")
    return both


def _padded(levels: tuple[Ordered, ...], height: int) -> list[Ordered]:
    return [*levels, *[levels[0][:0]] * (height - len(levels))]
