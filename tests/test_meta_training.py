"""`meta_train` in a pipeline, and `lepton adapt` on what it leaves."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lepton_dask
from lepton_dask.errors import RunError, UserError
from lepton_dask.events import MetaRound, RowsLost, Warned
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.learn.meta import chunks

PIPELINE = """\
name: schools
seed: 3
steps:
  rows: {{read: {{path: rows.csv}}}}
{parts}
  features: {{prepare: {{target: y}}}}
  model: {{meta_train: {{group: school, {meta}}}}}
{behind}
"""

SCHOOLS, PUPILS = 30, 24


@pytest.fixture(autouse=True)
def rows(tmp_path, monkeypatch):
    """rows.csv: schools of their own intercept and slope, with a category beside."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(7)
    school = np.repeat(np.arange(SCHOOLS), PUPILS)
    own = rng.normal([5.0, 2.0], [1.5, 0.7], (SCHOOLS, 2))
    x = rng.normal(100, 15, len(school))
    kind = rng.choice(["a", "b"], len(school))
    z = (x - 100) / 15
    y = own[school, 0] + own[school, 1] * z + 0.5 * (kind == "b") + rng.normal(0, 0.4, len(school))
    made = pd.DataFrame({"school": school, "x": x, "kind": kind, "y": y})
    made.to_csv("rows.csv", index=False)
    return made


@pytest.fixture
def pipeline(write_pipeline):
    def make(meta="patience: 5", parts="", behind=""):
        return write_pipeline(PIPELINE.format(meta=meta, parts=parts, behind=behind))

    return make


def new_school(n=8):
    """A school that no training saw: its rows with their target, and rows to predict."""
    rng = np.random.default_rng(1)
    x = rng.normal(100, 15, n + 200)
    y = 9.0 + 3.5 * (x - 100) / 15 + rng.normal(0, 0.4, len(x))
    made = pd.DataFrame({"school": 77, "x": x, "kind": "a", "y": y})
    return made[:n], made[n:]


def comparison(folder):
    with (folder / "comparison.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_the_comparison_the_rounds_and_why_it_stopped(run, pipeline, events):
    outcome = run(pipeline())
    lines = comparison(outcome.folder)
    assert list(lines[0]) == ["shots", "model", "metric", "value", "low", "high", "groups"]
    assert {line["model"] for line in lines} == {"hierarchical_linear", "pooled", "independent"}
    assert {line["shots"] for line in lines} == {"5", "10", "20"}
    by = {(line["model"], line["shots"]): float(line["value"]) for line in lines}
    assert by["hierarchical_linear", "5"] < min(by["pooled", "5"], by["independent", "5"])
    assert all(float(line["low"]) <= float(line["value"]) <= float(line["high"]) for line in lines)
    told = json.loads((outcome.folder / "training.json").read_text())["model"]
    assert told["kept"] == "hierarchical_linear"
    assert told["held_out"] == 6
    assert told["stopped"].split(":")[0] in {"converged", "patience"}
    history = pd.read_csv(outcome.folder / "history.csv")
    rounds = [event for event in events if isinstance(event, MetaRound)]
    assert len(history) == len(rounds) == told["rounds"] + 1
    assert history["held_out"].iloc[-1] < history["held_out"].iloc[0]


def test_scores_are_in_the_targets_units(run, pipeline, rows):
    values = {}
    for units in (1.0, 1000.0):
        rows.assign(y=rows.y * units).to_csv("rows.csv", index=False)
        lines = comparison(run(pipeline()).folder)
        values[units] = np.array([float(line["value"]) for line in lines])
    assert values[1000.0] == pytest.approx(1000 * values[1.0], rel=1e-6)


def test_the_model_is_the_same_however_the_file_is_cut(run, pipeline, small_chunks):
    whole = lepton_dask.load(run(pipeline()).folder)
    small_chunks(3000)
    outcome = run(pipeline())
    cut = lepton_dask.load(outcome.folder)
    assert json.loads((outcome.folder / "plan.json").read_text())["steps"][0]["chunks"] > 4
    assert cut.coefficient_array == pytest.approx(whole.coefficient_array, rel=1e-9, abs=1e-12)
    assert cut.prior.arrays["covariance"] == pytest.approx(
        whole.prior.arrays["covariance"], rel=1e-7, abs=1e-9
    )


def test_the_group_is_never_learnt_from(run, pipeline):
    model = lepton_dask.load(run(pipeline()).folder)
    assert model.features == ("x", "kind=a", "kind=b", "kind=(other)")


def test_groups_of_the_validation_part_are_those_that_are_held_out(run, pipeline):
    outcome = run(pipeline(parts="  parts: {split: {train: 0.7, validation: 0.3, group: school}}"))
    told = json.loads((outcome.folder / "training.json").read_text())["model"]
    assert told["groups"] + told["held_out"] == SCHOOLS
    assert told["held_out"] >= 2


def test_groups_of_the_training_part_are_held_out_where_the_parts_share_them(run, pipeline):
    outcome = run(pipeline(parts="  parts: {split: {train: 0.7, validation: 0.3}}"))
    told = json.loads((outcome.folder / "training.json").read_text())["model"]
    assert (told["groups"], told["held_out"]) == (SCHOOLS, 6)


def test_a_goal_that_is_met_ends_the_learning(run, pipeline):
    outcome = run(pipeline(meta="goal: {metric: rmse, at_most: 0.9}"))
    told = json.loads((outcome.folder / "training.json").read_text())["model"]
    assert told["stopped"].startswith("goal")
    assert outcome.exit_code == 0


def test_a_goal_that_is_missed_is_exit_code_3_and_says_by_how_much(run, pipeline):
    outcome = run(pipeline(meta="goal: {metric: rmse, at_most: 0.001}"))
    assert outcome.exit_code == 3
    [missed] = outcome.missed_goals
    assert "rmse of 'model' on held-out groups is 0." in missed
    assert "at most 0.001" in missed


def test_where_groups_do_not_differ_pooled_is_kept_and_said_so(run, pipeline, rows, events):
    rng = np.random.default_rng(0)
    rows.assign(y=rows.x / 10 + rng.normal(0, 3, len(rows))).to_csv("rows.csv", index=False)
    outcome = run(pipeline(meta="patience: 2, max_rounds: 2"))
    told = json.loads((outcome.folder / "training.json").read_text())["model"]
    lines = comparison(outcome.folder)
    mean = {
        name: np.mean([float(line["value"]) for line in lines if line["model"] == name])
        for name in ("hierarchical_linear", "pooled", "independent")
    }
    assert told["kept"] == min(mean, key=mean.get)
    if told["kept"] != "hierarchical_linear":
        assert any(isinstance(event, Warned) and "it is kept" in event.message for event in events)


def test_evaluate_predict_and_write_take_the_model_of_an_unknown_group(run, pipeline):
    behind = """\
  scores: {evaluate: {metrics: [rmse], baselines: [mean]}}
  out: {predict: {part: test}}
  save: {write: {path: out.csv}}
"""
    outcome = run(
        pipeline(parts="  parts: {split: {train: 0.7, test: 0.3, group: school}}", behind=behind)
    )
    written = pd.read_csv(outcome.folder / "out.csv")
    scored = outcome.metrics["scores"].scores["test"]["rmse"]
    assert scored == pytest.approx(np.sqrt(np.mean((written.prediction - written.y) ** 2)))
    assert scored < outcome.metrics["scores"].baselines["mean"]["test"]["rmse"]


@pytest.mark.parametrize("algorithm", ["ridge_head", "maml", "meta_sgd", "reptile"])
def test_networks_are_bundles_too(run, pipeline, rows, algorithm):
    small = "{steps: 20, hidden: [8]}"
    outcome = run(
        pipeline(meta=f"algorithm: {{{algorithm}: {small}}}, shots: 5, max_rounds: 2"),
    )
    model = lepton_dask.load(outcome.folder)
    assert model.prior is not None
    assert np.isfinite(model.predict(rows)).all()
    assert {line["model"] for line in comparison(outcome.folder)} == {
        algorithm,
        "pooled",
        "independent",
    }


def test_logistic_groups_are_learnt(run, pipeline, rows):
    rows.assign(y=(rows.y > rows.y.median()).astype(int)).to_csv("rows.csv", index=False)
    outcome = run(pipeline(meta="loss: logistic, random: intercept, patience: 5"))
    lines = comparison(outcome.folder)
    assert {line["metric"] for line in lines} == {"log_loss"}
    known, asked = new_school(20)
    model = lepton_dask.adapt(
        lepton_dask.load(outcome.folder), known.assign(y=(known.y > rows.y.median()).astype(int))
    )
    truth = asked.y > rows.y.median()
    assert np.mean(model.predict(asked) == truth) > 0.85


def test_rows_without_a_group_are_left_out_and_told(run, pipeline, rows, events):
    rows.assign(school=rows.school.astype("Int64").mask(rows.index < 10)).to_csv(
        "rows.csv", index=False
    )
    run(pipeline())
    [lost] = [e for e in events if isinstance(e, RowsLost) and "school" in e.reason]
    assert lost.before - lost.after == 10


def test_too_few_groups_are_an_error_that_counts_them(run, pipeline, rows):
    rows[rows.school < 3].to_csv("rows.csv", index=False)
    with pytest.raises(RunError, match=r"3 groups of 'school'.*at least 4 groups"):
        run(pipeline())


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ("group: scool", "unknown column 'scool'; did you mean 'school'?"),
        ("algorithm: mamll", "did you mean 'maml'?"),
        ("algorithm: maml, random: intercept", "maml adapts all of a network"),
        ("goal: {metric: roc_auc, at_least: 0.5}", "write metric: rmse"),
        ("shots: 0", "shots"),
        ("shots: []", "empty list"),
        ("held_out: 1.5", "held_out"),
    ],
)
def test_what_cannot_be_had_is_a_mistake_before_anything_runs(write_pipeline, lepton, meta, words):
    text = PIPELINE.format(meta=meta, parts="", behind="")
    if meta.startswith("group"):
        text = text.replace("group: school, ", "")
    ended = lepton("validate", write_pipeline(text))
    assert ended.code == 2
    assert words in ended.stderr


def test_random_columns_that_are_not_there_are_a_mistake(run, pipeline):
    with pytest.raises(UserError, match=r"nothing is learnt from 'xx'.*did you mean 'x'"):
        run(pipeline(meta="random: [xx]"))


def test_plan_says_how_groups_are_held_out(pipeline, lepton):
    ended = lepton("plan", pipeline())
    told = " ".join(ended.stdout.split())
    assert ended.code == 0
    assert "hierarchical_linear" in told
    assert "pooled" in told


class TestAdapt:
    @pytest.fixture
    def learnt(self, run, pipeline) -> Path:
        return run(pipeline()).folder

    def test_a_few_rows_of_a_new_group_make_an_ordinary_bundle(self, learnt, lepton, scheduler):
        known, asked = new_school()
        known.to_csv("new.csv", index=False)
        asked.drop(columns=["y", "school"]).to_csv("asked.csv", index=False)
        ended = lepton("adapt", learnt, "new.csv", "--output", "bundle")
        assert ended.code == 0, ended.stderr
        assert ended.stdout.strip() == "bundle"
        ended = lepton("predict", "bundle", "asked.csv", "out.csv", "--scheduler", scheduler)
        assert ended.code == 0, ended.stderr
        predicted = pd.read_csv("out.csv").prediction
        error = np.sqrt(np.mean((predicted - asked.y.to_numpy()) ** 2))
        unknown = lepton_dask.load(learnt).predict(asked)
        assert error < 1.0
        assert np.sqrt(np.mean((unknown - asked.y) ** 2)) > 2.0

    def test_files_and_frames_give_the_same_model(self, learnt, lepton):
        known, _ = new_school()
        known.to_csv("new.csv", index=False)
        assert lepton("adapt", learnt, "new.csv", "--output", "bundle").code == 0
        by_file = lepton_dask.load("bundle")
        by_frame = lepton_dask.adapt(lepton_dask.load(learnt), known)
        assert by_file.coefficient_array.tolist() == by_frame.coefficient_array.tolist()
        assert by_file.prior is None

    def test_rows_of_several_groups_are_refused(self, learnt, lepton):
        ended = lepton("adapt", learnt, "rows.csv", "--output", "bundle")
        assert ended.code == 2
        assert "the rows are of 30 groups of 'school'" in ended.stderr
        assert not Path("bundle").exists()

    def test_rows_without_a_target_are_refused(self, learnt, lepton):
        new_school()[0].drop(columns="y").to_csv("new.csv", index=False)
        ended = lepton("adapt", learnt, "new.csv", "--output", "bundle")
        assert ended.code == 2
        assert "'y'" in ended.stderr

    def test_rows_none_of_which_can_be_used_are_refused(self, learnt, lepton):
        new_school()[0].assign(y=np.nan).to_csv("new.csv", index=False)
        ended = lepton("adapt", learnt, "new.csv", "--output", "bundle")
        assert ended.code == 2
        assert "none of 8 rows can be learnt from" in ended.stderr

    def test_a_model_that_knows_no_groups_is_refused(self, learnt, lepton):
        known, _ = new_school()
        known.to_csv("new.csv", index=False)
        assert lepton("adapt", learnt, "new.csv", "--output", "bundle").code == 0
        ended = lepton("adapt", "bundle", "new.csv", "--output", "other")
        assert ended.code == 2
        assert "was not learnt from groups" in ended.stderr

    def test_an_output_that_is_there_is_refused(self, learnt, lepton):
        new_school()[0].to_csv("new.csv", index=False)
        Path("bundle").mkdir()
        (Path("bundle") / "a").touch()
        ended = lepton("adapt", learnt, "new.csv", "--output", "bundle")
        assert ended.code == 2
        assert "is not empty" in ended.stderr


def test_more_sums_than_the_workers_memory_takes_are_refused_with_the_figures(
    run, pipeline, monkeypatch
):
    monkeypatch.setattr(chunks.SpreadChunks, "memory_bytes", lambda _: 5000)
    with pytest.raises(RunError, match=r"holds .* GiB of sums over 30 groups of 4 features"):
        run(pipeline())


def test_a_round_is_one_task_a_worker_thread_however_many_groups(run, pipeline, rows, monkeypatch):
    submitted = []
    starmap = Dispatch.starmap

    def counting(self, name, function, arguments, on=()):
        if name == "round":
            submitted.append(len(arguments))
        return starmap(self, name, function, arguments, on)

    monkeypatch.setattr(Dispatch, "starmap", counting)
    for groups in (10, SCHOOLS):
        submitted.clear()
        rows[rows.school < groups].to_csv("rows.csv", index=False)
        run(pipeline())
        assert submitted, "no round was counted"
        assert set(submitted) <= {1, 2}
