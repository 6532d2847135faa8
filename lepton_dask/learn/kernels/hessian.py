"""The Hessian of a chunk, sum_i h_i x_i x_i' with x = [dense, one-hot codes, sparse, 1].

Dense by dense is BLAS's (syrk, by numpy); all other entries are products of the few columns that a
row has an entry in, scattered by compiled loops.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lepton_dask.learn.kernels.arrays import Arrays, Dense, Offsets, Values
from lepton_dask.learn.kernels.compiler import kernel
from lepton_dask.learn.kernels.pointwise import HUBER_SCALE, others
from lepton_dask.learn.kernels.sums import Batch, ChunkSums
from lepton_dask.learn.kernels.sweep import WHOLE, add_sweep, run_rows
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import Huber
from lepton_dask.matrix import Codes, Floats

BLOCK_BYTES = 1 << 20
MIN_BLOCK_ROWS, MAX_BLOCK_ROWS = 256, 4096


@kernel()
def scatter(
    dense: Dense,
    codes: Codes,
    offsets: Offsets,
    starts: Offsets,
    columns: Codes,
    values: Values,
    start: int,
    h: Floats,
    D: int,
    S: int,
    H: Floats,
) -> None:
    """H[a, b] += h x_a x_b for every a that is no dense column and every b <= a, of the rows from
    `start` on; H (D + 1, D + 1). A row's sparse columns may come in any order."""
    P = dense.shape[1]
    Q = codes.shape[1]
    for i in range(len(h)):
        r = start + i
        hi = h[i]
        for q in range(Q):
            row = H[offsets[q] + codes[r, q]]
            for j in range(P):
                row[j] += hi * dense[r, j]
            for p in range(q + 1):
                row[offsets[p] + codes[r, p]] += hi
        if S:
            for e in range(starts[r], starts[r + 1]):
                a = D - S + columns[e]
                hv = hi * values[e]
                row = H[a]
                for j in range(P):
                    row[j] += hv * dense[r, j]
                for q in range(Q):
                    row[offsets[q] + codes[r, q]] += hv
                for f in range(starts[r], starts[r + 1]):
                    b = D - S + columns[f]
                    if b <= a:
                        row[b] += hv * values[f]
                H[D, a] += hv
        row = H[D]
        for j in range(P):
            row[j] += hi * dense[r, j]
        for q in range(Q):
            row[offsets[q] + codes[r, q]] += hi
        row[D] += hi


def add_products(arrays: Arrays, model: LinearModel, rows: slice, h: Floats, H: Floats) -> None:
    """The lower triangle of H (D + 1, D + 1) += sum_i h_i x_i x_i' over `rows`; h of any sign."""
    P, D = model.layout.dense, model.layout.coefficients
    if P:
        dense = arrays.dense[rows].astype(np.float64, copy=False)
        if h.min(initial=0.0) >= 0:
            scaled = dense * np.sqrt(h)[:, None]
            H[:P, :P] += scaled.T @ scaled  # numpy calls syrk: half of the work
        else:
            H[:P, :P] += dense.T @ (dense * h[:, None])
    S = model.layout.sparse if len(arrays.starts) else 0
    scatter(*arrays[:6], rows.start, h, D, S, H)


def symmetric(lower: Floats) -> Floats:
    """The symmetric matrix of which `lower` is the lower triangle."""
    return np.tril(lower) + np.tril(lower, -1).T


def sweep_with_curvature(
    arrays: Arrays, model: LinearModel, theta: Floats, smoothing: float, batch: Batch
) -> ChunkSums:
    """Loss, gradient and Hessian for one output; huber's includes sigma's row, and is positive
    semidefinite."""
    D, M = model.layout.coefficients, model.parameters
    gradient, bend = np.zeros(M), np.zeros(M)
    products = np.zeros((D + 1, D + 1))
    loss_sum = weight_sum = scale_bend = 0.0
    for rows in blocks(arrays, batch):
        some = arrays.slice(rows)
        h = np.empty(len(some.target))
        run = run_rows(some, WHOLE)
        loss, weight = add_sweep(some, model, theta, smoothing, run, WHOLE, gradient, h)
        loss_sum += loss
        weight_sum += weight
        add_products(some, model, slice(0, len(h)), h, products)
        if model.loss.code == Huber.code:
            scale_bend += add_sweep(
                some, model, theta, smoothing, run, WHOLE, bend, np.empty(0), code=HUBER_SCALE
            )[0]
    H = np.zeros((M, M))
    H[: D + 1, : D + 1] = symmetric(products)
    if model.loss.code == Huber.code:
        bend[-1] = scale_bend
        H[-1, :] = H[:, -1] = bend
    return ChunkSums(loss_sum, weight_sum, gradient, H)


class ClassHessian:
    """Multinomial's Hessian, collected block by block of rows.

    Its K x K blocks are sum_i w_i (p_k [k = l] - p_k p_l) x_i x_i', (D + 1, D + 1) each; those for
    (k, l) and (l, k) are equal.
    """

    def __init__(self, arrays: Arrays, model: LinearModel) -> None:
        self._arrays, self._model = arrays, model
        K, D = model.outputs, model.layout.coefficients
        self._products = np.zeros((K, K, D + 1, D + 1))

    def add(self, rows: slice, w: Floats, p: Floats) -> None:
        """Adds `rows`, of weights w and class probabilities p (m, K)."""
        beside = others(p)
        for k in range(self._model.outputs):
            for other in range(k + 1):
                h = p[:, k] * (beside[:, k] if k == other else -p[:, other])
                add_products(self._arrays, self._model, rows, w * h, self._products[k, other])

    def whole(self) -> Floats:
        """(M, M) in the order of theta: output k of column d at d K + k."""
        products, M = self._products, self._model.parameters
        for k in range(len(products)):
            for other in range(k + 1):
                products[k, other] = products[other, k] = symmetric(products[k, other])
        return np.ascontiguousarray(products.transpose(2, 0, 3, 1)).reshape(M, M)


def blocks(arrays: Arrays, batch: Batch) -> Iterator[slice]:
    """The batch's blocks of rows, in order; their bounds depend on the chunk's shape alone."""
    n, P = arrays.dense.shape
    rows = min(max(BLOCK_BYTES // (8 * max(P, 1)), MIN_BLOCK_ROWS), MAX_BLOCK_ROWS)
    rows = max(1, min(rows, -(-n // batch.of)))
    for start in range(batch.number * rows, n, batch.of * rows):
        yield slice(start, min(start + rows, n))
