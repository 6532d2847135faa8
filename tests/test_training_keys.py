"""What `train` may say beside the loss: class weights, penalty factors, standard errors, sgd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from conftest import Run
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import lepton_dask
from lepton_dask.errors import UserError

WritePipeline = Callable[[str], Path]
ROWS = 500

PIPELINE = """\
name: keys
steps:
  rows: {{read: {{path: a.csv}}}}
  features: {{prepare: {{target: {{column: y, positive: "yes"}}}}}}
  model: {{train: {{loss: logistic, tolerance: 1.0e-10, {train}}}}}
"""


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    X = rng.normal(size=(ROWS, 3))
    z = X @ [1.0, -0.5, 0.0] - 1.5
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["y"] = np.where(rng.random(ROWS) < 1 / (1 + np.exp(-z)), "yes", "no")
    frame.to_csv("a.csv", index=False)
    return frame


@pytest.fixture
def coefficients(run: Run, write_pipeline: WritePipeline) -> Callable[[str], np.ndarray]:
    def trained(train: str) -> np.ndarray:
        outcome = run(write_pipeline(PIPELINE.format(train=train)))
        model = lepton_dask.load(outcome.folder / "model")
        return np.append(model.coefficient_array, model.intercept)

    return trained


def scaled(rows: pd.DataFrame) -> np.ndarray:
    return StandardScaler().fit_transform(rows[["a", "b", "c"]])


def of_scikit_learn(rows: pd.DataFrame, **changes: object) -> np.ndarray:
    oracle = LogisticRegression(C=1 / (ROWS * 0.01), tol=1e-12, max_iter=10_000, **changes)
    oracle.fit(scaled(rows), rows["y"])
    return np.append(oracle.coef_[0], oracle.intercept_)


def test_class_weights_are_scikit_learns(rows, coefficients):
    yes, total = int((rows["y"] == "yes").sum()), len(rows)
    # The penalty is beside the mean by weight here, beside the sum in scikit-learn.
    weight = 5 * yes + (total - yes)
    found = coefficients(f"class_weight: {{'yes': 5}}, penalty: {{l2: {0.01 * total / weight}}}")
    expected = of_scikit_learn(rows, class_weight={"yes": 5, "no": 1})
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    balanced = coefficients("class_weight: balanced, penalty: {l2: 0.01}")
    expected = of_scikit_learn(rows, class_weight="balanced")
    np.testing.assert_allclose(balanced, expected, rtol=1e-6)


def test_a_factor_of_nothing_leaves_a_column_free(rows, coefficients):
    strong = coefficients("penalty: {l2: 100, factors: {a: 0}}")
    alone = sm.GLM(
        (rows["y"] == "yes").astype(float),
        sm.add_constant(scaled(rows)[:, :1]),
        family=sm.families.Binomial(),
    ).fit()
    assert np.abs(strong[1:3]).max() < 0.01
    np.testing.assert_allclose(strong[[3, 0]], alone.params, rtol=0.01)


def test_standard_errors_are_written_and_equal_statsmodels(rows, run, write_pipeline):
    outcome = run(write_pipeline(PIPELINE.format(train="inference: true")))
    found = pd.read_csv(outcome.folder / "inference.csv", index_col="feature")
    oracle = sm.GLM(
        (rows["y"] == "yes").astype(float),
        np.column_stack([scaled(rows), np.ones(ROWS)]),
        family=sm.families.Binomial(),
    ).fit(tol=1e-14)
    assert list(found.index) == ["a", "b", "c", "(intercept)"]
    np.testing.assert_allclose(found["coefficient"], oracle.params, rtol=1e-6)
    np.testing.assert_allclose(found["standard_error"], oracle.bse, rtol=1e-6)
    np.testing.assert_allclose(found["z"], oracle.tvalues, rtol=1e-6)
    np.testing.assert_allclose(found["p"], oracle.pvalues, rtol=1e-6)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("class_weight: {'yse': 2}", "'yse' is not a label of 'y'; did you mean 'yes'?"),
        ("penalty: {l2: 1, factors: {d: 2}}", "'d' is no column that is learnt from"),
        ("optimizer: {sgd: {batches: 501}}", "501 batches of 500 rows leave some without a row"),
        ("inference: true, penalty: {l2: 1}", "a penalty pulls the coefficients towards 0"),
        ("inference: true, class_weight: balanced", "class weights make more or less of the rows"),
        ("inference: true, goal: {metric: accuracy, at_least: 0.5}", "stops before its minimum"),
        ("optimizer: normal", "normal is for the squared loss alone"),
        ("optimizer: lbfgs, penalty: {l1: 1}", "lbfgs needs a smooth objective, and l1 is not"),
        ("penalty: {factors: {a: -1}}", "must be at least 0, found -1"),
    ],
)
def test_what_cannot_be_had_is_said_with_its_place(train, message, run, write_pipeline):
    with pytest.raises(UserError) as raised:
        run(write_pipeline(PIPELINE.format(train=train)))
    assert message in str(raised.value)
    assert "a.yaml:5:" in str(raised.value) or ":5:" in str(raised.value)
