"""Tables that the workers' memory does not hold: parsed chunks in local Arrow files."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Run
from distributed import Client
from reading_tables import parsed, written

from lepton_dask.data.cached import cache
from lepton_dask.data.read import Read
from lepton_dask.data.reading import conform_chunk
from lepton_dask.data.types import ColumnType

CONTENT = "n,t\n1,x\n2,?\n3,x,3\n4,y\n"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    return Read(path=written(tmp_path, CONTENT), missing_values=("?",))


def test_a_cached_chunk_is_the_chunk(read: Read, tmp_path: Path) -> None:
    [chunk] = parsed(read)
    cached = cache(chunk, read, None, tmp_path / "cache")
    assert cached.table == chunk.table
    assert cached.row_numbers.tolist() == chunk.row_numbers.tolist() == [0, 1, 3]
    assert cached.quarantined == chunk.quarantined
    assert cached.plain()[0].to_pydict() == {"n": [1, 2, 4], "t": ["x", None, "y"]}


def test_a_table_may_have_a_column_called_row(tmp_path: Path) -> None:
    read = Read(path=written(tmp_path, "row\n7\n8\n"))
    [chunk] = parsed(read)
    cached = cache(chunk, read, None, tmp_path)
    assert cached.table.to_pydict() == {"row": [7, 8]}
    assert cached.row_numbers.tolist() == [0, 1]


def test_what_travels_is_a_path_and_where_it_leads_nowhere_the_chunk_is_parsed_again(
    tmp_path: Path,
) -> None:
    rows = "".join(f"{i},{'x' * 50}\n" for i in range(2000))
    read = Read(path=written(tmp_path, "n,t\n" + rows))
    [chunk] = parsed(read)
    schema = {"n": ColumnType("number"), "t": ColumnType("text")}
    conformed = conform_chunk(read, chunk, schema)
    cached = cache(conformed, read, schema, tmp_path / "cache")
    sent = pickle.dumps(cached)
    assert len(sent) < 3000
    cached.path.unlink()
    assert pickle.loads(sent).table == conformed.table


PIPELINE = """
name: large
seed: 1
steps:
  rows: {read: {path: rows.csv, missing_values: ["?"]}}
  tidy: {clean: {drop_missing: [a]}}
  parts: {split: {train: 0.7, test: 0.3}}
  features: {prepare: {target: y}}
  model: {train: {loss: squared}}
  scores: {evaluate: {metrics: [r2], by: town}}
  out: {predict: {part: test}}
  save: {write: {path: out.parquet}}
"""


def test_a_run_whose_table_does_not_fit_gives_the_same_from_files(
    run: Run,
    scheduler: str,
    write_pipeline: Callable[[str], Path],
    small_chunks: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    small_chunks(8_000)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=2000), "town": rng.choice(["Rome", "Oslo"], 2000)})
    frame["y"] = frame["a"] + (frame["town"] == "Oslo") + 0.1 * rng.normal(size=2000)
    frame.loc[::7, "town"] = "?"
    frame.loc[::11, "a"] = np.nan
    frame.to_csv("rows.csv", index=False)
    path = write_pipeline(PIPELINE)
    held = run(path).folder
    asked: list[int] = []

    def too_large(_dispatch: object, files: list[object]) -> bool:
        asked.append(len(files))
        return True

    monkeypatch.setattr("lepton_dask.run.reading.is_too_large", too_large)
    cached = run(path).folder
    assert asked == [1]
    with Client(scheduler) as client:
        files = client.run(
            lambda dask_worker: len(list(Path(dask_worker.local_directory).glob("parsed/*.arrow")))
        )
    assert sum(files.values()) > 8
    for name in ("model/coefficients.npy", "profile.json", "metrics.json"):
        assert (held / name).read_bytes() == (cached / name).read_bytes()
    pd.testing.assert_frame_equal(
        pd.read_parquet(held / "out.parquet"), pd.read_parquet(cached / "out.parquet")
    )
