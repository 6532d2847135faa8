"""The linear models as scikit-learn estimators: the same engine behind `fit` and `predict`.

scikit-learn is the extra `sklearn`; importing this room without it raises one ImportError that
says so.
"""

from __future__ import annotations

try:
    import sklearn  # noqa: F401 - is it there?
except ModuleNotFoundError as error:
    raise ImportError(
        "the estimators of lepton_dask need scikit-learn: pip install 'lepton_dask[sklearn]'"
    ) from error

from lepton_dask.estimators.generalized import (
    GammaRegressor,
    PoissonRegressor,
    TweedieRegressor,
)
from lepton_dask.estimators.logistic import LogisticRegression
from lepton_dask.estimators.robust import HuberRegressor, QuantileRegressor
from lepton_dask.estimators.squared import ElasticNet, Lasso, LinearRegression, Ridge

__all__ = [
    "ElasticNet",
    "GammaRegressor",
    "HuberRegressor",
    "Lasso",
    "LinearRegression",
    "LogisticRegression",
    "PoissonRegressor",
    "QuantileRegressor",
    "Ridge",
    "TweedieRegressor",
]
