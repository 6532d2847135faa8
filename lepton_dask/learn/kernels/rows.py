"""The compiled pass over a chunk's rows for one linear predictor a row (K = 1).

Rows are taken in runs that the cache holds: the run's z from its matrix, the residuals from z, and
back to the gradient from the matrix, which is in the cache by then. So a pass reads memory once.
Sums over columns may be reassociated (SIMD); which ones are depends on the shapes alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.kernels.compiler import REASSOCIATE, kernel
from lepton_dask.learn.kernels.pointwise import (
    HUBER,
    curve,
    evaluate,
    huber_scale_slope,
)
from lepton_dask.matrix import Codes, Floats

Offsets = NDArray[np.int64]
Values = NDArray[np.float32]

compiled = kernel()
summing = kernel(REASSOCIATE)


@summing
def add_dense(dense: Floats, start: int, stop: int, theta: Floats, z: Floats) -> None:
    """z[i] += sum_j dense[start + i, j] theta[j], four rows at a time: theta is read once."""
    P = dense.shape[1]
    i = start
    while i + 4 <= stop:
        x0, x1, x2, x3 = dense[i], dense[i + 1], dense[i + 2], dense[i + 3]
        s0 = s1 = s2 = s3 = 0.0
        for j in range(P):
            t = theta[j]
            s0 += x0[j] * t
            s1 += x1[j] * t
            s2 += x2[j] * t
            s3 += x3[j] * t
        z[i - start] += s0
        z[i - start + 1] += s1
        z[i - start + 2] += s2
        z[i - start + 3] += s3
        i += 4
    while i < stop:
        x0 = dense[i]
        s0 = 0.0
        for j in range(P):
            s0 += x0[j] * theta[j]
        z[i - start] += s0
        i += 1


@summing
def gather_dense(dense: Floats, start: int, stop: int, residual: Floats, total: Floats) -> None:
    """total[j] += sum_i residual[i] dense[start + i, j], four rows at a time."""
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
def add_codes(
    codes: Codes, offsets: Offsets, start: int, stop: int, theta: Floats, z: Floats
) -> None:
    """z[i] += sum_q theta[offsets[q] + codes[start + i, q]]."""
    Q = codes.shape[1]
    for i in range(start, stop):
        s = 0.0
        for q in range(Q):
            s += theta[offsets[q] + codes[i, q]]
        z[i - start] += s


@compiled
def gather_codes(
    codes: Codes, offsets: Offsets, start: int, stop: int, residual: Floats, total: Floats
) -> None:
    Q = codes.shape[1]
    for i in range(start, stop):
        r = residual[i - start]
        for q in range(Q):
            total[offsets[q] + codes[i, q]] += r


@compiled
def add_sparse(
    starts: Offsets, columns: Codes, values: Values, start: int, stop: int, theta: Floats, z: Floats
) -> None:
    """z[i] += sum_k values[k] theta[columns[k]] over the entries k of row start + i."""
    for i in range(start, stop):
        s = 0.0
        for k in range(starts[i], starts[i + 1]):
            s += values[k] * theta[columns[k]]
        z[i - start] += s


@compiled
def gather_sparse(
    starts: Offsets,
    columns: Codes,
    values: Values,
    start: int,
    stop: int,
    residual: Floats,
    total: Floats,
) -> None:
    for i in range(start, stop):
        r = residual[i - start]
        for k in range(starts[i], starts[i + 1]):
            total[columns[k]] += r * values[k]


@compiled
def predict(
    dense: Floats,
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
    z[: stop - start] = theta[D]
    if dense.shape[1]:
        add_dense(dense, start, stop, theta, z)
    if codes.shape[1]:
        add_codes(codes, offsets, start, stop, theta, z)
    if S:
        add_sparse(starts, columns, values, start, stop, theta[D - S :], z)


@compiled
def sweep(
    dense: Floats,
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
        evaluate(code, a, b, scale, y[start:stop], z[:m], value, residual)
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
            curve(code, a, b, scale, y[start:stop], z[:m], curvature[start:stop])
            for i in range(m):
                curvature[start + i] *= weight[i]
        loss, mass, slope = weighed(weight[:m], value, residual)
        loss_sum += loss
        weight_sum += mass
        gradient[D] += slope
        if dense.shape[1]:
            gather_dense(dense, start, stop, residual, gradient)
        if codes.shape[1]:
            gather_codes(codes, offsets, start, stop, residual, gradient)
        if S:
            gather_sparse(starts, columns, values, start, stop, residual, gradient[D - S :])
    return loss_sum, weight_sum


@summing
def weighed(weight: Floats, value: Floats, residual: Floats) -> tuple[float, float, float]:
    """The sums of w l, w and w dl/dz; `residual` becomes w dl/dz."""
    loss = mass = slope = 0.0
    for i in range(len(weight)):
        w = weight[i]
        loss += w * value[i]
        mass += w
        r = w * residual[i]
        residual[i] = r
        slope += r
    return loss, mass, slope
