"""scikit-learn: LogisticRegression on a matrix in memory, BLAS on as many threads as it likes."""

from __future__ import annotations

import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from benchmarks.peers.answers import Fit
from benchmarks.problems import Problem

MAX_ITERATIONS = 2000


class Trainer:
    """The whole matrix in memory; code columns as one-hot columns of a scipy.sparse matrix.

    l2 of the mean objective is C = 1 / (l2 n) of scikit-learn's sum.
    """

    def __init__(self, problem: Problem, l2: float) -> None:
        self._C = 1 / (l2 * problem.rows)
        whole = problem.whole()
        self._y = whole.target.astype(np.int64)
        self._X = whole.dense if not problem.levels else _one_hot(whole, problem.levels)

    def fit(self, tolerance: float, solver: str) -> Fit:
        model = LogisticRegression(C=self._C, tol=tolerance, solver=solver, max_iter=MAX_ITERATIONS)
        with warnings.catch_warnings():
            # The harness judges what came out.
            warnings.simplefilter("ignore", ConvergenceWarning)
            began = time.perf_counter()
            model.fit(self._X, self._y)
            seconds = time.perf_counter() - began
        theta = np.append(model.coef_[0], model.intercept_[0])
        return Fit(theta, seconds, int(np.max(model.n_iter_)))


def _one_hot(whole, levels):
    """[dense | one column a level] by rows: what OneHotEncoder beside a scaler would yield."""
    from scipy import sparse

    n, Q = whole.codes.shape
    shifted = whole.codes + np.cumsum([0, *levels])[:-1].astype(np.int32)
    hot = sparse.csr_matrix(
        (np.ones(n * Q), shifted.reshape(-1), np.arange(0, n * Q + 1, Q)), shape=(n, sum(levels))
    )
    return sparse.hstack([sparse.csr_matrix(whole.dense), hot], format="csr")
