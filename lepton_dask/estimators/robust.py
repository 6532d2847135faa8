"""Estimators that outliers move little: HuberRegressor and QuantileRegressor."""

from __future__ import annotations

from typing import Any

import numpy as np

from lepton_dask.estimators.base import Fitted, Penalty
from lepton_dask.estimators.dask_rows import in_memory, is_collection
from lepton_dask.estimators.fitting import Settings
from lepton_dask.estimators.parameters import (
    check_choice,
    check_count,
    check_flags,
    check_number,
    refuse,
)
from lepton_dask.estimators.regressor import LinearRegressor
from lepton_dask.estimators.rows import Summary
from lepton_dask.learn.descent import Descent
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import Huber, Loss, Quantile
from lepton_dask.matrix import Floats

QUANTILE_PASSES = 2000
"""The interior point method takes some tens; more would not help it."""

QUANTILE_TOLERANCE = 1e-10

EVALUATIONS = 10
"""For each iteration of HuberRegressor."""

NO_SCALE = 1e-8
"""The scale of rounding, as a share of the standard deviation of y."""


class HuberRegressor(LinearRegressor):
    """min sum w_i (s + s H((y_i - x_i'b - b_0) / s)) + alpha |b|^2 over b, b_0 and the scale s > 0,
    with H(u) = u^2 for |u| <= epsilon and 2 epsilon |u| - epsilon^2 beyond.

    `scale_` is s, and `outliers_` (n,) tells for each row of training whether its residual is
    beyond epsilon s; it is a lazy Dask array if X was a Dask collection. `tol` is the largest
    partial derivative of the objective divided by sum w at the end. Of evaluations there may be ten
    times `max_iter`: those of a scale below 0 are among them, which read no row.
    """

    def __init__(
        self,
        *,
        epsilon: float = 1.35,
        max_iter: int = 100,
        alpha: float = 0.0001,
        warm_start: bool = False,
        fit_intercept: bool = True,
        tol: float = 1e-5,
    ) -> None:
        self.epsilon = epsilon
        self.max_iter = max_iter
        self.alpha = alpha
        self.warm_start = warm_start
        self.fit_intercept = fit_intercept
        self.tol = tol

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> HuberRegressor:
        """As of all estimators; sets `scale_` and `outliers_` too."""
        super().fit(X, y, sample_weight)
        truth = np.asarray(in_memory(y)).reshape(-1) if not is_collection(X) else y
        self.outliers_ = abs(truth - self.predict(X)) > self.scale_ * self.epsilon
        return self

    def _check_parameters(self) -> None:
        check_flags(self, "fit_intercept", "warm_start")
        check_number(self, "epsilon", least=1)
        check_number(self, "alpha", least=0)
        check_number(self, "tol", least=0)
        check_count(self, "max_iter", least=0)

    def _loss(self, classes: int) -> Loss:  # noqa: ARG002 - there are none
        return Huber(epsilon=float(self.epsilon))

    def _penalty(self, weight: float) -> Penalty:
        return Penalty(0.0, 2.0 * float(self.alpha) / weight)

    def _settings(self, summary: Summary) -> Settings:  # noqa: ARG002 - the contract's shape
        return Settings(float(self.tol), EVALUATIONS * int(self.max_iter))

    def _start(self, model: LinearModel) -> Floats | None:
        return self._warm_start(model, (float(getattr(self, "scale_", 1.0)),))

    def _store(self, fitted: Fitted) -> None:
        super()._store(fitted)
        self.scale_ = float(fitted.extra[0])

    def _reached(self, descent: Descent, summary: Summary) -> bool:
        # Where most rows fit exactly, the scale falls for ever, and all else stands still.
        return super()._reached(descent, summary) or self.scale_ <= NO_SCALE * summary.spread


class QuantileRegressor(LinearRegressor):
    """min (1 / sum w) sum w_i p(y_i - x_i'b - b_0) + alpha |b|_1, with p(r) = q r for r >= 0 and
    (q - 1) r below, q the `quantile`.

    Every `solver` that scikit-learn has is the interior point method of this engine, which takes
    no `solver_options`. Where the minimum is not unique, b is from the middle of the minimisers.
    """

    SOLVERS = ("highs", "highs-ds", "highs-ipm", "interior-point", "revised simplex")

    def __init__(
        self,
        *,
        quantile: float = 0.5,
        alpha: float = 1.0,
        fit_intercept: bool = True,
        solver: str = "highs",
        solver_options: dict[str, Any] | None = None,
    ) -> None:
        self.quantile = quantile
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.solver_options = solver_options

    def _check_parameters(self) -> None:
        check_flags(self, "fit_intercept")
        check_number(self, "quantile", least=0, most=1, open_ends=True)
        check_number(self, "alpha", least=0)
        check_choice(self, "solver", self.SOLVERS)
        if self.solver_options is not None:
            raise refuse(self, "solver_options", "they are of scipy's linprog: use None")

    def _loss(self, classes: int) -> Loss:  # noqa: ARG002 - there are none
        return Quantile(quantile=float(self.quantile))

    def _penalty(self, weight: float) -> Penalty:  # noqa: ARG002 - of the mean objective
        return Penalty(float(self.alpha), 0.0)

    def _settings(self, summary: Summary) -> Settings:  # noqa: ARG002 - the contract's shape
        return Settings(QUANTILE_TOLERANCE, QUANTILE_PASSES)
