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


@pytest.fixture
def shared_data(monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the tables beside the repository are not there")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.usefixtures("shared_data")
def test_the_fifth_up_to_its_read_step(
    lepton: Lepton, scheduler: str, write_pipeline: WritePipeline, tmp_path: Path
) -> None:
    """Its official parts are three arrays of one document; text hashing comes later."""
    words = ["--until", "sentences", "--scheduler", scheduler, "--output", tmp_path / "run"]
    done = lepton("run", write_pipeline(INTENTS), *words)
    assert done.code == 0, done.stderr
    assert "train 15,000, validation 3,000, test 4,500 rows x 2 columns in 3 chunks" in done.stderr
    assert "warning: " in done.stderr
    assert "text hashing is not supported yet" in done.stderr


@pytest.mark.usefixtures("shared_data")
def test_the_fifth_is_refused_up_to_a_step_that_is_not_supported(
    lepton: Lepton, write_pipeline: WritePipeline
) -> None:
    """What lies behind that step is a mistake too: the steps to run cannot be told apart."""
    for step, loss in (("features", 0), ("model", 1)):
        done = lepton("run", write_pipeline(INTENTS), "--until", step)
        assert (done.code, done.stdout) == (2, "")
        assert "text hashing is not supported yet" in done.stderr
        assert done.stderr.count("loss is not supported yet") >= loss


@pytest.mark.usefixtures("shared_data")
def test_the_fifth_is_told_what_is_not_supported_yet(
    lepton: Lepton, write_pipeline: WritePipeline
) -> None:
    done = lepton("validate", write_pipeline(INTENTS))
    assert done.code == 2
    mistakes = [line.partition(": ")[2] for line in done.stderr.splitlines() if "yaml:" in line]
    assert mistakes == [
        "hash: text hashing is not supported yet",
        "loss: the multinomial loss is not supported yet",
    ]


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
