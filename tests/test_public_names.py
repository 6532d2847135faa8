"""The names that others build on. A change here is a change for them."""

from __future__ import annotations

import subprocess
import sys

import lepton_dask
from lepton_dask.cli.app import app
from lepton_dask.cli.cluster import cluster
from lepton_dask.config.pipeline import VERBS
from lepton_dask.errors import ClusterError, Interrupted, LeptonError, RunError, UserError
from lepton_dask.learn.losses import LOSSES
from lepton_dask.learn.meta.choice import ALGORITHMS
from lepton_dask.learn.metrics import METRICS
from lepton_dask.learn.optimizers import OPTIMIZERS


def test_the_public_names_are_these():
    assert sorted(lepton_dask.__all__) == [
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
    assert all(hasattr(lepton_dask, name) for name in lepton_dask.__all__)


def test_a_model_has_these_public_names():
    names = {name for name in vars(lepton_dask.Model) if not name.startswith("_")}
    promised = {"predict", "predict_proba", "coefficients", "classes"}
    assert promised <= names
    assert "intercept" in lepton_dask.Model.__annotations__


def test_the_verbs_of_the_command_line_are_these():
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}
    looking = {"init", "profile", "validate", "plan", "runs", "allocate", "schema"}
    assert verbs == looking | {"run", "predict", "adapt"}
    assert [group.name for group in app.registered_groups] == ["cluster"]
    assert [each.callback.__name__ for each in cluster.registered_commands] == [
        "start",
        "status",
        "stop",
    ]


def test_the_verbs_of_a_pipeline_are_these():
    assert list(VERBS) == [
        "read",
        "join",
        "clean",
        "derive",
        "split",
        "prepare",
        "train",
        "meta_train",
        "evaluate",
        "predict",
        "write",
    ]


def test_the_losses_optimizers_and_metrics_are_these():
    assert set(LOSSES) == {
        "squared",
        "logistic",
        "multinomial",
        "poisson",
        "gamma",
        "tweedie",
        "huber",
        "quantile",
    }
    assert set(OPTIMIZERS) == {
        "normal",
        "newton",
        "prox_newton",
        "interior_point",
        "lbfgs",
        "gradient_descent",
        "fista",
        "sgd",
    }
    assert set(ALGORITHMS) == {"hierarchical_linear", "ridge_head", "maml", "meta_sgd", "reptile"}
    assert set(METRICS) == {
        "roc_auc",
        "log_loss",
        "accuracy",
        "balanced_accuracy",
        "precision",
        "recall",
        "f1",
        "f1_macro",
        "brier",
        "rmse",
        "mae",
        "r2",
        "explained_variance",
    }


def test_each_kind_of_error_has_its_exit_code():
    assert LeptonError.exit_code == RunError.exit_code == 1
    assert UserError.exit_code == 2
    assert ClusterError.exit_code == 4
    assert [Interrupted(number).exit_code for number in (2, 15)] == [130, 143]


def test_importing_the_package_imports_no_dask():
    code = """
import sys, lepton_dask
lepton_dask.load
assert not {"dask", "sklearn", "numba"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_estimator_without_scikit_learn_says_what_to_install():
    code = """
import sys
sys.modules["sklearn"] = None
import lepton_dask
try:
    lepton_dask.LogisticRegression
except ImportError as error:
    print(error)
"""
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert said == (
        "the estimators of lepton_dask need scikit-learn: pip install 'lepton_dask[sklearn]'\n"
    )
