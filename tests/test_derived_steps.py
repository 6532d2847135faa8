"""Expressions in a run: columns, filters and targets, windows over chunks, and the bundle alone."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Lepton, Run

import lepton_dask
from lepton_dask.data import reading
from lepton_dask.errors import RunError, UserError
from lepton_dask.events import Event, RowsLost
from lepton_dask.run import deriving, memory
from lepton_dask.run import predict_file as predict_module
from lepton_dask.run.pipeline import load_and_plan
from lepton_dask.run.predict_file import predict_file

pytestmark = pytest.mark.cluster

WritePipeline = Callable[[str], Path]

HOURS = 400
HOMES = ("north", "south", "west")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks) -> None:
    """In a folder of the test's own; the table comes in about six chunks, for `predict` too."""
    monkeypatch.chdir(tmp_path)
    small_chunks(10_000)
    cut = functools.partial(reading.plan_chunks, chunk_bytes=10_000)
    monkeypatch.setattr(predict_module, "plan_chunks", cut)


def readings(seed: int = 0) -> pd.DataFrame:
    """Three homes' hours, interleaved, with a few missing."""
    rng = np.random.default_rng(seed)
    hour = np.repeat(np.arange(HOURS), len(HOMES))
    home = np.tile(HOMES, HOURS)
    level = np.tile([1.0, 2.0, 3.0], HOURS)
    kwh = level + np.sin(2 * np.pi * hour / 24) + 0.1 * rng.normal(size=len(hour))
    return pd.DataFrame(
        {
            "at": pd.Timestamp("2024-03-01") + pd.to_timedelta(hour, "h"),
            "home": home,
            "kwh": np.where(rng.random(len(hour)) < 0.05, np.nan, kwh.round(4)),
            "temp": rng.normal(15, 5, len(hour)).round(2),
        }
    )


PIPELINE = """\
name: homes
steps:
  hours: {read: {path: hours.csv}}
  lags:
    derive:
      group: home
      order: at
      columns:
        yesterday: lag(kwh, '24h')
        day: rolling_mean(lag(kwh, 1), 24)
        cold: "temp < 10 or temp is null"
        clock: hour(at)
  parts: {split: {time: at, train: 0.7, test: 0.3}}
  features: {prepare: {target: kwh, exclude: [at], columns: {clock: {as: category}}}}
  model: {train: {loss: squared, penalty: {l2: 1.0e-3}}}
  out: {predict: {part: test}}
  save: {write: {path: test.parquet}}
"""


def expected_lags(rows: pd.DataFrame) -> pd.DataFrame:
    kwh = rows.groupby("home")["kwh"]
    return rows.assign(
        yesterday=kwh.shift(24),
        day=kwh.transform(lambda x: x.shift(1).rolling(24, min_periods=1).mean()),
    )


@pytest.mark.parametrize("shuffled", [False, True])
def test_windows_over_chunks_are_those_of_pandas(
    run: Run, write_pipeline: WritePipeline, shuffled: bool
) -> None:
    rows = readings()
    written = rows.sample(frac=1, random_state=2) if shuffled else rows
    written.to_csv("hours.csv", index=False)
    made = pd.read_parquet(run(write_pipeline(PIPELINE)).folder / "test.parquet")
    keys = ["home", "at"]
    made = made.sort_values(keys, ignore_index=True)
    expected = expected_lags(rows).merge(made[keys]).sort_values(keys, ignore_index=True)
    for column in ("yesterday", "day"):
        np.testing.assert_allclose(made[column], expected[column], rtol=1e-12)
    assert made["clock"].tolist() == expected["at"].dt.hour.tolist()
    assert made["cold"].tolist() == (expected["temp"] < 10).tolist()


def test_the_bundle_alone_looks_back_on_what_training_saw(
    run: Run, write_pipeline: WritePipeline, scheduler: str
) -> None:
    rows = readings()
    rows.to_csv("hours.csv", index=False)
    folder = run(write_pipeline(PIPELINE)).folder
    on_cluster = pd.read_parquet(folder / "test.parquet").sort_values(["at", "home"])
    model = lepton_dask.load(folder)

    # All rows again: each looks back on those before it.
    given = rows.sort_values(["at", "home"], ignore_index=True)
    alone = pd.Series(model.predict(given), index=pd.MultiIndex.from_frame(given[["at", "home"]]))
    of_test = alone.loc[pd.MultiIndex.from_frame(on_cluster[["at", "home"]])]
    np.testing.assert_allclose(of_test, on_cluster["prediction"], rtol=1e-12)

    # Hours that training has not seen: the first look back on its last rows, which travel.
    later = readings(seed=5).assign(at=lambda f: f["at"] + pd.Timedelta(hours=HOURS))
    both = pd.concat([rows, later], ignore_index=True)
    np.testing.assert_allclose(model.predict(later), model.predict(both)[len(rows) :], rtol=1e-12)
    # A file of them in many chunks: the same.
    later.to_csv("later.csv", index=False)
    done = predict_file(folder, "later.csv", Path("out.csv"), scheduler=scheduler)
    assert (done.rows, done.unscored) == (len(later), 0)
    np.testing.assert_allclose(
        pd.read_csv("out.csv")["prediction"], model.predict(later), rtol=1e-12
    )


def test_a_file_to_predict_that_is_not_in_order_is_refused(
    run: Run, write_pipeline: WritePipeline, scheduler: str
) -> None:
    rows = readings()
    rows.to_csv("hours.csv", index=False)
    folder = run(write_pipeline(PIPELINE)).folder
    rows.iloc[::-1].to_csv("reversed.csv", index=False)
    with pytest.raises(RunError, match="the rows are not in the order of 'at'"):
        predict_file(folder, "reversed.csv", Path("out.csv"), scheduler=scheduler)
    assert not Path("out.csv").exists()


def test_rows_that_cannot_be_sorted_in_memory_are_refused(
    run: Run, write_pipeline: WritePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings().sample(frac=1, random_state=2).to_csv("hours.csv", index=False)
    monkeypatch.setattr(memory, "SHARE", 1e-6)
    with pytest.raises(UserError, match=r"pipeline\.yaml:7:14: order: the rows are not in the"):
        run(write_pipeline(PIPELINE))


def test_rows_in_order_are_never_brought_together(
    run: Run, write_pipeline: WritePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings().to_csv("hours.csv", index=False)
    # Nothing would fit into a worker's memory, and nothing has to.
    monkeypatch.setattr(memory, "SHARE", 0.0)
    assert run(write_pipeline(PIPELINE)).exit_code == 0


def test_windows_behind_a_split_are_warned_of(write_pipeline: WritePipeline) -> None:
    readings().to_csv("hours.csv", index=False)
    lines = PIPELINE.splitlines(keepends=True)
    split = next(line for line in lines if "split:" in line)
    lines.remove(split)
    path = write_pipeline("".join([*lines[:3], split, *lines[3:]]))
    [warning] = load_and_plan(path).warnings
    assert "windows look back within each part alone" in str(warning)


def test_windows_behind_dropped_rows_are_warned_of(write_pipeline: WritePipeline) -> None:
    readings().to_csv("hours.csv", index=False)
    lines = PIPELINE.splitlines(keepends=True)
    clean = "  warm: {clean: {filter: temp > 0}}\n"
    [warning] = load_and_plan(write_pipeline("".join([*lines[:3], clean, *lines[3:]]))).warnings
    assert "those that 'warm' drops stay there; derive them before they are dropped" in str(warning)


def test_a_history_too_large_to_travel_is_left_behind_with_a_warning(
    run: Run, write_pipeline: WritePipeline, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    readings().to_csv("hours.csv", index=False)
    monkeypatch.setattr(deriving, "HISTORY_BYTES", 100)
    model = lepton_dask.load(run(write_pipeline(PIPELINE)).folder)
    assert model.tables == ()
    assert any("more than the 100 B that a model carries" in str(event) for event in events)


def test_a_filter_keeps_the_rows_for_which_it_is_true(
    run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    rows = readings()
    rows.to_csv("hours.csv", index=False)
    text = """\
        name: filtered
        steps:
          hours: {read: {path: hours.csv}}
          warm: {clean: {filter: "kwh > 2 and home <> 'north'"}}
          out: {write: {path: out.parquet}}
        """
    made = pd.read_parquet(run(write_pipeline(text)).folder / "out.parquet")
    expected = rows[(rows["kwh"] > 2) & (rows["home"] != "north")]
    assert made["kwh"].tolist() == expected["kwh"].tolist()
    [lost] = [event for event in events if isinstance(event, RowsLost)]
    assert (lost.before, lost.after) == (len(rows), len(expected))
    assert lost.reason == "the filter is not true"


TARGET = """\
name: target
steps:
  hours: {read: {path: hours.csv}}
  now: {derive: {columns: {kwh_now: kwh}}}
  parts: {split: {time: at, train: 0.7, test: 0.3}}
  features:
    prepare:
      target: {expression: "lead(kwh, 3) > 2", group: home, order: at}
      exclude: [at]
  model: {train: {loss: logistic}}
  scores: {evaluate: {metrics: [roc_auc]}}
  out: {from: model, predict: {part: test}}
  save: {write: {path: test.parquet}}
"""


def test_a_target_may_look_ahead_and_what_it_reads_is_no_feature(
    run: Run, write_pipeline: WritePipeline
) -> None:
    rows = readings()
    rows.to_csv("hours.csv", index=False)
    outcome = run(write_pipeline(TARGET))
    made = pd.read_parquet(outcome.folder / "test.parquet")
    assert "lead(kwh, 3) > 2" in made.columns
    ahead = rows.groupby("home")["kwh"].shift(-3)
    ahead = ahead.where(rows["at"] >= made["at"].min()).loc[lambda x: x.notna()]
    assert made["lead(kwh, 3) > 2"].sum() == (ahead > 2).sum()
    model = lepton_dask.load(outcome.folder)
    assert [column.name for column in model.inputs] == ["home", "kwh", "temp"]
    assert not any(name == "kwh" for name in model.features)
    assert model.classes == (False, True)
    # The last three hours of every home have nothing ahead: they are in no score.
    labels = outcome.metrics["scores"].labels["test"]
    assert sum(labels.values()) == len(ahead)
    document = json.loads((outcome.folder / "metrics.json").read_text())
    assert document["scores"]["positive"] is True


BROKEN = """\
name: broken
steps:
  hours: {read: {path: hours.csv}}
  tidy: {clean: {filter: "kwh + 1"}}
  lags:
    derive:
      columns:
        a: lag(kwh, 24)
        b: "temp > 'x'"
        c: "b and kwhh > 1"
        home: "1"
  parts: {split: {train: 0.7, test: 0.3}}
  features: {prepare: {target: {expression: "kwh >", order: nothing}}}
  model: {train: {loss: squared}}
"""


def test_every_mistake_in_an_expression_is_told_at_its_place(
    lepton: Lepton, write_pipeline: WritePipeline
) -> None:
    readings().to_csv("hours.csv", index=False)
    done = lepton("validate", write_pipeline(BROKEN))
    assert done.code == 2
    lines = [
        line.split("pipeline.yaml:")[1] for line in done.stderr.splitlines() if ".yaml:" in line
    ]
    assert [":".join(line.split(":")[:3]) for line in lines] == [
        "4:26: filter",
        "8:12: a",
        "9:20: b",
        "10:13: c",
        "10:19: c",
        "11:9: home",
        "13:51: expression",
        "13:61: order",
    ]
    assert "this step makes it: use it in a derive step behind this one" in lines[3]
    assert "did you mean 'kwh'?" in lines[4]


def test_a_column_whose_expression_is_wrong_is_no_mistake_of_the_steps_that_read_it(
    lepton: Lepton, write_pipeline: WritePipeline
) -> None:
    readings().to_csv("hours.csv", index=False)
    text = PIPELINE.replace("lag(kwh, '24h')", "lag(kwhh, '24h')")
    text += "  scores: {from: model, evaluate: {metrics: [rmse], baselines: [yesterday]}}\n"
    done = lepton("validate", write_pipeline(text))
    assert done.stderr.splitlines()[-1] == "1 mistake"
    assert "yesterday: unknown column 'kwhh'; did you mean 'kwh'?" in done.stderr


def test_an_expression_that_a_comma_cuts_in_two_wants_quotes(
    lepton: Lepton, write_pipeline: WritePipeline
) -> None:
    readings().to_csv("hours.csv", index=False)
    text = """\
        name: cut
        steps:
          hours: {read: {path: hours.csv}}
          lags: {derive: {order: at, columns: {before: lag(kwh, 24)}}}
        """
    done = lepton("validate", write_pipeline(text))
    assert done.code == 2
    assert "put a text that holds a comma in quotes" in done.stderr.splitlines()[0]


def test_groups_of_integers_that_are_not_told_apart_are_refused(
    run: Run, write_pipeline: WritePipeline
) -> None:
    first, second = 2**53, 2**53 + 1
    rows = pd.DataFrame({"id": [first, second] * 2, "t": [1, 1, 2, 2], "x": [1.0, 2.0, 3.0, 4.0]})
    rows.to_csv("ids.csv", index=False)
    text = """\
        name: ids
        steps:
          rows: {{read: {{path: ids.csv, types: {{id: {type}}}}}}}
          lags: {{derive: {{group: id, order: t, columns: {{before: "lag(x, 1)"}}}}}}
          out: {{write: {{path: out.parquet}}}}
        """
    with pytest.raises(UserError, match=r":4:26: group: 'id' has integers of 2\^53 and more"):
        run(write_pipeline(text.format(type="integer")))
    made = pd.read_parquet(run(write_pipeline(text.format(type="text"))).folder / "out.parquet")
    np.testing.assert_array_equal(made["before"].to_numpy(float), [np.nan, np.nan, 1.0, 2.0])


def test_a_step_with_windows_is_joined_to_itself_and_both_tables_travel(
    run: Run, write_pipeline: WritePipeline
) -> None:
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"t": range(200), "x": rng.normal(size=200)})
    rows = rows.assign(start=(rows["t"] - 50).clip(0), y=rng.normal(size=200))
    rows.to_csv("rows.csv", index=False)
    text = """\
        name: twice
        steps:
          rows: {read: {path: rows.csv}}
          lags: {derive: {order: t, columns: {before: "lag(x, 1)"}}}
          joined:
            join:
              - {with: lags, on: {start: t}, columns: {before: before_start}, keep: true}
          parts: {split: {train: 0.5, test: 0.5}}
          features: {prepare: {target: y, exclude: [t, start]}}
          model: {train: {loss: squared}}
          out: {predict: {}}
          save: {write: {path: out.parquet}}
        """
    folder = run(write_pipeline(text)).folder
    model = lepton_dask.load(folder)
    out = pd.read_parquet(folder / "out.parquet").sort_values("t")
    alone = model.predict(rows)[out["t"].astype(int)]
    np.testing.assert_allclose(alone, out["prediction"], rtol=0, atol=1e-12)
    later = rows.assign(t=rows["t"] + 200)
    both = pd.concat([rows, later], ignore_index=True)
    np.testing.assert_allclose(model.predict(later), model.predict(both)[200:], rtol=1e-12)
