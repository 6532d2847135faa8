"""Captures in a path: a column from the files' names."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Lepton, Run
from reading_tables import AT, columns_of, settled, written

import lepton_dask
from lepton_dask.data.files import find_files
from lepton_dask.data.path_text import base_pattern, captured_from
from lepton_dask.data.read import Read
from lepton_dask.data.roots import Roots
from lepton_dask.errors import UserError

WritePipeline = Callable[[str], Path]


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    for home in ("10", "2", "b"):
        written(tmp_path, f"kwh\n{len(home)}\n7\n", f"Building_{home}.csv")
    written(tmp_path, "kwh\n0\n", "weather.csv")
    return tmp_path


def refusal(**read: object) -> str:
    with pytest.raises(UserError) as error:
        columns_of(Read.model_validate(read))
    return str(error.value)


def test_rule_4_a_capture_is_a_text_column_behind_the_files_own(homes: Path):
    read = Read(path=str(homes / "Building_{home}.csv"), row_number="t")
    assert columns_of(read) == {
        "kwh": [2, 7, 1, 7, 1, 7],
        "home": ["10", "10", "2", "2", "b", "b"],
        "t": [0, 1, 0, 1, 0, 1],
    }
    assert list(columns_of(read)) == ["kwh", "home", "t"]


def test_files_come_sorted_by_path_as_a_globs_do(homes: Path):
    captured = find_files(Read(path="Building_{home}.csv"), AT, Roots((homes,)))
    globbed = find_files(Read(path="Building_*.csv"), AT, Roots((homes,)))
    assert [file.path for file in captured] == [file.path for file in globbed]
    assert [file.shown for file in captured] == [file.shown for file in globbed]
    assert [file.stem for file in captured] == [file.stem for file in globbed]


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1000])
def test_every_chunk_has_the_captures_of_its_file(tmp_path: Path, chunk_bytes: int):
    for year in ("2013", "2014"):
        (tmp_path / year).mkdir()
        written(tmp_path / year, 'a,b\n1,"x\ny"\n2,\n', "flights.csv")
    read = Read(path=str(tmp_path / "{year}" / "flights.csv"), row_number="n")
    assert columns_of(read, chunk_bytes) == {
        "a": [1, 2, 1, 2],
        "b": ["x\ny", None, "x\ny", None],
        "year": ["2013", "2013", "2014", "2014"],
        "n": [0, 1, 0, 1],
    }


def test_a_column_that_becomes_text_later_keeps_the_captures_in_their_place(tmp_path: Path):
    written(tmp_path, "a\n1\n2\nx\n", "t_1.csv")
    schema, chunks = settled(Read(path=str(tmp_path / "t_{n}.csv"), row_number="r"), 3)
    assert list(schema.schema) == ["a", "n", "r"]
    assert all(chunk.table.column_names == ["a", "n", "r"] for chunk in chunks)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("{a}_{b}.csv", "x_y_z.csv", {"a": "x", "b": "y_z"}),
        ("{a}*.csv", "xyz.csv", {"a": ""}),
        ("{a}{b}.csv", "xyz.csv", {"a": "", "b": "xyz"}),
        ("t[0-9]_{a}.c?v", "t3_x.csv", {"a": "x"}),
        ("**/s_{a}.csv", "s_1.csv", {"a": "1"}),
        ("./s_{a}.csv", "s_1.csv", {"a": "1"}),
    ],
)
def test_captures_beside_globs(tmp_path: Path, pattern: str, name: str, expected: dict[str, str]):
    written(tmp_path, "x\n1\n", name)
    (file,) = find_files(Read(path=pattern), AT, Roots((tmp_path,)))
    assert dict(file.captured) == expected


def test_captures_in_lists_and_in_official_parts(homes: Path):
    paths = (str(homes / "Building_{home}.csv"), str(homes / "{home}.csv"))
    (homes / "Building_b.csv").unlink()
    (homes / "Building_2.csv").rename(homes / "weather_.csv")
    read = Read(path=(paths[0], str(homes / "w{home}.csv")))
    assert columns_of(read)["home"] == ["10", "10", "eather", "eather_", "eather_"]
    read = Read(path={"train": paths[0], "test": str(homes / "weather{home}.csv")})
    assert columns_of(read)["home"] == ["10", "10", "", "_", "_"]


def test_captures_in_a_url():
    memory = fsspec.filesystem("memory")
    memory.pipe("/captured/2013/a.csv", b"x\n1\n")
    memory.pipe("/captured/2014/b.csv", b"x\n2\n")
    try:
        read = Read(path="memory://captured/{year}/{name}.csv")
        assert columns_of(read) == {"x": [1, 2], "year": ["2013", "2014"], "name": ["a", "b"]}
        assert "no file matches" in refusal(path="memory://captured/{year}/c_{name}.csv")
    finally:
        memory.rm("/captured", recursive=True)


def test_a_file_whose_own_name_has_braces_wins(tmp_path: Path):
    written(tmp_path, "x\n1\n", "a_{home}.csv")
    written(tmp_path, "x\n2\n", "a_1.csv")
    assert columns_of(Read(path=str(tmp_path / "a_{home}.csv"))) == {"x": [1]}


def test_a_capture_twice_is_refused(homes: Path):
    message = refusal(path=str(homes / "{a}_{a}.csv"))
    assert message.endswith("has two captures called 'a'; rename one")


def test_a_capture_that_is_a_column_already_is_refused(homes: Path):
    message = refusal(path=str(homes / "Building_{kwh}.csv"))
    assert "'Building_10.csv' has a column 'kwh' already; rename the capture '{kwh}'" in message
    assert "has a column 'home' already" in refusal(
        path=str(homes / "Building_{home}.csv"), row_number="home"
    )
    written(homes, '{"a": 1}\n{"home": 2}\n', "lines_1.jsonl")
    assert "has a column 'home' already" in refusal(path=str(homes / "lines_{home}.jsonl"))


def test_files_of_different_captures_are_refused(homes: Path):
    message = refusal(path=(str(homes / "Building_{home}.csv"), str(homes / "weather.csv")))
    assert message == (
        f"path[1]: '{homes / 'weather.csv'}' captures nothing, 'Building_10.csv' 'home'; "
        "all paths of a step need the same captures"
    )


def test_a_type_for_a_capture_is_refused(homes: Path):
    message = refusal(path=str(homes / "Building_{home}.csv"), types={"home": "integer"})
    assert "home: 'home' is a capture of the path, and text; leave it out here" in message


def test_a_pattern_without_a_match_is_refused():
    assert refusal(path="House_{home}.csv") == "path: no file matches 'House_{home}.csv'"


def test_the_base_name_is_what_a_model_keeps_of_a_path():
    assert base_pattern("data/Building_{home}.csv") == "Building_{home}.csv"
    assert base_pattern("data/{year}/flights.csv") is None
    assert base_pattern("data/{year}/flights_{x}.csv") is None
    assert base_pattern("data/plain.csv") is None
    assert captured_from("Building_{home}.csv", "/x/Building_3.csv") == (("home", "3"),)
    assert captured_from("Building_{home}.csv", "/x/building.csv") is None


PIPELINE = """\
name: homes
steps:
  homes: {read: {path: "PATH"}}
  parts: {split: {train: 0.8, test: 0.2}}
  features: {prepare: {target: kwh, categorical: {minimum_count: 1}}}
  model: {train: {loss: squared, penalty: {l2: 1e-6}}}
"""


@pytest.fixture
def two_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two homes whose use differs by ten, whatever x is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    generator = np.random.default_rng(4)
    for home, base in (("a", 0.0), ("b", 10.0)):
        with (tmp_path / "data" / f"Building_{home}.csv").open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["x", "kwh"])
            for x in generator.normal(size=200):
                rows.writerow([round(float(x), 6), round(base + 2 * float(x), 6)])
    return tmp_path


def test_predict_captures_what_the_model_was_trained_with(
    two_homes: Path, run: Run, lepton: Lepton, scheduler: str, write_pipeline: WritePipeline
):
    outcome = run(write_pipeline(PIPELINE.replace("PATH", "data/Building_{home}.csv")))
    model = lepton_dask.load(outcome.folder)
    assert model.source.patterns == ("Building_{home}.csv",)
    written(two_homes, "x\n0\n1\n", "Building_b.csv")
    written(two_homes, "x,home\n0,b\n1,a\n", "both.csv")
    written(two_homes, "x\n0\n1\n", "other.csv")

    def predicted(path: str) -> dict[str, list[object]]:
        done = lepton("predict", outcome.folder, path, "out.parquet", "--scheduler", scheduler)
        assert done.code == 0, done.stderr
        columns: dict[str, list[object]] = pq.read_table("out.parquet").to_pydict()
        return columns

    by_name, by_pattern = predicted("Building_b.csv"), predicted("Building_{home}.csv")
    assert by_name == by_pattern
    assert by_name["home"] == ["b", "b"]
    np.testing.assert_allclose(by_name["prediction"], [10, 12], atol=1e-3)
    np.testing.assert_allclose(predicted("both.csv")["prediction"], [10, 2], atol=1e-3)
    frame = {"x": np.array([0.0, 1.0]), "home": np.array(["b", "b"], object)}
    np.testing.assert_allclose(model.predict(frame), by_name["prediction"], rtol=1e-12)

    refused = lepton("predict", outcome.folder, "other.csv", "out.csv", "--scheduler", scheduler)
    assert refused.code == 2
    assert (
        "path: 'other.csv' does not say its 'home', which the model takes from the file's path; "
        "write the path with a capture, as 'Building_{home}.csv'"
    ) in refused.stderr


@pytest.mark.parametrize(
    ("path", "patterns"),
    [
        ("${env.FOLDER}/Building_{home}.csv", ("Building_{home}.csv",)),
        ("${env.WHOLE}", ()),
    ],
)
def test_a_model_keeps_no_pattern_that_the_environment_has_a_part_in(
    two_homes: Path,
    run: Run,
    write_pipeline: WritePipeline,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    patterns: tuple[str, ...],
):
    monkeypatch.setenv("FOLDER", str(two_homes / "data"))
    monkeypatch.setenv("WHOLE", f"{two_homes}/data/Building_{{home}}.csv")
    outcome = run(write_pipeline(PIPELINE.replace("PATH", path)))
    source = lepton_dask.load(outcome.folder).source
    assert (source.captures, source.patterns) == (("home",), patterns)
