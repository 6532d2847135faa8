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
from lepton_dask.learn.kernels.simd import add_multiples, products
from lepton_dask.matrix import Codes, Floats

unsigned = np.uintp
"""Indices that cannot be negative: Python's reading of -1 costs a comparison."""

ABREAST = 4

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
def add_dense_abreast(
    dense: Dense, at: Offsets, m: int, run: int, theta: Floats, z: Floats
) -> None:
    """z[k run + i] += sum_j dense[at[k] + i, j] theta[j] for the four runs k, i < m."""
    for i in range(m):
        s = products(dense, (at[0] + i, at[1] + i, at[2] + i, at[3] + i), theta)
        for k in range(4):
            z[k * run + i] += s[k]


@compiled
def gather_dense_abreast(
    dense: Dense, at: Offsets, m: int, run: int, residual: Floats, total: Floats
) -> None:
    """total[j] += sum_k sum_i residual[k run + i] dense[at[k] + i, j]."""
    for i in range(m):
        r = residual[i], residual[run + i], residual[2 * run + i], residual[3 * run + i]
        add_multiples(total, dense, (at[0] + i, at[1] + i, at[2] + i, at[3] + i), r)


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
    P = dense.shape[1]
    z = np.empty(ABREAST * run)
    value = np.empty(ABREAST * run)
    residual = np.empty(ABREAST * run)
    target = np.empty(ABREAST * run)
    weight = np.empty(ABREAST * run)
    at = np.zeros(ABREAST, np.int64)
    loss_sum = 0.0
    weight_sum = 0.0
    whole = (n // run - first + step - 1) // step if n // run > first else 0
    count = ((n + run - 1) // run - first + step - 1) // step
    quarter = whole // ABREAST
    number = 0
    while number < count:
        # Four whole runs, a quarter of the rows apart; then one by one what is left.
        together = number < quarter
        abreast = ABREAST if together else 1
        m = run
        for k in range(abreast):
            at[k] = (first + (number + k * quarter) * step) * run
            m = min(m, n - at[k])
            for i in range(m):
                z[k * run + i] = theta[D]
                target[k * run + i] = y[at[k] + i]
                weight[k * run + i] = w[at[k] + i]
        rows = m if abreast == 1 else ABREAST * run
        if P and together:
            add_dense_abreast(dense, at, m, run, theta, z)
        elif P:
            add_dense(dense, at[0], at[0] + m, theta, z)
        for k in range(abreast):
            add_entries(
                codes, offsets, starts, columns, values,
                at[k], at[k] + m, theta, D - S, z[k * run :],
            )
        evaluate(code, a, b, scale, target, 0, rows, z, value, residual)
        if len(class_weights):
            for i in range(rows):
                weight[i] *= class_weights[int(target[i])]
        if code == HUBER:
            slope = 0.0
            for i in range(rows):
                slope += weight[i] * huber_scale_slope(target[i], z[i], a, scale)
            gradient[D + 1] += slope
        if len(curvature):
            for k in range(abreast):
                curve(code, a, b, scale, y, at[k], m, z[k * run :], curvature)
                for i in range(m):
                    curvature[at[k] + i] *= weight[k * run + i]
        loss, mass, slope = weighed(rows, weight, value, residual)
        loss_sum += loss
        weight_sum += mass
        gradient[D] += slope
        if P and together:
            gather_dense_abreast(dense, at, m, run, residual, gradient)
        elif P:
            gather_dense(dense, at[0], at[0] + m, residual, gradient)
        for k in range(abreast):
            gather_entries(
                codes, offsets, starts, columns, values,
                at[k], at[k] + m, residual[k * run :], D - S, gradient,
            )
        number = number + 1 if number + 1 != quarter else ABREAST * quarter
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
