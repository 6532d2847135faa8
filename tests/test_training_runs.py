"""What ends a training and what a run says of it; the resources that a training may ask for."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Lepton, Run
from distributed import Client
from sklearn.metrics import log_loss, roc_auc_score

import lepton_dask
from lepton_dask.errors import UserError
from lepton_dask.events import Event, Iterated, Warned

WritePipeline = Callable[[str], Path]

ROWS = 400


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """a.csv: forty columns of which three matter, so that a long training overfits."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    X = rng.normal(size=(ROWS, 40))
    made = pd.DataFrame(X, columns=[f"x{i}" for i in range(40)])
    made["y"] = (X[:, :3].sum(axis=1) + rng.normal(size=ROWS) > 0).astype(int)
    made["part"] = rng.choice(["train", "validation", "test"], ROWS, p=[0.4, 0.3, 0.3])
    made.to_csv("a.csv", index=False)
    return made


PIPELINE = """\
name: training
steps:
  rows: {{read: {{path: a.csv}}}}
  parts: {{split: {{column: part}}}}
  features: {{prepare: {{target: y, exclude: [part]}}}}
  model:
    train: {{loss: logistic, {train}}}
"""


def pipeline(train: str) -> str:
    return PIPELINE.format(train=train)


def training(folder: Path) -> dict[str, object]:
    entry: dict[str, object] = json.loads((folder / "training.json").read_text())["model"]
    return entry


def history(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "history.csv")


def warnings(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Warned)]


GRADIENT_DESCENT = "optimizer: {gradient_descent: {learning_rate: 0.5}}"


@pytest.fixture
def validation(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["part"] == "validation"]


def test_early_stopping_keeps_the_best_of_validation(
    validation: pd.DataFrame, run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    text = pipeline(f"early_stopping: {{patience: 3}}, tolerance: 0, {GRADIENT_DESCENT}")
    outcome = run(write_pipeline(text))
    steps = history(outcome.folder)
    best = int(steps["validation"].idxmin())
    assert 0 < best == len(steps) - 4
    stopped = training(outcome.folder)["stopped"]
    shown = f"{steps['validation'][best]:.6g}"
    assert stopped == (
        f"early_stopping: no better validation loss than {shown} (iteration {best}) in 3 iterations"
    )
    model = lepton_dask.load(outcome.folder)
    loss = log_loss(validation["y"], model.predict_proba(validation)[:, 1])
    assert loss == pytest.approx(steps["validation"].min(), rel=1e-9)
    assert warnings(events) == []


def test_without_early_stopping_it_overfits(
    validation: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    """What the test above prevents."""
    outcome = run(write_pipeline(pipeline("tolerance: 1e-5")))
    model = lepton_dask.load(outcome.folder)
    late = log_loss(validation["y"], model.predict_proba(validation)[:, 1])
    early = pipeline("early_stopping: {patience: 3}, optimizer: gradient_descent")
    model = lepton_dask.load(run(write_pipeline(early)).folder)
    assert log_loss(validation["y"], model.predict_proba(validation)[:, 1]) < 0.9 * late
    assert history(outcome.folder)["validation"].isna().all()


def test_a_goal_ends_the_training_and_the_reason_is_kept(
    validation: pd.DataFrame, run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    text = pipeline(f"goal: {{metric: roc_auc, at_least: 0.7}}, {GRADIENT_DESCENT}")
    outcome = run(write_pipeline(text))
    steps = history(outcome.folder)["validation"]
    assert (steps[:-1] < 0.7).all()
    assert steps.iloc[-1] >= 0.7
    assert training(outcome.folder)["stopped"] == (
        f"goal: the goal is met: roc_auc at least 0.7 (validation: {steps.iloc[-1]:.6g})"
    )
    model = lepton_dask.load(outcome.folder)
    score = roc_auc_score(validation["y"], model.predict_proba(validation)[:, 1])
    assert score == pytest.approx(steps.iloc[-1], abs=1e-12)
    assert warnings(events) == []


def test_a_goal_that_is_not_met_is_told(
    run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    outcome = run(write_pipeline(pipeline("goal: {metric: roc_auc, at_least: 0.999}")))
    assert outcome.exit_code == 0
    stopped = str(training(outcome.folder)["stopped"])
    code, reason = stopped.split(": ", 1)
    assert code == "tolerance"
    assert warnings(events) == [f"the goal roc_auc at least 0.999 was not met: {reason}"]


def test_tolerance_bounds_the_gradient(
    run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    for tolerance in (1e-3, 1e-8):
        outcome = run(write_pipeline(pipeline(f"tolerance: {tolerance}, penalty: {{l2: 0.01}}")))
        norms = history(outcome.folder)["gradient_norm"]
        assert (norms[:-1] > tolerance).all()
        assert norms.iloc[-1] <= tolerance
        assert training(outcome.folder)["stopped"] == (
            f"tolerance: gradient {norms.iloc[-1]:.3g} is within tolerance {tolerance:g}"
        )
    assert warnings(events) == []


@pytest.mark.parametrize("optimizer", ["lbfgs", "gradient_descent"])
def test_too_few_passes_are_told_with_what_to_do(
    optimizer: str, run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    outcome = run(write_pipeline(pipeline(f"max_passes: 5, optimizer: {optimizer}")))
    entry = training(outcome.folder)
    assert (entry["optimizer"], entry["passes"]) == (optimizer, 5)
    assert entry["stopped"] == "max_passes: 5 passes, as many as max_passes allows"
    [warning] = warnings(events)
    assert warning.startswith("not converged after 5 passes: the gradient is ")
    assert warning.endswith(", the tolerance 1e-06; raise max_passes, or add a penalty")


def test_all_of_the_passes_were_asked_for(
    run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    """With tolerance 0 nobody expects convergence."""
    outcome = run(write_pipeline(pipeline(f"max_passes: 20, tolerance: 0, {GRADIENT_DESCENT}")))
    assert training(outcome.folder)["passes"] == 20
    assert warnings(events) == []


def test_events_history_and_training_agree(
    run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    outcome = run(write_pipeline(pipeline("early_stopping: {patience: 5}")))
    heard = [event for event in events if isinstance(event, Iterated)]
    written = history(outcome.folder)
    assert list(written.columns) == [
        "iteration",
        "passes",
        "seconds",
        "loss",
        "gradient_norm",
        "validation",
    ]
    for column in ("iteration", "passes", "loss", "gradient_norm", "validation"):
        assert list(written[column]) == [getattr(event, column) for event in heard]
    assert list(written["iteration"]) == list(range(len(written)))
    assert written["passes"].is_monotonic_increasing
    assert written["seconds"].is_monotonic_increasing
    entry = training(outcome.folder)
    assert set(entry) == {"optimizer", "iterations", "passes", "stopped", "seconds"}
    assert entry["passes"] == written["passes"].iloc[-1]


def test_validation_that_no_row_falls_into(
    rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    """What the file cannot show: the parts are named by a column."""
    rows[rows["part"] != "validation"].to_csv("a.csv", index=False)
    for key in ("goal: {metric: roc_auc, at_least: 0.7}", "early_stopping: {patience: 3}"):
        with pytest.raises(UserError, match="needs a validation part, and no row falls into it"):
            run(write_pipeline(pipeline(key)))


@pytest.mark.parametrize(
    "key", ["goal: {metric: roc_auc, at_least: 0.7}", "early_stopping: {patience: 3}"]
)
def test_validation_without_a_validation_part_is_refused(
    key: str, lepton: Lepton, write_pipeline: WritePipeline
) -> None:
    path = write_pipeline(pipeline(key).replace("{column: part}", "{test: 0.3}"))
    done = lepton("run", path)
    assert done.code == 2
    name = key.partition(":")[0]
    assert f": {name}: needs a validation part" in done.stderr
    assert not Path("runs").exists()


# --- priority and resources ----------------------------------------------------------------------


def test_priority_and_resources_validate_and_run(
    lepton: Lepton, scheduler: str, write_pipeline: WritePipeline
) -> None:
    text = pipeline("penalty: {l2: 0.1}") + "    resources: {memory: 100MiB}\n    retries: 2\n"
    text += "    priority: {importance: critical, urgency: high}\n"
    plain = write_pipeline(pipeline("penalty: {l2: 0.1}")).rename("plain.yaml")
    path = write_pipeline(text.replace("name: training", "name: training\npriority: low"))
    assert lepton("validate", path).code == 0
    plan = json.loads(lepton("plan", path, "--json").stdout)
    classes = {step["name"]: step["priority_class"] for step in plan["steps"]}
    assert classes == {"rows": "low", "parts": "low", "features": "low", "model": "critical"}
    assert "asks for memory 104,857,600" in plan["steps"][3]["why"]
    done = lepton("run", path, "--scheduler", scheduler, "--output", "run")
    assert done.code == 0, done.stderr
    # Who goes first never changes what comes out.
    assert lepton("run", plain, "--scheduler", scheduler, "--output", "plain").code == 0
    one, other = (Path(run) / "model" / "coefficients.npy" for run in ("run", "plain"))
    assert one.read_bytes() == other.read_bytes()


def test_tasks_bear_the_priority_and_the_resources_of_their_step(
    run: Run, write_pipeline: WritePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the scheduler is told, not what the plan promises."""
    told: list[tuple[str, int, dict[str, float] | None]] = []
    submit = Client._graph_to_futures

    @functools.wraps(submit)
    def heard(*arguments: object, **options: object) -> object:
        given = inspect.signature(submit).bind(*arguments, **options).arguments
        told.extend((str(key), given["user_priority"], given["resources"]) for key in given["keys"])
        return submit(*arguments, **options)

    monkeypatch.setattr(Client, "_graph_to_futures", heard)
    text = pipeline("max_passes: 5") + "    resources: {memory: 1MiB}\n    priority: critical\n"
    run(write_pipeline(text))
    of_model = [
        (priority, resources) for key, priority, resources in told if key.startswith("model.")
    ]
    others = [(priority, resources) for key, priority, resources in told if key.startswith("rows.")]
    assert len(of_model) >= 5
    [(high, resources)] = {(priority, json.dumps(resources)) for priority, resources in of_model}
    [(normal, nothing)] = {(priority, json.dumps(resources)) for priority, resources in others}
    assert json.loads(resources) == {"memory": 2**20}
    assert json.loads(nothing) is None
    assert high > normal
