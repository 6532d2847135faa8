"""Groups of similar size side by side in one array, so that numpy works on many at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.meta.base import GroupedRows
from lepton_dask.matrix import Floats

CELLS = 1 << 20
"""The most numbers of one array, unless a single group has more: 8 MiB."""

STRETCH = 1.25
"""A group is padded to at most so many times its rows, or to FEWEST."""

FEWEST = 8


class Padded(NamedTuple):
    """B groups, each padded to n rows: the places of the groups (B,), x (B, n, 1 + D) with the
    intercept first, y (B, n), weight (B, n). What is padding has x, y and weight 0."""

    groups: NDArray[np.intp]
    x: Floats
    y: Floats
    weight: Floats


def with_intercept(x: Floats) -> Floats:
    """(N, 1 + D): a 1 before each row of x (N, D)."""
    widened = np.empty((len(x), 1 + x.shape[1]))
    widened[:, 0] = 1.0
    widened[:, 1:] = x
    return widened


def padded(rows: GroupedRows) -> Iterator[Padded]:
    """All groups that have rows, those of similar size together."""
    counts = rows.counts
    order = np.argsort(counts, kind="stable")
    sizes = counts[order]
    first = int(np.searchsorted(sizes, 1))
    while first < len(order):
        last = _end(sizes, first, 1 + rows.x.shape[1])
        yield _pad(rows, order[first:last])
        first = last


def _end(sizes: NDArray[np.int64], first: int, width: int) -> int:
    """Where the groups end that are padded together with the one at `first`; sizes ascend."""
    longest = max(FEWEST, int(STRETCH * sizes[first]))
    similar = int(np.searchsorted(sizes, longest, side="right"))
    fitting = first + max(1, CELLS // (int(sizes[similar - 1]) * width))
    return min(similar, fitting)


def _pad(rows: GroupedRows, groups: NDArray[np.intp]) -> Padded:
    counts, starts = rows.counts[groups], rows.starts[groups]
    if len(groups) == 1:
        own = slice(int(starts[0]), int(starts[0] + counts[0]))
        x = with_intercept(rows.x[own])
        return Padded(groups, x[None], rows.y[None, own], rows.weight[None, own])
    place = np.arange(int(counts.max()))
    real = place < counts[:, None]
    row = np.where(real, starts[:, None] + place, 0)
    x = np.empty((*row.shape, 1 + rows.x.shape[1]))
    x[..., 0] = real
    x[..., 1:] = rows.x[row] * real[..., None]
    return Padded(groups, x, rows.y[row] * real, rows.weight[row] * real)
