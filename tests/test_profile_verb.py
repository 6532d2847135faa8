"""`lepton profile`: a table's columns at a glance, of a file or of what a pipeline prepares."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import Lepton

from lepton_dask.cli.histogram import ASCII_BLOCKS, BLOCKS, blocks, histogram
from lepton_dask.data.profile import profile_table

PIPELINE = """\
name: people
steps:
  rows: {read: {path: people.csv, separator: ";"}}
  tidy: {clean: {drop: [job]}}
  parts: {split: {test: 0.3}}
  features: {prepare: {target: hours}}
  model: {train: {loss: squared}}
"""


@pytest.fixture(autouse=True)
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """people.csv in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    rng = np.random.default_rng(2)
    table = pd.DataFrame(
        {
            "age": np.where(rng.random(200) < 0.1, np.nan, rng.integers(18, 80, 200)),
            "hours": rng.integers(0, 60, 200),
            "job": rng.choice(["clerk", "cook"], 200, p=[0.8, 0.2]),
        }
    )
    table.to_csv("people.csv", index=False, sep=";")
    return table


def test_a_file_is_read_as_its_first_lines_say(
    lepton: Lepton, scheduler: str, people: pd.DataFrame
) -> None:
    done = lepton("profile", "people.csv", "--scheduler", scheduler)
    assert done.code == 0
    assert "separator: semicolon" in done.stderr.splitlines()
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    missing = int(people["age"].isna().sum())
    assert f"{missing} ({missing / 200:.1%})" in lines["age"]
    assert f"{people['hours'].min()} .. {people['hours'].max()}" in lines["hours"]
    assert f"{people['hours'].mean():.4g} ± {people['hours'].std(ddof=0):.4g}" in lines["hours"]
    assert f"2: clerk {(people['job'] == 'clerk').sum()}" in lines["job"]
    assert any(block in lines["hours"] for block in BLOCKS)


def test_a_pipeline_s_document_is_its_run_s_profile_json(lepton: Lepton, scheduler: str) -> None:
    Path("a.yaml").write_text(PIPELINE)
    done = lepton("profile", "a.yaml", "--json", "--scheduler", scheduler)
    assert (done.code, Path("runs").exists()) == (0, False)
    run = lepton("run", "a.yaml", "--scheduler", scheduler, "--output", "out")
    assert run.code == 0
    written = json.loads(Path("out/profile.json").read_text())
    assert json.loads(done.stdout) == written
    assert list(written["features"]["all"]["columns"]) == ["age", "hours"]
    [chunk] = written["features"]["chunks"]
    assert (chunk["file"], chunk["rows"], chunk["reported"]) == ("people.csv", 200, False)


def test_without_a_prepare_step_it_is_the_last_table(lepton: Lepton, scheduler: str) -> None:
    Path("a.yaml").write_text(PIPELINE.partition("  features")[0])
    done = lepton("profile", "a.yaml", "--json", "--scheduler", scheduler)
    document = json.loads(done.stdout)
    assert list(document) == ["parts"]
    parts = document["parts"]
    assert (parts["all"]["rows"], parts["train"]["rows"] < 200) == (200, True)


def test_a_glob_is_one_table_and_its_odd_file_is_told(
    lepton: Lepton, scheduler: str, people: pd.DataFrame
) -> None:
    for i in range(6):
        table = people.assign(hours=people["hours"] + (2000 if i == 2 else 0))
        table.to_csv(f"month_{i}.csv", index=False)
    done = lepton("profile", "month_*.csv", "--json", "--scheduler", scheduler)
    table = json.loads(done.stdout)["table"]
    assert table["all"]["rows"] == 1200
    assert [each["file"] for each in table["chunks"] if each["reported"]] == ["month_2.csv"]
    assert "warning: table: 'month_2.csv', chunk 0: its rows are far less likely" in done.stderr


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("peple.csv", "there is no file 'peple.csv'; did you mean 'people.csv'?"),
        ("nothing_*.csv", "no file matches 'nothing_*.csv'"),
        (".", "'.' is a folder"),
    ],
)
def test_a_wrong_path_is_one_mistake(what: str, told: str, lepton: Lepton) -> None:
    done = lepton("profile", what)
    assert done.code == 2
    assert done.stderr.splitlines()[-1] == "1 mistake"
    assert told in done.stderr
    assert "pipeline.yaml" not in done.stderr


def test_a_wrong_pipeline_is_told_as_validate_does(lepton: Lepton) -> None:
    Path("a.yaml").write_text(PIPELINE.replace("drop: [job]", "drop: [jobs]"))
    done = lepton("profile", "a.yaml")
    assert done.code == 2
    assert done.stderr == lepton("validate", "a.yaml").stderr


def test_a_histogram_has_a_block_for_every_bin_that_has_rows() -> None:
    values = np.concatenate([np.full(80, 0.0), np.full(10, 5.0), np.full(40, 10.0)])
    column = profile_table(pa.table({"x": values})).columns["x"]
    assert histogram(column, BLOCKS, bins=5) == "█ ▁ ▄"
    assert histogram(column, ASCII_BLOCKS, bins=5) == "# _ :"


def test_a_few_far_values_leave_the_others_a_shape() -> None:
    values = np.concatenate([np.random.default_rng(0).uniform(0, 1, 5000), [1e9]])
    column = profile_table(pa.table({"x": values})).columns["x"]
    assert " " not in histogram(column, BLOCKS)


@pytest.mark.parametrize("values", [[], [None], [3.0, 3.0], [1e308, -1e308]])
def test_without_two_values_there_is_no_histogram(values: list[float | None]) -> None:
    column = profile_table(pa.table({"x": pa.array(values, pa.float64())})).columns["x"]
    assert histogram(column, BLOCKS) == ""


@pytest.mark.parametrize(("encoding", "marks"), [("utf-8", BLOCKS), ("ascii", ASCII_BLOCKS)])
def test_blocks_are_ascii_where_stdout_can_show_no_other(
    encoding: str, marks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert blocks() == marks


def test_a_pointer_into_a_json_document_names_a_table(lepton: Lepton, scheduler: str) -> None:
    rows = [{"x": n, "y": n % 3} for n in range(40)]
    Path("data.json").write_text(json.dumps({"train": rows, "test": rows[:10]}))
    done = lepton("profile", "data.json#/test", "--scheduler", scheduler, "--json")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["table"]["all"]["rows"] == 10
