"""Where records end, wherever text is cut; and chunks as pandas partitions."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_tables import AT, columns_of, parsed, written

from lepton_dask.data.files import find_files
from lepton_dask.data.formats.records import count_records, record_ends
from lepton_dask.data.read import Read
from lepton_dask.data.reading import (
    can_be_parsed_cut,
    needs_scan,
    parse_cut,
    plan_chunks,
    scan_chunk,
    settle_bounds,
)
from lepton_dask.data.roots import Roots
from lepton_dask.data.tables import Partition, empty_partition, plain_table, to_frame
from lepton_dask.data.types import ColumnType
from lepton_dask.errors import UserError


def ends_by_state_machine(text: bytes) -> tuple[list[int], bool]:
    """Arrow's rules byte by byte: a quote opens a field only as its first byte."""
    ends, state, i = [], "start", 0
    while i < len(text):
        byte, following = text[i : i + 1], text[i + 1 : i + 2]
        if state == "quoted":
            if byte == b'"' and following == b'"':
                i += 1
            elif byte == b'"':
                state = "field"
        elif byte == b'"' and state == "start":
            state = "quoted"
        elif byte == b"\n" or (byte == b"\r" and following != b"\n"):
            ends.append(i)
            state = "start"
        elif byte == b"\r":
            state = "field"
        else:
            state = "start" if byte == b"," else "field"
        i += 1
    return ends, state == "quoted"


@settings(max_examples=300, deadline=None)
@given(
    text=st.lists(st.sampled_from([b"a", b'"', b'"', b",", b"\n", b"\r", b"\r\n"])).map(b"".join)
)
def test_records_end_where_a_state_machine_says(text: bytes):
    found = record_ends(np.frombuffer(text, np.uint8), ",", inside=False)
    ends, is_open = ends_by_state_machine(text)
    assert found.positions.tolist() == ends
    assert (found.open_quote is not None) == is_open
    if found.open_quote is not None:
        assert text[found.open_quote : found.open_quote + 1] == b'"'


@settings(max_examples=300, deadline=None)
@given(text=st.lists(st.sampled_from([b"a", b'"', b'"', b",", b"\n", b"\r\n"])).map(b"".join))
def test_a_text_that_starts_inside_quotes_is_read_as_if_one_had_opened(text: bytes):
    found = record_ends(np.frombuffer(text, np.uint8), ",", inside=True)
    ends, is_open = ends_by_state_machine(b'"' + text)
    assert found.positions.tolist() == [end - 1 for end in ends]
    assert (found.open_quote is not None) == is_open


@settings(max_examples=200, deadline=None)
@given(text=st.lists(st.sampled_from([b"a", b"b,", b"\n", b"\r\n", b"\r"])).map(b"".join))
def test_blank_lines_are_no_records(text: bytes):
    content = np.frombuffer(text, np.uint8)
    count = count_records(content, record_ends(content, ",", inside=False).positions)
    lines = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    assert count == len([line for line in lines if line])


def test_the_open_quote_is_found_behind_escaped_ones():
    text = b'a,"b""c""\nd'
    assert record_ends(np.frombuffer(text, np.uint8), ",", inside=False).open_quote == 2


def test_one_chunk_needs_no_scan_and_several_do(tmp_path: Path):
    read = Read(path=written(tmp_path, "a,b\n" + "1,2\n" * 10))
    (file,) = find_files(read, AT, Roots(()))
    assert not needs_scan(plan_chunks(read, file))
    assert needs_scan(plan_chunks(read, file, 10))


def test_chunks_cover_the_file_without_gaps_and_count_their_rows(tmp_path: Path):
    content = "a,b\n" + "".join(f'{i},"x\n{i}"\n' for i in range(30))
    read = Read(path=written(tmp_path, content))
    (file,) = find_files(read, AT, Roots(()))
    planned = plan_chunks(read, file, 37)
    chunks = settle_bounds(read, planned, [scan_chunk(read, chunk) for chunk in planned])
    assert chunks[0].start == 4
    assert chunks[-1].stop == len(content)
    assert all(a.stop == b.start for a, b in pairwise(chunks))
    assert sum(chunk.rows or 0 for chunk in chunks) == 30
    firsts = [chunk.first_row for chunk in chunks]
    assert firsts == np.cumsum([0] + [chunk.rows or 0 for chunk in chunks[:-1]]).tolist()


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.sampled_from(["1,x", "2.5,yy", ",", "", "1,2,3", "a\0,b", "é,ü", "7"])),
    last=st.sampled_from(["", "3,z"]),
    chunk_bytes=st.integers(1, 40),
)
def test_chunks_that_find_their_own_bounds_are_those_of_a_scan(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], last: str, chunk_bytes: int
):
    content = "\n".join(["a,b", "0,w", *lines, last])
    read = Read(path=written(tmp_path_factory.mktemp("cut"), content))
    (file,) = find_files(read, AT, Roots(()))
    planned = [c for c in plan_chunks(read, file, chunk_bytes) if can_be_parsed_cut(read, c)]
    cut = {chunk.index: parse_cut(read, chunk) for chunk in planned}
    assert [found.scan if found else None for found in cut.values()] == [
        scan_chunk(read, chunk) for chunk in planned
    ]
    for expected in parsed(read, chunk_bytes) if planned else []:
        found = cut[expected.chunk.index]
        assert found is not None
        first_row = expected.chunk.first_row or 0
        assert plain_table(found.parsed.table).equals(plain_table(expected.table))
        assert (found.parsed.row_numbers + first_row).tolist() == expected.row_numbers.tolist()
        assert found.parsed.quarantined.moved(first_row) == expected.quarantined


def test_a_chunk_with_quotes_or_carriage_returns_has_to_be_scanned_for(tmp_path: Path):
    for name, content in {"q": '1,"x"\n' * 9, "r": "1,x\r\n" * 9}.items():
        read = Read(path=written(tmp_path, "a,b\n" + content, f"{name}.csv"))
        (file,) = find_files(read, AT, Roots(()))
        assert [parse_cut(read, chunk) for chunk in plan_chunks(read, file, 30)] == [None, None]


def test_a_record_longer_than_many_chunks_is_one(tmp_path: Path):
    long = "y\n" * 500
    read = Read(path=written(tmp_path, f'a,b\n1,x\n2,"{long}"\n3,z\n'))
    assert columns_of(read, 16) == {"a": [1, 2, 3], "b": ["x", long, "z"]}


def test_a_quote_that_is_never_closed_is_found_across_chunks(tmp_path: Path):
    read = Read(path=written(tmp_path, "a,b\n1,x\n" + '2,"y\n' + "3,z\n" * 20))
    with pytest.raises(UserError, match="has a quote at byte 10 that is never closed"):
        parsed(read, 16)


def test_old_line_ends_are_line_ends(tmp_path: Path):
    read = Read(path=written(tmp_path, "a,b\r1,x\r2,y\r"))
    assert columns_of(read, 4) == columns_of(read) == {"a": [1, 2], "b": ["x", "y"]}


def test_stray_quotes_are_ordinary_characters(tmp_path: Path):
    content = "a,b\n" + '1,19" screen\n2,5\'11"\n' * 8
    read = Read(path=written(tmp_path, content))
    assert columns_of(read, 11)["b"] == ['19" screen', "5'11\""] * 8


def test_a_frame_has_arrow_columns_and_the_rows_numbers():
    table = pa.table(
        {
            "i": pa.array([1, None], pa.int64()),
            "s": ["x", None],
            "d": [date(2013, 1, 5), None],
            "t": pa.array([1, None], pa.timestamp("ns", "UTC")),
            "b": [True, None],
        }
    )
    frame = to_frame(table, np.array([5, 7]))
    assert frame.index.tolist() == [5, 7]
    assert str(frame.dtypes["i"]) == "int64[pyarrow]"
    assert pa.Table.from_pandas(frame, preserve_index=False).cast(table.schema) == table


def test_a_partition_yields_its_texts_with_and_without_dictionaries():
    table = pa.table({"i": [1, 2, 3], "s": pa.array(["x", None, "x"]).dictionary_encode()})
    rows = Partition(table, np.array([5, 7, 9]))
    plain, numbers = rows.plain()
    assert plain == pa.table({"i": [1, 2, 3], "s": ["x", None, "x"]})
    assert rows.table["s"].type == pa.dictionary(pa.int32(), pa.string())
    assert numbers.tolist() == [5, 7, 9]


def test_an_empty_partition_has_the_schema_of_the_others():
    schema = {
        "i": ColumnType("integer"),
        "t": ColumnType("timestamp", "UTC"),
        "s": ColumnType("text"),
    }
    table, numbers = empty_partition(schema).plain()
    assert table.num_rows == 0
    assert [str(field.type) for field in table.schema] == [
        "int64",
        "timestamp[ns, tz=UTC]",
        "string",
    ]
    assert numbers.dtype == np.int64
