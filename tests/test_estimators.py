"""The estimators: scikit-learn's checks, tables of every kind, text columns, refusals."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn.linear_model as theirs
from distributed import Client
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import lepton_dask
from lepton_dask import (
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

ESTIMATORS = [
    LogisticRegression,
    LinearRegression,
    Ridge,
    Lasso,
    ElasticNet,
    PoissonRegressor,
    GammaRegressor,
    TweedieRegressor,
    HuberRegressor,
    QuantileRegressor,
]
NUMBERS = ["a", "b", "c"]
FEATURES = [*NUMBERS, "job", "size"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Numbers, a text column, a category column, targets and weights."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(400, 3)), columns=NUMBERS)
    frame["job"] = np.array(["clerk", "baker", "smith"])[rng.integers(0, 3, 400)]
    frame["size"] = pd.Categorical(rng.integers(1, 4, 400))
    effect = frame["job"].map({"clerk": 1.0, "baker": -1.0, "smith": 0.2})
    z = frame["a"] - 0.5 * frame["b"] + effect + 0.3 * frame["size"].astype(int)
    frame["y"] = z + rng.normal(size=400)
    frame["label"] = np.where(frame["y"] > 1.0, "high", np.where(frame["y"] > 0, "middle", "low"))
    frame["amount"] = np.exp(0.3 * frame["y"])
    frame["weight"] = rng.uniform(0.5, 2.0, 400)
    return frame


@pytest.fixture
def client(scheduler: str) -> Iterator[Client]:
    """An active client of the shared cluster."""
    with Client(scheduler) as active:
        yield active


def target(estimator: type) -> str:
    if estimator is LogisticRegression:
        return "label"
    return "amount" if estimator in (PoissonRegressor, GammaRegressor) else "y"


@parametrize_with_checks([estimator() for estimator in ESTIMATORS])
def test_scikit_learns_checks_pass(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_constructors_are_those_of_scikit_learn(estimator: type) -> None:
    reference = getattr(theirs, estimator.__name__)
    own, expected = (
        [
            (each.name, each.kind, each.default)
            for each in inspect.signature(kind).parameters.values()
        ]
        for kind in (estimator, reference)
    )
    assert own == expected


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_dask_arrays_are_fitted_as_numpy_arrays_are(estimator: type, table: pd.DataFrame) -> None:
    X, y, weight = (table[key].to_numpy() for key in (NUMBERS, target(estimator), "weight"))
    whole = estimator().fit(X, y, weight)
    lazy = da.from_array(X, chunks=(130, 2))
    parts = estimator().fit(lazy, da.from_array(y, chunks=130), da.from_array(weight, chunks=77))
    np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-6, atol=1e-8)
    predicted = parts.predict(lazy)
    assert isinstance(predicted, da.Array)
    assert predicted.chunks == ((130, 130, 130, 10),)
    if y.dtype.kind == "f":
        np.testing.assert_allclose(predicted.compute(), whole.predict(X), rtol=1e-6, atol=1e-8)
    else:
        np.testing.assert_array_equal(predicted.compute(), whole.predict(X))
    score = whole.score(X, y, weight)
    assert parts.score(lazy, da.from_array(y, chunks=130), weight) == pytest.approx(score, abs=1e-8)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_dask_frame_with_text_of_unknown_sizes_is_fitted_as_a_pandas_frame_is(
    estimator: type, table: pd.DataFrame
) -> None:
    key = target(estimator)
    kept = table[table["a"] > -1]
    lazy = dd.from_pandas(table, npartitions=3)
    lazy = lazy[lazy["a"] > -1]
    whole = estimator().fit(kept[FEATURES], kept[key], kept["weight"])
    parts = estimator().fit(lazy[FEATURES], lazy[key], lazy["weight"])
    np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-6, atol=1e-8)
    assert list(parts.feature_names_in_) == FEATURES
    assert list(parts.feature_names_out_) == list(whole.feature_names_out_)
    found, expected = parts.predict(lazy[FEATURES]).compute(), whole.predict(kept[FEATURES])
    if kept[key].dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    else:
        np.testing.assert_array_equal(found, expected)


def test_targets_in_memory_go_with_a_dask_frame(table: pd.DataFrame) -> None:
    lazy = dd.from_pandas(table, npartitions=3)
    found = Ridge().fit(lazy[FEATURES], table["y"], table["weight"].tolist())
    expected = Ridge().fit(table[FEATURES], table["y"], table["weight"])
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-10)


def test_arrays_of_unknown_chunk_sizes_that_pair_up_otherwise_are_cut_anew(
    table: pd.DataFrame,
) -> None:
    lazy = dd.from_pandas(table, npartitions=3)
    X, y = lazy[NUMBERS].values, dd.from_pandas(table["y"], npartitions=5).values
    assert np.isnan(X.shape[0])
    found = Ridge().fit(X, y)
    expected = Ridge().fit(table[NUMBERS].to_numpy(), table["y"])
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-10)


def test_a_target_of_another_length_is_refused(table: pd.DataFrame) -> None:
    lazy = da.from_array(table[NUMBERS].to_numpy(), chunks=(100, 3))
    with pytest.raises(ValueError, match="X has 400 rows, and y has 399"):
        Ridge().fit(lazy, table["y"].to_numpy()[1:])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        Ridge().fit(lazy, da.from_array(table["y"].to_numpy()[1:], chunks=100))


def test_a_partition_without_rows_changes_nothing(table: pd.DataFrame) -> None:
    lazy = dd.from_pandas(table.sort_values("a").reset_index(drop=True), npartitions=4)
    lazy = lazy[lazy["a"] > 0]
    kept = table[table["a"] > 0]
    found = LogisticRegression(tol=1e-9).fit(lazy[FEATURES], lazy["label"])
    expected = LogisticRegression(tol=1e-9).fit(kept[FEATURES], kept["label"])
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-6, atol=1e-8)
    assert len(found.predict_proba(lazy[FEATURES]).compute()) == len(kept)


@pytest.mark.parametrize("estimator", [LogisticRegression, Lasso, QuantileRegressor])
def test_an_active_client_fits_on_its_workers(
    estimator: type, table: pd.DataFrame, client: Client
) -> None:
    key = target(estimator)
    lazy = dd.from_pandas(table, npartitions=5)
    found = estimator().fit(lazy[FEATURES], lazy[key], lazy["weight"])
    expected = estimator().fit(table[FEATURES], table[key], table["weight"])
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-6, atol=1e-8)
    ran = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.task_prefixes))
    assert any(name.startswith("fit.pass") for name in ran)
    predicted = found.predict(lazy[FEATURES]).compute()
    if table[key].dtype.kind != "f":
        np.testing.assert_array_equal(predicted, expected.predict(table[FEATURES]))


def test_fitting_dask_arrays_without_a_client_starts_no_cluster() -> None:
    code = """
import sys
import dask
import dask.array as da
import numpy as np
import lepton_dask
X = da.from_array(np.random.default_rng(0).normal(size=(40, 2)), chunks=(10, 2))
lepton_dask.LogisticRegression().fit(X, X[:, 0] > 0).predict(X).compute(scheduler=dask.get)
assert "distributed" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_text_and_category_columns_are_as_one_hot_columns(table: pd.DataFrame) -> None:
    one_hot = pd.get_dummies(table[FEATURES], columns=["job", "size"], prefix_sep="=", dtype=float)
    for own, reference in [
        (Ridge(alpha=2.0), theirs.Ridge(alpha=2.0)),
        (Lasso(alpha=0.05, tol=1e-12), theirs.Lasso(alpha=0.05, tol=1e-14, max_iter=100_000)),
    ]:
        own.fit(table[FEATURES], table["y"])
        reference.fit(one_hot, table["y"])
        assert list(own.feature_names_out_) == list(one_hot.columns)
        np.testing.assert_allclose(own.coef_, reference.coef_, rtol=1e-6, atol=1e-8)
        found = own.predict(table[FEATURES])
        np.testing.assert_allclose(found, reference.predict(one_hot), rtol=1e-6)
    label = LogisticRegression(tol=1e-10).fit(table[FEATURES], table["label"])
    settings = {"tol": 1e-12, "max_iter": 10_000, "solver": "newton-cg"}
    reference = theirs.LogisticRegression(**settings).fit(one_hot, table["label"])
    np.testing.assert_allclose(label.coef_, reference.coef_, rtol=1e-6, atol=1e-7)


def test_a_level_that_training_has_not_seen_has_no_effect(table: pd.DataFrame) -> None:
    model = Ridge().fit(table[FEATURES], table["y"])
    rows = table[FEATURES].head(3).assign(job="pilot")
    without_job = model.coef_.copy()
    without_job[[name.startswith("job=") for name in model.feature_names_out_]] = 0.0
    model_without = clone(model).fit(table[FEATURES], table["y"])
    model_without.coef_ = without_job
    np.testing.assert_allclose(model.predict(rows), model_without.predict(table[FEATURES].head(3)))


def test_missing_texts_are_a_level_of_their_own(table: pd.DataFrame) -> None:
    missing = table[FEATURES].copy()
    missing.loc[::7, "job"] = None
    model = Ridge(alpha=1e-6).fit(missing, table["y"] + 5.0 * missing["job"].isna())
    effects = dict(zip(model.feature_names_out_, model.coef_, strict=True))
    others = np.mean([effects["job=clerk"], effects["job=baker"], effects["job=smith"]])
    assert effects["job=(missing)"] - others == pytest.approx(5.0, abs=0.3)
    # Without any in training, a missing text is one that was not seen.
    model = Ridge().fit(table[FEATURES], table["y"])
    unseen = table[FEATURES].head(2).assign(job="pilot")
    absent = unseen.assign(job=pd.Series([None, None], dtype="str"))
    np.testing.assert_array_equal(model.predict(absent), model.predict(unseen))


def test_missing_numbers_are_refused(table: pd.DataFrame) -> None:
    missing = table[FEATURES].copy()
    missing.loc[3, "a"] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        Ridge().fit(missing, table["y"])
    with pytest.raises(ValueError, match="contains NaN"):
        Ridge().fit(dd.from_pandas(missing, npartitions=2), table["y"])
    with pytest.raises(ValueError, match="contains NaN"):
        Ridge().fit(table[FEATURES], table["y"]).predict(missing)


def test_a_frame_is_needed_where_one_was_fitted(table: pd.DataFrame) -> None:
    model = Ridge().fit(table[FEATURES], table["y"])
    with pytest.raises(ValueError, match="category columns job, size, and X is a ndarray"):
        model.predict(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table[FEATURES[::-1]])


def test_dates_are_refused(table: pd.DataFrame) -> None:
    day = pd.Categorical(pd.date_range("2026-01-01", periods=len(table)))
    with pytest.raises(ValueError, match="column 'day' holds values of the kind 'datetime64'"):
        Ridge().fit(table[NUMBERS].assign(day=day), table["y"])


def test_sparse_rows_are_fitted_as_dense_ones_are(table: pd.DataFrame) -> None:
    rng = np.random.default_rng(3)
    X = np.where(rng.random((400, 6)) < 0.3, rng.normal(size=(400, 6)), 0.0)
    for estimator in (LogisticRegression(tol=1e-9), Ridge(), Lasso(0.05), HuberRegressor()):
        y = table["label" if isinstance(estimator, LogisticRegression) else "y"]
        dense = clone(estimator).fit(X, y)
        sparse = clone(estimator).fit(scipy.sparse.csr_array(X), y)
        np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=1e-6, atol=1e-9)
        found = sparse.predict(scipy.sparse.csc_array(X))
        if y.dtype.kind == "f":
            np.testing.assert_allclose(found, dense.predict(X), rtol=1e-6, atol=1e-8)
        else:
            np.testing.assert_array_equal(found, dense.predict(X))


def test_many_rows_begin_at_the_fit_to_a_sample_and_end_where_they_should() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60_000, 150))
    y = X[:, 0] - X[:, 1] + rng.logistic(size=len(X)) > 0
    settings = {"C": 0.01}
    found = LogisticRegression(**settings, tol=1e-8).fit(X, y)
    newton = LogisticRegression(**settings, tol=1e-8, solver="newton-cholesky").fit(X, y)
    assert found.converged_
    np.testing.assert_allclose(found.coef_, newton.coef_, atol=1e-6)


def test_estimators_work_inside_scikit_learns_tools(table: pd.DataFrame) -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [1e-4, 1.0]}, cv=3)
    search.fit(table[NUMBERS], table["label"])
    reference = GridSearchCV(
        make_pipeline(StandardScaler(), theirs.LogisticRegression()),
        {"logisticregression__C": [1e-4, 1.0]},
        cv=3,
    ).fit(table[NUMBERS], table["label"])
    assert search.best_params_ == reference.best_params_
    assert search.best_score_ == pytest.approx(reference.best_score_)


def test_a_fitted_estimator_survives_pickling(table: pd.DataFrame) -> None:
    model = LogisticRegression().fit(table[FEATURES], table["label"])
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        again.predict_proba(table[FEATURES]), model.predict_proba(table[FEATURES])
    )


def test_the_history_tells_how_the_objective_fell(table: pd.DataFrame) -> None:
    model = LogisticRegression(tol=1e-8).fit(table[NUMBERS], table["label"])
    losses = [iterate.loss for iterate in model.history_]
    assert losses == sorted(losses, reverse=True)
    assert model.converged_
    assert model.n_iter_ == model.history_[-1].iteration
    assert model.history_[-1].gradient_norm <= 1e-8


def test_too_few_iterations_are_warned_of(table: pd.DataFrame) -> None:
    with pytest.warns(ConvergenceWarning, match="LogisticRegression has not converged"):
        model = LogisticRegression(max_iter=1, tol=1e-12).fit(table[NUMBERS], table["label"])
    assert not model.converged_


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(tol=1e-8, warm_start=True),
        PoissonRegressor(tol=1e-8, warm_start=True),
        HuberRegressor(tol=1e-6, warm_start=True),
        Lasso(0.05, warm_start=True),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_warm_start_begins_where_the_last_fit_ended(estimator: Any, table: pd.DataFrame) -> None:
    key = target(type(estimator))
    first = len(estimator.fit(table[NUMBERS], table[key]).history_)
    coefficients = estimator.coef_
    assert len(estimator.fit(table[NUMBERS], table[key]).history_) < first
    np.testing.assert_allclose(estimator.coef_, coefficients, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="warm_start=True needs the columns"):
        estimator.fit(table[NUMBERS[:2]], table[key])


def test_verbose_prints_the_iterations(
    table: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    LogisticRegression(verbose=1).fit(table[NUMBERS], table["label"])
    assert "LogisticRegression: iteration 1, objective " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (LogisticRegression(solver="liblinear"), "solver='liblinear' is not supported"),
        (LogisticRegression(dual=True), "dual=True is not supported"),
        (LogisticRegression(intercept_scaling=2), "intercept_scaling=2 is not supported"),
        (LogisticRegression(n_jobs=2), "n_jobs=2 is not supported"),
        (LogisticRegression(C=0.0), "'C' parameter of LogisticRegression must be above 0"),
        (LogisticRegression(l1_ratio=1.5), "'l1_ratio' .* must be at least 0 and at most 1"),
        (LogisticRegression(class_weight="even"), "'class_weight' .* one of 'balanced'"),
        (LinearRegression(positive=True), "positive=True is not supported"),
        (LinearRegression(n_jobs=-1), "n_jobs=-1 is not supported"),
        (Ridge(alpha=-1.0), "'alpha' parameter of Ridge must be at least 0"),
        (Ridge(solver="newton"), "'solver' parameter of Ridge must be one of 'auto'"),
        (Lasso(selection="random"), "selection='random' is not supported"),
        (Lasso(precompute=np.eye(3)), "(?s)precompute=.* is not supported"),
        (TweedieRegressor(power=0.5), "power=0.5 is not supported"),
        (TweedieRegressor(power=1.5, link="identity"), "link='identity' is not supported"),
        (HuberRegressor(epsilon=0.9), "'epsilon' .* must be at least 1"),
        (QuantileRegressor(quantile=1.0), "'quantile' .* must be above 0 and below 1"),
        (QuantileRegressor(solver_options={"tol": 1}), "solver_options=.* is not supported"),
    ],
    ids=str,
)
def test_parameters_without_a_meaning_here_are_refused(
    estimator: Any, words: str, table: pd.DataFrame
) -> None:
    key = "label" if isinstance(estimator, LogisticRegression) else "y"
    with pytest.raises(ValueError, match=words):
        estimator.fit(table[NUMBERS], table[key])


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (PoissonRegressor(), "PoissonRegressor needs targets of at least 0, and y has values from"),
        (GammaRegressor(), "GammaRegressor needs targets above 0, and y has values from"),
    ],
)
def test_targets_that_the_loss_is_not_for_are_refused(
    estimator: Any, words: str, table: pd.DataFrame
) -> None:
    with pytest.raises(ValueError, match=words):
        estimator.fit(table[NUMBERS], table["y"])


def test_deprecated_penalties_mean_what_they_did(table: pd.DataFrame) -> None:
    for penalty, settings in [("l1", {"l1_ratio": 1.0}), (None, {"C": np.inf})]:
        with pytest.warns(FutureWarning, match="'penalty' is deprecated"):
            old = LogisticRegression(penalty=penalty).fit(table[NUMBERS], table["label"])
        new = LogisticRegression(**settings).fit(table[NUMBERS], table["label"])
        np.testing.assert_array_equal(old.coef_, new.coef_)


def test_solver_names_lead_to_the_same_coefficients(table: pd.DataFrame) -> None:
    expected = LogisticRegression(tol=1e-9).fit(table[NUMBERS], table["label"]).coef_
    for solver in ("newton-cg", "newton-cholesky", "sag", "saga"):
        model = LogisticRegression(solver=solver, tol=1e-9, max_iter=5000)
        found = model.fit(table[NUMBERS], table["label"]).coef_
        np.testing.assert_allclose(found, expected, atol=1e-6)
    expected = Ridge().fit(table[NUMBERS], table["y"]).coef_
    for solver in Ridge.SOLVERS:
        found = Ridge(solver=solver, tol=1e-10).fit(table[NUMBERS], table["y"]).coef_
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_fit_leaves_blas_its_threads(table: pd.DataFrame) -> None:
    from threadpoolctl import threadpool_info, threadpool_limits

    with threadpool_limits(2, user_api="blas"):
        Ridge().fit(table[NUMBERS], table["y"])
        threads = {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}
    assert threads == {2}


def test_the_outliers_of_a_dask_collection_are_lazy(table: pd.DataFrame) -> None:
    X, y = (da.from_array(table[key].to_numpy(), chunks=100) for key in (NUMBERS, "y"))
    model = HuberRegressor().fit(X.rechunk({1: -1}), y)
    expected = HuberRegressor().fit(X.compute(), y.compute()).outliers_
    np.testing.assert_array_equal(model.outliers_.compute(), expected)


def test_the_estimators_are_public_names() -> None:
    for estimator in ESTIMATORS:
        assert getattr(lepton_dask, estimator.__name__) is estimator
