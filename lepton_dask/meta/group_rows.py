"""From a chunk's columns to its rows by group, prepared."""

from __future__ import annotations

import numpy as np

from lepton_dask.data.columns import Columns
from lepton_dask.data.groups import group_names
from lepton_dask.data.prepared import Learnable, Prepared
from lepton_dask.learn.layers import expanded
from lepton_dask.learn.meta.chunks import GroupedChunk, GroupFacts
from lepton_dask.learn.meta.groups import grouped
from lepton_dask.matrix import Floats


def grouped_chunk(columns: Columns, prepared: Prepared, group: str) -> GroupedChunk:
    """The rows that can be learnt from, by the value of the column `group`; rows without a value
    there are left out, and counted with the others that are."""
    learnable = prepared.learnable(columns)
    owner, names = group_names(columns[group])
    usable = learnable.usable & (owner >= 0)
    homeless = int(np.count_nonzero(learnable.usable & (owner < 0)))
    reasons = dict(learnable.unusable) | ({f"no '{group}'": homeless} if homeless else {})
    rows = grouped(
        owner[usable],
        names,
        features_of(prepared, learnable)[usable],
        learnable.target[usable],
        learnable.weight[usable],
    )
    return GroupedChunk(rows, GroupFacts.of(rows, reasons))


def features_of(prepared: Prepared, learnable: Learnable) -> Floats:
    """(n, D): categories as columns of 0 and 1."""
    return expanded(learnable.rows.dense, learnable.rows.codes, prepared.levels)
