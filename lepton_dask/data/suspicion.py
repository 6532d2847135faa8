"""What a profile shows of a feature that should not be one, and bins to look closer in."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lepton_dask.data.columns import NumberColumn
from lepton_dask.data.levels import DISTINCT_CAP
from lepton_dask.data.moments import Moments
from lepton_dask.data.prepared import FittedNumber, Floats, Prepared
from lepton_dask.data.profile import ColumnProfile, Profile
from lepton_dask.data.sketch import weighted_quantiles

LEAST_ROWS = 300
"""Fewer rows may well all differ."""

NEARLY_ALL = 0.95
EVENLY = 0.01
"""How far a spread may be from that of equal steps, as a share of it."""


def like_ids(prepared: Prepared, rows: Profile) -> Iterator[tuple[str, str]]:
    """The features that look like an id, each with the reason; `rows` are all that were read. Not
    those that are hashed: texts that all differ are what hashing is for."""
    columns = (fitted.column for fitted in (*prepared.numbers, *prepared.codes))
    for column in dict.fromkeys(columns):
        reason = id_likeness(rows.columns[column])
        if reason is not None:
            yield column, reason


def id_likeness(profile: ColumnProfile) -> str | None:
    """Why a column of integers or texts looks like an id, as the end of a sentence that starts with
    its name; None where it does not.

    A running number has as many steps from its least to its greatest value as rows, spread evenly:
    (n^2 - 1) / 12 is the variance of n of them.
    """
    levels, cap = profile.levels, DISTINCT_CAP[profile.type.kind]
    if profile.type.kind not in ("integer", "text") or profile.count < LEAST_ROWS:
        return None
    if levels is not None and len(levels) < NEARLY_ALL * profile.count:
        return None
    if profile.moments is not None and _runs(profile.moments):
        first, last = profile.moments.minimum, profile.moments.maximum
        return f"runs from {first} to {last} in {profile.count:,} rows, as a running number does"
    if levels is None and cap < NEARLY_ALL * profile.count:
        return None
    distinct = f"more than {cap:,}" if levels is None else f"{len(levels):,}"
    return f"has {distinct} different values in {profile.count:,} rows"


def _runs(moments: Moments) -> bool:
    steps = int(moments.maximum) - int(moments.minimum) + 1
    even = math.sqrt((steps**2 - 1) / 12)
    return (
        NEARLY_ALL * steps <= moments.count <= steps
        and abs(moments.standard_deviation - even) <= EVENLY * even
    )


def bin_edges(number: FittedNumber, profile: ColumnProfile, bins: int) -> Floats:
    """Ascending edges, on the prepared scale, of at most `bins` bins that hold about as many
    training rows each; a value each where there are fewer values."""
    values, weights = profile.ordered()
    if len(values) >= bins:
        shares = np.arange(1, bins) / bins
        values = np.array(weighted_quantiles(values, weights, shares.tolist()))
    present = np.zeros(len(values), dtype=bool)
    edges, _ = number.apply(NumberColumn(values.astype(np.float64), present))
    return np.unique(edges)
