"""The compiled pass over a chunk's rows for one linear predictor a row (K = 1).

Rows are taken in runs that the cache holds: the run's z from its matrix, the residuals from z, and
back to the gradient from the matrix, which is in the cache by then. So a pass reads memory once.
Sums over columns may be reassociated (SIMD); which ones are depends on the shapes alone.
"""

from __future__ import annotations

import numpy as np

from lepton_dask.learn.kernels.arrays import Dense, Offsets, Values
from lepton_dask.learn.kernels.compiler import REASSOCIATE, kernel
from lepton_dask.learn.kernels.pointwise import (
    HUBER,
    curve,
    evaluate,
    huber_scale_slope,
)
from lepton_dask.matrix import Codes, Floats

unsigned = np.uintp
"""Indices that cannot be negative: Python's reading of -1 costs a comparison."""

compiled = kernel()
summing = kernel(REASSOCIATE)


@summing
def add_dense(dense: Dense, start: int, stop: int, theta: Floats, z: Floats) -> None:
    """z[i] += sum_j dense[start + i, j] theta[j].

    This is where the matrix comes from memory: row after row, one stream, as the processor's
    prefetcher wants it. Four rows at a time take 1.4 times as long.
    """
    for i in range(start, stop):
        x = dense[i]
        s = 0.0
        for j in range(len(x)):
            s += x[j] * theta[j]
        z[i - start] += s


@summing
def gather_dense(dense: Dense, start: int, stop: int, residual: Floats, total: Floats) -> None:
    """total[j] += sum_i residual[i] dense[start + i, j], four rows for one sweep over `total`."""
    P = dense.shape[1]
    i = start
    while i + 4 <= stop:
        x0, x1, x2, x3 = dense[i], dense[i + 1], dense[i + 2], dense[i + 3]
        r0, r1 = residual[i - start], residual[i - start + 1]
        r2, r3 = residual[i - start + 2], residual[i - start + 3]
        for j in range(P):
            total[j] += (r0 * x0[j] + r1 * x1[j]) + (r2 * x2[j] + r3 * x3[j])
        i += 4
    while i < stop:
        x0 = dense[i]
        r0 = residual[i - start]
        for j in range(P):
            total[j] += r0 * x0[j]
        i += 1


@compiled
def add_entries(
    codes: Codes,
    offsets: Offsets,
    starts: Offsets,
    columns: Codes,
    values: Values,
    start: int,
    stop: int,
    theta: Floats,
    first: int,
    z: Floats,
) -> None:
    """z[i] += sum_q theta[offsets[q] + codes[start + i, q]], and over the entries e of the row,
    theta[first + columns[e]] values[e] where there are sparse columns."""
    Q = codes.shape[1]
    for i in range(start, stop):
        s = 0.0
        for q in range(Q):
            s += theta[unsigned(offsets[q] + codes[i, q])]
        z[i - start] += s
    if len(starts):
        for i in range(start, stop):
            s = 0.0
            for e in range(starts[i], starts[i + 1]):
                s += values[e] * theta[unsigned(first + columns[e])]
            z[i - start] += s


@compiled
def gather_entries(
    codes: Codes,
    offsets: Offsets,
    starts: Offsets,
    columns: Codes,
    values: Values,
    start: int,
    stop: int,
    residual: Floats,
    first: int,
    total: Floats,
) -> None:
    """`total` += residual[i] at the row's levels and, times values[e], its sparse columns."""
    Q = codes.shape[1]
    for i in range(start, stop):
        r = residual[i - start]
        for q in range(Q):
            total[unsigned(offsets[q] + codes[i, q])] += r
    if len(starts):
        for i in range(start, stop):
            r = residual[i - start]
            for e in range(starts[i], starts[i + 1]):
                total[unsigned(first + columns[e])] += r * values[e]


@compiled
def predict(
    dense: Dense,
    codes: Codes,
    offsets: Offsets,
    starts: Offsets,
    columns: Codes,
    values: Values,
    start: int,
    stop: int,
    theta: Floats,
    D: int,
    S: int,
    z: Floats,
) -> None:
    """z[: stop - start] of rows start to stop, for theta (D + 1, ...)."""
    for i in range(stop - start):
        z[i] = theta[D]
    if dense.shape[1]:
        add_dense(dense, start, stop, theta, z)
    add_entries(codes, offsets, starts, columns, values, start, stop, theta, D - S, z)


@compiled
def sweep(
    dense: Dense,
    codes: Codes,
    offsets: Offsets,
    starts: Offsets,
    columns: Codes,
    values: Values,
    y: Floats,
    w: Floats,
    class_weights: Floats,
    theta: Floats,
    D: int,
    S: int,
    code: int,
    a: float,
    b: float,
    scale: float,
    run: int,
    first: int,
    step: int,
    gradient: Floats,
    curvature: Floats,
) -> tuple[float, float]:
    """Adds to gradient (D + 1 + extra,); the sums of w l and of w.

    Of the runs of `run` rows those are taken whose number is first, first + step, ... `curvature`
    (n,) becomes w d2l/dz2 of each row unless it is empty.
    """
    n = len(y)
    z = np.empty(run)
    value = np.empty(run)
    residual = np.empty(run)
    weight = np.empty(run)
    loss_sum = 0.0
    weight_sum = 0.0
    for start in range(first * run, n, step * run):
        stop = min(start + run, n)
        m = stop - start
        predict(dense, codes, offsets, starts, columns, values, start, stop, theta, D, S, z)
        evaluate(code, a, b, scale, y, start, m, z, value, residual)
        for i in range(m):
            weight[i] = w[start + i]
        if len(class_weights):
            for i in range(m):
                weight[i] *= class_weights[int(y[start + i])]
        if code == HUBER:
            slope = 0.0
            for i in range(m):
                slope += weight[i] * huber_scale_slope(y[start + i], z[i], a, scale)
            gradient[D + 1] += slope
        if len(curvature):
            curve(code, a, b, scale, y, start, m, z, curvature)
            for i in range(m):
                curvature[start + i] *= weight[i]
        loss, mass, slope = weighed(m, weight, value, residual)
        loss_sum += loss
        weight_sum += mass
        gradient[D] += slope
        if dense.shape[1]:
            gather_dense(dense, start, stop, residual, gradient)
        gather_entries(
            codes, offsets, starts, columns, values, start, stop, residual, D - S, gradient
        )
    return loss_sum, weight_sum


@summing
def weighed(n: int, weight: Floats, value: Floats, residual: Floats) -> tuple[float, float, float]:
    """The sums of w l, w and w dl/dz over n rows; `residual` becomes w dl/dz."""
    loss = mass = slope = 0.0
    for i in range(n):
        w = weight[i]
        loss += w * value[i]
        mass += w
        r = w * residual[i]
        residual[i] = r
        slope += r
    return loss, mass, slope
