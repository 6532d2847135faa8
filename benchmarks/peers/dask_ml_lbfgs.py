"""dask-ml: its LogisticRegression on two one-thread workers, the matrix persisted there.

Terms, so that it is neither favoured nor held back:

- dask-ml 2025.1.0 hands the work to dask_glm. Its sums are not means: the tolerance (pgtol, the
  largest partial derivative of the sum) is the mean's tolerance times n.
- fit_intercept=True makes dask-ml append a column of ones, and dask_glm scale all columns by their
  standard deviations (`normalize`), lazily, in every evaluation. The penalty then lies on the
  scaled coefficients and on the intercept. On columns of unit variance that is our objective but
  for parts in n; the harness checks its sub-optimality in our objective like everybody's.
- The column of ones is appended before the clock starts, by dask-ml's own `add_intercept`, and the
  result persisted; the estimator is then asked for no further intercept. `normalize` stays as it
  is by default, as a user would have it.
- y is a Dask array in chunks that match X's, as it wants.
"""

from __future__ import annotations

import time
import warnings

import dask.array as da
import numpy as np
from dask import delayed
from distributed import Client, LocalCluster, wait

from benchmarks.peers.answers import Fit
from benchmarks.problems import Problem

MAX_ITERATIONS = 2000


class Trainer:
    """The chunks made on the workers; scheduling, spilling and transfers are Dask's own."""

    def __init__(self, problem: Problem, l2: float) -> None:
        self._n, self._C = problem.rows, 1 / (l2 * problem.rows)
        self._cluster = LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=40
        )
        self._client = Client(self._cluster)
        parts = [delayed(_part)(problem, number) for number in range(problem.chunks)]
        rows = [problem.chunk_rows(number) for number in range(problem.chunks)]
        self._X = da.concatenate(
            [
                da.from_delayed(delayed(_with_ones)(part), (n, problem.columns + 1), np.float64)
                for part, n in zip(parts, rows, strict=True)
            ]
        ).persist()
        self._y = da.concatenate(
            [
                da.from_delayed(part[1], (n,), np.float64)
                for part, n in zip(parts, rows, strict=True)
            ]
        ).persist()
        wait([self._X, self._y])

    def close(self) -> None:
        self._client.close()
        self._cluster.close()

    def fit(self, tolerance: float, solver: str = "lbfgs") -> Fit:
        from dask_ml.linear_model import LogisticRegression

        model = LogisticRegression(
            C=self._C,
            tol=tolerance * self._n,
            solver=solver,
            max_iter=MAX_ITERATIONS,
            fit_intercept=False,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            began = time.perf_counter()
            model.fit(self._X, self._y)
            seconds = time.perf_counter() - began
        return Fit(np.asarray(model.coef_, dtype=np.float64), seconds, None)


def _part(problem, number):
    chunk = problem.chunk(number)
    return chunk.dense, chunk.target


def _with_ones(part):
    return np.column_stack([part[0], np.ones(len(part[1]))])
