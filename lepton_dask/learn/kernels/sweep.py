"""A pass over one chunk: what the training loop asks of its rows.

A linear model over a design matrix with P dense columns, Q code columns, S sparse columns and
D = P + sum(levels) + S coefficients has, for row i and output k, the linear predictor

    z_ik = sum_p dense[i, p] T[p, k] + sum_q T[offset_q + codes[i, q], k]
         + sum_s sparse[i, s] T[D - S + s, k] + T[D, k]

with T (D + 1, K) the matrix in theta (see `LinearModel`). numba is imported by the first pass, not
with this module.
"""

from __future__ import annotations

import numpy as np

from lepton_dask.learn.kernels.arrays import Arrays, as_arrays, plain
from lepton_dask.learn.kernels.sums import Batch, ChunkSums, Leverage
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.matrix import Block, Floats

RUN_BYTES = 1 << 14
"""Bytes of the matrix in a run of rows: the four that go abreast, with their vectors, stay in the
second-level cache."""

MIN_RUN_ROWS, MAX_RUN_ROWS = 4, 512

WHOLE = Batch(0, 1)


# A theta that is too large overflows; the optimizer sees infinite sums, no one needs a warning.
@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def sweep_block(
    block: Block,
    model: LinearModel,
    theta: Floats,
    *,
    curvature: bool = False,
    smoothing: float = 0.0,
    rows: Batch | None = None,
    nearest: float | None = None,
    leverage: Leverage | None = None,
    chunk: int = 0,
) -> ChunkSums:
    """Loss and gradient, and the Hessian where asked, over a chunk, or over a batch of its rows.

    theta (M,). `smoothing` is quantile's mu. `nearest` asks for that share of the rows themselves,
    `leverage` for a Hessian's estimate, from rows that the chunk's number helps to draw.
    Temporary memory is a run of rows, whatever the chunk's size. A chunk without rows sums to
    zeros; where the loss is not finite or theta not in its domain (huber: sigma <= 0) it is
    infinite. The sums depend on the arguments' values and shapes alone: not on alignment, threads
    or other blocks.
    """
    scale = float(theta[-1]) if model.loss.extra else 1.0
    if not scale > 0:
        return _out_of_domain(block, model, curvature)
    arrays = as_arrays(block, model)
    if model.outputs > 1:
        from lepton_dask.learn.kernels.outputs import sweep_outputs

        sums = sweep_outputs(arrays, model, theta, curvature, rows or WHOLE)
    elif leverage is not None:
        from lepton_dask.learn.kernels.sketch import sweep_with_sketch

        sums = sweep_with_sketch(block, arrays, model, theta, leverage, chunk)
    elif curvature:
        from lepton_dask.learn.kernels.hessian import sweep_with_curvature

        sums = sweep_with_curvature(arrays, model, theta, smoothing, rows or WHOLE)
    else:
        sums = _sweep(arrays, model, theta, smoothing, rows or WHOLE)
    if nearest is not None:
        from lepton_dask.learn.kernels.nearest import nearest_rows

        sums = sums._replace(near=nearest_rows(block, model, theta, nearest))
    return sums if np.isfinite(sums.loss) else sums._replace(loss=np.inf)


def linear_predictor(block: Block, model: LinearModel, theta: Floats) -> Floats:
    """z of every row of a chunk: (n,) for one output, else (n, K)."""
    arrays = as_arrays(block, model)
    n, D = len(block.target), model.layout.coefficients
    if model.outputs > 1:
        from lepton_dask.learn.kernels.outputs import predict_outputs

        return predict_outputs(arrays, model, theta)
    from lepton_dask.learn.kernels import rows

    z = np.empty(n)
    if n:
        # Four quarters, the last of which begins early enough to be as long as the others.
        run = -(-n // rows.ABREAST)
        at = (0, min(run, n - run), min(2 * run, n - run), n - run)
        quarters = np.empty((rows.ABREAST, run))
        S = model.layout.sparse if len(arrays.starts) else 0
        rows.predict(*arrays[:6], at, run, plain(theta), D, S, quarters.reshape(-1))
        for start, quarter in zip(at, quarters, strict=True):
            z[start : start + run] = quarter
    return z


def run_rows(arrays: Arrays, batch: Batch) -> int:
    """Rows in a run: as many as the cache holds, and not more than a quarter of a batch."""
    n, P = len(arrays.target), arrays.dense.shape[1]
    width = int(P * arrays.dense.itemsize + arrays.codes.shape[1] * 4 + 4 * 8)
    rows = min(max(RUN_BYTES // width, MIN_RUN_ROWS), MAX_RUN_ROWS)
    return max(1, min(rows, -(-n // (4 * batch.of))))


def _sweep(
    arrays: Arrays, model: LinearModel, theta: Floats, smoothing: float, batch: Batch
) -> ChunkSums:
    gradient = np.zeros(model.parameters)
    loss, weight = add_sweep(
        arrays, model, theta, smoothing, run_rows(arrays, batch), batch, gradient, np.empty(0)
    )
    return ChunkSums(loss, weight, gradient)


def add_sweep(
    arrays: Arrays,
    model: LinearModel,
    theta: Floats,
    smoothing: float,
    run: int,
    batch: Batch,
    gradient: Floats,
    curvature: Floats,
    code: int | None = None,
) -> tuple[float, float]:
    """The compiled pass for one output: adds to `gradient`, fills `curvature` unless it is empty.

    `code` is the loss's unless given.
    """
    from lepton_dask.learn.kernels import pointwise, rows

    a, b = pointwise.parameters(model.loss, smoothing)
    loss, weight = rows.sweep(
        *arrays,
        plain(theta),
        model.layout.coefficients,
        model.layout.sparse if len(arrays.starts) else 0,
        model.loss.code if code is None else code,
        float(a),
        float(b),
        float(theta[-1]) if model.loss.extra else 1.0,
        run,
        batch.number,
        batch.of,
        gradient,
        curvature,
    )
    return loss, weight


def _out_of_domain(block: Block, model: LinearModel, curvature: bool) -> ChunkSums:
    M = model.parameters
    hessian = np.zeros((M, M)) if curvature else None
    return ChunkSums(np.inf, float(block.weight.sum()), np.zeros(M), hessian)
