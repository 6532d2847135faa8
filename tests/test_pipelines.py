"""The shipped pipelines: they are valid, and as good as the README says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY

import lepton_dask
from lepton_dask.events import Iterated, Warned
from lepton_dask.run.adapt_file import adapt_file
from lepton_dask.run.pipeline import load_and_plan

SHIPPED = sorted((REPOSITORY / "pipelines").glob("*.yaml"))
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
FOLDERS = {
    "autonomous_driving": "udacity_steering",
    "bank_intents": "banking77",
    "flights": "nycflights13",
    "intents": "clinc150",
    "taxi": "nyc_taxi_2019",
}
"""The pipelines whose tables do not ship, and the folder that each reads beside the repository."""


def overrides_of(path: Path) -> tuple[str, ...]:
    """Where the pipeline's tables are; skipped where they are not there."""
    if path.stem not in FOLDERS:
        return ()
    folder = SHARED_DATA / FOLDERS[path.stem]
    if not folder.is_dir():
        pytest.skip(f"the tables of {path.stem} are not beside the repository")
    return (f"vars.tables={folder}",)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_pipeline_is_valid_without_warnings(path):
    planned = load_and_plan(path, overrides=overrides_of(path))
    assert planned.warnings == ()
    assert planned.plan.pipeline == path.stem


def test_the_tables_that_ship_are_small_and_bear_their_provenance():
    files = [path for path in (REPOSITORY / "data").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12e6
    folders = {path.parent for path in files}
    assert all((folder / "PROVENANCE.txt").is_file() for folder in folders)


def scores_over_seeds(run, name: str, seeds: range) -> list[float]:
    path = REPOSITORY / "pipelines" / f"{name}.yaml"
    outcomes = [run(path, overrides=[f"seed={seed}"]) for seed in seeds]
    return [outcome.metrics["scores"].scores["test"]["roc_auc"] for outcome in outcomes]


@pytest.mark.cluster
def test_medical_diagnosis_holds_on_ten_splits(run):
    scores = scores_over_seeds(run, "medical_diagnosis", range(10))
    assert np.mean(scores) >= 0.99
    assert min(scores) >= 0.965


@pytest.mark.cluster
def test_financial_analysis_holds_on_five_splits(run):
    assert np.mean(scores_over_seeds(run, "financial_analysis", range(5))) >= 0.902


@pytest.mark.cluster
def test_voice_assistant_holds_on_ten_splits(run):
    assert np.mean(scores_over_seeds(run, "voice_assistant", range(10))) >= 0.83


@pytest.mark.cluster
def test_medical_diagnosis_leaves_what_its_yaml_asks_for(run):
    outcome = run(REPOSITORY / "pipelines" / "medical_diagnosis.yaml")
    evaluated = outcome.metrics["scores"]
    assert outcome.exit_code == 0
    assert evaluated.scores["validation"]["recall"] >= 0.97
    model = lepton_dask.load(outcome.folder)
    assert model.threshold == evaluated.threshold
    assert model.classes == (1, 0)


@pytest.mark.cluster
def test_the_article_takes_its_thousand_steps_to_the_letter(run, events, write_pipeline):
    path = REPOSITORY / "pipelines" / "article.yaml"
    outcome = run(path)
    training = json.loads((outcome.folder / "training.json").read_text())["theta"]
    assert (training["optimizer"], training["passes"]) == ("gradient_descent", 1000)
    losses = [event.loss for event in events if isinstance(event, Iterated)]
    assert len(losses) == 1000
    assert losses == sorted(losses, reverse=True)
    model = lepton_dask.load(outcome.folder)

    # The same rows, prepared by hand: the run's own split, pandas' own numbers.
    rows = pd.read_csv(REPOSITORY / "data" / "modeldata_debian" / "credit_data.csv")
    complete = rows.dropna()
    train = train_rows(run, write_pipeline, path, complete)
    X = np.column_stack([one_hot(complete, model, train), np.ones(len(complete))])[train]
    y = complete["Price"].to_numpy(float)[train]
    theta = np.random.default_rng(1).random(X.shape[1])
    theta[~X.any(axis=0)] = 0.0  # of a level that no training row has, there is nothing to learn
    for _ in range(1000):
        theta = theta - 0.01 * X.T @ (X @ theta - y) / len(y)
    np.testing.assert_allclose(model.coefficients.to_numpy(), theta[:-1], rtol=1e-8, atol=1e-8)
    assert model.intercept == pytest.approx(theta[-1], rel=1e-9)


def train_rows(run, write_pipeline, path: Path, complete: pd.DataFrame) -> np.ndarray:
    """Which of the complete rows the pipeline's split trains on: those it does not test on."""
    text = path.read_text()
    text = text.replace("data/", f"{REPOSITORY}/data/").replace("max_passes: 1000", "max_passes: 1")
    text = text.replace("credit_data.csv}", "credit_data.csv, row_number: row}")
    text = text.replace("prepare: {target: -1", "prepare: {target: Price, exclude: [row]")
    text += "  test_rows: {from: theta, predict: {part: test}}\n  out: {write: {path: test.csv}}\n"
    outcome = run(write_pipeline(text))
    test = pd.read_csv(outcome.folder / "test.csv")["row"]
    return ~complete.index.isin(test)


def one_hot(complete: pd.DataFrame, model: lepton_dask.Model, train: np.ndarray) -> np.ndarray:
    """X by the features' names: numbers scaled by the training rows, a column for each level."""
    columns = []
    for feature in model.features:
        column, _, level = feature.partition("=")
        values = complete[column]
        if not level:
            scaled = (values - values[train].mean()) / values[train].std(ddof=0)
            columns.append(scaled.to_numpy(float))
        elif level == "(other)":
            levels = [f for f in model.features if f.startswith(f"{column}=")]
            known = [name.partition("=")[2] for name in levels]
            columns.append((~values.isin(known)).to_numpy(float))
        else:
            columns.append((values == level).to_numpy(float))
    return np.column_stack(columns)


def scores_of(run, name: str, overrides: tuple[str, ...] = ()):
    """The outcome of a shipped pipeline, and its evaluation."""
    path = REPOSITORY / "pipelines" / f"{name}.yaml"
    outcome = run(path, overrides=(*overrides_of(path), *overrides))
    return outcome, outcome.metrics["scores"]


@pytest.mark.cluster
def test_smart_home_beats_the_mean_and_yesterday(run):
    outcome, scores = scores_of(run, "smart_home")
    assert outcome.exit_code == 0
    assert scores.scores["test"]["rmse"] <= 0.95
    assert scores.baselines["mean"]["test"]["rmse"] == pytest.approx(1.31, abs=0.01)
    assert scores.baselines["yesterday"]["test"]["rmse"] == pytest.approx(1.08, abs=0.01)
    assert sum(scores.rows.values()) == 17 * 8760


@pytest.mark.cluster
def test_a_week_of_a_new_home_is_worth_more_with_the_others(run, tmp_path):
    path = REPOSITORY / "pipelines" / "new_homes.yaml"
    outcome = run(path, overrides=overrides_of(path))
    at = {(row.model, row.shots): row.value for row in outcome.comparisons["model"].rows}
    for shots in (24, 168):
        learnt = at["hierarchical_linear", shots]
        assert learnt < min(at["pooled", shots], at["independent", shots])
    home = pd.read_csv(REPOSITORY / "data/citylearn_17homes/Building_9.csv")
    home.head(168).to_csv(tmp_path / "Building_new.csv", index=False)
    adapt_file(outcome.folder, str(tmp_path / "Building_new.csv"), tmp_path / "home")
    assert lepton_dask.load(tmp_path / "home").prior is None


@pytest.mark.cluster
def test_road_traffic_beats_the_same_hour_of_last_week(run):
    outcome, scores = scores_of(run, "road_traffic")
    assert outcome.exit_code == 0
    assert scores.scores["test"]["rmse"] <= 400
    assert scores.baselines["last_week"]["test"]["rmse"] == pytest.approx(550, abs=10)
    assert scores.baselines["mean"]["test"]["rmse"] == pytest.approx(1945, abs=15)
    # The future reads no weather: only what has been measured a day before.
    inputs = {column.name for column in lepton_dask.load(outcome.folder).inputs}
    assert inputs == {"datetime", "traffic_volume", "clouds_all"}


@pytest.mark.cluster
def test_autonomous_driving_beats_holding_the_wheel(run):
    outcome, scores = scores_of(run, "autonomous_driving")
    assert outcome.exit_code == 0
    assert scores.scores["test"]["rmse"] <= 0.062
    assert scores.baselines["angle_now"]["test"]["rmse"] == pytest.approx(0.0736, abs=2e-4)
    assert scores.baselines["mean"]["test"]["rmse"] == pytest.approx(0.2815, abs=2e-4)


KNOWN_BEFORE_DEPARTURE = {
    *("month", "day", "hour", "minute", "weekday", "sched_dep_time", "sched_arr_time"),
    *("airline", "desk", "origin", "dest", "distance", "built", "seats", "lat", "lon", "alt"),
    *("temp", "heat", "dewp", "humid", "pressure", "wind_speed", "wind_gust", "precip"),
    *("visib", "fog"),
}


@pytest.mark.cluster
def test_flights_knows_only_what_is_known_before_departure(run):
    outcome, scores = scores_of(run, "flights")
    assert outcome.exit_code == 0
    assert scores.scores["test"]["roc_auc"] >= 0.725
    features = lepton_dask.load(outcome.folder).features
    assert {feature.partition("=")[0] for feature in features} == KNOWN_BEFORE_DEPARTURE
    by_date = "{split: {train: 0.7, validation: 0.1, test: 0.2}}"
    _, at_random = scores_of(run, "flights", (f"steps.parts={by_date}", "seed=1"))
    assert at_random.scores["test"]["roc_auc"] >= 0.75


@pytest.mark.cluster
def test_taxi_reports_the_month_that_lacks_a_column_and_beats_the_mean(run, events):
    outcome, scores = scores_of(run, "taxi")
    assert outcome.exit_code == 0
    assert scores.scores["test"]["rmse"] < 4
    assert scores.baselines["mean"]["test"]["rmse"] > 11
    told = [event.message for event in events if isinstance(event, Warned)]
    unlikely = [message for message in told if "far less likely" in message]
    assert ["2019-01" in message for message in unlikely] == [True]


@pytest.mark.cluster
def test_bakeoff_keeps_the_better_of_two(run):
    outcome = run(REPOSITORY / "pipelines" / "bakeoff.yaml")
    best = outcome.metrics["best"]
    by_validation = {name: s["validation"]["roc_auc"] for name, s in best.candidates.items()}
    assert best.model == max(by_validation, key=by_validation.__getitem__)
    assert best.scores["test"]["roc_auc"] >= 0.905
