"""Preparing, training, evaluating and predicting over several chunks, against scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Run
from sklearn import metrics as sk
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)

import lepton_dask
from lepton_dask.errors import UserError
from lepton_dask.events import Event, StepFinished, StepStarted, Warned
from lepton_dask.run.pipeline import load_and_plan, run_planned

WritePipeline = Callable[[str], Path]
SmallChunks = Callable[[int], None]

ROWS = 800
PARTS = ("train", "validation", "test")
POSITIVE = "yes"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Numbers of several shapes, a category, a weight, a label and a number to learn."""
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, ROWS))
    amount = rng.lognormal(size=ROWS)
    job = rng.choice(["clerk", "cook", "diver", "pilot"], ROWS, p=[0.5, 0.3, 0.19, 0.01])
    effect = x - 0.5 * z + np.log1p(amount) + np.where(job == "cook", 1.5, 0)
    made = pd.DataFrame(
        {
            "x": x,
            "z": z * 40 + 7,
            "amount": amount,
            "job": job,
            "w": rng.integers(1, 4, ROWS),
            "label": np.where(effect + rng.normal(size=ROWS) > 1, POSITIVE, "no"),
            "value": effect * 3 + rng.normal(size=ROWS),
            "part": rng.choice(PARTS, ROWS, p=[0.5, 0.25, 0.25]),
        }
    )
    for column in ("x", "z", "amount", "job"):
        made.loc[rng.random(ROWS) < 0.08, column] = None
    return made


@pytest.fixture(autouse=True)
def _here(
    rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks: SmallChunks
) -> None:
    """a.csv in a folder of the test's own, in about four chunks."""
    monkeypatch.chdir(tmp_path)
    rows.to_csv("a.csv", index=False)
    small_chunks(20_000)


def of_part(rows: pd.DataFrame, part: str) -> pd.DataFrame:
    return rows[rows["part"] == part]


HEAD = """\
name: models
steps:
  rows: {read: {path: a.csv}}
  parts: {split: {column: part}}
"""


def prepare(target: str, *more: str) -> str:
    named = "{column: label, positive: 'yes'}" if target == "label" else "value"
    other = "value" if target == "label" else "label"
    keys = [f"target: {named}", *more]
    if not any(key.startswith("exclude") for key in keys):
        keys.append(f"exclude: [part, w, {other}]")
    return f"  features: {{prepare: {{{', '.join(keys)}}}}}\n"


# --- prepare and train ---------------------------------------------------------------------------

LEVELS = ["clerk", "cook", "diver"]
"""Of ten rows and more in training; `pilot` is another."""


def encoder() -> OneHotEncoder:
    """The same columns: a level each, those of few rows together, and the missing ones."""
    return OneHotEncoder(
        min_frequency=10, handle_unknown="infrequent_if_exist", sparse_output=False
    )


def numbers(impute: str, scale: object, transform: object = None) -> Pipeline:
    return make_pipeline(
        SimpleImputer(strategy=impute),
        FunctionTransformer(transform, feature_names_out="one-to-one"),
        scale,
    )


def oracle(**columns: object) -> ColumnTransformer:
    """scikit-learn's preparation, number columns first, then the category's."""
    steps = [(name, step, [name]) for name, step in columns.items()]
    return ColumnTransformer([*steps, ("job", encoder(), ["job"])])


PREPARATIONS = {
    "standard": (
        ["numeric: {impute: mean}"],
        oracle(**{name: numbers("mean", StandardScaler()) for name in ("x", "z", "amount")}),
    ),
    "mixed": (
        [
            "numeric: {scale: minmax}",
            "columns: {x: {impute: mean}, amount: {transform: log1p, scale: robust}, "
            "'^z$': {scale: none}}",
        ],
        oracle(
            x=numbers("mean", MinMaxScaler()),
            z=numbers("median", "passthrough"),
            amount=numbers("median", RobustScaler(), np.log1p),
        ),
    ),
}


@pytest.mark.parametrize("target", ["label", "value"])
@pytest.mark.parametrize(("name", "weighted"), [("standard", False), ("mixed", True)])
def test_coefficients_are_those_of_scikit_learn(
    name: str,
    target: str,
    weighted: bool,
    rows: pd.DataFrame,
    run: Run,
    write_pipeline: WritePipeline,
) -> None:
    keys, preparation = PREPARATIONS[name]
    l2, loss = 0.02, "logistic" if target == "label" else "squared"
    other = "value" if target == "label" else "label"
    keys = [*keys, *(["weight: w", f"exclude: [part, {other}]"] if weighted else [])]
    train = f"{{loss: {loss}, penalty: {{l2: {l2}}}, tolerance: 1e-9}}"
    outcome = run(write_pipeline(HEAD + prepare(target, *keys) + f"  model: {{train: {train}}}\n"))
    model = lepton_dask.load(outcome.folder)

    training = of_part(rows, "train")
    X = preparation.fit_transform(training)
    w = training["w"].to_numpy(float) if weighted else np.ones(len(training))
    # The objective is divided by the sum of weights here, and multiplied by C or alpha there.
    if target == "label":
        y = training["label"] == POSITIVE
        fitted = LogisticRegression(C=1 / (l2 * w.sum()), tol=1e-10, max_iter=5000)
    else:
        y = training["value"]
        fitted = Ridge(alpha=l2 * w.sum(), tol=1e-12)
    fitted.fit(X, y, sample_weight=w)
    names = [name.partition("__")[2] for name in preparation.get_feature_names_out()]
    expected = pd.Series(np.ravel(fitted.coef_), index=names)
    ours = model.coefficients.rename(
        lambda feature: (
            feature.replace("job=(other)", "job_infrequent_sklearn")
            .replace("job=(missing)", "job_None")
            .replace("job=", "job_")
        )
    )
    assert set(ours.index) == {one.replace("job_nan", "job_None") for one in expected.index}
    expected = expected.rename(lambda feature: feature.replace("job_nan", "job_None"))
    np.testing.assert_allclose(ours, expected[ours.index], atol=1e-5)
    assert model.intercept == pytest.approx(float(np.ravel(fitted.intercept_)[0]), abs=1e-5)

    scored = of_part(rows, "test")
    inputs = preparation.transform(scored)
    if target == "label":
        found = model.predict_proba(scored)[:, 1]
        np.testing.assert_allclose(found, fitted.predict_proba(inputs)[:, 1], atol=1e-5)
    else:
        np.testing.assert_allclose(model.predict(scored), fitted.predict(inputs), atol=1e-4)


# --- evaluate ------------------------------------------------------------------------------------


def class_scores(y: pd.Series, p: np.ndarray, w: pd.Series, threshold: float) -> dict[str, float]:
    called = p >= threshold
    return {
        "roc_auc": sk.roc_auc_score(y, p, sample_weight=w),
        "log_loss": sk.log_loss(y, p, sample_weight=w),
        "brier": sk.brier_score_loss(y, p, sample_weight=w),
        "accuracy": sk.accuracy_score(y, called, sample_weight=w),
        "balanced_accuracy": sk.balanced_accuracy_score(y, called, sample_weight=w),
        "precision": sk.precision_score(y, called, sample_weight=w),
        "recall": sk.recall_score(y, called, sample_weight=w),
        "f1": sk.f1_score(y, called, sample_weight=w),
    }


def number_scores(y: pd.Series, p: np.ndarray, w: pd.Series) -> dict[str, float]:
    return {
        "rmse": sk.root_mean_squared_error(y, p, sample_weight=w),
        "mae": sk.mean_absolute_error(y, p, sample_weight=w),
        "r2": sk.r2_score(y, p, sample_weight=w),
        "explained_variance": sk.explained_variance_score(y, p, sample_weight=w),
    }


LOGISTIC = "  model: {train: {loss: logistic, penalty: {l2: 0.01}}}\n"
SQUARED = "  model: {train: {loss: squared}}\n"


def evaluated(folder: Path, step: str = "scores") -> dict[str, dict[str, float]]:
    entry: dict[str, dict[str, float]] = json.loads((folder / "metrics.json").read_text())[step]
    return entry


def test_class_metrics_are_those_of_scikit_learn(
    rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    """Weighted, by part and by level, at the threshold chosen on validation."""
    names = ", ".join(class_scores(pd.Series([0, 1]), np.array([0, 1]), None, 0.5))
    keys = f"metrics: [{names}], by: job, threshold: {{metric: recall, at_least: 0.9}}"
    text = HEAD + prepare("label", "weight: w", "exclude: [part, value]") + LOGISTIC
    outcome = run(write_pipeline(f"{text}  scores: {{evaluate: {{{keys}, baselines: [mean]}}}}\n"))
    model = lepton_dask.load(outcome.folder)
    scores = evaluated(outcome.folder)

    validation = of_part(rows, "validation")
    p = model.predict_proba(validation)[:, 1]
    assert scores["threshold"] == model.threshold
    # Below the row that it takes in: the bundle adds up a row's terms in numpy's order, the cluster
    # in its kernel's.
    taken_in = best_threshold(validation, p, 0.9)
    assert taken_in * (1 - 2e-12) < model.threshold < taken_in
    assert model.threshold != 0.5
    for part in PARTS:
        some = of_part(rows, part)
        y, p = some["label"] == POSITIVE, model.predict_proba(some)[:, 1]
        assert scores["rows"][part] == len(some)
        assert scores["labels"][part] == {"no": int((~y).sum()), "yes": int(y.sum())}
        expected = class_scores(y, p, some["w"], model.threshold)
        assert scores[part] == pytest.approx(expected, abs=1e-10)
        assert (model.predict(some) == np.where(p >= model.threshold, "yes", "no")).all()
        for level, group in scores["by"][part].items():
            of_level = some["job"].isna() if level == "(missing)" else some["job"] == level
            assert group.pop("rows") == of_level.sum()
            assert group.pop("positives") == y[of_level].sum()
            if y[of_level].nunique() == 2:
                expected = class_scores(
                    y[of_level], p[of_level], some["w"][of_level], model.threshold
                )
                assert group == pytest.approx(expected, abs=1e-10)
    assert set(scores["by"]["train"]) == {*LEVELS, "pilot", "(missing)"}
    train = of_part(rows, "train")
    null = DummyClassifier(strategy="prior").fit(
        train[["x"]], train["label"] == POSITIVE, train["w"]
    )
    test = of_part(rows, "test")
    expected = class_scores(
        test["label"] == POSITIVE, null.predict_proba(test[["x"]])[:, 1], test["w"], 0.5
    )
    assert scores["baselines"]["mean"]["test"]["log_loss"] == pytest.approx(expected["log_loss"])
    assert scores["baselines"]["mean"]["test"]["roc_auc"] == 0.5
    assert scores["positive"] == POSITIVE


def best_threshold(validation: pd.DataFrame, p: np.ndarray, at_least: float) -> float:
    """Of the thresholds that keep the recall, the most precise one; the highest of several."""
    y, w = validation["label"] == POSITIVE, validation["w"]
    kept = []
    for threshold in np.unique(p):
        called = p >= threshold
        if sk.recall_score(y, called, sample_weight=w) >= at_least:
            kept.append((sk.precision_score(y, called, sample_weight=w), threshold))
    return max(kept)[1]


def test_number_metrics_are_those_of_scikit_learn(
    rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    names = ", ".join(number_scores(pd.Series([0, 1]), np.array([0, 1]), None))
    evaluate = f"metrics: [{names}], by: w, baselines: [mean, guess]"
    guess = rows["value"].round() + (rows.index % 3)
    rows.assign(guess=guess).to_csv("a.csv", index=False)
    text = HEAD + prepare("value", "exclude: [part, w, label, guess]") + SQUARED
    outcome = run(write_pipeline(f"{text}  scores: {{evaluate: {{{evaluate}}}}}\n"))
    model = lepton_dask.load(outcome.folder)
    scores = evaluated(outcome.folder)
    train = of_part(rows, "train")
    null = DummyRegressor().fit(train[["x"]], train["value"])
    for part in PARTS:
        some = of_part(rows, part)
        y, one = some["value"], pd.Series(1.0, some.index)
        assert scores[part] == pytest.approx(number_scores(y, model.predict(some), one), abs=1e-9)
        baselines = {"mean": null.predict(some[["x"]]), "guess": guess[some.index]}
        for name, values in baselines.items():
            expected = number_scores(y, values, one)
            assert scores["baselines"][name][part] == pytest.approx(expected, abs=1e-9)
        for level, group in scores["by"][part].items():
            of_level = some["w"] == int(level)
            assert group.pop("rows") == of_level.sum()
            expected = number_scores(y[of_level], model.predict(some)[of_level], one[of_level])
            assert group == pytest.approx(expected, abs=1e-9)
    assert scores["positive"] is None
    assert "threshold" not in scores


@pytest.mark.parametrize(
    ("goal", "missed"),
    [
        ("{metric: rmse, at_most: 100}", None),
        ("{metric: rmse, part: train, better_than: [mean, guess]}", None),
        ("{metric: rmse, at_most: 0.5}", "rmse on test is 1.62651, and should be at most 0.5"),
        (
            "{metric: r2, part: validation, at_least: 0.999}",
            "r2 on validation is 0.827295, and should be at least 0.999",
        ),
        (
            "{metric: rmse, better_than: [mean, perfect]}",
            "rmse on test is 1.62651, and should be better than perfect's 0.0",
        ),
        (
            "{metric: rmse, better_than: [mean, unknown]}",
            "rmse on test is 1.62651, and should be better than unknown's undefined "
            "(no row has a prediction and a weight above zero)",
        ),
    ],
)
def test_goals(
    goal: str, missed: str | None, rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    others = {"guess": 5.0 + rows.index % 3, "perfect": rows["value"]}
    others["unknown"] = others["perfect"].where(rows["part"] != "test")
    rows.assign(**others).to_csv("a.csv", index=False)
    text = HEAD + prepare("value", f"exclude: [part, w, label, {', '.join(others)}]") + SQUARED
    outcome = run(
        write_pipeline(f"{text}  scores: {{evaluate: {{metrics: [mae], goals: [{goal}]}}}}\n")
    )
    if missed is None:
        assert (outcome.exit_code, outcome.missed_goals) == (0, ())
    else:
        assert outcome.exit_code == 3
        [found] = outcome.missed_goals
        assert found == missed
    assert (outcome.folder.parent / "latest").resolve() == outcome.folder


def test_metric_that_is_not_defined_is_null_with_a_warning(
    rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    rows = rows[(rows["part"] != "test") | (rows["label"] == POSITIVE)]
    rows.to_csv("a.csv", index=False)
    goal = "{metric: roc_auc, at_least: 0.5}"
    evaluate = f"{{evaluate: {{metrics: [roc_auc, recall], goals: [{goal}]}}}}"
    outcome = run(write_pipeline(HEAD + prepare("label") + LOGISTIC + f"  scores: {evaluate}\n"))
    assert evaluated(outcome.folder)["test"]["roc_auc"] is None
    assert outcome.exit_code == 3
    told = [event.message for event in events if isinstance(event, Warned)]
    assert len(told) == 1
    assert told[0].startswith("roc_auc is not defined on part test: ")


# --- several models ------------------------------------------------------------------------------

TWO = """\
  strong: {from: features, train: {loss: logistic, penalty: {l2: 10}}}
  weak: {from: features, train: {loss: logistic, penalty: {l2: 1e-3}}}
"""


@pytest.mark.parametrize("part", ["validation", "train"])
def test_choose_keeps_the_better_model(
    part: str, rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    best = f"""\
  best:
    from: [strong, weak]
    evaluate: {{metrics: [roc_auc], choose: {{metric: log_loss, part: {part}}}}}
  scored: {{predict: {{part: test}}}}
  saved: {{write: {{path: scored.csv}}}}
"""
    outcome = run(write_pipeline(HEAD + prepare("label") + TWO + best))
    entry = evaluated(outcome.folder, "best")
    losses = {name: each[part]["log_loss"] for name, each in entry["candidates"].items()}
    some = of_part(rows, part)
    y = some["label"] == POSITIVE
    for name in ("strong", "weak"):
        model = lepton_dask.load(outcome.folder / "models" / name)
        expected = sk.log_loss(y, model.predict_proba(some)[:, 1])
        assert losses[name] == pytest.approx(expected, abs=1e-10)
    assert entry["model"] == min(losses, key=losses.__getitem__) == "weak"
    chosen = lepton_dask.load(outcome.folder)
    weak = lepton_dask.load(outcome.folder / "models" / "weak")
    assert (chosen.coefficients == weak.coefficients).all()
    history = (outcome.folder / "history.csv").read_text()
    assert history == (outcome.folder / "models" / "weak" / "history.csv").read_text()
    scored = pd.read_csv(outcome.folder / "scored.csv")
    np.testing.assert_allclose(
        scored["probability_yes"], weak.predict_proba(of_part(rows, "test"))[:, 1], atol=1e-12
    )


def test_choose_on_a_part_that_no_row_falls_into(
    rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    rows[rows["part"] != "validation"].to_csv("a.csv", index=False)
    best = "  best: {from: [strong, weak], evaluate: {metrics: [f1], choose: {metric: f1}}}\n"
    with pytest.raises(UserError, match="no part 'validation': no row falls into it"):
        run(write_pipeline(HEAD + prepare("label") + TWO + best))


def test_several_models_and_no_choice_leave_no_model_of_the_run(
    run: Run, write_pipeline: WritePipeline
) -> None:
    outcome = run(write_pipeline(HEAD + prepare("label") + TWO))
    assert not (outcome.folder / "model").exists()
    with pytest.raises(UserError, match="several models and none was chosen"):
        lepton_dask.load(outcome.folder)
    assert lepton_dask.load(outcome.folder / "models" / "weak").classes == ("no", "yes")


def test_steps_that_do_not_wait_for_each_other_run_side_by_side(
    run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    slow = TWO.replace(
        "penalty", "tolerance: 0, max_passes: 30, optimizer: gradient_descent, penalty"
    )
    run(write_pipeline(HEAD + prepare("label") + slow))
    order = [
        (type(event), event.step)
        for event in events
        if isinstance(event, StepStarted | StepFinished) and event.step in ("strong", "weak")
    ]
    assert {step for kind, step in order[:2] if kind is StepStarted} == {"strong", "weak"}
    assert {step for kind, step in order[2:] if kind is StepFinished} == {"strong", "weak"}


def test_training_on_one_part_of_prepared_columns(
    rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    """The preparation is fitted on train; what takes features.validation learns from that."""
    model = "  model: {from: features.validation, train: {loss: squared, tolerance: 1e-10}}\n"
    keys = ["exclude: [part, w, label, job, z, amount]", "numeric: {impute: mean}"]
    outcome = run(write_pipeline(HEAD + prepare("value", *keys) + model))
    loaded = lepton_dask.load(outcome.folder)
    train, validation = of_part(rows, "train"), of_part(rows, "validation")
    preparation = numbers("mean", StandardScaler()).fit(train[["x"]])
    fitted = Ridge(alpha=0).fit(preparation.transform(validation[["x"]]), validation["value"])
    assert loaded.coefficients["x"] == pytest.approx(fitted.coef_[0], abs=1e-6)
    assert loaded.intercept == pytest.approx(fitted.intercept_, abs=1e-6)


# --- predict, until, variables -------------------------------------------------------------------


@pytest.mark.parametrize("target", ["label", "value"])
def test_predict_and_write(
    target: str, rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    text = HEAD + prepare(target) + (LOGISTIC if target == "label" else SQUARED)
    tail = "  scored: {predict: {part: validation}}\n  saved: {write: {path: scored.parquet}}\n"
    outcome = run(write_pipeline(text + tail))
    found = pd.read_parquet(outcome.folder / "scored.parquet")
    some = of_part(rows, "validation").reset_index(drop=True)
    model = lepton_dask.load(outcome.folder)
    names = ["probability_no", "probability_yes"] if target == "label" else []
    assert list(found.columns) == [*rows.columns, "prediction", *names, "reason"]
    assert found["x"].isna().equals(some["x"].isna())
    np.testing.assert_allclose(found["value"], some["value"], rtol=1e-15)
    assert found["reason"].isna().all()
    if target == "label":
        assert list(found["prediction"]) == list(model.predict(some))
        np.testing.assert_allclose(found[names], model.predict_proba(some), atol=1e-12)
    else:
        np.testing.assert_allclose(found["prediction"], model.predict(some), atol=1e-12)


def test_predict_of_a_part_that_no_row_falls_into(
    rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    rows.assign(part="train").to_csv("a.csv", index=False)
    tail = "  scored: {predict: {part: test}}\n  saved: {write: {path: scored.csv}}\n"
    with pytest.raises(UserError, match="there is no part 'test': no row falls into it"):
        run(write_pipeline(HEAD + prepare("label") + LOGISTIC + tail))


def test_row_that_cannot_be_scored_keeps_its_place(
    rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    tail = "  scored: {predict: {part: test}}\n  saved: {write: {path: scored.csv}}\n"
    text = HEAD + prepare("value", "columns: {x: {impute: none}}") + SQUARED + tail
    outcome = run(write_pipeline(text))
    found = pd.read_csv(outcome.folder / "scored.csv")
    some = of_part(rows, "test").reset_index(drop=True)
    assert len(found) == len(some)
    unscored = some["x"].isna()
    assert found["prediction"].isna().equals(unscored)
    assert set(found["reason"][unscored]) == {"'x' is missing"}


def test_until_runs_what_the_step_needs(
    write_pipeline: WritePipeline, scheduler: str, events: list[Event]
) -> None:
    copy = "  copy: {from: rows, write: {path: copy.csv}}\n"
    path = write_pipeline(HEAD + prepare("label") + TWO + copy)
    planned = load_and_plan(path, until="strong")
    outcome = run_planned(planned, scheduler=scheduler, listeners=[events.append])
    done = [event.step for event in events if isinstance(event, StepFinished)]
    assert done == ["rows", "parts", "features", "strong"]
    assert [each.name for each in (outcome.folder / "models").iterdir()] == ["strong"]
    assert not (outcome.folder / "copy.csv").exists()


def test_variables_and_environment(
    run: Run, write_pipeline: WritePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference stands for what it refers to, type and all; the folder keeps the reference."""
    monkeypatch.setenv("WHERE", str(Path.cwd()))
    text = (HEAD + prepare("label") + LOGISTIC).replace(
        "name: models", "name: models\nvars: {l2: 0.01}"
    )
    referring = text.replace("path: a.csv", 'path: "${env.WHERE}/${env.NOT_SET:-a}.csv"').replace(
        "penalty: {l2: 0.01}", 'penalty: {l2: "${vars.l2}"}'
    )
    plain, other = (
        lepton_dask.load(run(write_pipeline(each)).folder) for each in (text, referring)
    )
    assert (plain.coefficients == other.coefficients).all()
    overridden = run(write_pipeline(referring), overrides=["vars.l2=1"])
    assert lepton_dask.load(overridden.folder).coefficients.abs().max() < 0.2
    kept = (overridden.folder / "pipeline.yaml").read_text()
    assert "${env.WHERE}" in kept
    assert str(Path.cwd()) not in kept
