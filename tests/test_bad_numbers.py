"""The rows on numbers of the list of bad inputs: what a run does with each, and what it says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Lepton, Run

import lepton_dask
from lepton_dask.errors import RunError, UserError
from lepton_dask.events import Event, LevelsUnknown, Warned

SmallChunks = Callable[[int], None]
WritePipeline = Callable[[str], Path]

PIPELINE = """\
name: numbers
steps:
  rows: {{read: {{path: table.csv}}}}
  tidy: {{clean: {{max_bad_share: {share}}}}}
  features: {{prepare: {{target: {target}, categorical: {{minimum_count: 1}}}}}}
  model: {{train: {train}}}
"""
LABEL = "{column: y, positive: 'yes'}"


def pipeline(share: float = 0.01, target: str = LABEL, train: str | None = None) -> str:
    train = train or "{loss: logistic, penalty: {l2: 0.1}}"
    return PIPELINE.format(share=share, target=target, train=train)


@pytest.fixture
def write_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[pd.DataFrame], Path]:
    """Writes table.csv beside the pipeline."""
    monkeypatch.chdir(tmp_path)

    def write(table: pd.DataFrame) -> Path:
        path = tmp_path / "table.csv"
        table.to_csv(path, index=False)
        return path

    return write


WriteTable = Callable[[pd.DataFrame], Path]


def labelled(rows: int, seed: int = 0) -> pd.DataFrame:
    """A number and a label that goes with it, with noise: no plane separates the classes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return pd.DataFrame({"x": x, "y": np.where(x + rng.normal(size=rows) > 0, "yes", "no")})


def warnings(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Warned)]


def numbers_of(folder: Path, step: str = "features") -> dict[str, dict[str, float]]:
    """The columns' profiles over all rows, out of profile.json."""
    document = json.loads((folder / "profile.json").read_text())
    columns: dict[str, dict[str, float]] = document[step]["all"]["columns"]
    return columns


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf", "1e400"])
def test_bad_51_not_finite_feature_is_set_aside_and_counted(
    bad: str, run: Run, write_pipeline: WritePipeline, write_table: WriteTable, events: list[Event]
) -> None:
    table = labelled(200).astype({"x": object})
    table.loc[[7, 120], "x"] = bad
    write_table(table)
    outcome = run(write_pipeline(pipeline()))
    shown = "inf" if bad == "1e400" else bad
    assert warnings(events) == [
        f"column 'x': 2 bad values became missing; the first: table.csv, row 7: {shown} is not "
        "finite"
    ]
    profile = numbers_of(outcome.folder)["x"]
    assert (profile["count"], profile["missing"]) == (198, 2)
    # What is fitted is what pandas fits on the 198 others, the two at their median.
    rest = table["x"].drop([7, 120]).astype(float)
    [number] = lepton_dask.load(outcome.folder).prepared.numbers
    assert number.impute == pytest.approx(rest.median(), rel=1e-12)
    filled = pd.concat([rest, pd.Series([rest.median()] * 2)])
    assert number.center == pytest.approx(filled.mean(), rel=1e-12)
    assert number.scale == pytest.approx(filled.std(ddof=0), rel=1e-12)


def test_bad_51_row_without_a_label_is_not_learnt_from(
    run: Run, write_pipeline: WritePipeline, write_table: WriteTable, events: list[Event]
) -> None:
    table = pd.DataFrame({"x": np.arange(200.0), "y": (np.arange(200.0) * 3 + 1).astype(object)})
    table.loc[150, "y"] = "nan"
    table.loc[30, "y"] = "-inf"
    write_table(table)
    train = "{loss: squared, optimizer: lbfgs, tolerance: 1e-10}"
    outcome = run(write_pipeline(pipeline(target="y", train=train)))
    assert warnings(events) == [
        "column 'y': 2 bad values became missing; the first: table.csv, row 30: -inf is not finite"
    ]
    model = lepton_dask.load(outcome.folder)
    np.testing.assert_allclose(model.predict({"x": [0.0, 30.0]}), [1.0, 91.0], rtol=1e-7)
    lost = [event for event in events if type(event).__name__ == "RowsLost"]
    assert [(each.before, each.after, each.reason) for each in lost] == [
        (200, 198, "all: no target or weight")
    ]


def test_bad_51_too_many_end_the_run(
    lepton: Lepton,
    scheduler: str,
    tmp_path: Path,
    write_pipeline: WritePipeline,
    write_table: WriteTable,
) -> None:
    table = labelled(200).astype({"x": object})
    table.loc[[7, 120, 121], "x"] = ["inf", "nan", "nan"]
    write_table(table)
    folder = tmp_path / "run"
    path = write_pipeline(pipeline())
    done = lepton("run", path, "--scheduler", scheduler, "--output", folder)
    assert done.code == 1
    assert done.stderr.splitlines()[-1] == (
        "lepton: step 'rows', table.csv: column 'x': 3 of 200 values are bad, more than 1.00%; "
        "the first: table.csv, row 7: inf is not finite; mend the data, or allow more with "
        "max_bad_share in a clean step"
    )
    assert done.stdout == ""
    error = json.loads((folder / "error.json").read_text())
    assert (error["exit_code"], error["step"], error["file"]) == (1, "rows", "table.csv")
    assert error["fix"] == "mend the data, or allow more with max_bad_share in a clean step"


def test_bad_51_max_bad_share_is_the_bound(
    run: Run, write_pipeline: WritePipeline, write_table: WriteTable
) -> None:
    table = labelled(200).astype({"x": object})
    table.loc[[7, 120, 121], "x"] = "nan"
    write_table(table)
    path = write_pipeline(pipeline(share=0.015))
    run(path)
    with pytest.raises(RunError, match=r"3 of 200 values are bad, more than 1\.40%"):
        run(path, overrides=["steps.tidy.clean.max_bad_share=0.014"])


def test_bad_52_constant_column_is_dropped(
    run: Run, write_pipeline: WritePipeline, write_table: WriteTable, events: list[Event]
) -> None:
    table = labelled(100).assign(version=3, country="DE")
    write_table(table)
    outcome = run(write_pipeline(pipeline()))
    assert warnings(events) == [
        "column 'version' is constant (3) in the training rows: dropped",
        "column 'country' is constant (DE) in the training rows: dropped",
    ]
    model = lepton_dask.load(outcome.folder)
    assert model.features == ("x",)
    assert model.predict({"x": [5.0]}).tolist() == ["yes"]


def test_bad_52_constant_in_the_training_rows_alone(
    run: Run, write_pipeline: WritePipeline, write_table: WriteTable, events: list[Event]
) -> None:
    table = labelled(100).assign(version=[1] * 80 + [2] * 20, part=["train"] * 80 + ["test"] * 20)
    write_table(table)
    text = pipeline().replace("  features:", "  parts: {split: {column: part}}\n  features:")
    run(write_pipeline(text.replace("categorical:", "exclude: [part], categorical:")))
    assert warnings(events) == ["column 'version' is constant (1) in the training rows: dropped"]


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_bad_53_singular_matrix_trains(
    loss: str, run: Run, write_pipeline: WritePipeline, write_table: WriteTable
) -> None:
    table = labelled(150)
    if loss == "squared":
        table["y"] = table["x"] * 2 + 1
    table.insert(1, "same", table["x"])
    table.insert(2, "twice", table["x"] * 2)
    write_table(table)
    target = LABEL if loss == "logistic" else "y"
    outcome = run(write_pipeline(pipeline(target=target, train=f"{{loss: {loss}}}")))
    model = lepton_dask.load(outcome.folder)
    assert np.isfinite(model.coefficients).all()
    # Started at zero, a gradient method stays in the row space: equal columns share alike.
    assert np.ptp(model.coefficients) < 1e-9
    training = json.loads((outcome.folder / "training.json").read_text())["model"]
    assert training["stopped"].startswith("tolerance: ")
    if loss == "squared":
        np.testing.assert_allclose(model.predict(table), table["y"], atol=1e-5)


@pytest.mark.parametrize(
    ("label", "shown", "target"), [("yes", "'yes'", LABEL), ("1", "1", "y"), ("1.5", "1.5", "y")]
)
def test_bad_54_one_class_overall(
    label: str,
    shown: str,
    target: str,
    lepton: Lepton,
    scheduler: str,
    write_pipeline: WritePipeline,
    write_table: WriteTable,
) -> None:
    write_table(labelled(50).assign(y=label))
    path = write_pipeline(pipeline(target=target))
    done = lepton("run", path, "--scheduler", scheduler)
    assert done.code == 2
    assert done.stdout == ""
    mistake = (
        f"{path}:5:32: target: 'y' is {shown} in every row: there is one class, and it takes two"
    )
    assert mistake in done.stderr.splitlines()
    assert done.stderr.splitlines()[-1] == "1 mistake"


def test_bad_54_one_class_in_the_training_rows(
    run: Run, write_pipeline: WritePipeline, write_table: WriteTable
) -> None:
    write_table(labelled(90).assign(y=["yes"] * 60 + ["no"] * 30, t=np.arange(90)))
    text = pipeline().replace("  features:", "  parts: {split: {time: t, test: 60}}\n  features:")
    with pytest.raises(UserError) as caught:
        run(write_pipeline(text))
    [mistake] = caught.value.mistakes
    assert str(mistake).endswith(
        ":6:32: target: 'y' is 'yes' in every training row: there is one class, and it takes two"
    )


def test_bad_55_class_absent_from_a_chunk(
    run: Run,
    write_pipeline: WritePipeline,
    write_table: WriteTable,
    small_chunks: SmallChunks,
) -> None:
    table = labelled(400).sort_values("y", ignore_index=True)
    path = write_table(table)
    whole = lepton_dask.load(run(write_pipeline(pipeline())).folder)
    small_chunks(math.ceil(path.stat().st_size / 8))
    outcome = run(write_pipeline(pipeline()))
    plan = json.loads((outcome.folder / "plan.json").read_text())
    assert plan["steps"][0]["chunks"] == 8
    model = lepton_dask.load(outcome.folder)
    assert model.classes == ("no", "yes")
    np.testing.assert_allclose(model.coefficients, whole.coefficients, rtol=1e-6)
    assert model.intercept == pytest.approx(whole.intercept, abs=1e-6)


def test_bad_56_empty_partition_contributes_nothing(
    run: Run,
    write_pipeline: WritePipeline,
    write_table: WriteTable,
    small_chunks: SmallChunks,
) -> None:
    """Chunks that lose all of their rows, and chunks with no row of one part."""
    table = labelled(400).assign(t=np.arange(400), z=1.5)
    table.loc[100:299, "z"] = np.nan
    path = write_table(table)
    steps = "  complete: {clean: {drop_missing: [z]}}\n  parts: {split: {time: t, test: 350}}\n"
    text = pipeline().replace("  features:", steps + "  features:")
    text = text.replace("categorical:", "exclude: [t, z], categorical:")
    text += "  scores: {evaluate: {metrics: [roc_auc, log_loss, accuracy], by: z}}\n"
    small_chunks(path.stat().st_size // 16)
    outcome = run(write_pipeline(text))
    rows = json.loads((outcome.folder / "metrics.json").read_text())["scores"]["rows"]
    assert rows == {"train": 150, "test": 50}
    [number] = lepton_dask.load(outcome.folder).prepared.numbers
    train = table[(table.index < 100) | ((table.index >= 300) & (table.index < 350))]
    assert number.center == pytest.approx(train["x"].mean(), rel=1e-12)
    assert number.scale == pytest.approx(train["x"].std(ddof=0), rel=1e-12)


def test_bad_57_chunk_sizes_that_no_plan_knows(
    run: Run,
    write_pipeline: WritePipeline,
    write_table: WriteTable,
    small_chunks: SmallChunks,
) -> None:
    """Nobody can say before the rows are read how many a chunk keeps; metrics, shards and the
    design matrix's chunks all need to know."""
    rng = np.random.default_rng(3)
    table = labelled(600).assign(z=np.where(rng.random(600) < 0.4, np.nan, 1.0))
    path = write_table(table)
    text = pipeline().replace(
        "{max_bad_share", "{require: [z], drop_duplicates: all, max_bad_share"
    )
    text = text.replace("features:", "parts: {split: {test: 0.3}}\n  features:")
    text += "  scores: {evaluate: {metrics: [roc_auc]}}\n"
    small_chunks(path.stat().st_size // 9)
    outcome = run(write_pipeline(text))
    rows = json.loads((outcome.folder / "metrics.json").read_text())["scores"]["rows"]
    assert sum(rows.values()) == table["z"].notna().sum()


def test_bad_58_unseen_level_is_other_and_counted(
    run: Run, write_pipeline: WritePipeline, write_table: WriteTable, events: list[Event]
) -> None:
    table = labelled(200).assign(job=["clerk", "cook"] * 100, part=["train"] * 160 + ["test"] * 40)
    table.loc[[170, 171, 180], "job"] = ["pilot", "diver", "pilot"]
    write_table(table)
    text = pipeline().replace("  features:", "  parts: {split: {column: part}}\n  features:")
    outcome = run(write_pipeline(text.replace("categorical:", "exclude: [part], categorical:")))
    model = lepton_dask.load(outcome.folder)
    assert model.features == ("x", "job=clerk", "job=cook", "job=(other)")
    assert [event for event in events if isinstance(event, LevelsUnknown)] == [
        LevelsUnknown("features", "test", "job", 3)
    ]
    # No training row is "other", so the penalty leaves its coefficient at zero.
    assert model.coefficients["job=(other)"] == 0
    frame = {"x": [0.0, 0.0], "job": ["pilot", "never seen"]}
    assert np.ptp(model.decision_function(frame)) == 0


@pytest.mark.parametrize("scale", ["standard", "none"])
def test_bad_59_no_overflow(
    scale: str, run: Run, write_pipeline: WritePipeline, write_table: WriteTable
) -> None:
    table = labelled(200)
    table["x"] *= 1e12
    table.loc[0] = [1e15, "yes"]
    write_table(table)
    text = pipeline().replace("categorical:", f"numeric: {{scale: {scale}}}, categorical:")
    text += "  scores: {evaluate: {metrics: [log_loss, roc_auc]}}\n"
    outcome = run(write_pipeline(text))
    model = lepton_dask.load(outcome.folder)
    assert np.isfinite(model.coefficients).all()
    assert np.isfinite(outcome.metrics["scores"].scores["all"]["log_loss"])
    probabilities = model.predict_proba({"x": [-1e300, 1e300]})
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities[:, 1], [0, 1], atol=1e-12)


def descent(rate: float, max_passes: int = 300) -> str:
    gradient_descent = f"{{gradient_descent: {{learning_rate: {rate}}}}}"
    train = f"{{loss: squared, max_passes: {max_passes}, optimizer: {gradient_descent}}}"
    return pipeline(target="y", train=train)


@pytest.fixture
def line(write_table: WriteTable) -> None:
    """y = 5 x + 2. On the scaled x the squared loss bends by 1 in every direction, so that a rate
    of 2 and more diverges."""
    x = np.linspace(-1, 1, 100)
    write_table(pd.DataFrame({"x": x, "y": 5 * x + 2}))


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize(
    ("rate", "max_passes", "why"),
    [
        (1e160, 300, "the objective is not finite, however short the step"),
        (3, 10, "the objective rose from 4.25 to 1.11e+06 in 10 passes"),
    ],
)
def test_bad_60_divergence_ends_with_advice(
    rate: float,
    max_passes: int,
    why: str,
    lepton: Lepton,
    scheduler: str,
    tmp_path: Path,
    write_pipeline: WritePipeline,
) -> None:
    path = write_pipeline(descent(rate, max_passes))
    folder = tmp_path / "run"
    done = lepton("run", path, "--scheduler", scheduler, "--output", folder)
    assert done.code == 1
    assert done.stderr.splitlines()[-1] == (
        f"lepton: step 'model': the training diverged: {why}; use a smaller learning_rate, "
        "learning_rate: auto, or optimizer: auto"
    )
    assert json.loads((folder / "run.json").read_text())["state"] == "failed"
    assert not (folder / "model").exists()
    assert not (folder / "models").exists()


@pytest.mark.usefixtures("line")
def test_bad_60_step_is_halved_until_it_converges(run: Run, write_pipeline: WritePipeline) -> None:
    """1075.2 is 1.05 after ten halvings."""
    outcome = run(write_pipeline(descent(1.05 * 2**10)))
    losses = pd.read_csv(outcome.folder / "history.csv")["loss"]
    assert losses.max() > 1e300
    assert losses.iloc[-1] < 1e-12
    model = lepton_dask.load(outcome.folder)
    np.testing.assert_allclose(model.predict({"x": [0.0, 1.0]}), [2, 7], atol=1e-5)
