"""glum: a binomial GLM on a dense matrix in memory, or on a tabmat split matrix (dense block and
categorical columns, never one-hot in memory): what glum is made for."""

from __future__ import annotations

import time
import warnings

import numpy as np
import tabmat
from glum import GeneralizedLinearRegressor
from sklearn.exceptions import ConvergenceWarning

from benchmarks.peers.answers import Fit
from benchmarks.problems import Problem

MAX_ITERATIONS = 2000


class Trainer:
    """alpha of glum is l2 of the mean objective. Its scaling is off, as the data is scaled; what
    scikit-learn-like checks of the input it makes, it makes on the clock."""

    def __init__(self, problem: Problem, l2: float) -> None:
        self._l2 = l2
        whole = problem.whole()
        self._y = whole.target
        self._X = whole.dense
        if problem.levels:
            categories = [
                tabmat.CategoricalMatrix(np.ascontiguousarray(codes), categories=np.arange(count))
                for codes, count in zip(whole.codes.T, problem.levels, strict=True)
            ]
            self._X = tabmat.SplitMatrix([tabmat.DenseMatrix(whole.dense), *categories])

    def fit(self, tolerance: float, solver: str) -> Fit:
        model = GeneralizedLinearRegressor(
            family="binomial",
            alpha=self._l2,
            l1_ratio=0,
            solver=solver,
            gradient_tol=tolerance,
            max_iter=MAX_ITERATIONS,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            began = time.perf_counter()
            model.fit(self._X, self._y)
            seconds = time.perf_counter() - began
        return Fit(np.append(model.coef_, model.intercept_), seconds, int(model.n_iter_))
