"""The labels of a category: their numbers, and how they are shown.

It imports numpy alone, since it leaves with the model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.columns import Column, NumberColumn, TextColumn

Label = str | bool | int | float
Codes = NDArray[np.int32]

OTHER = "(other)"
MISSING = "(missing)"


def label_codes(column: Column, labels: tuple[Label, ...], has_missing: bool) -> Codes:
    """Every row's index among L labels; L for any other, and for a missing value L + 1 where
    `has_missing`, else L."""
    other = len(labels)
    missing = other + 1 if has_missing else other
    if isinstance(column, TextColumn):
        index = {label: i for i, label in enumerate(labels)}
        codes = [index.get(level, other) for level in column.levels]
        # The code -1 of a missing text picks the last. By `take`, in a quarter of an index's time.
        return np.array([*codes, missing], dtype=np.int32).take(column.codes, mode="wrap")
    if not isinstance(column, NumberColumn):
        raise TypeError("dates and timestamps are not categories")
    values = np.array(labels, dtype=np.float64)
    order = np.argsort(values)
    places = np.minimum(np.searchsorted(values[order], column.values), max(other - 1, 0))
    matched = np.where(values[order][places] == column.values, order[places], other)
    return np.where(column.missing, missing, matched).astype(np.int32)


def label_text(label: Label) -> str:
    """A label as a feature's name shows it: 3 for 3.0, true for True."""
    if isinstance(label, bool):
        return "true" if label else "false"
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


def level_features(
    name: str, levels: tuple[Label, ...] | tuple[int, ...], has_missing: bool
) -> tuple[str, ...]:
    labels = [*(label_text(level) for level in levels), OTHER, *([MISSING] * has_missing)]
    return tuple(f"{name}={label}" for label in labels)
