"""The estimators' coefficients beside those of scikit-learn and glum, for the same objectives."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import sklearn.linear_model as theirs

import lepton_dask as ours

N, D = 240, 5


class Data(NamedTuple):
    X: np.ndarray
    z: np.ndarray
    noise: np.ndarray
    weight: np.ndarray

    def target(self, kind: str) -> np.ndarray:
        """y of a kind, made from the linear predictor z with noise in it."""
        rng = np.random.default_rng(5)
        match kind:
            case "numbers":
                return self.z + self.noise
            case "outliers":
                return self.z + self.noise + np.where(rng.random(N) < 0.1, 30.0, 0.0)
            case "two classes":
                return np.where(self.z + self.noise > 0, "yes", "no")
            case "three classes":
                return np.digitize(self.z + self.noise, [-0.7, 0.9])
            case "counts":
                return rng.poisson(np.exp(0.4 * self.z)).astype(float)
            case "amounts":
                return rng.gamma(2.0, np.exp(0.4 * self.z))
        raise ValueError(kind)


@pytest.fixture(scope="module")
def data() -> Data:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D)) @ np.tril(np.full((D, D), 0.5) + np.eye(D)) + [3, 0, -1, 0, 10]
    z = (X - X.mean(axis=0)) @ [0.8, -0.5, 0.0, 0.3, 0.1]
    return Data(X, z, rng.normal(size=N), rng.uniform(0.2, 3.0, size=N))


@pytest.fixture(autouse=True)
def exact_huber(monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn's HuberRegressor ends when its objective falls by less than 2e-9 of itself, and
    has no parameter to say otherwise."""
    monkeypatch.setattr(
        "sklearn.linear_model._huber._get_additional_lbfgs_options_dict",
        lambda *_: {"ftol": 0.0, "maxls": 100, "maxcor": 50, "maxfun": 100_000},
    )


class Case(NamedTuple):
    """An estimator, the kind of y, its parameters, and those that make each side exact."""

    name: str
    target: str
    parameters: dict[str, Any]
    exact: dict[str, Any]
    theirs: dict[str, Any]


LOGISTIC = {"tol": 1e-10}, {"tol": 1e-12, "max_iter": 100_000, "solver": "newton-cg"}
SAGA = {"tol": 1e-10}, {"tol": 1e-12, "max_iter": 100_000, "solver": "saga"}
LASSO = {"tol": 1e-12}, {"tol": 1e-14, "max_iter": 100_000}
GENERALIZED = {"tol": 1e-10}, {"tol": 1e-10, "max_iter": 1000, "solver": "newton-cholesky"}
NOT_CONVEX = {"tol": 1e-10}, {"tol": 1e-10, "max_iter": 100_000}
HUBER = {"tol": 1e-10}, {"tol": 1e-9, "max_iter": 100_000}

CASES = [
    Case("LinearRegression", "numbers", {}, {}, {}),
    Case("Ridge", "numbers", {"alpha": 7.0}, {}, {"solver": "cholesky"}),
    Case("Lasso", "numbers", {"alpha": 0.3}, *LASSO),
    Case("ElasticNet", "numbers", {"alpha": 0.4, "l1_ratio": 0.7}, *LASSO),
    Case("LogisticRegression", "two classes", {"C": np.inf}, *LOGISTIC),
    Case("LogisticRegression", "two classes", {"C": 0.05}, *LOGISTIC),
    Case("LogisticRegression", "two classes", {"C": 0.05, "class_weight": "balanced"}, *LOGISTIC),
    Case("LogisticRegression", "two classes", {"C": 0.05, "l1_ratio": 1.0}, *SAGA),
    Case("LogisticRegression", "two classes", {"C": 0.05, "l1_ratio": 0.4}, *SAGA),
    Case("LogisticRegression", "three classes", {"C": 0.1}, *LOGISTIC),
    Case("LogisticRegression", "three classes", {"C": np.inf}, *LOGISTIC),
    Case("LogisticRegression", "three classes", {"C": 0.1, "l1_ratio": 0.5}, *SAGA),
    Case(
        "LogisticRegression",
        "three classes",
        {"C": 0.1, "class_weight": {0: 2.0, 1: 1.0, 2: 0.3}},
        *LOGISTIC,
    ),
    Case("PoissonRegressor", "counts", {"alpha": 0.0}, *GENERALIZED),
    Case("PoissonRegressor", "counts", {"alpha": 0.2}, *GENERALIZED),
    Case("GammaRegressor", "amounts", {"alpha": 0.0}, *GENERALIZED),
    Case("GammaRegressor", "amounts", {"alpha": 0.2}, *GENERALIZED),
    Case("TweedieRegressor", "counts", {"alpha": 0.1, "power": 1.5}, *GENERALIZED),
    Case("TweedieRegressor", "amounts", {"alpha": 0.1, "power": 1.9}, *GENERALIZED),
    Case("TweedieRegressor", "amounts", {"alpha": 0.1, "power": 3.0}, *NOT_CONVEX),
    Case("TweedieRegressor", "numbers", {"alpha": 0.1, "power": 0.0}, *GENERALIZED),
    Case("TweedieRegressor", "amounts", {"alpha": 0.1, "power": 0.0, "link": "log"}, *NOT_CONVEX),
    Case("HuberRegressor", "outliers", {"alpha": 0.0}, *HUBER),
    Case("HuberRegressor", "outliers", {"alpha": 20.0, "epsilon": 1.8}, *HUBER),
]


def label(case: Case) -> str:
    settings = ",".join(f"{name}={value}" for name, value in case.parameters.items())
    return f"{case.name}({settings})-{case.target}"


@pytest.mark.parametrize("fit_intercept", [True, False], ids=["intercept", "no intercept"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("case", CASES, ids=label)
def test_coefficients_equal_those_of_scikit_learn(
    data: Data, case: Case, weighted: bool, fit_intercept: bool
) -> None:
    weight = data.weight if weighted else None
    own, reference = (
        fitted(package, data.X, data.target(case.target), case, weight, fit_intercept)
        for package in (ours, theirs)
    )
    assert own.converged_
    np.testing.assert_allclose(own.coef_, reference.coef_, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(own.intercept_, reference.intercept_, rtol=1e-6, atol=1e-6)
    if case.name == "HuberRegressor":
        assert own.scale_ == pytest.approx(reference.scale_, rel=1e-6)
        np.testing.assert_array_equal(own.outliers_, reference.outliers_)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_predictions_with_constant_and_collinear_columns_equal_those_of_scikit_learn(
    data: Data, case: Case
) -> None:
    """Where nothing is penalised, redundant columns change no prediction, and scikit-learn's
    solvers of that case, which stumble over them, go without."""
    X = np.column_stack([data.X, np.full(N, 2.0), data.X[:, 1] - 2.0 * data.X[:, 3]])
    y = data.target(case.target)
    own = fitted(ours, X, y, case, data.weight)
    free = case.parameters.get("C") == np.inf or case.parameters.get("alpha") == 0
    theirs_X = data.X if free else X
    reference = fitted(theirs, theirs_X, y, case, data.weight)
    assert own.converged_
    for method in ("decision_function", "predict_proba"):
        if hasattr(own, method):
            found, expected = getattr(own, method)(X), getattr(reference, method)(theirs_X)
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    found, expected = own.predict(X), reference.predict(theirs_X)
    if y.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    else:
        np.testing.assert_array_equal(found, expected)
    if case.name == "LinearRegression":
        np.testing.assert_allclose(own.coef_, reference.coef_, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("fit_intercept", [True, False], ids=["intercept", "no intercept"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.83])
@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_quantile_coefficients_equal_those_of_scikit_learn(
    data: Data, quantile: float, alpha: float, weighted: bool, fit_intercept: bool
) -> None:
    """The minimum is unique here: no share of these rows' weights hits a quantile exactly."""
    X, y = data.X[:237], data.target("numbers")[:237]
    weight = data.weight[:237] if weighted else None
    settings = {"quantile": quantile, "alpha": alpha, "fit_intercept": fit_intercept}
    own = ours.QuantileRegressor(**settings).fit(X, y, weight)
    reference = theirs.QuantileRegressor(**settings).fit(X, y, weight)
    assert own.converged_
    expected = pinball(reference, X, y, weight)
    assert pinball(own, X, y, weight) == pytest.approx(expected, rel=1e-8, abs=1e-8)
    np.testing.assert_allclose(own.coef_, reference.coef_, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(own.intercept_, reference.intercept_, rtol=1e-6, atol=1e-6)


def test_the_quantile_objective_with_collinear_columns_equals_that_of_scikit_learn(
    data: Data,
) -> None:
    X = np.column_stack([data.X, np.full(N, 2.0), data.X[:, 1] - 2.0 * data.X[:, 3]])
    y = data.target("numbers")
    for alpha in (0.0, 0.05):
        own = ours.QuantileRegressor(alpha=alpha).fit(X, y)
        reference = theirs.QuantileRegressor(alpha=alpha).fit(X, y)
        expected = pinball(reference, X, y, None)
        assert pinball(own, X, y, None) == pytest.approx(expected, rel=1e-8, abs=1e-8)


def test_the_shortest_least_squares_with_more_columns_than_rows_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(12, 30)) + 4.0, rng.normal(size=12)
    for fit_intercept in (True, False):
        own = ours.LinearRegression(fit_intercept=fit_intercept).fit(X, y)
        reference = theirs.LinearRegression(fit_intercept=fit_intercept).fit(X, y)
        np.testing.assert_allclose(own.coef_, reference.coef_, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(own.intercept_, reference.intercept_, rtol=1e-6, atol=1e-8)


def test_singular_values_below_tol_count_as_zero_as_in_scikit_learn(data: Data) -> None:
    near = data.X[:, 1] + 1e-3 * np.random.default_rng(2).normal(size=N)
    X, y = np.column_stack([data.X, near]), data.target("numbers")
    for tol in (1e-6, 1e-2):
        own = ours.LinearRegression(tol=tol).fit(X, y, data.weight)
        reference = theirs.LinearRegression(tol=tol).fit(X, y, data.weight)
        np.testing.assert_allclose(own.coef_, reference.coef_, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(own.intercept_, reference.intercept_, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("fit_intercept", [True, False], ids=["intercept", "no intercept"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize(
    ("name", "family", "target", "parameters"),
    [
        ("GammaRegressor", "gamma", "amounts", {}),
        ("TweedieRegressor", "tweedie (1.5)", "counts", {"power": 1.5}),
        ("TweedieRegressor", "tweedie (1.8)", "amounts", {"power": 1.8}),
    ],
)
def test_coefficients_equal_those_of_glum(
    data: Data,
    name: str,
    family: str,
    target: str,
    parameters: dict[str, Any],
    weighted: bool,
    fit_intercept: bool,
) -> None:
    glum = pytest.importorskip("glum", reason="glum, of the extra `test`, is not installed")
    X, y, weight = data.X, data.target(target), data.weight if weighted else None
    settings = {"alpha": 0.1, "fit_intercept": fit_intercept}
    own = getattr(ours, name)(**settings, **parameters, tol=1e-10).fit(X, y, weight)
    reference = glum.GeneralizedLinearRegressor(
        family=family, link="log", l1_ratio=0, gradient_tol=1e-11, max_iter=1000, **settings
    ).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(own.coef_, reference.coef_, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(own.intercept_, reference.intercept_, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_default_tolerances_are_close_to_the_minimum(data: Data, case: Case) -> None:
    y = data.target(case.target)
    default = getattr(ours, case.name)(**case.parameters).fit(data.X, y)
    exact = getattr(ours, case.name)(**case.parameters, **case.exact).fit(data.X, y)
    np.testing.assert_allclose(default.coef_, exact.coef_, rtol=1e-2, atol=1e-3)


def fitted(
    package: Any,
    X: np.ndarray,
    y: np.ndarray,
    case: Case,
    weight: np.ndarray | None,
    fit_intercept: bool = True,
) -> Any:
    """The case's estimator, of ours or of theirs, fitted exactly."""
    exact = case.exact if package is ours else case.theirs
    estimator = getattr(package, case.name)
    return estimator(fit_intercept=fit_intercept, **case.parameters, **exact).fit(X, y, weight)


def pinball(model: Any, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> float:
    """The objective of quantile regression at a fitted model's coefficients."""
    residual = y - model.predict(X)
    loss = np.where(residual >= 0, model.quantile * residual, (model.quantile - 1) * residual)
    return float(np.average(loss, weights=weight) + model.alpha * np.abs(model.coef_).sum())
