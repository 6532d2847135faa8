"""Parquet: row groups as chunks, every Arrow type as one of six."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading_tables import AT, columns_of, parsed, row_numbers_of, settled

from lepton_dask.data.declared import Date
from lepton_dask.data.files import find_files
from lepton_dask.data.head import read_head
from lepton_dask.data.read import Read
from lepton_dask.data.reading import plan_chunks
from lepton_dask.data.roots import Roots
from lepton_dask.data.types import ColumnType
from lepton_dask.errors import RunError, UserError


def stored(folder: Path, table: pa.Table, name: str = "t.parquet", **keys: object) -> str:
    pq.write_table(table, folder / name, **keys)
    return str(folder / name)


@pytest.mark.parametrize(
    ("array", "kind", "values"),
    [
        (pa.array([1, None], pa.int8()), "integer", [1, None]),
        (pa.array([1, 2], pa.uint64()), "integer", [1, 2]),
        (pa.array([1.5, None], pa.float32()), "number", [1.5, None]),
        (pa.array([Decimal("1.50")]), "number", [1.5]),
        (pa.array(["a", None], pa.large_string()), "text", ["a", None]),
        (pa.array(["a", "b"]).dictionary_encode(), "text", ["a", "b"]),
        (pa.array([3, 3]).dictionary_encode(), "integer", [3, 3]),
        (pa.array([True]), "boolean", [True]),
        (pa.array([1], pa.date32()), "date", [pd.Timestamp("1970-01-02").date()]),
        (pa.array([10**6], pa.timestamp("us")), "timestamp", [pd.Timestamp("1970-01-01 00:00:01")]),
    ],
)
def test_every_type_becomes_one_of_six(
    tmp_path: Path, array: pa.Array, kind: str, values: list[object]
):
    read = Read(path=stored(tmp_path, pa.table({"a": array})))
    assert settled(read)[0].schema["a"].kind == kind
    assert columns_of(read)["a"] == values


def test_a_zone_is_kept(tmp_path: Path):
    table = pa.table({"t": pa.array([1], pa.timestamp("ms", "Europe/Paris"))})
    schema, _ = settled(Read(path=stored(tmp_path, table)))
    assert schema.schema["t"] == ColumnType("timestamp", "Europe/Paris")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (pa.array([[1, 2]]), "column 'a' that is of type list"),
        (pa.array([{"x": 1}]), "column 'a' that is of type struct"),
        (pa.array([2**63], pa.uint64()), "column 'a' that has integers of 2\\^63 and more"),
        (pa.array([b"x"]), "column 'a' that is of type binary"),
    ],
)
def test_what_no_column_can_hold_is_refused_by_name(tmp_path: Path, array: pa.Array, message: str):
    path = stored(tmp_path, pa.table({"a": array, "b": [1]}))
    with pytest.raises(UserError, match=message):
        columns_of(Read(path=path))
    assert columns_of(Read(path=path, columns=("b",))) == {"b": [1]}


def test_row_groups_are_gathered_up_to_the_chunk_size(tmp_path: Path):
    table = pa.table({"a": np.arange(100), "b": np.arange(100) / 7})
    read = Read(path=stored(tmp_path, table, row_group_size=10))
    (file,) = find_files(read, AT, Roots(()))
    sizes = {n: [c.rows for c in plan_chunks(read, file, n)] for n in (1, 1000, 1 << 20)}
    assert sizes[1] == [10] * 10
    assert sum(sizes[1000]) == 100
    assert 1 < len(sizes[1000]) < 10
    assert sizes[1 << 20] == [100]
    for chunk_bytes in sizes:
        assert columns_of(read, chunk_bytes)["a"] == list(range(100))
        assert row_numbers_of(read, chunk_bytes) == list(range(100))


def test_chunks_do_not_move_with_the_columns_selected(tmp_path: Path):
    table = pa.table({f"c{i}": np.arange(100) for i in range(20)})
    path = stored(tmp_path, table, row_group_size=10)
    few, every = Read(path=path, columns=("c3",)), Read(path=path)
    (file,) = find_files(every, AT, Roots(()))
    assert plan_chunks(few, file, 4000) == plan_chunks(every, file, 4000)


def test_nan_and_infinities_are_missing_and_counted(tmp_path: Path):
    table = pa.table({"a": pa.array([1.0, np.nan, np.inf, None], from_pandas=False)})
    (chunk,) = parsed(Read(path=stored(tmp_path, table)))
    assert chunk.table["a"].to_pylist() == [1.0, None, None, None]
    assert chunk.quarantined.values["a"].count == 2
    assert str(chunk.quarantined.values["a"]).endswith("row 1: nan is not finite")


def test_listed_values_are_missing_in_text_columns(tmp_path: Path):
    path = stored(tmp_path, pa.table({"a": ["?", "x"], "b": [1, 2]}))
    assert columns_of(Read(path=path, missing_values=("?",))) == {"a": [None, "x"], "b": [1, 2]}


def test_text_is_read_as_declared(tmp_path: Path):
    path = stored(tmp_path, pa.table({"d": ["05/01/2013", "?"], "n": ["1.5", "2"]}))
    read = Read(path=path, types={"d": Date(date="%d/%m/%Y"), "n": "number"}, missing_values=("?",))
    assert columns_of(read) == {"d": [pd.Timestamp("2013-01-05").date(), None], "n": [1.5, 2.0]}


def test_numbers_declared_as_integers(tmp_path: Path):
    path = stored(tmp_path, pa.table({"a": [True, False], "b": [1.0, 2.5]}))
    read = Read(path=path, types={"a": "text", "b": "integer"})
    assert columns_of(read) == {"a": ["true", "false"], "b": [1, None]}
    assert "2.5 is not an integer" in str(parsed(read)[0].quarantined.values["b"])


def test_integer_and_text_in_two_files_is_refused(tmp_path: Path):
    stored(tmp_path, pa.table({"a": [1]}), "a.parquet")
    stored(tmp_path, pa.table({"a": ["x"]}), "b.parquet")
    with pytest.raises(UserError, match=r"'a' is a text in 'b\.parquet' and an integer in"):
        settled(Read(path=str(tmp_path / "*.parquet")))


def test_the_head_is_the_footer(tmp_path: Path):
    read = Read(path=stored(tmp_path, pa.table({"a": [1, 2], "b": ["x", "y"]})), row_number="t")
    (file,) = find_files(read, AT, Roots(()))
    head = read_head(read, file)
    assert (head.rows, head.expected_rows, head.is_exact) == (0, 2, True)
    assert [type_ and type_.kind for type_ in head.summary.types.values()] == [
        "integer",
        "text",
        "integer",
    ]


def test_only_the_first_rows_are_read(tmp_path: Path):
    path = stored(tmp_path, pa.table({"a": np.arange(100)}), row_group_size=10)
    assert columns_of(Read(path=path, rows=25), 1)["a"] == list(range(25))
    assert len(parsed(Read(path=path, rows=25), 1)) == 3


def test_a_truncated_file_fails_with_its_name(tmp_path: Path):
    path = Path(stored(tmp_path, pa.table({"a": np.arange(1000)})))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RunError, match=r"t\.parquet: the Parquet file is truncated or damaged"):
        parsed(Read(path=str(path)))


def test_a_damaged_page_fails_with_file_and_partition(tmp_path: Path):
    table = pa.table({"a": np.random.default_rng(0).normal(size=1000)})
    path = Path(stored(tmp_path, table, write_page_checksum=True, compression="none"))
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"t\.parquet, partition 0: .*damaged"):
        parsed(Read(path=str(path)))
