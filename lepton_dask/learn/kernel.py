"""The pass over one chunk: loss and gradient of a linear model, in cache-sized blocks of rows.

A linear model over a design matrix with P dense columns, Q code columns and D = P + sum(levels)
coefficients is theta (D + 1,): the D coefficients in the order of `DesignMatrix.features`, then the
intercept. Its linear predictor for row i is

    z_i = sum_p dense[i, p] theta[p] + sum_q theta[P + offset_q + codes[i, q]] + theta[D].
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import threadpoolctl

from lepton_dask.learn.losses import Loss
from lepton_dask.matrix import Block, Codes, Floats

BLOCK_VALUES = 1 << 15
"""Matrix values in a block of rows: with its intermediate vectors it stays in a 1 MiB cache."""

MIN_BLOCK_ROWS = 64


class ChunkSums(NamedTuple):
    """Sums over the rows of a chunk: w_i l_i, w_i, and w_i dl_i/dtheta of shape (D + 1,)."""

    loss: float
    weight: float
    gradient: Floats


class ColumnSums(NamedTuple):
    """Sums over the rows of a chunk: w_i y_i, w_i, and w_i x_ij^2 of shape (D,)."""

    target: float
    weight: float
    squares: Floats


@functools.cache
def pin_blas() -> None:
    """One BLAS thread for this process, from now on.

    A worker runs one kernel a thread; BLAS threads on top oversubscribe the cores, and how many
    there are decides how BLAS splits a sum, hence its last bits.
    """
    threadpoolctl.threadpool_limits(1, user_api="blas")


# A theta that is too large overflows; the optimizer sees infinite sums, no one needs a warning.
@np.errstate(over="ignore", invalid="ignore")
def sweep_block(block: Block, levels: tuple[int, ...], loss: Loss, theta: Floats) -> ChunkSums:
    """One pass over a chunk; temporary memory is a block of rows, whatever the chunk's size.

    `loss` is pointwise, theta (D + 1,). A chunk without rows sums to zeros. The result depends on
    the arguments' values alone: rows are taken in blocks that the shapes decide, through arrays
    aligned by `aligned`.
    """
    P = block.dense.shape[1]
    D = P + sum(levels)
    offsets = _offsets(levels)
    gradient = np.zeros(D + 1)
    dense_gradient, codes_gradient = gradient[:P], gradient[P:D]
    loss_sum = weight_sum = 0.0
    block = aligned(block)
    for rows in _row_blocks(block, D - P):
        dense, w = block.dense[rows], block.weight[rows]
        shifted = block.codes[rows] + offsets
        z = _predictor(dense, shifted, theta)
        values, residual = loss.value_and_gradient(block.target[rows], z)
        residual *= w
        loss_sum += float(w @ values)
        weight_sum += float(w.sum())
        dense_gradient += residual @ dense
        if levels:
            codes_gradient += np.bincount(
                shifted.ravel(), weights=np.repeat(residual, len(levels)), minlength=D - P
            )
        gradient[D] += residual.sum()
    return ChunkSums(loss_sum, weight_sum, gradient)


def column_sums(block: Block, levels: tuple[int, ...]) -> ColumnSums:
    """What the start of training needs of a chunk; a level's square sum is its weight."""
    P = block.dense.shape[1]
    D = P + sum(levels)
    offsets = _offsets(levels)
    squares = np.zeros(D)
    target_sum = weight_sum = 0.0
    block = aligned(block)
    for rows in _row_blocks(block, D - P):
        dense, w = block.dense[rows], block.weight[rows]
        target_sum += float(w @ block.target[rows])
        weight_sum += float(w.sum())
        squares[:P] += w @ (dense * dense)
        if levels:
            squares[P:] += np.bincount(
                (block.codes[rows] + offsets).ravel(),
                weights=np.repeat(w, len(levels)),
                minlength=D - P,
            )
    return ColumnSums(target_sum, weight_sum, squares)


def linear_predictor(block: Block, levels: tuple[int, ...], theta: Floats) -> Floats:
    """z of every row of a chunk, shape (n,), for theta (D + 1,)."""
    block = aligned(block)
    offsets = _offsets(levels)
    z = np.empty(len(block.target))
    for rows in _row_blocks(block, sum(levels)):
        z[rows] = _predictor(block.dense[rows], block.codes[rows] + offsets, theta)
    return z


def aligned(block: Block) -> Block:
    """The chunk as C-ordered, aligned arrays.

    Arrays that came over the network may start at any byte; BLAS takes another path for those, and
    rounds differently. Nothing is copied where nothing has to be.
    """
    return Block(
        dense=np.require(block.dense, requirements=["C", "A"]),
        codes=np.require(block.codes, requirements=["C", "A"]),
        target=np.require(block.target, requirements=["C", "A"]),
        weight=np.require(block.weight, requirements=["C", "A"]),
    )


def _predictor(dense: Floats, shifted: Codes, theta: Floats) -> Floats:
    P = dense.shape[1]
    z: Floats = dense @ theta[:P]
    if shifted.shape[1]:
        z += np.take(theta[P:-1], shifted).sum(axis=1)
    z += theta[-1]
    return z


def _offsets(levels: tuple[int, ...]) -> Codes:
    """Where each code column's coefficients begin among those of all code columns, shape (Q,)."""
    return np.concatenate([[0], np.cumsum(levels)[:-1]]).astype(np.int32)[: len(levels)]


def _row_blocks(block: Block, code_coefficients: int) -> Iterator[slice]:
    """Slices of rows that fill the cache.

    The gradient of the code columns costs a vector of `code_coefficients` for each block: the
    block is made long enough to be worth that.
    """
    n, P = block.dense.shape
    Q = block.codes.shape[1]
    rows = max(MIN_BLOCK_ROWS, BLOCK_VALUES // max(1, P + 3 * Q))
    if Q:
        rows = max(rows, code_coefficients // Q)
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))
