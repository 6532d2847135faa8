"""What all estimators of numbers share."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from lepton_dask.estimators.base import Fitted, LinearEstimator
from lepton_dask.estimators.dask_rows import in_memory, is_collection
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.matrix import Floats


class LinearRegressor(RegressorMixin, LinearEstimator):
    """A linear estimator of numbers: `coef_` (D,) and a scalar `intercept_`."""

    def predict(self, X: Any) -> Any:
        """The mean of y for each row of X, (n,); a lazy Dask array for a Dask collection."""
        if is_collection(X):
            return self._lazily(X, "predict", np.float64)
        return self._linear_predictor(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The coefficient of determination R^2 of `predict(X)` for the targets y."""
        truth, predicted, weight = map(in_memory, (y, self.predict(X), sample_weight))
        return float(r2_score(truth, predicted, sample_weight=weight))

    def _store(self, fitted: Fitted) -> None:
        self.coef_ = fitted.coefficients[0]
        self.intercept_ = float(fitted.intercepts[0]) if self.fit_intercept else 0.0

    def _warm_start(self, model: LinearModel, extra: tuple[float, ...] = ()) -> Floats | None:
        """The parameters of the fit before, where `warm_start` wants them and there was one."""
        if not self.warm_start or not hasattr(self, "coef_"):
            return None
        theta = np.array([*self.coef_, self.intercept_, *extra], dtype=np.float64)
        if len(theta) != model.parameters:
            raise ValueError(
                f"{type(self).__name__}: warm_start=True needs the columns of the fit before, "
                f"{len(self.coef_)}, and X makes {model.layout.coefficients}"
            )
        return theta
