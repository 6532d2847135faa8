"""Reading for prediction: rows out are rows in."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading_tables import AT, INTEGER, NUMBER, TEXT, written

from lepton_dask.data.declared import Date
from lepton_dask.data.files import find_files
from lepton_dask.data.lenient import LenientChunk, parse_leniently, read_for_prediction
from lepton_dask.data.read import Read
from lepton_dask.data.reading import needs_scan, plan_chunks, scan_chunk, settle_bounds
from lepton_dask.data.roots import Roots
from lepton_dask.data.types import ColumnType
from lepton_dask.errors import UserError

SCHEMA = {"age": INTEGER, "job": TEXT, "income": NUMBER}


def chunks_of(
    read: Read,
    schema: dict[str, ColumnType],
    optional: tuple[str, ...] = (),
    chunk_bytes: int = 999,
) -> list[LenientChunk]:
    (file,) = find_files(read, AT, Roots(()))
    read, schema = read_for_prediction(read, file, schema, optional)
    planned = plan_chunks(read, file, chunk_bytes)
    if needs_scan(planned):
        planned = settle_bounds(read, planned, [scan_chunk(read, chunk) for chunk in planned])
    return [parse_leniently(read, chunk, schema) for chunk in planned]


def test_every_record_becomes_a_row_with_a_reason_where_it_is_unfit(tmp_path: Path):
    content = "age,job,income\n30,x,1.5\nabc,y,nan\n31,z\n32,w,2,3\n33,v,\n"
    (chunk,) = chunks_of(Read(path=written(tmp_path, content)), SCHEMA)
    assert chunk.table.to_pydict() == {
        "age": [30, None, None, None, 33],
        "job": ["x", "y", None, None, "v"],
        "income": [1.5, None, None, None, None],
    }
    assert chunk.reasons == [
        None,
        "age: 'abc' is not an integer; income: 'nan' is not a number",
        "expected 3 fields, found 2",
        "expected 3 fields, found 4",
        None,
    ]
    assert chunk.row_numbers.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("chunk_bytes", [8, 20, 50])
def test_rows_and_reasons_do_not_depend_on_the_chunks(tmp_path: Path, chunk_bytes: int):
    content = "age,job,income\n" + "30,x,1.5\nabc,y,2\n31,z\n" * 10
    read = Read(path=written(tmp_path, content), row_number="t")
    schema = {**SCHEMA, "t": INTEGER}
    (whole,) = chunks_of(read, schema)
    parts = chunks_of(read, schema, (), chunk_bytes)
    assert len(parts) > 2
    assert pa.concat_tables(part.table for part in parts) == whole.table
    assert [reason for part in parts for reason in part.reasons] == whole.reasons
    assert whole.table["t"].to_pylist() == list(range(30))


def test_the_target_may_be_absent_and_its_declarations_with_it(tmp_path: Path):
    read = Read(
        path=written(tmp_path, "job,age,more\nx,30,1\n"),
        types={"income": "number", "age": "integer"},
        missing_values={"income": ("?",)},
        rows=1,
    )
    (chunk,) = chunks_of(read, SCHEMA, ("income",))
    assert chunk.table.to_pydict() == {"age": [30], "job": ["x"]}


def test_another_absent_column_is_refused(tmp_path: Path):
    read = Read(path=written(tmp_path, "jobs,income\nx,1\n"))
    with pytest.raises(UserError, match=r"has no column 'age', 'job', which"):
        chunks_of(read, SCHEMA, ("income",))


@pytest.mark.parametrize("columns", [("age", "job", "income"), None])
def test_a_file_without_a_header_may_lack_the_target(
    tmp_path: Path, columns: tuple[str, ...] | None
):
    names = columns or ("column_1", "column_2", "column_3")
    schema = dict(zip(names, (INTEGER, TEXT, NUMBER), strict=True))
    for content, width in (("30,x\n", 2), ("30,x,1.5\n", 3)):
        read = Read(path=written(tmp_path, content), header=False, columns=columns)
        (chunk,) = chunks_of(read, schema, (names[2],))
        assert chunk.table.column_names == list(names[:width])
    read = Read(path=written(tmp_path, "30\n"), header=False, columns=columns)
    with pytest.raises(UserError, match="has 1 columns, the model reads 3, or 2 without"):
        chunks_of(read, schema, (names[2],))


def test_a_format_that_does_not_fit_is_a_reason(tmp_path: Path):
    read = Read(
        path=written(tmp_path, "d,x\n05/01/2013,1\n2013-01-05,2\n"),
        types={"d": Date(date="%d/%m/%Y")},
    )
    (chunk,) = chunks_of(read, {"d": ColumnType("date"), "x": INTEGER})
    assert chunk.reasons == [None, "d: '2013-01-05' does not fit the format '%d/%m/%Y'"]


def test_parquet_and_json_lines_are_read_alike(tmp_path: Path):
    pq.write_table(pa.table({"age": ["30", "abc"], "job": ["x", "y"]}), tmp_path / "t.parquet")
    lines = '{"age": 30, "job": "x"}\n{"age": "abc", "job": "y"}\n'
    for path in (str(tmp_path / "t.parquet"), written(tmp_path, lines, "t.jsonl")):
        (chunk,) = chunks_of(Read(path=path), SCHEMA, ("income",))
        assert chunk.table["age"].to_pylist() == [30, None]
        assert chunk.reasons == [None, "age: 'abc' is not an integer"]


def test_a_line_that_is_no_object_is_a_row_too(tmp_path: Path):
    lines = '{"age": 30, "job": "x"}\noops\n{"age": 31, "job": "y"}\n'
    (chunk,) = chunks_of(Read(path=written(tmp_path, lines, "t.jsonl")), SCHEMA)
    assert chunk.table["age"].to_pylist() == [30, None, 31]
    assert (chunk.reasons[1] or "").startswith("is not JSON")
