"""Estimators of the squared loss: LinearRegression, Ridge, Lasso, ElasticNet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from lepton_dask.estimators.base import Penalty
from lepton_dask.estimators.fitting import OptimizerName, Settings
from lepton_dask.estimators.parameters import (
    check_choice,
    check_count,
    check_flags,
    check_number,
    refuse,
)
from lepton_dask.estimators.regressor import LinearRegressor
from lepton_dask.estimators.rows import Summary
from lepton_dask.learn.descent import Passes
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import Loss, Squared
from lepton_dask.learn.objective import Objective
from lepton_dask.learn.optimizers.base import MAX_HESSIAN_PARAMETERS, Query
from lepton_dask.matrix import Floats

EXACT = 1e-12
"""The relative tolerance of the least squares that have no `tol` of that meaning: a solution of
the normal equations and its refinement reach it, or stop where rounding does."""

ENOUGH = 1000
"""Passes, where the constructor names no limit."""


class _SquaredRegressor(LinearRegressor):
    def _loss(self, classes: int) -> Loss:  # noqa: ARG002 - there are none
        return Squared()

    def _check_common(self) -> None:
        check_flags(self, "fit_intercept", "copy_X", "positive")
        if self.positive:
            raise refuse(self, "positive", "coefficients of both signs are all there is: use False")


class LinearRegression(_SquaredRegressor):
    """Least squares: min (1 / sum w) sum w_i (y_i - x_i'b - b_0)^2 / 2.

    Where columns are collinear, b is the shortest minimiser, as scikit-learn's. `tol` is, as there,
    how small a singular value of the centred X is, relative to the largest, to count as 0. `copy_X`
    changes nothing, since X is never written to. Of `n_jobs` only None and 1 are accepted, and of
    `positive` only False.
    """

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        copy_X: bool = True,
        tol: float = 1e-6,
        n_jobs: int | None = None,
        positive: bool = False,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.tol = tol
        self.n_jobs = n_jobs
        self.positive = positive

    def _check_parameters(self) -> None:
        self._check_common()
        check_number(self, "tol", least=0)
        if self.n_jobs not in (None, 1):
            raise refuse(self, "n_jobs", "for parallel passes give Dask collections and a Client")

    def _penalty(self, weight: float) -> Penalty:  # noqa: ARG002 - there is none
        return Penalty(0.0, 0.0)

    def _settings(self, summary: Summary) -> Settings:
        return Settings(EXACT, ENOUGH, spread=summary.spread)

    def _finished(self, theta: Floats, objective: Objective, passes: Passes) -> Floats:
        if objective.model.parameters > MAX_HESSIAN_PARAMETERS:
            return theta
        return shortest(theta, objective, passes, float(self.tol))


class Ridge(_SquaredRegressor):
    """Least squares with a penalty: min sum w_i (y_i - x_i'b - b_0)^2 + alpha |b|^2.

    `tol` is the largest partial derivative of the mean objective at the end, relative to the
    largest that the data could give. `solver`: `auto`, `cholesky` and `svd` are the normal
    equations; `lsqr`, `sparse_cg` and `lbfgs` are L-BFGS; `sag` and `saga` FISTA. Nothing is
    random, so any `random_state` gives the same; `copy_X` changes nothing, since X is never written
    to; of `positive` only False is accepted. y has one column, and alpha is one number.
    """

    SOLVERS: Mapping[str, OptimizerName] = {
        "auto": "auto",
        "svd": "auto",
        "cholesky": "auto",
        "lsqr": "lbfgs",
        "sparse_cg": "lbfgs",
        "lbfgs": "lbfgs",
        "sag": "fista",
        "saga": "fista",
    }

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        copy_X: bool = True,
        max_iter: int | None = None,
        tol: float = 1e-4,
        solver: str = "auto",
        positive: bool = False,
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.max_iter = max_iter
        self.tol = tol
        self.solver = solver
        self.positive = positive
        self.random_state = random_state

    def _check_parameters(self) -> None:
        self._check_common()
        check_number(self, "alpha", least=0)
        check_number(self, "tol", least=0)
        check_count(self, "max_iter", least=1, none=True)
        check_choice(self, "solver", self.SOLVERS)
        check_random_state(self.random_state)

    def _penalty(self, weight: float) -> Penalty:
        return Penalty(0.0, float(self.alpha) / weight)

    def _settings(self, summary: Summary) -> Settings:
        optimizer = self.SOLVERS[self.solver]
        passes = ENOUGH if self.max_iter is None else int(self.max_iter)
        return Settings(float(self.tol), passes, optimizer, spread=summary.spread)


class ElasticNet(_SquaredRegressor):
    """min (1 / 2 sum w) sum w_i (y_i - x_i'b - b_0)^2 + alpha r |b|_1 + alpha (1 - r) / 2 |b|^2,
    with r = `l1_ratio`.

    `tol` is the largest entry of the mean objective's smallest subgradient at the end, relative
    to the largest partial derivative that the data could give; `max_iter`, how many passes over
    the rows there may be. `precompute` is True or False, and changes no result; `copy_X` nothing,
    since X is never written to. Nothing is random, so any `random_state` gives the same. Of
    `selection` only `cyclic` is accepted, and of `positive` only False.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        precompute: bool = False,
        max_iter: int = 1000,
        copy_X: bool = True,
        tol: float = 1e-4,
        warm_start: bool = False,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.copy_X = copy_X
        self.tol = tol
        self.warm_start = warm_start
        self.positive = positive
        self.random_state = random_state
        self.selection = selection

    def _check_parameters(self) -> None:
        self._check_common()
        check_flags(self, "warm_start")
        check_number(self, "alpha", least=0)
        check_number(self, "l1_ratio", least=0, most=1)
        check_number(self, "tol", least=0)
        check_count(self, "max_iter", least=1, none=True)
        check_random_state(self.random_state)
        check_choice(self, "selection", ("cyclic", "random"))
        if self.selection == "random":
            raise refuse(self, "selection", "coordinates are taken in turn: use 'cyclic'")
        if not isinstance(self.precompute, (bool, np.bool_)):
            raise refuse(self, "precompute", "Gram matrices are made here: use True or False")

    def _penalty(self, weight: float) -> Penalty:  # noqa: ARG002 - of the mean objective
        l1_ratio = float(self.l1_ratio)
        return Penalty(float(self.alpha) * l1_ratio, float(self.alpha) * (1.0 - l1_ratio))

    def _settings(self, summary: Summary) -> Settings:
        passes = ENOUGH if self.max_iter is None else int(self.max_iter)
        return Settings(float(self.tol), passes, spread=summary.spread)

    def _start(self, model: LinearModel) -> Floats | None:
        return self._warm_start(model)


class Lasso(ElasticNet):
    """min (1 / 2 sum w) sum w_i (y_i - x_i'b - b_0)^2 + alpha |b|_1: ElasticNet of l1 alone, with
    its parameters."""

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        precompute: bool = False,
        copy_X: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-4,
        warm_start: bool = False,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
    ) -> None:
        super().__init__(
            alpha=alpha,
            l1_ratio=1.0,
            fit_intercept=fit_intercept,
            precompute=precompute,
            copy_X=copy_X,
            max_iter=max_iter,
            tol=tol,
            warm_start=warm_start,
            positive=positive,
            random_state=random_state,
            selection=selection,
        )


def shortest(theta: Floats, objective: Objective, passes: Passes, relative: float) -> Floats:
    """Of the minimisers of a squared loss over one output, the one with the shortest coefficients.

    In theta (M,) the coefficients' part along singular vectors of the centred X whose singular
    value is at most `relative` times the largest is taken away, and the intercept makes up for it.
    """
    evaluation = passes.evaluate(Query(theta, curvature=True))
    assert evaluation.hessian is not None
    count = objective.model.layout.coefficients
    gram, means = evaluation.hessian[:count, :count], evaluation.hessian[:count, count]
    if objective.fit_intercept:
        gram = gram - np.outer(means, means) / evaluation.hessian[count, count]
    eigenvalues, vectors = np.linalg.eigh(gram)
    # The Gram matrix has the squares of the singular values.
    none = eigenvalues <= relative**2 * max(float(eigenvalues.max(initial=0.0)), 0.0)
    away = vectors[:, none] @ (vectors[:, none].T @ theta[:count])
    moved = theta.copy()
    moved[:count] -= away
    if objective.fit_intercept:
        moved[count] += float(means @ away) / float(evaluation.hessian[count, count])
    return moved
