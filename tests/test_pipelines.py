"""The shipped pipelines: they are valid, and as good as the README says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY

import lepton_dask
from lepton_dask.events import Iterated
from lepton_dask.run.pipeline import load_and_plan

SHIPPED = sorted((REPOSITORY / "pipelines").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_pipeline_is_valid_without_warnings(path):
    planned = load_and_plan(path)
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
