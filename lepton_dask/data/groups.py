"""Which group a row is of: the value of a column, as a text."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.columns import Column, NumberColumn, TextColumn
from lepton_dask.data.labels import label_text


class GroupNames(NamedTuple):
    """owner (n,): for every row the place of its group among the `names`; -1 where it has none."""

    owner: NDArray[np.intp]
    names: tuple[str, ...]


def group_names(column: Column) -> GroupNames:
    """The groups that a column's values tell apart. A number is written as short as it goes: 3 for
    3.0; a moment as ISO 8601."""
    if isinstance(column, TextColumn):
        return GroupNames(column.codes.astype(np.intp), column.levels)
    values, places = np.unique(column.values, return_inverse=True)
    if isinstance(column, NumberColumn):
        names = tuple(label_text(float(value)) for value in values)
    else:
        names = tuple(str(value) for value in values)
    return GroupNames(np.where(column.missing, -1, places).astype(np.intp), names)
