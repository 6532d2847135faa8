"""A column's distribution in one line of blocks."""

from __future__ import annotations

import sys

import numpy as np

from lepton_dask.data.profile import ColumnProfile
from lepton_dask.data.sketch import weighted_quantiles

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS = "_.-:=+*#"
BINS = 12


def blocks() -> str:
    """The blocks that stdout can show, from the lowest to the highest."""
    try:
        BLOCKS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII_BLOCKS
    return BLOCKS


def histogram(column: ColumnProfile, marks: str, bins: int = BINS) -> str:
    """Rows in bins of equal width between the 1 % and 99 % quantiles, where a few far values would
    leave nothing but one block; what lies beyond counts in the outer bins. A blank is an empty bin.

    Empty for text, and for a column without two values between the quantiles.
    """
    if column.count == 0 or column.type.kind == "text":
        return ""
    values, counts = column.ordered()
    low, high = weighted_quantiles(values, counts, (0.01, 0.99))
    if not low < high:
        low, high = float(values[0]), float(values[-1])
    if not (low < high and np.isfinite(high - low)):
        return ""
    places = (np.clip(values.astype(np.float64), low, high) - low) / (high - low) * bins
    rows = np.bincount(np.minimum(places.astype(np.int64), bins - 1), counts, bins)
    heights = np.ceil(rows / rows.max() * len(marks)).astype(int)
    return "".join(marks[height - 1] if height else " " for height in heights)
