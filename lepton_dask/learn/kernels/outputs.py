"""The pass over a chunk's rows for K linear predictors a row: multinomial, and candidates.py.

The dense columns go through BLAS in blocks of rows, which does K outputs at the price of a few; the
code and sparse columns through compiled gathers of the K coefficients of a level, which lie side by
side.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lepton_dask.learn.kernels.arrays import Arrays, Offsets, Values, plain
from lepton_dask.learn.kernels.compiler import kernel
from lepton_dask.learn.kernels.lanes import LANES, add_levels, spread_levels
from lepton_dask.learn.kernels.pointwise import evaluate_classes
from lepton_dask.learn.kernels.sums import Batch, ChunkSums
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.matrix import Codes, Floats

BLOCK_BYTES = 1 << 19
MIN_BLOCK_ROWS, MAX_BLOCK_ROWS = 64, 4096


@kernel()
def add_outputs(
    codes: Codes,
    offsets: Offsets,
    starts: Offsets,
    columns: Codes,
    values: Values,
    start: int,
    T: Floats,
    D: int,
    S: int,
    z: Floats,
) -> None:
    """z (m, K) += the intercepts and the rows' levels and sparse columns, from row `start` on."""
    m, K = z.shape
    whole = K - K % LANES
    for i in range(m):
        for k in range(K):
            z[i, k] += T[D, k]
        if codes.shape[1]:
            for k in range(0, whole, LANES):
                add_levels(z, i, codes, offsets, start + i, T, k)
            for q in range(codes.shape[1] if whole < K else 0):
                d = offsets[q] + codes[start + i, q]
                for k in range(whole, K):
                    z[i, k] += T[d, k]
        if S:
            for e in range(starts[start + i], starts[start + i + 1]):
                d = D - S + columns[e]
                v = values[e]
                for k in range(K):
                    z[i, k] += v * T[d, k]


@kernel()
def gather_outputs(
    codes: Codes,
    offsets: Offsets,
    starts: Offsets,
    columns: Codes,
    values: Values,
    start: int,
    residual: Floats,
    D: int,
    S: int,
    total: Floats,
) -> None:
    """total (D + 1, K) += residual (m, K) at the rows' levels, sparse columns and intercepts."""
    m, K = residual.shape
    whole = K - K % LANES
    for i in range(m):
        for k in range(K):
            total[D, k] += residual[i, k]
        if codes.shape[1]:
            for k in range(0, whole, LANES):
                spread_levels(residual, i, codes, offsets, start + i, total, k)
            for q in range(codes.shape[1] if whole < K else 0):
                d = offsets[q] + codes[start + i, q]
                for k in range(whole, K):
                    total[d, k] += residual[i, k]
        if S:
            for e in range(starts[start + i], starts[start + i + 1]):
                d = D - S + columns[e]
                v = values[e]
                for k in range(K):
                    total[d, k] += v * residual[i, k]


def sweep_outputs(
    arrays: Arrays, model: LinearModel, theta: Floats, curvature: bool, batch: Batch
) -> ChunkSums:
    """Loss and gradient, and the Hessian where asked, for K outputs."""
    from lepton_dask.learn.kernels.hessian import ClassHessian

    D, K, S = model.layout.coefficients, model.outputs, _sparse(arrays, model)
    P = model.layout.dense
    T = plain(theta).reshape(D + 1, K)
    gradient = np.zeros(model.parameters)
    G = gradient.reshape(D + 1, K)
    hessian = ClassHessian(arrays, model) if curvature else None
    loss_sum = weight_sum = 0.0
    for rows in blocks(arrays, K, batch):
        z = _predicted(arrays, rows, T, P, S)
        y = arrays.target[rows]
        w = arrays.weight[rows]
        if model.class_weights is not None:
            w = w * arrays.class_weights[y.astype(np.int64)]
        value, slope = np.empty(len(y)), np.empty_like(z)
        evaluate_classes(y, z, value, slope)
        loss_sum += float(w @ value)
        weight_sum += float(w.sum())
        if hessian is not None:
            hessian.add(rows, w, model.loss.inverse_link(z))
        slope *= w[:, None]
        if P:
            G[:P] += arrays.dense[rows].T @ slope
        gather_outputs(*arrays[1:6], rows.start, slope, D, S, G)
    return ChunkSums(loss_sum, weight_sum, gradient, None if hessian is None else hessian.whole())


def predict_outputs(arrays: Arrays, model: LinearModel, theta: Floats) -> Floats:
    """z (n, K)."""
    D, K, S = model.layout.coefficients, model.outputs, _sparse(arrays, model)
    T = plain(theta).reshape(D + 1, K)
    z = np.empty((len(arrays.target), K))
    for rows in blocks(arrays, K, Batch(0, 1)):
        z[rows] = _predicted(arrays, rows, T, model.layout.dense, S)
    return z


def blocks(arrays: Arrays, outputs: int, batch: Batch) -> Iterator[slice]:
    """The batch's blocks of rows, in order; their bounds depend on the chunk's shape alone."""
    n, P = arrays.dense.shape
    rows = min(max(BLOCK_BYTES // (8 * (P + 3 * outputs)), MIN_BLOCK_ROWS), MAX_BLOCK_ROWS)
    rows = max(1, min(rows, -(-n // batch.of)))
    for start in range(batch.number * rows, n, batch.of * rows):
        yield slice(start, min(start + rows, n))


def _predicted(arrays: Arrays, rows: slice, T: Floats, P: int, S: int) -> Floats:
    K = T.shape[1]
    z = arrays.dense[rows] @ T[:P] if P else np.zeros((rows.stop - rows.start, K))
    add_outputs(*arrays[1:6], rows.start, T, len(T) - 1, S, z)
    return z


def _sparse(arrays: Arrays, model: LinearModel) -> int:
    return model.layout.sparse if len(arrays.starts) else 0
