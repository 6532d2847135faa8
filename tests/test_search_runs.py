"""Searches in whole runs: what is found, written down, remembered and gone on with."""

from __future__ import annotations

import csv
import functools
import inspect
import json
import signal
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from conftest import Lepton, Run
from distributed import Client
from processes import eventually, lepton_process
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss

import lepton_dask
from lepton_dask.errors import RunError, UserError
from lepton_dask.events import Event, SearchStarted, TrialEnded
from lepton_dask.learn.folds import fold_numbers

WritePipeline = Callable[[str], Path]
ROWS = 600
HEADER = ["trial", "rung", "passes", "seconds", "metric", "status"]


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """a.csv: twenty columns of which three matter, and a portfolio that is the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    rng = np.random.default_rng(5)
    X = rng.normal(size=(ROWS, 20))
    made = pd.DataFrame(X, columns=[f"x{i}" for i in range(20)])
    made["y"] = (X[:, :3].sum(axis=1) + rng.normal(size=ROWS) > 0).astype(int)
    made["part"] = rng.choice(["train", "validation", "test"], ROWS, p=[0.4, 0.3, 0.3])
    made.to_csv("a.csv", index=False)
    return made


PIPELINE = """\
name: searching
steps:
  rows: {{read: {{path: a.csv}}}}
  parts: {{split: {{column: part}}}}
  features: {{prepare: {{target: y, exclude: [part]}}}}
  model:
    train: {{loss: logistic, {train}}}
"""
L2 = "penalty.l2: {log: [1.0e-5, 1.0]}"
BOTH = f"{L2}, optimizer: {{choices: [lbfgs, newton]}}"


def pipeline(search: str, train: str = "tolerance: 1.0e-8") -> str:
    return PIPELINE.format(train=f"{train}, search: {{metric: log_loss, {search}}}")


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "search.csv", keep_default_na=False)


def valued(found: pd.DataFrame) -> pd.DataFrame:
    return found[found["metric"] != ""].astype({"metric": float})


def coefficients(folder: Path) -> bytes:
    return (folder / "model" / "coefficients.npy").read_bytes()


@pytest.mark.parametrize("space", [L2, BOTH], ids=["shared", "rungs"])
def test_the_best_trial_is_the_model_and_its_score_is_that_of_validation(
    space: str, rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    outcome = run(write_pipeline(pipeline(f"space: {{{space}}}, budget: {{trials: 6}}")))
    found = table(outcome.folder)
    assert list(found.columns) == HEADER + list(dict.fromkeys(["penalty.l2", *found.columns[7:]]))
    assert sorted(set(found["trial"])) == list(range(6))
    best = valued(found[found["status"] == "tolerance"]).sort_values("metric").iloc[0]
    validation = rows[rows["part"] == "validation"]
    model = lepton_dask.load(outcome.folder)
    score = log_loss(validation["y"], model.predict_proba(validation)[:, 1])
    assert score == pytest.approx(best["metric"], rel=1e-6)
    alone = f"penalty: {{l2: {best['penalty.l2']}}}, tolerance: 1.0e-8"
    single = run(write_pipeline(PIPELINE.format(train=alone)))
    expected = lepton_dask.load(single.folder)
    np.testing.assert_allclose(model.coefficients, expected.coefficients, atol=1e-5)
    assert outcome.exit_code == 0


def test_each_trial_of_shared_passes_scores_as_its_own_fit_does(
    rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    outcome = run(write_pipeline(pipeline(f"space: {{{L2}}}, budget: {{trials: 4}}")))
    validation = rows[rows["part"] == "validation"]
    for _, trial in valued(table(outcome.folder)).iterrows():
        alone = f"penalty: {{l2: {trial['penalty.l2']}}}, tolerance: 1.0e-8"
        model = lepton_dask.load(run(write_pipeline(PIPELINE.format(train=alone))).folder)
        score = log_loss(validation["y"], model.predict_proba(validation)[:, 1])
        assert score == pytest.approx(trial["metric"], rel=1e-6)


def test_trials_are_carried_up_the_rungs_to_the_bits_of_a_training_without_search(
    run: Run, write_pipeline: WritePipeline
) -> None:
    text = pipeline(
        "space: {penalty.l2: {log: [1.0e-5, 1.0]}, optimizer: {choices: [lbfgs]}}, "
        "budget: {trials: 9}, parallel: 1, rungs: {first: 2}",
        "tolerance: 1.0e-10",
    )
    outcome = run(write_pipeline(text))
    found = table(outcome.folder)
    counts = found["rung"].value_counts().sort_index().tolist()
    assert counts[0] == 9
    assert 3 <= counts[1] <= 5  # a third, and who was among the best when fewer were there
    assert counts[2] >= 1
    assert (found[found["rung"] == 0]["passes"] <= 2).all()
    promoted = found[found["rung"] == 1]["trial"]
    first = valued(found[found["rung"] == 0]).set_index("trial")["metric"]
    assert first.idxmin() in set(promoted)
    # Few passes may score better; the model that is kept is the best of those at their end.
    ended = valued(found[found["status"] == "tolerance"])
    best = ended.sort_values(["metric", "rung"]).iloc[0]
    alone = f"optimizer: lbfgs, penalty: {{l2: {best['penalty.l2']}}}, tolerance: 1.0e-10"
    single = run(write_pipeline(PIPELINE.format(train=alone)))
    assert coefficients(outcome.folder) == coefficients(single.folder)


def test_the_search_stops_at_its_goal(run: Run, write_pipeline: WritePipeline) -> None:
    for space in (L2, BOTH):
        text = pipeline(f"space: {{{space}}}, goal: {{at_most: 0.6}}, budget: {{trials: 30}}")
        outcome = run(write_pipeline(text))
        found = table(outcome.folder)
        assert valued(found)["metric"].min() <= 0.6
        assert len(set(valued(found)["trial"])) < 30
        assert outcome.exit_code == 0
        trained = json.loads((outcome.folder / "training.json").read_text())["model"]
        assert trained["stopped"] == "goal: the search's goal is met: log_loss at most 0.6"


@pytest.mark.parametrize("space", [L2, BOTH], ids=["shared", "rungs"])
def test_a_goal_that_no_trial_meets_is_exit_code_3(
    space: str, lepton: Lepton, scheduler: str, write_pipeline: WritePipeline
) -> None:
    text = pipeline(f"space: {{{space}}}, goal: {{at_most: 0.01}}, budget: {{trials: 3}}")
    done = lepton("run", write_pipeline(text), "--scheduler", scheduler, "--output", "out")
    assert done.code == 3
    assert "goal missed: model: log_loss at most 0.01; the best of the search has 0." in done.stderr
    assert "model: best log_loss 0." in done.stderr
    assert json.loads(Path("out/run.json").read_text())["exit_code"] == 3
    assert Path("out/model").is_dir()


def test_the_budget_ends_a_search_by_passes(run: Run, write_pipeline: WritePipeline) -> None:
    text = pipeline(f"space: {{{BOTH}}}, budget: {{trials: 50, passes: 20}}, parallel: 1")
    outcome = run(write_pipeline(text))
    found = valued(table(outcome.folder))
    spent = found.groupby("trial")["passes"].max().sum()
    assert 20 <= spent < 20 + found["passes"].max()


@pytest.mark.parametrize("space", [L2, BOTH], ids=["shared", "rungs"])
def test_the_budget_ends_a_search_by_minutes_with_what_was_found(
    space: str, run: Run, write_pipeline: WritePipeline
) -> None:
    text = pipeline(f"space: {{{space}}}, budget: {{trials: 400, minutes: 0.001}}")
    outcome = run(write_pipeline(text))
    found = table(outcome.folder)
    assert len(valued(found)) >= 1
    assert len(set(found["trial"])) < 200
    assert (outcome.folder / "model").is_dir()


def test_folds_are_scored_on_what_they_left_out_as_scikit_learn_does(
    rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    text = """\
    name: folded
    seed: 11
    steps:
      rows: {read: {path: a.csv}}
      features: {prepare: {target: x0, exclude: [part], numeric: {scale: none}}}
      model:
        train:
          loss: squared
          search: {space: {penalty.l2: {log: [1.0e-3, 10]}}, metric: %s, folds: 5,
                   budget: {trials: 5}}
    """
    columns = [name for name in rows if name not in ("x0", "part")]
    X, y = rows[columns].to_numpy(float), rows["x0"].to_numpy()
    numbers = fold_numbers(11, 0, ROWS, 5)
    for metric in ("rmse", "mae"):  # of the sums alone, and by predictions
        outcome = run(write_pipeline(text % metric))
        for _, trial in valued(table(outcome.folder)).iterrows():
            errors = []
            for fold in range(5):
                kept = numbers != fold
                oracle = Ridge(alpha=trial["penalty.l2"] * kept.sum()).fit(X[kept], y[kept])
                errors.append(oracle.predict(X[~kept]) - y[~kept])
            by_fold = [
                np.sqrt(np.mean(each**2)) if metric == "rmse" else np.mean(np.abs(each))
                for each in errors
            ]
            assert trial["metric"] == pytest.approx(np.mean(by_fold), rel=1e-8)


def test_folds_of_a_loss_with_rungs_need_no_validation_part(
    run: Run, write_pipeline: WritePipeline
) -> None:
    text = pipeline(f"space: {{{BOTH}}}, folds: 3, budget: {{trials: 3}}")
    outcome = run(write_pipeline(text.replace("split: {column: part}", "split: {test: 0.3}")))
    assert len(valued(table(outcome.folder))) >= 3


def test_rungs_by_rows_train_on_few_rows_first(run: Run, write_pipeline: WritePipeline) -> None:
    text = pipeline(
        f"space: {{{BOTH}}}, budget: {{trials: 9}}, parallel: 1, rungs: {{by: rows, first: 0.12}}"
    )
    outcome = run(write_pipeline(text))
    found = valued(table(outcome.folder))
    assert set(found["rung"]) == {0, 1, 2}
    first, last = found[found["rung"] == 0], found[found["rung"] == 2]
    assert first["passes"].max() < last["passes"].min()


def test_features_are_all_that_the_model_learns_from(
    rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline
) -> None:
    outcome = run(write_pipeline(PIPELINE.format(train='features: [x7, "^x[02]$"]')))
    model = lepton_dask.load(outcome.folder)
    assert list(model.coefficients.index) == ["x0", "x2", "x7"]
    few = rows[["x0", "x2", "x7", "y", "part"]]
    few.to_csv("a.csv", index=False)
    alone = lepton_dask.load(run(write_pipeline(PIPELINE.format(train="max_passes: 500"))).folder)
    np.testing.assert_array_equal(model.coefficients, alone.coefficients)
    assert len(model.predict(few.drop(columns=["y", "part"]))) == ROWS


def test_a_search_among_features_finds_those_that_matter(
    run: Run, write_pipeline: WritePipeline
) -> None:
    space = 'features: {choices: [["^x1.$"], [x0, x1, x2], ["^x[3-9]$"]]}'
    outcome = run(write_pipeline(pipeline(f"space: {{{space}}}, budget: {{trials: 3}}")))
    assert list(lepton_dask.load(outcome.folder).coefficients.index) == ["x0", "x1", "x2"]
    best = valued(table(outcome.folder)).sort_values("metric").iloc[0]
    assert best["features"] == "[x0, x1, x2]"


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The key and priority of every task that reaches the scheduler, as they come."""
    told: list[tuple[str, int]] = []
    submit = Client._graph_to_futures

    @functools.wraps(submit)
    def heard(*arguments: object, **options: object) -> object:
        given = inspect.signature(submit).bind(*arguments, **options).arguments
        told.extend((str(key), given["user_priority"]) for key in given["keys"])
        return submit(*arguments, **options)

    monkeypatch.setattr(Client, "_graph_to_futures", heard)
    return told


def test_no_pass_is_made_twice_for_a_trial_that_climbs(
    run: Run, write_pipeline: WritePipeline, submitted: list[tuple[str, int]]
) -> None:
    text = pipeline(f"space: {{{BOTH}}}, budget: {{trials: 9}}, rungs: {{first: 2}}")
    found = table(run(write_pipeline(text)).folder)
    assert found["rung"].max() > 0
    keys = [key for key, _ in submitted if key.startswith("model.pass-")]
    made = {key.rpartition("-")[0] for key in keys}  # without the number of the shard
    assert len(made) == found.groupby("trial")["passes"].max().sum()


def test_trials_run_a_class_below_their_step_and_the_last_training_in_its_own(
    run: Run, write_pipeline: WritePipeline, submitted: list[tuple[str, int]]
) -> None:
    text = pipeline(f"space: {{{BOTH}}}, budget: {{trials: 2}}, rungs: {{first: 2}}")
    classes = {"critical": (20, 10), "normal": (0, -10), "low": (-10, -10)}
    for importance, (own, below) in classes.items():
        submitted.clear()
        run(write_pipeline(text + f"    priority: {importance}\n"))
        passes = [priority for key, priority in submitted if key.startswith("model.pass-")]
        assert passes[0] == below
        assert passes[-1] == own
        assert set(passes) == {own, below}


def test_the_winner_begins_the_next_search_unless_it_is_not_wanted(
    run: Run, write_pipeline: WritePipeline, events: list[Event], tmp_path: Path
) -> None:
    text = pipeline(f"space: {{{L2}}}, budget: {{trials: 5}}")
    first = table(run(write_pipeline(text)).folder)
    best = valued(first).sort_values("metric").iloc[0]
    book = tmp_path / "state" / "lepton" / "portfolio.json"
    [entry] = json.loads(book.read_text())["searches"]
    assert entry["winner"] == {"penalty.l2": best["penalty.l2"]}
    assert entry["profile"]["rows"] == int(entry["profile"]["rows"]) > 200
    second = table(run(write_pipeline(text), overrides=["seed=4"]).folder)
    assert second.set_index("trial").loc[0, "penalty.l2"] == best["penalty.l2"]
    begun = [event for event in events if isinstance(event, SearchStarted)]
    assert [len(event.starts) for event in begun] == [0, 1]
    before = book.read_text()
    off = text.replace("metric:", "portfolio: false, metric:")
    third = table(run(write_pipeline(off), overrides=["seed=4"]).folder)
    assert best["penalty.l2"] not in set(third["penalty.l2"])
    assert book.read_text() == before


def test_a_portfolio_that_cannot_be_read_is_told_and_left_aside(
    run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    Path("mine.json").write_text("{")
    text = pipeline(f"space: {{{L2}}}, budget: {{trials: 2}}, portfolio: mine.json")
    assert run(write_pipeline(text)).exit_code == 0
    told = [str(getattr(event, "message", "")) for event in events]
    assert any("mine.json is left aside" in message for message in told)
    assert Path("mine.json").read_text() == "{"


def test_what_the_events_say_is_what_is_written(
    run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    outcome = run(write_pipeline(pipeline(f"space: {{{BOTH}}}, budget: {{trials: 4}}")))
    heard = [event for event in events if isinstance(event, TrialEnded)]
    with (outcome.folder / "search.csv").open() as lines:
        written = list(csv.DictReader(lines))
    assert [(each.trial, each.rung, each.status) for each in heard] == [
        (int(row["trial"]), int(row["rung"]), row["status"]) for row in written
    ]
    for number, event in enumerate(heard, start=1):
        last = {each.trial: each.value for each in heard[:number]}
        assert event.best == min(last.values())
    svg = ElementTree.fromstring((outcome.folder / "search.svg").read_text())
    circles = svg.findall("{http://www.w3.org/2000/svg}circle")
    assert len(circles) == len(written)


def test_every_trial_that_diverges_ends_the_run_with_what_to_do(
    run: Run, write_pipeline: WritePipeline
) -> None:
    text = pipeline(
        "space: {optimizer.gradient_descent.learning_rate: {range: [1.0e+5, 1.0e+6]}}, "
        "budget: {trials: 2}"
    )
    with pytest.raises(RunError, match="every trial of the search diverged; make the space small"):
        run(write_pipeline(text))


def test_optuna_is_asked_for_by_name_where_it_is_missing(
    run: Run, write_pipeline: WritePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    text = pipeline(f"space: {{{L2}}}, sampler: optuna")
    with pytest.raises(
        UserError, match=r"optuna is not installed; pip install 'lepton_dask\[optuna\]'"
    ):
        run(write_pipeline(text))


def test_optuna_samples_by_ask_and_tell(run: Run, write_pipeline: WritePipeline) -> None:
    pytest.importorskip("optuna")
    text = pipeline(f"space: {{{BOTH}}}, sampler: optuna, budget: {{trials: 8}}, parallel: 1")
    one = table(run(write_pipeline(text)).folder)
    other = table(run(write_pipeline(text.replace("metric:", "portfolio: false, metric:"))).folder)
    assert sorted(set(one["trial"])) == list(range(8))
    assert set(one["optimizer"]) <= {"lbfgs", "newton"}
    assert valued(one)["metric"].min() < 0.6
    assert valued(other)["metric"].min() < 0.6


# --- going on ------------------------------------------------------------------------------------

SLOW = "space: {%s}, budget: {trials: 9}, parallel: 1, rungs: {first: 300}, portfolio: false"
DESCENT = "optimizer: gradient_descent, tolerance: 0, max_passes: 900"


def resumable_pipeline() -> str:
    return pipeline(SLOW % "penalty.l2: {log: [1.0e-5, 1.0]}", DESCENT)


def test_a_killed_search_goes_on_where_it_was_and_ends_in_the_same_bits(
    tmp_path: Path, write_pipeline: WritePipeline, lepton: Lepton, scheduler: str
) -> None:
    path = write_pipeline(resumable_pipeline())
    arguments = ("run", path, "--scheduler", scheduler)
    with lepton_process(tmp_path, *arguments, "--output", tmp_path / "killed") as process:
        progress = tmp_path / ".killed.partial" / "search" / "model" / "progress.json"
        eventually(lambda: progress.is_file() and len(results(progress)) >= 3)
        process.send(signal.SIGKILL)
        process.exit_code()
    known = results(progress)
    assert 3 <= len(known) < 9
    done = lepton(*arguments, "--output", "resumed", "--resume", tmp_path / "killed")
    assert done.code == 0, done.stderr
    assert f"from {len(known)} results of the earlier run" in done.stderr
    whole = lepton(*arguments, "--output", "whole")
    assert whole.code == 0, whole.stderr
    one, other = table(Path("resumed")), table(Path("whole"))
    same = [name for name in one.columns if name != "seconds"]
    pd.testing.assert_frame_equal(one[same], other[same])
    assert coefficients(Path("resumed")) == coefficients(Path("whole"))
    # What was known has kept its seconds: it was not trained again.
    assert one["seconds"].tolist()[: len(known)] == pytest.approx(
        [each["seconds"] for each in known], abs=1e-6
    )
    trials = [json.loads(line) for line in Path("resumed/events.jsonl").read_text().splitlines()]
    run_again = [each for each in trials if each["event"] == "TrialEnded"]
    assert len(run_again) == len(one) - len(known)


def results(progress: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(progress.read_text())["results"]
    return found


def test_a_shared_search_goes_on_without_what_it_has_fitted(
    run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    path = write_pipeline(pipeline(f"space: {{{L2}}}, budget: {{trials: 6}}, portfolio: false"))
    first = run(path)
    progress = first.folder / "search" / "model" / "progress.json"
    document = json.loads(progress.read_text())
    document["results"] = document["results"][:4]
    progress.write_text(json.dumps(document))
    events.clear()
    second = run(path, resume=first.folder)
    assert len([event for event in events if isinstance(event, TrialEnded)]) == 2
    one, other = valued(table(first.folder)), valued(table(second.folder))
    assert sorted(one["penalty.l2"]) == sorted(other["penalty.l2"])
    np.testing.assert_allclose(sorted(one["metric"]), sorted(other["metric"]), rtol=1e-7)


def test_a_run_of_another_pipeline_or_other_data_is_not_gone_on_with(
    rows: pd.DataFrame, run: Run, write_pipeline: WritePipeline, tmp_path: Path
) -> None:
    text = pipeline(f"space: {{{L2}}}, budget: {{trials: 2}}")
    first = run(write_pipeline(text))
    with pytest.raises(UserError, match="is not what it was then; run without --resume"):
        run(write_pipeline(text.replace("trials: 2", "trials: 3")), resume=first.folder)
    rows[:-1].to_csv("a.csv", index=False)
    with pytest.raises(UserError, match="is not what it was then"):
        run(write_pipeline(text), resume=first.folder)
    with pytest.raises(UserError, match="is no run's folder; name one beneath runs/"):
        run(write_pipeline(text), resume=tmp_path)
