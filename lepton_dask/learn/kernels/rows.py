"""The compiled pass over a chunk's rows for one linear predictor a row (K = 1).

Rows are taken in runs that the cache holds: the run's z from its matrix, the residuals from z, and
back to the gradient from the matrix, which is in the cache by then. So a pass reads memory once.

Four runs go abreast, a quarter of the chunk apart: memory then delivers four streams, which it does
faster than one (in C, 1M x 200 on two threads: a sum over one stream takes 73 ms, over four 65),
and there is other work for the processor while one of them waits. The four rows of a time share
what is loaded of theta and of the gradient. Which rows go together depends on shapes alone.
"""

from __future__ import annotations

import numpy as np

from lepton_dask.learn.kernels.arrays import Dense, Offsets, Values
from lepton_dask.learn.kernels.compiler import REASSOCIATE, kernel
from lepton_dask.learn.kernels.pointwise import HUBER, curve, evaluate, huber_scale_slope
from lepton_dask.learn.kernels.simd import add_multiples, products
from lepton_dask.matrix import Codes, Floats

unsigned = np.uintp
"""Indices that cannot be negative: Python's reading of -1 costs a comparison."""

ABREAST = 4
"""Runs taken at a time, as many as the functions of simd.py take rows."""

Starts = tuple[int, int, int, int]

inlined = kernel(inline=True)


@inlined
def strip(n: int, run: int, number: int, first: int, step: int) -> tuple[int, int]:
    """Where the rows of a batch's run begin, `run` of them, and how many of these are not its own.

    The last run is filled up with rows before it, a run beyond the last one is nothing but such
    rows: then all have one length.
    """
    start = (first + number * step) * run
    at = min(start, n - run)
    return at, min(start - at, run)


@inlined
def predict(
    dense: Dense,
    codes: Codes,
    offsets: Offsets,
    starts: Offsets,
    columns: Codes,
    values: Values,
    at: Starts,
    run: int,
    theta: Floats,
    D: int,
    S: int,
    z: Floats,
) -> None:
    """z[k run + i] of the rows at[k] + i, i < run, for theta (D + 1, ...)."""
    for i in range(ABREAST * run):
        z[i] = theta[D]
    if dense.shape[1]:
        for i in range(run):
            s = products(dense, (at[0] + i, at[1] + i, at[2] + i, at[3] + i), theta)
            for k in range(ABREAST):
                z[k * run + i] += s[k]
    if codes.shape[1]:
        for i in range(run):
            c0, c1, c2, c3 = codes[at[0] + i], codes[at[1] + i], codes[at[2] + i], codes[at[3] + i]
            s0 = s1 = s2 = s3 = 0.0
            # Four sums: one alone would wait for each of its additions.
            for q in range(codes.shape[1]):
                first = offsets[q]
                s0 += theta[unsigned(first + c0[q])]
                s1 += theta[unsigned(first + c1[q])]
                s2 += theta[unsigned(first + c2[q])]
                s3 += theta[unsigned(first + c3[q])]
            z[i] += s0
            z[run + i] += s1
            z[2 * run + i] += s2
            z[3 * run + i] += s3
    if len(starts):
        for k in range(ABREAST):
            for i in range(run):
                s = 0.0
                for e in range(starts[at[k] + i], starts[at[k] + i + 1]):
                    s += values[e] * theta[unsigned(D - S + columns[e])]
                z[k * run + i] += s


@inlined
def gather(
    dense: Dense,
    codes: Codes,
    offsets: Offsets,
    starts: Offsets,
    columns: Codes,
    values: Values,
    at: Starts,
    run: int,
    residual: Floats,
    D: int,
    S: int,
    total: Floats,
) -> None:
    """`total` (D, ...) += residual[k run + i] times the columns of the rows at[k] + i, i < run."""
    if dense.shape[1]:
        for i in range(run):
            r = residual[i], residual[run + i], residual[2 * run + i], residual[3 * run + i]
            add_multiples(total, dense, (at[0] + i, at[1] + i, at[2] + i, at[3] + i), r)
    if codes.shape[1]:
        for i in range(run):
            c0, c1, c2, c3 = codes[at[0] + i], codes[at[1] + i], codes[at[2] + i], codes[at[3] + i]
            r0, r1 = residual[i], residual[run + i]
            r2, r3 = residual[2 * run + i], residual[3 * run + i]
            for q in range(codes.shape[1]):
                first = offsets[q]
                total[unsigned(first + c0[q])] += r0
                total[unsigned(first + c1[q])] += r1
                total[unsigned(first + c2[q])] += r2
                total[unsigned(first + c3[q])] += r3
    if len(starts):
        for k in range(ABREAST):
            for i in range(run):
                r0 = residual[k * run + i]
                for e in range(starts[at[k] + i], starts[at[k] + i + 1]):
                    total[unsigned(D - S + columns[e])] += r0 * values[e]


@kernel()
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

    Of the runs of `run` rows, at most as many as there are, those are taken whose number is first,
    first + step, ... `curvature` (n,) becomes w d2l/dz2 of each row unless it is empty.
    """
    n = len(y)
    rows = ABREAST * run
    z, value, residual = np.empty(rows), np.empty(rows), np.empty(rows)
    target, weight = np.empty(rows), np.empty(rows)
    loss_sum = 0.0
    weight_sum = 0.0
    runs = max(0, (-(-n // run) - first + step - 1) // step)
    quarter = -(-runs // ABREAST)
    for number in range(quarter):
        at0, others0 = strip(n, run, number, first, step)
        at1, others1 = strip(n, run, number + quarter, first, step)
        at2, others2 = strip(n, run, number + 2 * quarter, first, step)
        at3, others3 = strip(n, run, number + 3 * quarter, first, step)
        at, others = (at0, at1, at2, at3), (others0, others1, others2, others3)
        predict(dense, codes, offsets, starts, columns, values, at, run, theta, D, S, z)
        for k in range(ABREAST):
            for i in range(run):
                target[k * run + i] = y[at[k] + i]
                weight[k * run + i] = w[at[k] + i]
        if len(class_weights):
            for i in range(rows):
                weight[i] *= class_weights[int(target[i])]
        evaluate(code, a, b, scale, target, rows, z, value, residual)
        for k in range(ABREAST):
            for i in range(k * run, k * run + others[k]):
                weight[i] = value[i] = residual[i] = 0.0
        if code == HUBER:
            slope = 0.0
            for i in range(rows):
                slope += weight[i] * huber_scale_slope(target[i], z[i], a, scale)
            gradient[D + 1] += slope
        loss, mass, slope = weighed(rows, weight, value, residual)
        loss_sum += loss
        weight_sum += mass
        gradient[D] += slope
        gather(dense, codes, offsets, starts, columns, values, at, run, residual, D, S, gradient)
        if len(curvature):
            curve(code, a, b, scale, target, rows, z, value)
            for k in range(ABREAST):
                for i in range(others[k], run):
                    curvature[at[k] + i] = weight[k * run + i] * value[k * run + i]
    return loss_sum, weight_sum


@kernel(REASSOCIATE, inline=True)
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
