"""Machine-learning pipelines over tables, written in YAML and run on Dask.

`load` reads a trained model back. `MetaLearner` learns from many groups what a new one needs only a
few rows to `adapt` to. `LogisticRegression` and the other estimators are the same linear models
behind scikit-learn's interface; they need the extra `sklearn`. Names are imported when they are
first asked for: loading a model and predicting with it needs neither Dask nor scikit-learn nor what
the YAML needs.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepton_dask.artifacts.bundle import load
    from lepton_dask.artifacts.predictor import Model
    from lepton_dask.errors import ClusterError, Interrupted, LeptonError, RunError, UserError
    from lepton_dask.estimators import (
        ElasticNet,
        GammaRegressor,
        HuberRegressor,
        Lasso,
        LinearRegression,
        LogisticRegression,
        PoissonRegressor,
        QuantileRegressor,
        Ridge,
        TweedieRegressor,
    )
    from lepton_dask.meta.adapting import adapt
    from lepton_dask.meta.learner import MetaLearner

    __version__: str

_HOME = {
    "load": "lepton_dask.artifacts.bundle",
    "adapt": "lepton_dask.meta.adapting",
    "MetaLearner": "lepton_dask.meta.learner",
    "Model": "lepton_dask.artifacts.predictor",
    "ClusterError": "lepton_dask.errors",
    "Interrupted": "lepton_dask.errors",
    "LeptonError": "lepton_dask.errors",
    "RunError": "lepton_dask.errors",
    "UserError": "lepton_dask.errors",
    "ElasticNet": "lepton_dask.estimators",
    "GammaRegressor": "lepton_dask.estimators",
    "HuberRegressor": "lepton_dask.estimators",
    "Lasso": "lepton_dask.estimators",
    "LinearRegression": "lepton_dask.estimators",
    "LogisticRegression": "lepton_dask.estimators",
    "PoissonRegressor": "lepton_dask.estimators",
    "QuantileRegressor": "lepton_dask.estimators",
    "Ridge": "lepton_dask.estimators",
    "TweedieRegressor": "lepton_dask.estimators",
}
"""The public names, and the module that each lives in."""

__all__ = [
    "ClusterError",
    "ElasticNet",
    "GammaRegressor",
    "HuberRegressor",
    "Interrupted",
    "Lasso",
    "LeptonError",
    "LinearRegression",
    "LogisticRegression",
    "MetaLearner",
    "Model",
    "PoissonRegressor",
    "QuantileRegressor",
    "Ridge",
    "RunError",
    "TweedieRegressor",
    "UserError",
    "__version__",
    "adapt",
    "load",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("lepton_dask")
    if name not in _HOME:
        raise AttributeError(f"module 'lepton_dask' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
