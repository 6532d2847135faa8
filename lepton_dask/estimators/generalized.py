"""Generalized linear models: PoissonRegressor, GammaRegressor, TweedieRegressor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.metrics import d2_tweedie_score

from lepton_dask.estimators.base import Penalty
from lepton_dask.estimators.dask_rows import in_memory, is_collection
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
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import Gamma, Loss, Poisson, Squared, Tweedie
from lepton_dask.matrix import Floats


class _GeneralizedRegressor(LinearRegressor):
    """min (1 / 2 sum w) sum w_i d(y_i, mu_i) + alpha / 2 |b|^2, d the unit deviance.

    `tol` is the largest partial derivative of it at the end; `max_iter`, how many passes over the
    rows there may be. `solver`: `lbfgs`, the default, leaves the choice to the engine (Newton's
    method while the Hessian is small, else L-BFGS); `newton-cholesky` is Newton's method.
    """

    SOLVERS: Mapping[str, OptimizerName] = {"lbfgs": "auto", "newton-cholesky": "newton"}

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        fit_intercept: bool = True,
        solver: str = "lbfgs",
        max_iter: int = 100,
        tol: float = 1e-4,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose

    def predict(self, X: Any) -> Any:
        """The mean of y for each row of X, (n,); a lazy Dask array for a Dask collection."""
        if is_collection(X):
            return self._lazily(X, "predict", np.float64)
        return self._loss(0).inverse_link(self._linear_predictor(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """D^2, the share of the null model's deviance that `predict(X)` explains."""
        truth, predicted, weight = map(in_memory, (y, self.predict(X), sample_weight))
        power = self._power()
        return float(d2_tweedie_score(truth, predicted, sample_weight=weight, power=power))

    def _power(self) -> float:
        """The deviance's power: the variance is proportional to mean^power."""
        raise NotImplementedError

    def _check_parameters(self) -> None:
        check_flags(self, "fit_intercept", "warm_start")
        check_number(self, "alpha", least=0)
        check_number(self, "tol", least=0)
        check_count(self, "max_iter", least=1)
        check_choice(self, "solver", self.SOLVERS)
        check_count(self, "verbose", least=0)

    def _penalty(self, weight: float) -> Penalty:  # noqa: ARG002 - of the mean objective
        return Penalty(0.0, float(self.alpha))

    def _settings(self, summary: Summary) -> Settings:  # noqa: ARG002 - for overrides
        return Settings(
            float(self.tol),
            int(self.max_iter),
            self.SOLVERS[self.solver],
            self._say if self.verbose else lambda _: None,
        )

    def _start(self, model: LinearModel) -> Floats | None:
        return self._warm_start(model)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self._power() >= 1
        return tags


class PoissonRegressor(_GeneralizedRegressor):
    __doc__ = f"""Counts, y >= 0, of the mean e^(x'b + b_0).

    {_GeneralizedRegressor.__doc__}"""

    def _loss(self, classes: int) -> Loss:  # noqa: ARG002 - there are none
        return Poisson()

    def _power(self) -> float:
        return 1.0


class GammaRegressor(_GeneralizedRegressor):
    __doc__ = f"""Amounts, y > 0, of the mean e^(x'b + b_0), their deviation proportional to it.

    {_GeneralizedRegressor.__doc__}"""

    def _loss(self, classes: int) -> Loss:  # noqa: ARG002 - there are none
        return Gamma()

    def _power(self) -> float:
        return 2.0


class TweedieRegressor(_GeneralizedRegressor):
    __doc__ = f"""Numbers with a variance proportional to mean^power.

    {_GeneralizedRegressor.__doc__}

    `power`: 0 normal, 1 Poisson, 2 gamma, 3 inverse Gaussian, between 1 and 2 zeros beside
    positive amounts. `link`: `log` makes the mean e^(x'b + b_0), `identity` x'b + b_0, which is
    accepted for power 0 alone; `auto` is the identity for powers of at most 0, else log.
    """

    def __init__(
        self,
        *,
        power: float = 0.0,
        alpha: float = 1.0,
        fit_intercept: bool = True,
        link: str = "auto",
        solver: str = "lbfgs",
        max_iter: int = 100,
        tol: float = 1e-4,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            alpha=alpha,
            fit_intercept=fit_intercept,
            solver=solver,
            max_iter=max_iter,
            tol=tol,
            warm_start=warm_start,
            verbose=verbose,
        )
        self.link = link
        self.power = power

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number(self, "power")
        check_choice(self, "link", ("auto", "identity", "log"))
        if 0 < self.power < 1:
            raise refuse(self, "power", "no distribution has it: use 0, or 1 and above")
        if self._identity() and self.power != 0:
            raise refuse(
                self, "link", f"of power {self.power} only link='log' is there; it is for power 0"
            )

    def _loss(self, classes: int) -> Loss:  # noqa: ARG002 - there are none
        return Squared() if self._identity() else Tweedie(power=float(self.power))

    def _identity(self) -> bool:
        return self.link == "identity" or (self.link == "auto" and self.power <= 0)

    def _power(self) -> float:
        return float(self.power)

    def _settings(self, summary: Summary) -> Settings:
        settings = super()._settings(summary)
        if not self._identity():
            return settings
        return Settings(
            settings.tolerance,
            settings.max_iter,
            settings.optimizer,
            settings.say,
            summary.spread,
        )
