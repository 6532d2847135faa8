"""Many classes from hashed texts, end to end over several chunks, against scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Lepton, Run
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

import lepton_dask
from lepton_dask.artifacts.bundle import load
from lepton_dask.data.columns import NumberColumn, TextColumn
from lepton_dask.run.outcome import RunOutcome

WritePipeline = Callable[[str], Path]
SmallChunks = Callable[[int], None]

ROWS = 600
PARTS = ("train", "validation", "test")
L2 = 1e-2

PIPELINE = f"""\
name: many
steps:
  rows: {{read: {{path: a.csv}}}}
  parts: {{split: {{column: part}}}}
  features:
    prepare:
      target: kind
      weight: w
      exclude: [part, channel]
      columns: {{said: {{hash: {{words: [1, 2], characters: [2, 3], buckets: 512}}}}}}
  model: {{train: {{loss: multinomial, penalty: {{l2: {L2}}}, tolerance: 1.0e-8}}}}
  scores:
    evaluate:
      metrics: [accuracy, balanced_accuracy, f1_macro, log_loss]
      baselines: [mean]
      by: channel
      goals: [{{metric: accuracy, part: test, at_least: 0.5, better_than: [mean]}}]
  out: {{from: model, predict: {{part: test}}}}
  save: {{write: {{path: predictions.parquet}}}}
"""


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Texts of words that hang on the kind, one of four; a number that does a little."""
    rng = np.random.default_rng(2)
    kinds = np.array(["ask", "buy", "cancel", "thank"])
    kind = rng.choice(4, ROWS, p=[0.4, 0.3, 0.2, 0.1])
    words = [["what", "how", "is"], ["order", "need", "two"], ["stop", "end", "it"], ["ok", "Bye"]]
    common = ["please", "the", "now", "Café"]
    said = [
        " ".join(rng.choice([*words[k], *common], rng.integers(1, 6)))
        if rng.random() > 0.05
        else ""
        for k in kind
    ]
    made = pd.DataFrame(
        {
            "said": said,
            "length": np.round(kind + rng.normal(size=ROWS) * 2, 3),
            "w": rng.integers(1, 4, ROWS),
            "kind": kinds[kind],
            "channel": rng.choice(["phone", "mail"], ROWS),
            "part": rng.choice(PARTS, ROWS, p=[0.5, 0.25, 0.25]),
        }
    )
    made.loc[made["said"] == "", "said"] = None
    return made


@pytest.fixture(autouse=True)
def _here(
    rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks: SmallChunks
) -> None:
    """a.csv in a folder of the test's own, in about four chunks."""
    monkeypatch.chdir(tmp_path)
    rows.to_csv("a.csv", index=False)
    small_chunks(6_000)


@pytest.fixture
def outcome(run: Run, write_pipeline: WritePipeline) -> RunOutcome:
    return run(write_pipeline(PIPELINE))


def design(model: lepton_dask.Model, rows: pd.DataFrame) -> np.ndarray:
    """The prepared columns of a model, dense."""
    codes, levels = pd.factorize(rows["said"])  # -1 where missing
    columns = {
        "said": TextColumn(codes.astype(np.int32), tuple(levels)),
        "length": NumberColumn(rows["length"].to_numpy(), np.zeros(len(rows), dtype=bool)),
    }
    prepared = model.prepared.apply(columns)
    sparse = np.zeros((len(rows), model.prepared.layout.sparse))
    at = np.repeat(np.arange(len(rows)), np.diff(prepared.sparse.starts))
    sparse[at, prepared.sparse.columns] = prepared.sparse.values
    return np.hstack([prepared.dense, sparse])


def test_it_equals_scikit_learn_from_the_buckets_to_the_scores(
    outcome: RunOutcome, rows: pd.DataFrame
) -> None:
    model = load(outcome.folder)
    by_part = {part: rows[rows["part"] == part] for part in PARTS}
    train = by_part["train"]
    weight = train["w"].to_numpy(float)
    fitted = LogisticRegression(C=1 / (weight.sum() * L2), tol=1e-10, max_iter=5000).fit(
        design(model, train), train["kind"], weight
    )
    assert model.classes == tuple(fitted.classes_) == ("ask", "buy", "cancel", "thank")
    np.testing.assert_allclose(model.coefficient_array, fitted.coef_.T, atol=1e-5)

    evaluated = outcome.metrics["scores"]
    for part, table in by_part.items():
        y, w = table["kind"], table["w"]
        p = fitted.predict_proba(design(model, table))
        called = fitted.classes_[p.argmax(axis=1)]
        expected = {
            "accuracy": sk.accuracy_score(y, called, sample_weight=w),
            "balanced_accuracy": sk.balanced_accuracy_score(y, called, sample_weight=w),
            "f1_macro": sk.f1_score(y, called, sample_weight=w, average="macro"),
            "log_loss": sk.log_loss(y, p, sample_weight=w),
        }
        assert evaluated.scores[part] == pytest.approx(expected, abs=1e-5)
        assert evaluated.labels[part] == y.value_counts().to_dict()
    assert evaluated.positive is None

    shares = np.bincount(train["kind"].map(list(model.classes).index), weights=weight)
    constant = np.tile(shares / shares.sum(), (len(by_part["test"]), 1))
    y, w = by_part["test"]["kind"], by_part["test"]["w"]
    assert evaluated.baselines["mean"]["test"]["log_loss"] == pytest.approx(
        sk.log_loss(y, constant, sample_weight=w), abs=1e-6
    )
    assert evaluated.baselines["mean"]["test"]["accuracy"] == pytest.approx(
        sk.accuracy_score(y, ["ask"] * len(y), sample_weight=w)
    )
    for channel, table in by_part["test"].groupby("channel"):
        p = fitted.predict_proba(design(model, table))
        found = dict(evaluated.by["test"][channel])
        assert found.pop("rows") == len(table)
        assert found["log_loss"] == pytest.approx(
            sk.log_loss(table["kind"], p, sample_weight=table["w"]), abs=1e-5
        )
        assert set(found) == {"accuracy", "balanced_accuracy", "f1_macro", "log_loss"}


def test_rows_leave_with_a_probability_for_each_class(
    outcome: RunOutcome, rows: pd.DataFrame, lepton: Lepton, scheduler: str
) -> None:
    names = [f"probability_{kind}" for kind in ("ask", "buy", "cancel", "thank")]
    test = rows[rows["part"] == "test"].reset_index(drop=True)
    model = load(outcome.folder)
    expected = model.predict_proba(test)
    written = pd.read_parquet(outcome.folder / "predictions.parquet")
    np.testing.assert_allclose(written[names], expected, rtol=1e-12)
    assert written["prediction"].tolist() == model.predict(test).tolist()

    test.drop(columns=["kind", "part"]).to_csv("new.csv", index=False)
    done = lepton("predict", outcome.folder, "new.csv", "scored.csv", "--scheduler", scheduler)
    assert done.code == 0, done.stderr
    scored = pd.read_csv("scored.csv")
    np.testing.assert_allclose(scored[names], expected, rtol=1e-12)


def test_chunks_of_any_size_touch_the_same_buckets(
    run: Run, write_pipeline: WritePipeline, small_chunks: SmallChunks
) -> None:
    short = write_pipeline(PIPELINE.replace("tolerance: 1.0e-8", "max_passes: 3"))
    bundles = []
    for size in (3_000, 1_000_000):
        small_chunks(size)
        outcome = run(short)
        bundles.append(load(outcome.folder).prepared)
        touched = outcome.folder / "model" / "texts" / "0.npy"
        touched = touched if touched.is_file() else outcome.folder / "models/model/texts/0.npy"
        assert len(np.load(touched)) == bundles[-1].layout.sparse
    assert bundles[0].texts == bundles[1].texts


def test_a_goal_stops_training_and_models_are_chosen_by_a_metric_of_many(
    run: Run, write_pipeline: WritePipeline
) -> None:
    text = PIPELINE.replace(
        f"  model: {{train: {{loss: multinomial, penalty: {{l2: {L2}}}, tolerance: 1.0e-8}}}}\n",
        "  weak: {from: features, train: {loss: multinomial, penalty: {l2: 10}}}\n"
        "  model:\n"
        "    from: features\n"
        "    train: {loss: multinomial, penalty: {l2: 1.0e-4}, "
        "goal: {metric: f1_macro, at_least: 0.6}}\n",
    ).replace("  scores:\n", "  scores:\n    from: [weak, model]\n")
    text = text.replace("      by: channel\n", "      choose: {metric: log_loss}\n")
    outcome = run(write_pipeline(text))
    evaluated = outcome.metrics["scores"]
    assert evaluated.model == "model"
    assert evaluated.candidates["model"]["validation"]["f1_macro"] >= 0.6
    history = json.loads((outcome.folder / "metrics.json").read_text())["scores"]
    assert history["candidates"].keys() == {"weak", "model"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("target: kind", "target: {column: kind, positive: ask}", "learns every class"),
        ("[accuracy, balanced", "[roc_auc, balanced", "roc_auc is of two classes"),
        ("baselines: [mean]", "baselines: [length]", "cannot say how probable each class is"),
        (
            "baselines: [mean]",
            "threshold: {metric: recall, at_least: 0.5}",
            "predicts the most probable class",
        ),
        (
            "  scores:\n",
            "  other: {from: features, train: {loss: logistic}}\n  scores:\n    from: model\n",
            "already has a step that learns a class of many",
        ),
    ],
)
def test_what_many_classes_have_not_is_told_before_it_runs(
    lepton: Lepton, write_pipeline: WritePipeline, old: str, new: str, words: str
) -> None:
    assert old in PIPELINE
    done = lepton("validate", write_pipeline(PIPELINE.replace(old, new, 1)))
    assert done.code == 2
    assert words in done.stderr
