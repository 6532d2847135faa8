"""A pass over a chunk's rows for K candidates of one linear model, which differ in penalty or fold.

Each candidate has parameters of its own and sees the rows outside its fold. A row is read once for
all of them: the dense columns go through BLAS in blocks of rows that the cache holds, which does K
candidates at the price of a few (as for the K outputs of multinomial), and the compiled loss runs
over a block's K predictors of all rows as if they were rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.kernels.arrays import Arrays, as_arrays, plain
from lepton_dask.learn.kernels.compiler import REASSOCIATE, kernel
from lepton_dask.learn.kernels.outputs import add_outputs, blocks, gather_outputs
from lepton_dask.learn.kernels.pointwise import evaluate, parameters
from lepton_dask.learn.kernels.sums import Batch
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.matrix import Block, Floats

Numbers = NDArray[np.int8]

NO_FOLD = -1


class CandidateSums(NamedTuple):
    """Sums over rows, for each of K candidates: w_i l_i (K,), w_i (K,) and w_i dl_i/dtheta
    (K, M); for those whose curvature was asked for, in order, w_i d2l_i/dtheta2 (C, M, M)."""

    loss: Floats
    weight: Floats
    gradient: Floats
    hessian: Floats | None = None


@kernel(REASSOCIATE)
def weigh_candidates(
    w: Floats,
    fold: Numbers,
    held: Numbers,
    value: Floats,
    slope: Floats,
    loss: Floats,
    mass: Floats,
) -> None:
    """loss (K,) and mass (K,) += the sums of w l and w; slope (m, K) becomes w dl/dz.

    Candidate k sees the rows whose `fold` (m,) is not held[k].
    """
    m, K = slope.shape
    for i in range(m):
        for k in range(K):
            weight = 0.0 if fold[i] == held[k] else w[i]
            # A loss that overflowed in a row that is not seen is not to be seen either.
            loss[k] += 0.0 if fold[i] == held[k] else weight * value[i * K + k]
            mass[k] += weight
            slope[i, k] *= weight


@kernel()
def repeated(y: Floats, K: int, target: Floats) -> None:
    """target (m K,): each of y (m,) K times."""
    for i in range(len(y)):
        for k in range(K):
            target[i * K + k] = y[i]


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def sweep_candidates(
    block: Block, model: LinearModel, thetas: Floats, folds: Numbers, held: Numbers
) -> CandidateSums:
    """Loss and gradient of every candidate over a chunk.

    thetas (K, M), of a model with one output and no parameters beside the linear predictor's.
    `folds` (n,) are the rows' folds and `held` (K,) the one that each candidate leaves out, or
    NO_FOLD. A loss that is not finite is infinite.
    """
    arrays = as_arrays(block, model)
    K, M = thetas.shape
    D, P = model.layout.coefficients, model.layout.dense
    S = model.layout.sparse if len(arrays.starts) else 0
    T = plain(np.ascontiguousarray(thetas.T))
    loss, mass, G = np.zeros(K), np.zeros(K), np.zeros((M, K))
    a, b = parameters(model.loss, 0.0)
    weight = _weights(arrays, model)
    for rows in blocks(arrays, K, Batch(0, 1)):
        m = rows.stop - rows.start
        z = arrays.dense[rows] @ T[:P] if P else np.zeros((m, K))
        add_outputs(*arrays[1:6], rows.start, T, D, S, z)
        target, value, slope = np.empty(m * K), np.empty(m * K), np.empty((m, K))
        repeated(arrays.target[rows], K, target)
        evaluate(
            model.loss.code,
            float(a),
            float(b),
            1.0,
            target,
            m * K,
            z.reshape(-1),
            value,
            slope.reshape(-1),
        )
        weigh_candidates(weight[rows], folds[rows], held, value, slope, loss, mass)
        if P:
            G[:P] += arrays.dense[rows].T @ slope
        gather_outputs(*arrays[1:6], rows.start, slope, D, S, G)
    loss = np.where(np.isfinite(loss), loss, np.inf)
    return CandidateSums(loss, mass, np.ascontiguousarray(G.T))


def _weights(arrays: Arrays, model: LinearModel) -> Floats:
    """The rows' weights, by class where the classes have some."""
    if model.class_weights is None:
        return arrays.weight
    return plain(arrays.weight * arrays.class_weights[arrays.target.astype(np.int64)])
