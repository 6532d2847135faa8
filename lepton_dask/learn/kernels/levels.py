"""Weights by level, compiled: by numpy each code column takes a copy and a count of its own."""

from __future__ import annotations

import numpy as np

from lepton_dask.learn.kernels.arrays import Offsets
from lepton_dask.learn.kernels.compiler import kernel
from lepton_dask.matrix import Codes, Floats


@kernel()
def add_weights(codes: Codes, offsets: Offsets, weight: Floats, total: Floats) -> None:
    """total[offsets[q] + codes[i, q]] += weight[i] for every row i and column q."""
    Q = codes.shape[1]
    for i in range(len(weight)):
        for q in range(Q):
            total[np.uintp(offsets[q] + codes[i, q])] += weight[i]
