"""JSON lines: one object a line."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_tables import AT, TEXT, columns_of, parsed, row_numbers_of, settled, written

from lepton_dask.data.declared import Date
from lepton_dask.data.files import find_files
from lepton_dask.data.head import read_head
from lepton_dask.data.read import Read
from lepton_dask.data.roots import Roots
from lepton_dask.errors import UserError


def lines(folder: Path, *objects: object, **keys: object) -> Read:
    content = "".join((o if isinstance(o, str) else json.dumps(o)) + "\n" for o in objects)
    return Read.model_validate({"path": written(folder, content, "t.jsonl"), **keys})


def test_a_key_that_is_not_there_is_missing(tmp_path: Path):
    read = lines(tmp_path, {"a": 1, "b": "x"}, {"a": 2}, {"b": None, "a": 3.5})
    assert columns_of(read) == {"a": [1.0, 2.0, 3.5], "b": ["x", None, None]}


def test_a_key_that_one_chunk_has_is_missing_in_the_others(tmp_path: Path):
    read = lines(tmp_path, *[{"a": i} for i in range(20)], {"a": 20, "b": "x"})
    assert columns_of(read, 30) == {"a": list(range(21)), "b": [None] * 20 + ["x"]}


def test_moments_are_inferred_and_formats_declared(tmp_path: Path):
    read = lines(
        tmp_path,
        {"t": "2013-01-05 10:00:00", "d": "05/01/2013"},
        types={"d": Date(date="%d/%m/%Y")},
    )
    assert columns_of(read) == {
        "t": [datetime(2013, 1, 5, 10)],
        "d": [datetime(2013, 1, 5).date()],
    }


def test_listed_values_are_missing_and_text_stays_text(tmp_path: Path):
    read = lines(tmp_path, {"a": "?", "b": "1"}, {"a": "NA", "b": "2"}, missing_values=("?",))
    assert columns_of(read) == {"a": [None, "NA"], "b": ["1", "2"]}


def test_a_line_that_is_no_object_is_left_out_and_located(tmp_path: Path):
    read = lines(tmp_path, {"a": 1}, "oops", "[1]", {"a": 2})
    assert columns_of(read) == {"a": [1, 2]}
    assert row_numbers_of(read) == [0, 3]
    bad = parsed(read)[0].quarantined.rows
    assert bad is not None
    assert bad.count == 2
    assert "row 1: is not JSON" in str(bad)


def test_values_of_several_kinds_make_text(tmp_path: Path):
    read = lines(tmp_path, {"a": 1}, {"a": "x"}, {"a": True}, {"a": None})
    assert columns_of(read) == {"a": ["1", "x", "true", None]}
    assert settled(read)[0].schema["a"] == TEXT


def test_numbers_become_text_where_another_chunk_has_text(tmp_path: Path):
    read = lines(tmp_path, *[{"a": i} for i in range(10)], {"a": "x"})
    assert columns_of(read, 20)["a"] == [*map(str, range(10)), "x"]


def test_what_does_not_fit_a_declared_type_is_counted(tmp_path: Path):
    read = lines(tmp_path, {"a": 1}, {"a": "x"}, {"a": "3"}, types={"a": "integer"})
    assert columns_of(read) == {"a": [1, None, 3]}
    assert str(parsed(read)[0].quarantined.values["a"]).endswith("row 1: 'x' is not an integer")


def test_a_nested_value_is_refused_by_name(tmp_path: Path):
    read = lines(tmp_path, {"a": {"x": 1}, "b": 1})
    with pytest.raises(UserError, match="column 'a' that is of type struct"):
        columns_of(read)
    assert columns_of(read.model_copy(update={"columns": ("b",)})) == {"b": [1]}


def test_a_number_too_large_is_missing_and_counted(tmp_path: Path):
    read = lines(tmp_path, '{"a": 1e400}', {"a": 2.5})
    assert columns_of(read) == {"a": [None, 2.5]}
    assert parsed(read)[0].quarantined.values["a"].count == 1


def test_gzip_and_head(tmp_path: Path):
    content = b"".join(json.dumps({"a": i}).encode() + b"\n" for i in range(1000))
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(gzip.compress(content))
    read = Read(path=str(path), row_number="t")
    assert columns_of(read)["t"] == list(range(1000))
    (file,) = find_files(read, AT, Roots(()))
    assert abs(read_head(read, file, 500).expected_rows - 1000) < 150


def test_latin_1_is_refused_with_the_offset_of_the_byte(tmp_path: Path):
    path = written(tmp_path, '{"a": "é"}\n'.encode("latin-1"), "t.jsonl")
    with pytest.raises(UserError, match="byte 0xE9 at offset 7"):
        columns_of(Read(path=path))


values = st.one_of(st.none(), st.text(st.sampled_from('a"\n\\é?'), max_size=4))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.fixed_dictionaries({"a": values, "b": values}), min_size=1, max_size=15),
    chunk_bytes=st.integers(1, 80),
)
def test_any_chunking_reads_what_python_wrote(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]], chunk_bytes: int
):
    read = lines(tmp_path_factory.mktemp("j"), *rows, types={"a": "text", "b": "text"})
    expected = {name: [row[name] for row in rows] for name in "ab"}
    assert columns_of(read, chunk_bytes) == expected
    assert row_numbers_of(read, chunk_bytes) == list(range(len(rows)))
