"""Groups as tasks of one length, and tasks drawn from groups: what networks are trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.meta.base import GroupedRows
from lepton_dask.matrix import Floats

Places = NDArray[np.intp]

MOST_NUMBERS = 1 << 20
"""In the arrays of tasks that are adapted together: 8 MiB in all, which stay in a cache."""


class Tasks(NamedTuple):
    """T tasks side by side, S rows each: x (T, S, D + 1), a 1 at every row's end, y (T, S), weight
    (T, S) and shares (T, S), each weight over its task's sum.

    A task with fewer rows ends in rows of weight 0; a task without weight has shares of 0.
    """

    x: Floats
    y: Floats
    weight: Floats
    shares: Floats

    @classmethod
    def of(cls, x: Floats, y: Floats, weight: Floats) -> Tasks:
        total = weight.sum(axis=1, keepdims=True)
        shares = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
        return cls(x, y, weight, shares)

    def take(self, tasks: Places) -> Tasks:
        """These tasks."""
        return Tasks(self.x[tasks], self.y[tasks], self.weight[tasks], self.shares[tasks])

    def columns(self, rows: slice) -> Tasks:
        """These of the S rows of every task."""
        return Tasks.of(self.x[:, rows], self.y[:, rows], self.weight[:, rows])


class Episodes(NamedTuple):
    """B tasks drawn from groups, as places in their rows; -1 where a task has no more.

    support (B, S) is what a task is adapted to, query (B, Q) what the adapted model is judged by.
    """

    support: Places
    query: Places

    def take(self, tasks: slice) -> Episodes:
        """These tasks."""
        return Episodes(self.support[tasks], self.query[tasks])


def gathered(rows: GroupedRows, places: Places) -> Tasks:
    """The tasks of the rows at places (T, S), -1 for none."""
    x = np.empty((*places.shape, rows.x.shape[1] + 1))
    # What stands at -1 is a row, too: only its weight must not count.
    x[..., :-1] = rows.x[places]
    x[..., -1] = 1.0
    return Tasks.of(x, rows.y[places], rows.weight[places] * (places >= 0))


def drawn_rows(rng: np.random.Generator, counts: NDArray[np.int64], most: int) -> Places:
    """For each of B groups min(most, counts[b]) different rows, in random order.

    Places in the group (B, most), -1 beyond. By Floyd's algorithm (Bentley, Floyd: A sample of
    brilliance, Communications of the ACM 30(9), 1987), all groups at once: it needs no list of the
    rows that are not drawn. Its sets are uniform, their order is not, and is drawn afterwards.
    """
    taken = np.minimum(counts, most)
    places = np.full((len(counts), most), -1, dtype=np.intp)
    for k in range(most):
        last = counts - taken + k
        drawn = rng.integers(0, np.maximum(last, 0) + 1)
        there = (places[:, :k] == drawn[:, None]).any(axis=1)
        places[:, k] = np.where(k < taken, np.where(there, last, drawn), -1)
    keys = rng.random(places.shape)
    order = np.argsort(np.where(places < 0, 2.0, keys), axis=1)
    return np.take_along_axis(places, order, axis=1)


def drawn_episodes(
    rng: np.random.Generator, rows: GroupedRows, episodes: int, support: int, query: int
) -> Episodes:
    """So many tasks, each of a group with rows drawn at random, and of different rows of it.

    The support has min(support, half the group) rows, the query at most `query` of the others: a
    group of one row has an empty support.
    """
    counts = rows.counts
    filled = np.flatnonzero(counts)
    groups = filled[rng.integers(0, len(filled), size=episodes)]
    drawn = drawn_rows(rng, counts[groups], support + query)
    first = np.minimum(support, counts[groups] // 2)[:, None]
    place = np.where(drawn < 0, -1, drawn + rows.starts[groups][:, None])
    columns = np.arange(support)
    supports = np.where(columns < first, place[:, :support], -1)
    later = first + np.arange(query)  # at most support + query - 1
    return Episodes(supports, np.take_along_axis(place, later, axis=1))


def in_batches(
    rows: GroupedRows, row_numbers: int, task_numbers: int
) -> Iterator[tuple[Places, Tasks]]:
    """All groups, some at a time, those of like sizes together, with their places among the groups.

    A row of a task takes so many numbers, a task so many beside: a batch takes MOST_NUMBERS at
    most, or is one group.
    """
    counts = rows.counts
    order = np.argsort(counts, kind="stable")
    begin = 0
    for end in range(1, len(order) + 1):
        if end < len(order):
            each = task_numbers + row_numbers * int(counts[order[end]])
            if each * (end + 1 - begin) <= MOST_NUMBERS:
                continue
        groups = order[begin:end]
        begin = end
        place = np.arange(counts[groups[-1]])
        places = np.where(place < counts[groups][:, None], rows.starts[groups][:, None] + place, -1)
        yield groups, gathered(rows, places)
