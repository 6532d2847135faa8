"""Weighted sums of squares by column, compiled: numpy takes copies of what it squares, and of each
code column."""

from __future__ import annotations

import numpy as np

from lepton_dask.learn.kernels.arrays import Dense, Offsets
from lepton_dask.learn.kernels.compiler import REASSOCIATE, kernel
from lepton_dask.matrix import Codes, Floats


@kernel(REASSOCIATE)
def add_squares(
    dense: Dense, codes: Codes, offsets: Offsets, weight: Floats, total: Floats
) -> None:
    """total[j] += sum_i weight[i] dense[i, j]^2, and total[offsets[q] + codes[i, q]] += weight[i]
    for every row i and code column q: a level's sum of squares is its weight."""
    P = dense.shape[1]
    Q = codes.shape[1]
    for i in range(len(weight)):
        w = weight[i]
        x = dense[i]
        for j in range(P):
            v = np.float64(x[j])
            total[j] += w * (v * v)
        for q in range(Q):
            total[np.uintp(offsets[q] + codes[i, q])] += w
