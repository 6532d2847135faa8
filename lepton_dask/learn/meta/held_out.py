"""Which groups are held out, and which of their rows they are judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from lepton_dask.learn.meta.base import GroupedRows, Label
from lepton_dask.learn.meta.groups import digest

MOST_HELD_OUT = 200
"""Groups: an interval over as many is narrow, and their rows fit in the driver of a wide table."""
MOST_QUERIED = 500
"""Rows that a held-out group is judged by, beside those that it adapts to."""


def choose_held_out(
    rows: Mapping[Label, int], share: float, fewest_rows: int, seed: int, *, spare: int
) -> frozenset[Label]:
    """Of the groups with these counts of rows, a share drawn by name and seed.

    At least 2 and at most 200, from those of at least `fewest_rows`: others cannot be adapted to
    and judged. None where that would leave fewer than `spare` to learn from.
    """
    able = [name for name, count in rows.items() if count >= fewest_rows]
    wanted = min(max(2, math.ceil(share * len(rows))), MOST_HELD_OUT, len(able), len(rows) - spare)
    if wanted < 2:
        return frozenset()
    return frozenset(sorted(able, key=lambda name: digest(seed, name))[:wanted])


def sampled(rows: GroupedRows, most: int, seed: int) -> GroupedRows:
    """The groups with at most so many rows each, drawn by the group's name and the seed."""
    chosen = []
    for t, name in enumerate(rows.names):
        own = np.arange(rows.starts[t], rows.starts[t + 1])
        if len(own) > most:
            drawn = np.random.default_rng(digest(seed, name)).permutation(len(own))[:most]
            own = own[np.sort(drawn)]
        chosen.append(own)
    places = np.concatenate([np.empty(0, np.intp), *chosen]).astype(np.intp)
    return rows.rows(places, np.arange(len(rows.names)))
