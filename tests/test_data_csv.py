"""CSV: what a field, a header and a file mean."""

from __future__ import annotations

import csv
import io
import math
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_tables import (
    AT,
    INTEGER,
    NUMBER,
    TEXT,
    columns_of,
    parsed,
    row_numbers_of,
    settled,
    written,
)

from lepton_dask.data.chunks import Chunk
from lepton_dask.data.declared import Date, Timestamp
from lepton_dask.data.files import find_files
from lepton_dask.data.formats import records
from lepton_dask.data.head import read_head
from lepton_dask.data.quarantine import merge_quarantined, too_many_bad
from lepton_dask.data.read import Read
from lepton_dask.data.reading import parse_chunk, plan_chunks
from lepton_dask.data.roots import Roots
from lepton_dask.data.settle import settle_types
from lepton_dask.data.types import ColumnType
from lepton_dask.errors import RunError, UserError


def read_text(folder: Path, content: str | bytes, **keys: object) -> dict[str, list[object]]:
    return columns_of(Read.model_validate({"path": written(folder, content), **keys}))


def refusal(folder: Path, content: str | bytes, **keys: object) -> str:
    with pytest.raises(UserError) as error:
        read_text(folder, content, **keys)
    return str(error.value)


def quarantined(folder: Path, content: str, **keys: object):
    read = Read.model_validate({"path": written(folder, content), **keys})
    return merge_quarantined(chunk.quarantined for chunk in settled(read)[1])


class TestMissing:
    def test_only_an_empty_unquoted_field_is_missing(self, tmp_path: Path):
        columns = read_text(tmp_path, 'a,b,c\n1,,x\n,"",NA\n3,None,nan\n4,null,\n')
        assert columns == {
            "a": [1, None, 3, 4],
            "b": [None, "", "None", "null"],
            "c": ["x", "NA", "nan", None],
        }

    def test_a_number_beside_an_undeclared_na_makes_text(self, tmp_path: Path):
        assert read_text(tmp_path, "a\n1\nNA\n") == {"a": ["1", "NA"]}

    def test_listed_values_are_missing_quoted_or_not(self, tmp_path: Path):
        columns = read_text(
            tmp_path, 'a,b,c\nNA,NA,"NA"\n2,"",""\n', missing_values=("NA",), types={"c": "text"}
        )
        assert columns == {"a": [None, 2], "b": [None, ""], "c": [None, ""]}

    def test_a_column_of_quoted_listed_values_is_still_a_number(self, tmp_path: Path):
        columns = read_text(tmp_path, 'a,b\n"NA",x\n"2",y\n', missing_values=("NA",))
        assert columns["a"] == [None, 2]

    def test_values_may_be_listed_by_column(self, tmp_path: Path):
        columns = read_text(tmp_path, "a,b\n-1,-1\n2,?\n", missing_values={"a": ("-1",)})
        assert columns == {"a": [None, 2], "b": ["-1", "?"]}

    def test_a_declared_column_may_have_listed_values(self, tmp_path: Path):
        columns = read_text(
            tmp_path, 'a\n"?"\n2.5\n', missing_values={"a": ("?",)}, types={"a": "number"}
        )
        assert columns == {"a": [None, 2.5]}

    def test_an_unknown_column_under_missing_values_is_refused(self, tmp_path: Path):
        message = refusal(tmp_path, "age\n1\n", missing_values={"aeg": ("?",)})
        assert "'aeg'; did you mean 'age'?" in message


class TestTypes:
    def test_types_are_inferred_from_all_values(self, tmp_path: Path):
        columns = read_text(
            tmp_path,
            "i,n,b,d,t,z,c,s\n1,1.5,true,2013-01-05,2013-01-05T10:00:00,2013-01-05T10:00:00Z,12:30,x\n",
        )
        assert columns == {
            "i": [1],
            "n": [1.5],
            "b": [True],
            "d": [date(2013, 1, 5)],
            "t": [datetime(2013, 1, 5, 10)],
            "z": [pd.Timestamp("2013-01-05T10:00:00Z")],
            "c": ["12:30"],
            "s": ["x"],
        }

    def test_declared_types_hold(self, tmp_path: Path):
        columns = read_text(
            tmp_path, "zip,i,b\n00501,1,TRUE\n", types={"zip": "text", "i": "number"}
        )
        assert columns == {"zip": ["00501"], "i": [1.0], "b": [True]}

    def test_dates_and_timestamps_are_read_by_their_format(self, tmp_path: Path):
        columns = read_text(
            tmp_path,
            "d,t,z,f\n05/01/2013,05.01.2013 10:00,2013-01-05T10:00:00Z,2013-07-01 08:00:00.250\n",
            types={
                "d": Date(date="%d/%m/%Y"),
                "t": Timestamp(timestamp="%d.%m.%Y %H:%M"),
                "z": Timestamp(timestamp="%Y-%m-%dT%H:%M:%SZ", zone="UTC"),
                "f": Timestamp(timestamp="%Y-%m-%d %H:%M:%S.%f", zone="America/New_York"),
            },
        )
        assert columns["d"] == [date(2013, 1, 5)]
        assert columns["t"] == [datetime(2013, 1, 5, 10)]
        assert columns["z"] == [datetime(2013, 1, 5, 10, tzinfo=UTC)]
        assert columns["f"] == [pd.Timestamp("2013-07-01T12:00:00.25Z")]

    def test_an_offset_in_a_format_is_kept(self, tmp_path: Path):
        columns = read_text(
            tmp_path,
            "t\n2013-01-05 10:00 +0200\n",
            types={"t": Timestamp(timestamp="%Y-%m-%d %H:%M %z")},
        )
        assert columns["t"] == [datetime(2013, 1, 5, 8, tzinfo=UTC)]

    @pytest.mark.parametrize("text", ["30/02/2013", "29/02/2013", "31/04/2013", "00/01/2013", "x"])
    def test_a_day_that_does_not_exist_is_bad(self, tmp_path: Path, text: str):
        types = {"d": Date(date="%d/%m/%Y")}
        content = f"d,e\n01/03/2013,1\n{text},2\n1/3/2013,3\n"
        bad = quarantined(tmp_path, content, types=types).values["d"]
        assert str(bad).endswith(f"row 1: '{text}' does not fit the format '%d/%m/%Y'")
        days = [date(2013, 3, 1), None, date(2013, 3, 1)]
        assert read_text(tmp_path, content, types=types)["d"] == days

    def test_what_does_not_fit_a_declared_type_is_counted_and_located(self, tmp_path: Path):
        content = "a,b\n1,x\nabc,y\n3,z\nde,w\n"
        found = quarantined(tmp_path, content, types={"a": "integer"})
        assert found.values["a"].count == 2
        assert str(found.values["a"]).endswith("row 1: 'abc' is not an integer")
        assert read_text(tmp_path, content, types={"a": "integer"})["a"] == [1, None, 3, None]

    def test_too_many_bad_values_say_file_column_and_first_value(self, tmp_path: Path):
        found = quarantined(tmp_path, "a,b\n1,x\nabc,y\n", types={"a": "integer"})
        (reason,) = too_many_bad(found, rows=2, max_bad_share=0.01)
        assert "column 'a': 1 of 2 values are bad" in reason
        assert "row 1: 'abc' is not an integer" in reason
        assert too_many_bad(found, rows=2, max_bad_share=0.5) == []

    def test_an_integer_is_not_rounded(self, tmp_path: Path):
        assert read_text(tmp_path, "a\n9007199254740993\n\n") == {"a": [9007199254740993]}

    def test_an_unknown_column_under_types_is_refused(self, tmp_path: Path):
        message = refusal(tmp_path, "income\n1\n", types={"incone": "text"})
        assert "incone: 'table.csv' has no column 'incone'" in message.replace(
            str(tmp_path) + "/", ""
        )
        assert "did you mean 'income'?" in message


class TestQuarantine:
    def test_nan_and_infinities_are_missing_and_counted(self, tmp_path: Path):
        content = "a,b\n1.5,x\nnan,x\n1e400,x\n-inf,x\n"
        assert read_text(tmp_path, content)["a"] == [1.5, None, None, None]
        bad = quarantined(tmp_path, content).values["a"]
        assert bad.count == 3
        assert str(bad).endswith("row 1: nan is not finite")

    def test_short_and_long_rows_are_left_out_and_located(self, tmp_path: Path):
        content = "a,b\n1,x\n2\n\n3,y,z\n4,w\n"
        read = Read(path=written(tmp_path, content))
        assert columns_of(read) == {"a": [1, 4], "b": ["x", "w"]}
        assert row_numbers_of(read) == [0, 3]
        bad = quarantined(tmp_path, content).rows
        assert bad is not None
        assert bad.count == 2
        assert str(bad).endswith("row 1: expected 2 fields, found 1")

    def test_a_moment_that_nanoseconds_cannot_hold_is_bad(self, tmp_path: Path):
        content = "t,b\n2013-01-01 00:00:00,1\n9999-12-31 00:00:00,2\n"
        assert read_text(tmp_path, content)["t"] == [datetime(2013, 1, 1), None]
        assert quarantined(tmp_path, content).values["t"].count == 1


class TestOpening:
    def test_names_are_given_where_there_is_no_header(self, tmp_path: Path):
        content = "30,2,malignant\n1,x\n2,y\n"
        keys = {"header": False, "skip_rows": 1}
        assert list(read_text(tmp_path, content, **keys)) == ["column_1", "column_2"]
        assert list(read_text(tmp_path, content, columns=("n", "s"), **keys)) == ["n", "s"]
        message = refusal(tmp_path, content, columns=("n",), **keys)
        assert "has 2 columns, and 1 are named" in message

    def test_columns_select_where_there_is_a_header(self, tmp_path: Path):
        assert read_text(tmp_path, "a,b,c\n1,2,3\n", columns=("c", "a")) == {"c": [3], "a": [1]}
        assert "no column 'd'" in refusal(tmp_path, "a,b\n1,2\n", columns=("d",))

    def test_a_header_may_hold_quotes_newlines_and_blanks(self, tmp_path: Path):
        content = 'skip\n"a\nb","c,d",,"e""f"\n1,2,3,4\n'
        assert list(read_text(tmp_path, content, skip_rows=1)) == ["a\nb", "c,d", "column_3", 'e"f']

    def test_a_byte_order_mark_is_no_part_of_a_name(self, tmp_path: Path):
        assert read_text(tmp_path, b"\xef\xbb\xbfa,b\n1,2\n") == {"a": [1], "b": [2]}

    def test_utf_16_is_refused_unless_declared(self, tmp_path: Path):
        content = "a,b\n1,é\n".encode("utf-16")
        assert "is UTF-16, not UTF-8; add 'encoding: utf-16'" in refusal(tmp_path, content)
        assert read_text(tmp_path, content, encoding="utf-16") == {"a": [1], "b": ["é"]}

    def test_latin_1_is_refused_with_the_offset_of_the_byte(self, tmp_path: Path):
        content = "a,b\n1,é\n".encode("latin-1")
        assert "byte 0xE9 at offset 6" in refusal(tmp_path, content)
        assert read_text(tmp_path, content, encoding="latin-1") == {"a": [1], "b": ["é"]}

    def test_an_unknown_encoding_is_refused(self, tmp_path: Path):
        message = refusal(tmp_path, "a\n1\n", encoding="utf8x")
        assert message.startswith("encoding: unknown encoding 'utf8x'; did you mean 'utf-8'?")

    def test_two_columns_of_one_name_are_refused(self, tmp_path: Path):
        assert "has two columns called 'a'" in refusal(tmp_path, "a,b,a\n1,2,3\n")

    def test_another_separator_is_refused_with_the_right_one(self, tmp_path: Path):
        assert "add 'separator: \";\"'" in refusal(tmp_path, "a;b\n1;2\n")
        assert read_text(tmp_path, "a;b\n1;2\n", separator=";") == {"a": [1], "b": [2]}

    def test_a_quote_that_is_never_closed_is_refused(self, tmp_path: Path):
        assert "has a quote at byte 6 that is never closed" in refusal(tmp_path, 'a,b\n1,"x\n2,y\n')

    def test_a_packed_file_under_a_plain_name_is_refused(self, tmp_path: Path):
        assert "is not text but a gzip file" in refusal(tmp_path, b"\x1f\x8b\x08\x00abc")

    def test_a_header_alone_is_a_table_without_rows(self, tmp_path: Path):
        read = Read(path=written(tmp_path, "a,b\n"))
        schema, (chunk,) = settled(read)
        assert dict(schema.schema) == {"a": NUMBER, "b": NUMBER}
        assert chunk.table.num_rows == 0
        (file,) = find_files(read, AT, Roots(()))
        assert "has no rows" in read_head(read, file).warnings[0]


class TestRows:
    def test_only_the_first_rows_are_read(self, tmp_path: Path):
        content = "a,b\n" + "".join(f"{i},x\n" for i in range(100))
        for chunk_bytes in (16, 100, 1 << 20):
            read = Read(path=written(tmp_path, content), rows=7)
            assert columns_of(read, chunk_bytes)["a"] == list(range(7))

    def test_row_numbers_become_a_column(self, tmp_path: Path):
        content = "a,b\n" + "".join(f"{i * i},x\n" for i in range(50))
        for chunk_bytes in (16, 100, 1 << 20):
            read = Read(path=written(tmp_path, content), row_number="t")
            assert columns_of(read, chunk_bytes)["t"] == list(range(50))
        assert "has a column 'a' already" in refusal(tmp_path, content, row_number="a")


class TestSettledTypes:
    def test_a_column_that_turns_to_text_later_is_text_throughout(self, tmp_path: Path):
        content = "a,b\n" + "007,1\n008,2\n" * 5 + "x9,1.5\n"
        read = Read(path=written(tmp_path, content))
        schema, _ = settled(read, 20)
        assert dict(schema.schema) == {"a": TEXT, "b": NUMBER}
        assert "column 'a' is read as text" in schema.warnings[0]
        assert columns_of(read, 20)["a"] == ["007", "008"] * 5 + ["x9"]

    def test_chunks_settle_to_what_the_whole_file_gives(self, tmp_path: Path):
        content = "i,n,d,e\n" + "1,1,2013-01-01,\n" * 9 + "2,0.5,2013-01-01 10:00:00,7\n"
        read = Read(path=written(tmp_path, content))
        whole = settled(read)[0].schema
        assert settled(read, 20)[0].schema == whole
        assert columns_of(read, 20) == columns_of(read)
        kinds = [type_.kind for type_ in whole.values()]
        assert kinds == ["integer", "number", "timestamp", "integer"]

    def test_files_may_differ_in_integers_and_numbers_alone(self, tmp_path: Path):
        written(tmp_path, "a,b\n1,\n", "a.csv")
        written(tmp_path, "a,b\n1.5,2\n", "b.csv")
        schema, chunks = settled(Read(path=str(tmp_path / "*.csv")))
        assert dict(schema.schema) == {"a": NUMBER, "b": INTEGER}
        assert schema.warnings == ("column 'b' has no value in 'a.csv'",)
        assert [chunk.table["b"].to_pylist() for chunk in chunks] == [[None], [2]]

    def test_an_integer_in_one_file_and_text_in_another_is_refused(self, tmp_path: Path):
        written(tmp_path, "a\n1\n", "a.csv")
        written(tmp_path, "a\nx\n", "b.csv")
        with pytest.raises(
            UserError, match=r"'a' is a text in 'b\.csv' and an integer in 'a\.csv'"
        ):
            settled(Read(path=str(tmp_path / "*.csv")))

    def test_columns_in_another_order_are_aligned_by_name(self, tmp_path: Path):
        written(tmp_path, "a,b\n1,x\n", "a.csv")
        written(tmp_path, "b,a\ny,2\n", "b.csv")
        read = Read(path=str(tmp_path / "*.csv"))
        assert columns_of(read) == {"a": [1, 2], "b": ["x", "y"]}
        assert "another order than in 'a.csv'" in settled(read)[0].warnings[0]

    def test_a_column_that_is_called_otherwise_in_one_file_is_refused(self, tmp_path: Path):
        written(tmp_path, "id,amount\n1,2\n", "a.csv")
        written(tmp_path, "id,Amount\n1,2\n", "b.csv")
        with pytest.raises(UserError, match=r"no column 'amount'.*is it the file's 'Amount'\?"):
            settled(Read(path=str(tmp_path / "*.csv")))

    def test_a_column_that_only_some_files_have_is_refused(self, tmp_path: Path):
        written(tmp_path, "a\n1\n", "a.csv")
        written(tmp_path, "a,b\n1,2\n", "b.csv")
        with pytest.raises(UserError, match=r"'b\.csv' has 'b', which 'a\.csv' has not"):
            settled(Read(path=str(tmp_path / "*.csv")))

    def test_a_column_without_a_value_is_a_number(self, tmp_path: Path):
        schema, (chunk,) = settled(Read(path=written(tmp_path, "a,b\n1,\n2,\n")))
        assert schema.schema["b"] == NUMBER
        assert "column 'b' has no value at all" in schema.warnings[0]
        assert chunk.table["b"].to_pylist() == [None, None]

    def test_integers_that_a_number_cannot_hold_are_bad(self, tmp_path: Path):
        written(tmp_path, "a\n9007199254740993\n5\n", "a.csv")
        written(tmp_path, "a\n1.5\n", "b.csv")
        _, chunks = settled(Read(path=str(tmp_path / "*.csv")))
        assert chunks[0].table["a"].to_pylist() == [None, 5.0]
        assert chunks[0].quarantined.values["a"].count == 1


class TestHead:
    def test_the_head_estimates_the_rows(self, tmp_path: Path):
        content = "a,b\n" + "12345,abcde\n" * 5000
        read = Read(path=written(tmp_path, content))
        (file,) = find_files(read, AT, Roots(()))
        head = read_head(read, file, head_bytes=1000)
        assert not head.is_exact
        assert head.rows == 83
        assert math.isclose(head.expected_rows, 5000, rel_tol=0.01)
        assert settle_types(read, [head.summary]).schema == {"a": INTEGER, "b": TEXT}
        assert read_head(read, file).expected_rows == 5000

    def test_a_character_cut_by_the_head_is_no_mistake(self, tmp_path: Path):
        read = Read(path=written(tmp_path, "a\n" + "é\n" * 100))
        (file,) = find_files(read, AT, Roots(()))
        for head_bytes in (20, 21, 22, 23):
            assert read_head(read, file, head_bytes).rows > 0

    def test_rows_that_are_all_longer_than_the_header_are_refused(self, tmp_path: Path):
        read = Read(path=written(tmp_path, 'a,b\n"1",2,3\n"2",2,3\n'))
        (file,) = find_files(read, AT, Roots(()))
        with pytest.raises(UserError, match="expected 2 fields, found 3"):
            read_head(read, file)


def test_a_schema_selects_and_orders_the_columns_that_are_read(tmp_path: Path):
    read = Read(path=written(tmp_path, "a,b,c\n1,2,3\n"))
    (file,) = find_files(read, AT, Roots(()))
    (chunk,) = plan_chunks(read, file)
    schema = {"c": TEXT, "a": ColumnType("number")}
    assert parse_chunk(read, chunk, schema).table.to_pydict() == {"c": ["3"], "a": [1.0]}


def test_a_file_that_is_gone_fails_with_its_name(tmp_path: Path):
    read = Read(path=written(tmp_path, "a\n1\n"))
    (file,) = find_files(read, AT, Roots(()))
    Path(file.path).unlink()
    with pytest.raises(RunError, match=r"table\.csv: the file cannot be read"):
        parse_chunk(read, plan_chunks(read, file)[0])


# Without "\r": Python's writer does not quote it before version 3.13.
fields = st.text(st.sampled_from('ab",\n é0'), max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(fields, fields, fields), max_size=12),
    chunk_bytes=st.integers(1, 60),
    line_end=st.sampled_from(["\n", "\r\n"]),
    ends=st.booleans(),
)
def test_any_chunking_reads_what_python_wrote(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str]],
    chunk_bytes: int,
    line_end: str,
    ends: bool,
):
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, lineterminator=line_end)
    writer.writerows([("x", "y", "z"), *rows])
    content = sink.getvalue() if ends else sink.getvalue().removesuffix(line_end)
    path = written(tmp_path_factory.mktemp("csv"), content)
    read = Read(path=path, types={"x": "text", "y": "text", "z": "text"})
    table = columns_of(read, chunk_bytes)
    got = list(zip(*table.values(), strict=True))
    assert got == [tuple(field or None for field in row) for row in rows]
    assert row_numbers_of(read, chunk_bytes) == list(range(len(rows)))


@settings(max_examples=30, deadline=None)
@given(
    numbers=st.lists(st.one_of(st.none(), st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6))),
    chunk_bytes=st.integers(8, 80),
)
def test_numbers_are_read_as_pandas_reads_them(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float | None], chunk_bytes: int
):
    lines = ["a,b"] + [f"{'' if n is None else repr(n)},x" for n in numbers]
    path = written(tmp_path_factory.mktemp("csv"), "\n".join(lines))
    expected = pd.read_csv(path)["a"].to_numpy(np.float64)
    got = [np.nan if n is None else n for n in columns_of(Read(path=path), chunk_bytes)["a"]]
    np.testing.assert_array_equal(np.array(got, np.float64), expected)


def test_every_chunk_is_parsed_with_its_own_numbers(tmp_path: Path):
    content = "a,b\n" + "".join(f'{i},"x\ny"\n' for i in range(40))
    chunks = parsed(Read(path=written(tmp_path, content)), 50)
    assert len(chunks) > 4
    assert all(chunk.table["a"].to_pylist() == chunk.row_numbers.tolist() for chunk in chunks)


class TestBlocks:
    """Arrow reads a chunk in blocks; nothing may show where they end."""

    @pytest.fixture(autouse=True)
    def _small_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lepton_dask.data.formats.csv.PARSED_BYTES", 1 << 16)

    def test_a_record_may_be_longer_than_a_block(self, tmp_path: Path):
        long = "y" * 200_000
        columns = read_text(tmp_path, f'a,b\n1,x\n2,"{long}"\n3,z\n')
        assert columns == {"a": [1, 2, 3], "b": ["x", long, "z"]}

    def test_types_are_inferred_from_all_blocks(self, tmp_path: Path):
        lines = [f"00{i}" for i in range(40_000)]
        columns = read_text(tmp_path, "a,b\n" + "".join(f"{x},1\n" for x in lines) + "x,2.5\n")
        assert columns["a"] == [*lines, "x"]
        assert columns["b"] == [1.0] * 40_000 + [2.5]

    def test_malformed_records_keep_their_numbers(self, tmp_path: Path):
        lines = [f"{i},{'x' * 20}" for i in range(20_000)]
        lines[3] = lines[19_000] = "1,2,3"
        found = quarantined(tmp_path, "a,b\n" + "\n".join(lines) + "\n").rows
        assert (found.count, found.row) == (2, 3)
        read = Read(path=str(tmp_path / "table.csv"))
        numbers = [*range(3), *range(4, 19_000), *range(19_001, 20_000)]
        assert row_numbers_of(read) == numbers

    def test_quoted_newlines_and_texts_are_those_of_the_csv_module(self, tmp_path: Path):
        rng = np.random.default_rng(0)
        words = np.array(['say "no"', "two\nlines", "plain", "a,b", "", "?"])
        rows = words[rng.integers(0, len(words), (40_000, 2))].tolist()
        stream = io.StringIO()
        csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(
            [["a", "b"], *rows]
        )
        columns = read_text(tmp_path, stream.getvalue())
        assert [list(pair) for pair in zip(columns["a"], columns["b"], strict=True)] == rows


class TestDictionaries:
    def table(self, folder: Path, texts: list[str], **keys: object) -> pa.Table:
        content = "a\n" + "".join(f"{text}\n" for text in texts)
        read = Read.model_validate({"path": written(folder, content), **keys})
        return parsed(read)[0].table

    def test_texts_that_repeat_are_a_dictionary_with_a_byte_a_row(self, tmp_path: Path):
        column = self.table(tmp_path, ["x", "y", "?"] * 5, missing_values=("?",))["a"]
        assert column.type == pa.dictionary(pa.int8(), pa.string())
        assert column.to_pylist() == ["x", "y", None] * 5

    def test_more_texts_than_a_byte_counts_have_wider_indices(self, tmp_path: Path):
        texts = [f"t{i % 300}" for i in range(3000)]
        column = self.table(tmp_path, texts)["a"]
        assert column.type == pa.dictionary(pa.int32(), pa.string())
        assert column.to_pylist() == texts

    def test_texts_that_do_not_repeat_are_plain(self, tmp_path: Path):
        texts = [f"t{i}" for i in range(12_000)]
        column = self.table(tmp_path, texts)["a"]
        assert column.type == pa.string()
        assert column.to_pylist() == texts

    def test_a_quoted_text_that_is_listed_as_missing_is_missing_too(self, tmp_path: Path):
        column = self.table(tmp_path, ["x", '"?"', "?"], missing_values=("?",))["a"]
        assert column.to_pylist() == ["x", None, None]


@settings(max_examples=200, deadline=None)
@given(st.text("a\n", min_size=1, max_size=40), st.integers(1, 7))
def test_lines_are_counted_where_they_are_read_as_records_are_found(text: str, block: int):
    content = np.frombuffer(text.encode(), np.uint8)
    ends = records.record_ends(content, ",", inside=False).positions
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(records, "_CACHED_BYTES", block)
        read = Read(path=written(Path(folder), text))
        [file] = find_files(read, AT, Roots(()))
        found = records.scan_records(Chunk(file, 0, 0, file.size_bytes), 0, ",")
    assert found.outside.records == records.count_records(content, ends)
    assert found.outside.first == (0 if found.outside.records else None)
