"""A Hessian's estimate from few of a chunk's rows: those that say most about a parameter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.kernels.arrays import Arrays, Dense, Offsets, Values, as_arrays
from lepton_dask.learn.kernels.compiler import REASSOCIATE, kernel
from lepton_dask.learn.kernels.hessian import add_products
from lepton_dask.learn.kernels.rows import unsigned
from lepton_dask.learn.kernels.sums import ChunkSums, Leverage, Sketch
from lepton_dask.learn.kernels.sweep import WHOLE, add_sweep, run_rows
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.sampling import rows_of
from lepton_dask.matrix import Block, Codes, Floats

FAINT = 1e-12
"""A parameter's diagonal counts as at least this share of the largest: what no row has seen yet is
0, and its first rows are kept."""

GRID_BITS = 44
"""The grid's step, in bits below a diagonal entry: sums of up to 512 times that entry are exact
(53 bits), and the rounding is nothing beside the error of a sample."""


@kernel(inline=True)
def uniform(seed: np.uint64, number: int) -> float:
    """In [0, 1): the draw with this number, by splitmix64 (Steele, Lea, Flood: Fast splittable
    pseudorandom number generators, 2014)."""
    bits = seed + np.uint64(number + 1) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits = bits ^ (bits >> np.uint64(31))
    return float(bits >> np.uint64(11)) * 2.0**-53


@kernel(REASSOCIATE)
def keep(
    dense: Dense,
    codes: Codes,
    offsets: Offsets,
    starts: Offsets,
    columns: Codes,
    values: Values,
    h: Floats,
    scale: Floats,
    D: int,
    S: int,
    seed: np.uint64,
    kept: NDArray[np.int64],
) -> int:
    """Writes the numbers of the rows that are kept, and returns how many; h[i] of those becomes
    h_i / q_i, with q_i = min(1, |h_i| sum_j x_ij^2 scale_j), scale (D + 1,)."""
    P = dense.shape[1]
    Q = codes.shape[1]
    count = 0
    for i in range(len(h)):
        s = scale[D]
        x = dense[i]
        for j in range(P):
            s += x[j] * x[j] * scale[j]
        for q in range(Q):
            s += scale[unsigned(offsets[q] + codes[i, q])]
        if S:
            for e in range(starts[i], starts[i + 1]):
                s += values[e] * values[e] * scale[unsigned(D - S + columns[e])]
        share = abs(h[i]) * s
        if uniform(seed, i) < share:
            kept[count] = i
            count += 1
            if share < 1.0:
                h[i] /= share
    return count


@kernel()
def to_grid(lower: Floats, root: Floats) -> None:
    """Rounds the lower triangle's entries to multiples of 2^-GRID_BITS root_j root_k, each root a
    power of 2 near that of the diagonal's entry: sums of such numbers have no rounding (Demmel,
    Nguyen: Fast reproducible floating-point summation, 2013, by rounding ahead)."""
    fine = 2.0 ** (GRID_BITS // 2)
    for j in range(len(root)):
        up = fine / root[j]
        for k in range(j + 1):
            scale = up * (fine / root[k])
            lower[j, k] = np.rint(lower[j, k] * scale) / scale


def sweep_with_sketch(
    block: Block, arrays: Arrays, model: LinearModel, theta: Floats, leverage: Leverage, chunk: int
) -> ChunkSums:
    """Loss and gradient over all rows, and the Hessian of the rows that `leverage` keeps, for one
    output and a loss without parameters of its own."""
    layout, M, n = model.layout, model.parameters, len(arrays.target)
    gradient, h = np.zeros(M), np.empty(n)
    loss, weight = add_sweep(arrays, model, theta, 0.0, run_rows(arrays, WHOLE), WHOLE, gradient, h)
    diagonal = np.maximum(leverage.diagonal, FAINT * np.max(leverage.diagonal))
    kept = np.empty(n, np.int64)
    count = keep(
        *arrays[:6],
        h,
        leverage.rows / diagonal,
        layout.coefficients,
        layout.sparse if len(arrays.starts) else 0,
        _stream(leverage.seed, chunk),
        kept,
    )
    rows = kept[:count]
    products = np.zeros((M, M))
    add_products(as_arrays(rows_of(block, rows), model), model, slice(0, count), h[rows], products)
    to_grid(products, np.exp2(np.ceil(0.5 * np.log2(diagonal))))
    return ChunkSums(loss, weight, gradient, sketch=Sketch(products))


def _stream(seed: int, chunk: int) -> np.uint64:
    """Where the draws of a chunk begin."""
    return np.uint64(np.random.SeedSequence((seed, chunk)).generate_state(1, np.uint64)[0])
