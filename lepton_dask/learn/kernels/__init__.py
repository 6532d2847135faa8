"""Passes over the rows of a chunk, compiled.

Importing this imports no compiler; the first pass does, or `warm_up` ahead of it.
"""

from lepton_dask.learn.kernels.columns import column_sums
from lepton_dask.learn.kernels.sums import Batch, ChunkSums, ColumnSums
from lepton_dask.learn.kernels.sweep import linear_predictor, sweep_block
from lepton_dask.learn.kernels.warming import warm_up

__all__ = [
    "Batch",
    "ChunkSums",
    "ColumnSums",
    "column_sums",
    "linear_predictor",
    "sweep_block",
    "warm_up",
]
