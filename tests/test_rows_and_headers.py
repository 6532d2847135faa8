"""Rules 5 and 6 of the grammar, for every format and every chunking."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Lepton
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_tables import columns_of, written

from lepton_dask.data.read import Read

Store = Callable[[Path, str, list[str]], str]


def csv_file(folder: Path, name: str, texts: list[str]) -> str:
    rows = "".join(f'"{text}",{i}\n' for i, text in enumerate(texts))
    return written(folder, f"x,y\n{rows}", f"{name}.csv")


def packed_csv(folder: Path, name: str, texts: list[str]) -> str:
    content = Path(csv_file(folder, name, texts)).read_bytes()
    (folder / f"{name}.csv.gz").write_bytes(gzip.compress(content))
    return str(folder / f"{name}.csv.gz")


def json_lines(folder: Path, name: str, texts: list[str]) -> str:
    rows = [json.dumps({"x": text, "y": i}) for i, text in enumerate(texts)]
    return written(folder, "\n".join(rows), f"{name}.jsonl")


def json_document(folder: Path, name: str, texts: list[str]) -> str:
    rows = [{"x": text, "y": i} for i, text in enumerate(texts)]
    return written(folder, json.dumps({"rows": rows}), f"{name}.json") + "#/rows"


def parquet_file(folder: Path, name: str, texts: list[str]) -> str:
    table = pa.table({"x": texts, "y": range(len(texts))})
    pq.write_table(table, folder / f"{name}.parquet", row_group_size=2)
    return str(folder / f"{name}.parquet")


STORES = [csv_file, packed_csv, json_lines, json_document, parquet_file]
texts = st.lists(st.text(st.sampled_from("ab,\n"), min_size=1, max_size=4), min_size=1, max_size=12)


@pytest.mark.parametrize("store", STORES)
@settings(max_examples=25, deadline=None)
@given(first=texts, second=texts, chunk_bytes=st.integers(1, 60))
def test_rule_5_row_numbers_count_from_0_in_each_file_whatever_the_chunks(
    tmp_path_factory: pytest.TempPathFactory,
    store: Store,
    first: list[str],
    second: list[str],
    chunk_bytes: int,
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    paths = (store(folder, "b", first), store(folder, "a", second))
    read = Read(path=paths, row_number="t")
    expected = [*range(len(first)), *range(len(second))]
    columns = columns_of(read, chunk_bytes)
    assert list(columns) == ["x", "y", "t"]
    assert columns == {"x": first + second, "y": expected, "t": expected}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("chunk_bytes", [1, 30, 1000])
def test_rule_5_the_first_rows_of_each_file(tmp_path: Path, store: Store, chunk_bytes: int) -> None:
    paths = (store(tmp_path, "a", list("abcdef")), store(tmp_path, "b", list("xyz")))
    read = Read(path=paths, row_number="t", rows=4)
    assert columns_of(read, chunk_bytes) == {
        "x": list("abcdxyz"),
        "y": [0, 1, 2, 3, 0, 1, 2],
        "t": [0, 1, 2, 3, 0, 1, 2],
    }


def test_rule_5_a_row_that_is_set_aside_leaves_a_gap(tmp_path: Path) -> None:
    for chunk_bytes in (1, 5, 100):
        read = Read(path=written(tmp_path, "x,y\n1,2\n3\n4,5\n"), row_number="t")
        assert columns_of(read, chunk_bytes)["t"] == [0, 2]


@settings(max_examples=50, deadline=None)
@given(
    texts=texts,
    skipped=st.lists(st.sampled_from(["", "# by hand", 'a "quote', "1,2,3"]), max_size=4),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.booleans(),
    chunk_bytes=st.integers(1, 60),
)
def test_rule_6_names_come_from_the_header_behind_skipped_lines_from_columns_or_by_position(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    skipped: list[str],
    line_end: str,
    mark: bool,
    chunk_bytes: int,
) -> None:
    top = ("\ufeff" if mark else "") + "".join(line + line_end for line in skipped)
    rows = "".join(f'"{text}",{i}{line_end}' for i, text in enumerate(texts))
    path = written(tmp_path_factory.mktemp("header"), f"{top}x,y{line_end}{rows}")
    numbers = list(range(len(texts)))
    count = len(skipped)
    read = Read(path=path, skip_rows=count)
    assert columns_of(read, chunk_bytes) == {"x": texts, "y": numbers}
    read = Read(path=path, skip_rows=count + 1, header=False)
    assert columns_of(read, chunk_bytes) == {"column_1": texts, "column_2": numbers}
    read = Read(path=path, skip_rows=count + 1, header=False, columns=("b", "a"), row_number="t")
    assert columns_of(read, chunk_bytes) == {"b": texts, "a": numbers, "t": numbers}


def test_rule_6_a_target_may_be_the_last_column_by_position(
    lepton: Lepton, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "made by hand\n" + "1,2,0\n3,5,1\n" * 20)
    Path("a.yaml").write_text(
        "name: position\n"
        "steps:\n"
        "  rows: {read: {path: table.csv, header: false, skip_rows: 1}}\n"
        "  features: {prepare: {target: -1}}\n"
        "  model: {train: {loss: squared}}\n"
    )
    done = lepton("plan", "a.yaml", "--json")
    assert done.code == 0, done.stderr
    columns = next(s for s in json.loads(done.stdout)["steps"] if s["name"] == "features")
    treatments = {column["name"]: column["treatment"] for column in columns["columns"]}
    assert treatments["column_3"] == "target"
