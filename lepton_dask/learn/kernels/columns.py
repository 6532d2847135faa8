"""What the start of training needs of a chunk."""

from __future__ import annotations

import numpy as np

from lepton_dask.learn.kernels.arrays import as_arrays, plain
from lepton_dask.learn.kernels.sums import ColumnSums
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.matrix import Block


@np.errstate(over="ignore", invalid="ignore")
def column_sums(block: Block, model: LinearModel) -> ColumnSums:
    """Sums over a chunk's rows."""
    from lepton_dask.learn.kernels import squares as kernel

    arrays = as_arrays(block, model)
    layout, K = model.layout, model.outputs
    D, S = layout.coefficients, layout.sparse
    y, w = arrays.target, arrays.weight
    if model.class_weights is not None:
        w = w * arrays.class_weights[y.astype(np.int64)]
    squares = np.zeros(D)
    kernel.add_squares(arrays.dense, arrays.codes, arrays.offsets, plain(w), squares)
    if S and len(arrays.starts):
        row_weights = np.repeat(w, np.diff(arrays.starts))
        values = arrays.values.astype(np.float64)
        squares[D - S :] = np.bincount(arrays.columns, row_weights * values * values, minlength=S)
    target = np.array([float(w @ y)])
    if K > 1:
        target = np.bincount(y.astype(np.int64), w, minlength=K).astype(np.float64)
    return ColumnSums(target, float(w @ (y * y)), float(w.sum()), squares)
