"""The rows of a chunk that lie nearest to the model, as they are."""

from __future__ import annotations

import numpy as np

from lepton_dask.learn.kernels.sums import NearRows
from lepton_dask.learn.kernels.sweep import linear_predictor, sweep_block
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.matrix import Block, Floats


def nearest_rows(block: Block, model: LinearModel, theta: Floats, share: float) -> NearRows:
    """The `share` of a chunk's rows with the smallest |y - z|, rounded up where it is not 0, and
    loss and gradient over all the others. For losses of one linear predictor, (M,) = (D + 1,).
    """
    n, M = len(block.target), model.parameters
    residual = np.abs(block.target - linear_predictor(block, model, theta))
    wanted = min(n, int(np.ceil(share * n)))
    near = np.sort(np.argpartition(residual, wanted - 1)[:wanted]) if wanted else np.empty(0, int)
    weight = block.weight.copy()
    weight[near] = 0.0
    others = sweep_block(block._replace(weight=weight), model, theta)
    return NearRows(
        _as_columns(block, model, near) if wanted else np.zeros((0, M)),
        block.target[near],
        block.weight[near],
        others.loss,
        others.gradient,
        n,
    )


def _as_columns(block: Block, model: LinearModel, rows: np.ndarray) -> Floats:
    """Rows over all D + 1 columns: a level is a 1 in its column."""
    layout = model.layout
    columns = np.zeros((len(rows), layout.coefficients + 1))
    columns[:, : layout.dense] = block.dense[rows]
    start, each = layout.dense, np.arange(len(rows))
    for q, levels in enumerate(layout.levels):
        columns[each, start + block.codes[rows, q]] = 1.0
        start += levels
    if block.sparse is not None:
        starts, places, values = block.sparse
        for i, row in enumerate(rows):
            held = slice(starts[row], starts[row + 1])
            np.add.at(columns[i], start + places[held], values[held])
    columns[:, -1] = 1.0
    return columns
