"""Bad files, row by row: what a user is told, where, and how the command ends."""

from __future__ import annotations

import codecs
import json
import random
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Exit, Lepton

SmallChunks = Callable[[int], None]
Refused = Callable[..., list[str]]
Ran = Callable[..., "Outcome"]

PIPELINE = """\
name: files
steps:
  rows:
    read:
      path: {path}
{keys}  tidy: {{clean: {{max_bad_share: {max_bad_share}}}}}
  copy: {{write: {{path: copy.csv}}}}
"""
AT = "a.yaml:5:13: path: "
"""Where the text behind `path:` stands."""


class Outcome:
    """A run that ended: what it printed, wrote and recorded."""

    def __init__(self, done: Exit, folder: Path) -> None:
        self.done, self._folder = done, folder

    @property
    def rows(self) -> dict[str, list[object]]:
        """The table that was written, as texts; None where a field is empty."""
        frame = pd.read_csv(self._folder / "copy.csv", dtype=str, keep_default_na=False)
        columns = {str(name): list(column) for name, column in frame.items()}
        return {name: [text or None for text in texts] for name, texts in columns.items()}

    @property
    def warnings(self) -> list[str]:
        """What events.jsonl has of the read step."""
        lines = (self._folder / "events.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        return [each["message"] for each in events if each["event"] == "Warned"]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, content: str | bytes) -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def pipeline(path: str, keys: str = "", max_bad_share: float = 0.01) -> Path:
    lines = "".join(f"      {line}\n" for line in keys.splitlines())
    text = PIPELINE.format(path=path, keys=lines, max_bad_share=max_bad_share)
    return Path(write("a.yaml", text))


@pytest.fixture
def refused(lepton: Lepton) -> Refused:
    """The mistakes that `validate` finds: exit code 2, nothing but lines with a place."""

    def validate(path: str, keys: str = "") -> list[str]:
        done = lepton("validate", pipeline(path, keys))
        assert (done.code, done.stdout) == (2, ""), done
        assert "Traceback" not in done.stderr
        return [line for line in done.stderr.splitlines() if line.startswith("a.yaml:")]

    return validate


@pytest.fixture
def ran(lepton: Lepton, scheduler: str) -> Ran:
    """Runs on the shared cluster."""

    def run(path: str, keys: str = "", max_bad_share: float = 0.01) -> Outcome:
        file = pipeline(path, keys, max_bad_share)
        folder = Path(f"run-{len(list(Path().glob('run-*')))}")
        done = lepton("run", file, "--scheduler", scheduler, "--output", folder)
        assert "Traceback" not in done.stderr
        return Outcome(done, folder)

    return run


def test_19_a_missing_path_or_an_empty_glob_is_refused(refused: Refused) -> None:
    write("people.csv", "a\n1\n")
    assert refused("poeple.csv") == [
        f"{AT}there is no file 'poeple.csv'; did you mean 'people.csv'?"
    ]
    assert refused("tables_*.csv") == [f"{AT}no file matches 'tables_*.csv'"]
    assert refused('"tables_{x}.csv"') == [f"{AT}no file matches 'tables_{{x}}.csv'"]
    assert refused("[people.csv, b.csv, c.csv]") == [
        f"a.yaml:5:26: path[1]: there is no file 'b.csv'; looked in {Path.cwd()}",
        f"a.yaml:5:33: path[2]: there is no file 'c.csv'; looked in {Path.cwd()}",
    ]


def test_20_a_file_of_zero_bytes_is_refused(refused: Refused) -> None:
    for name in ("a.csv", "a.parquet", "a.jsonl", "a.json"):
        assert refused(write(name, "")) == [f"{AT}'{name}' is empty (0 bytes)"]


def test_21_a_header_alone_is_a_table_without_rows_and_warned_of(lepton: Lepton, ran: Ran) -> None:
    write("a.csv", "x,y\n")
    validated = lepton("validate", pipeline("a.csv"))
    assert validated.code == 0
    assert "'a.csv' has no rows" in validated.stderr
    outcome = ran("a.csv")
    assert outcome.done.code == 0, outcome.done.stderr
    assert outcome.rows == {"x": [], "y": []}
    assert "'a.csv' has no rows" in outcome.warnings


def test_22_a_byte_order_mark_is_no_part_of_the_first_name(ran: Ran) -> None:
    write("a.csv", codecs.BOM_UTF8 + b'"x","y z"\n1,2\n')
    outcome = ran("a.csv")
    assert outcome.done.code == 0, outcome.done.stderr
    assert outcome.rows == {"x": ["1"], "y z": ["2"]}
    assert outcome.warnings == []


def test_23_utf_16_is_refused_with_what_to_write(refused: Refused, ran: Ran) -> None:
    text = "x,y\n1,é\n"
    write("a.csv", text.encode("utf-16"))
    assert refused("a.csv") == [
        f"{AT}'a.csv' is UTF-16, not UTF-8; add 'encoding: utf-16' to the read step"
    ]
    assert ran("a.csv", "encoding: utf-16").rows == {"x": ["1"], "y": ["é"]}
    write("a.csv", (text * 100).encode("utf-16-le"))  # without a mark
    assert refused("a.csv") == [
        f"{AT}'a.csv' is not UTF-8: 500 of 1000 bytes are NUL; "
        "if it is UTF-16, add 'encoding: utf-16-le' (or utf-16-be) to the read step"
    ]


def test_24_latin_1_is_refused_with_the_offset_of_the_byte(refused: Refused, ran: Ran) -> None:
    write("a.csv", "x,y\n1,café\n".encode("latin-1"))
    assert refused("a.csv") == [
        f"{AT}'a.csv' is not utf-8: byte 0xE9 at offset 9 (invalid continuation byte); "
        "if it is Latin-1, add 'encoding: latin-1' to the read step"
    ]
    assert ran("a.csv", "encoding: latin-1").rows == {"x": ["1"], "y": ["café"]}


def test_24_a_byte_behind_the_head_is_found_by_the_run(ran: Ran, lepton: Lepton) -> None:
    """`validate` looks at the first MiB."""
    lines = b"x,y\n" + b"1,aaaaaaaaaaaaa\n" * 70_000
    write("a.csv", lines + b"2,\xe9\n")
    assert lepton("validate", pipeline("a.csv")).code == 0
    outcome = ran("a.csv")
    assert outcome.done.code == 2
    assert f"{AT}'a.csv' is not utf-8: byte 0xE9 at offset {len(lines) + 2:,}" in (
        outcome.done.stderr
    )


def test_25_a_row_with_a_nul_byte_is_set_aside_and_counted(
    ran: Ran, small_chunks: SmallChunks
) -> None:
    rows = [f"{i},t{i}" for i in range(40)]
    rows[7] = "7,a\0b"
    rows[31] = '\x0031,"c\nd"'
    write("a.csv", "x,y\n\n" + "\n".join(rows) + "\n")
    small_chunks(100)
    outcome = ran("a.csv", "row_number: t", max_bad_share=0.1)
    assert outcome.done.code == 0, outcome.done.stderr
    assert outcome.warnings == [
        "2 malformed rows were left out; the first: a.csv, row 7: holds a NUL byte"
    ]
    kept = [str(i) for i in range(40) if i not in (7, 31)]
    assert outcome.rows == {"x": kept, "y": [f"t{i}" for i in kept], "t": kept}
    outcome = ran("a.csv", max_bad_share=0.04)
    assert outcome.done.code == 1
    assert "2 of 40 rows are malformed, more than 4.00%; the first: a.csv, row 7" in (
        outcome.done.stderr
    )


def test_25_a_nul_byte_in_a_name_is_refused(refused: Refused) -> None:
    assert refused(write("a.csv", "x,y\0z,w\n1,2,3\n")) == [
        f"{AT}'a.csv' has a NUL byte in the name 'y\\x00z'; mend its header"
    ]


def test_26_duplicate_column_names_are_refused(refused: Refused) -> None:
    assert refused(write("a.csv", "x,y,x\n1,2,3\n")) == [
        f"{AT}'a.csv' has two columns called 'x'; if the first line is a row already, add "
        "'header: false'; with 'skip_rows: 1' and 'columns:' it replaces the header"
    ]
    table = pa.table([pa.array([1]), pa.array([2])], names=["x", "x"])
    pq.write_table(table, "a.parquet")
    assert refused("a.parquet") == [f"{AT}'a.parquet' has two columns called 'x'"]


def test_27_another_order_of_columns_is_aligned_by_name_and_warned_of(ran: Ran) -> None:
    write("a.csv", "x,y\n1,2\n")
    write("b.csv", "y,x\n20,10\n")
    outcome = ran("[a.csv, b.csv]")
    assert outcome.done.code == 0, outcome.done.stderr
    assert outcome.rows == {"x": ["1", "10"], "y": ["2", "20"]}
    message = "'b.csv': the columns stand in another order than in 'a.csv'; they are taken by name"
    assert message in outcome.warnings
    assert message in outcome.done.stderr.replace("\n", " ")


def test_28_a_column_called_otherwise_in_one_file_is_refused(refused: Refused) -> None:
    write("a.csv", "age,y\n1,2\n")
    write("b.csv", "Age,y\n1,2\n")
    assert refused("[a.csv, b.csv]") == [
        "a.yaml:5:21: path[1]: 'b.csv' has no column 'age', 'a.csv' has one; "
        "is it the file's 'Age'?"
    ]


def test_29_a_short_row_is_set_aside_and_counted(ran: Ran) -> None:
    write("a.csv", "x,y\n" + "1,2\n" * 20 + "3\n" + "4,5\n" * 20)
    outcome = ran("a.csv", max_bad_share=0.1)
    assert outcome.done.code == 0, outcome.done.stderr
    assert len(outcome.rows["x"]) == 40
    assert outcome.warnings == [
        "1 malformed rows were left out; the first: a.csv, row 20: expected 2 fields, found 1"
    ]
    outcome = ran("a.csv")
    assert outcome.done.code == 1
    assert "1 of 41 rows are malformed, more than 1.00%; the first: a.csv, row 20" in (
        outcome.done.stderr
    )


def test_30_a_long_row_is_set_aside_and_counted(ran: Ran) -> None:
    write("a.csv", "x,y\n" + "1,2\n" * 20 + "3,4,5\n" + "4,5\n" * 20)
    outcome = ran("a.csv", max_bad_share=0.1)
    assert outcome.done.code == 0, outcome.done.stderr
    assert set(outcome.rows["x"]) == {"1", "4"}
    assert outcome.warnings == [
        "1 malformed rows were left out; the first: a.csv, row 20: expected 2 fields, found 3"
    ]
    outcome = ran("a.csv")
    assert outcome.done.code == 1
    assert "expected 2 fields, found 3" in outcome.done.stderr


def test_31_rows_that_are_all_longer_than_the_header_are_refused(
    refused: Refused, ran: Ran
) -> None:
    """R writes its row names so, and pandas makes an index of them."""
    write("a.csv", '"x","y z"\n"1",2,3\n"2",4,5\n')
    assert refused("a.csv") == [
        f"{AT}'a.csv' has no row that fits its 2 column names: expected 2 fields, found 3; its "
        "first column has no name, as R writes row names; name it: 'header: false, skip_rows: 1, "
        "columns: [row, x, y z]'"
    ]
    outcome = ran("a.csv", "header: false\nskip_rows: 1\ncolumns: [row, x, y z]")
    assert outcome.rows == {"row": ["1", "2"], "x": ["2", "4"], "y z": ["3", "5"]}
    write("a.csv", "x,y\n1,2,3,4\n")
    assert refused("a.csv") == [
        f"{AT}'a.csv' has no row that fits its 2 column names: expected 2 fields, found 4; "
        "replace the header: 'header: false, skip_rows: 1' calls them column_1 to column_4, and "
        "'columns:' gives other names"
    ]


def test_32_a_quote_that_is_never_closed_is_refused(refused: Refused) -> None:
    assert refused(write("a.csv", 'x,y\n1,"open\n2,b\n')) == [
        f"{AT}'a.csv' has a quote at byte 6 that is never closed; "
        "close it, or write it twice inside a quoted field"
    ]


def test_32_a_quote_that_is_open_over_many_chunks_is_refused_by_the_run(
    ran: Ran, small_chunks: SmallChunks, lepton: Lepton
) -> None:
    lines = "x,y\n" + "1,aaaaaaaaaaaaa\n" * 70_000
    write("a.csv", lines + '2,"open\n' + "3,b\n" * 200)
    small_chunks(300_000)
    assert lepton("validate", pipeline("a.csv")).code == 0
    outcome = ran("a.csv")
    assert outcome.done.code == 2
    assert f"{AT}'a.csv' has a quote at byte {len(lines) + 2:,} that is never closed" in (
        outcome.done.stderr
    )


@pytest.mark.parametrize("chunk_bytes", [20, 33, 50, 1000])
def test_33_a_newline_in_quotes_at_a_chunks_edge_is_read_whole(
    ran: Ran, small_chunks: SmallChunks, chunk_bytes: int
) -> None:
    random_ = random.Random(3)
    texts = ["".join(random_.choices('ab,"\n', k=random_.randrange(1, 9))) for _ in range(40)]
    pd.DataFrame({"x": range(40), "y": texts}).to_csv("a.csv", index=False, quoting=1)
    small_chunks(chunk_bytes)
    outcome = ran("a.csv", "row_number: t")
    assert outcome.done.code == 0, outcome.done.stderr
    numbers = [str(i) for i in range(40)]
    assert outcome.rows == {"x": numbers, "y": texts, "t": numbers}
    assert outcome.warnings == []


@pytest.mark.parametrize("chunk_bytes", [15, 40, 64])
def test_quotes_behind_many_chunks_without_leave_every_row_in_its_place(
    ran: Ran, small_chunks: SmallChunks, chunk_bytes: int
) -> None:
    texts = ["a"] * 30 + ["b,\n1,c\n2,d", "e"] + ["f"] * 30
    lines = [f'{i},"{text}"' if "," in text else f"{i},{text}" for i, text in enumerate(texts)]
    write("a.csv", "\n".join(["x,y", *lines[:50], "short", *lines[50:]]))
    small_chunks(chunk_bytes)
    outcome = ran("a.csv", max_bad_share=0.1)
    assert outcome.done.code == 0, outcome.done.stderr
    assert outcome.rows == {"x": [str(i) for i in range(62)], "y": texts}
    assert outcome.warnings == [
        "1 malformed rows were left out; the first: a.csv, row 50: expected 2 fields, found 1"
    ]


@pytest.mark.parametrize("chunk_bytes", [15, 64])
def test_a_bad_row_in_a_later_chunk_is_told_by_its_number_in_the_file(
    ran: Ran, small_chunks: SmallChunks, chunk_bytes: int
) -> None:
    write("a.csv", "x,y\n" + "1,2\n" * 30 + "\n" + "3\n" + "4,inf\n" + "4,5\n" * 20)
    small_chunks(chunk_bytes)
    outcome = ran("a.csv", max_bad_share=0.1)
    assert outcome.done.code == 0, outcome.done.stderr
    assert outcome.warnings == [
        "1 malformed rows were left out; the first: a.csv, row 30: expected 2 fields, found 1",
        "column 'y': 1 bad values became missing; the first: a.csv, row 31: inf is not finite",
    ]


def test_35_an_integer_in_one_file_and_text_in_another_is_refused(refused: Refused) -> None:
    write("a.csv", "x\n1\n")
    write("b.csv", "x\nunknown\n")
    assert refused("[a.csv, b.csv]") == [
        "a.yaml:5:21: path[1]: column 'x' is a text in 'b.csv' and an integer in 'a.csv'; "
        "declare it: 'types: {x: text}', or list what is missing under 'missing_values'"
    ]


def test_36_an_integer_in_one_file_and_nothing_in_another_is_promoted_and_warned_of(
    ran: Ran,
) -> None:
    write("a.csv", "x,y\n1,2\n")
    write("b.csv", "x,y\n,2\n,3\n")
    outcome = ran("[b.csv, a.csv]")
    assert outcome.done.code == 0, outcome.done.stderr
    assert outcome.rows == {"x": [None, None, "1"], "y": ["2", "3", "2"]}
    assert outcome.warnings == ["column 'x' has no value in 'b.csv'"]


def test_37_a_label_na_or_none_is_a_label_and_not_missing(ran: Ran) -> None:
    labels = ["NA", "None", "null", "nan", "N/A", "-", ""]
    write("a.csv", "x,y\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels)))
    outcome = ran("a.csv")
    assert outcome.done.code == 0, outcome.done.stderr
    assert outcome.rows["y"] == [*labels[:-1], None]
    outcome = ran("a.csv", 'missing_values: ["NA", "-"]')
    assert outcome.rows["y"] == [None, *labels[1:-2], None, None]


def test_38_a_declared_text_column_keeps_its_leading_zeros_or_is_refused(
    refused: Refused, ran: Ran
) -> None:
    write("a.csv", "zip,y\n00501,1\n10001,2\n")
    assert ran("a.csv", "types: {zip: text}").rows["zip"] == ["00501", "10001"]
    pq.write_table(pa.table({"zip": [501, 10001], "y": [1, 2]}), "a.parquet")
    write("a.jsonl", '{"zip": 501, "y": 1}\n')
    write("a.json", '[{"zip": 501, "y": 1}]')
    for name in ("a.parquet", "a.jsonl", "a.json"):
        assert refused(name, "types: {zip: text}") == [
            f"a.yaml:6:20: zip: '{name}' holds numbers, which have lost their leading zeros if "
            "they had any; leave it out here, and learn from them as levels with 'prepare: "
            "{columns: {zip: {as: category}}}'"
        ]


def test_46_a_truncated_parquet_file_ends_the_run_with_its_name(lepton: Lepton, ran: Ran) -> None:
    pq.write_table(pa.table({"x": range(1000)}), "a.parquet")
    content = Path("a.parquet").read_bytes()
    write("a.parquet", content[: len(content) // 2])
    for done in (lepton("validate", pipeline("a.parquet")), ran("a.parquet").done):
        assert done.code == 1
        assert "a.parquet: the Parquet file is truncated or damaged" in done.stderr
        assert "write or copy it again" in done.stderr


def test_46_a_partition_that_was_cut_out_is_named(ran: Ran, small_chunks: SmallChunks) -> None:
    """The footer is there and promises two row groups; the second one's bytes are not."""
    random_ = random.Random(1)
    numbers = [random_.random() for _ in range(2000)]
    pq.write_table(pa.table({"x": numbers}), "a.parquet", row_group_size=1000, compression="none")
    content = Path("a.parquet").read_bytes()
    start = pq.ParquetFile("a.parquet").metadata.row_group(1).column(0).dictionary_page_offset
    write("a.parquet", content[: start + 10] + content[start + 3000 :])
    small_chunks(1000)
    outcome = ran("a.parquet")
    assert outcome.done.code == 1
    assert "step 'rows', a.parquet, partition 1: the Parquet file is truncated or damaged" in (
        outcome.done.stderr
    )


@pytest.mark.parametrize(
    "content",
    [
        "x,y\r\n1,a\r\n2,b\r\n",
        "x,y\r1,a\r2,b\r",
        "x,y\n1,a\n2,b",
        "\n\nx,y\n\n1,a\n\n\n2,b\n\n\n",
        'x,y\n1,"a"\n"2",b\n',
    ],
    ids=["CRLF", "CR", "no newline at the end", "blank lines", "quotes"],
)
@pytest.mark.parametrize("chunk_bytes", [1, 4, 1000])
def test_line_ends_and_blank_lines_change_nothing(
    ran: Ran, small_chunks: SmallChunks, content: str, chunk_bytes: int
) -> None:
    write("a.csv", content)
    small_chunks(chunk_bytes)
    outcome = ran("a.csv", "row_number: t")
    assert outcome.done.code == 0, outcome.done.stderr
    assert outcome.rows == {"x": ["1", "2"], "y": ["a", "b"], "t": ["0", "1"]}


def test_names_with_blanks_around_them_are_found_by_their_nearest_name(refused: Refused) -> None:
    write("a.csv", "x , y\n1,2\n")
    assert refused("a.csv", "types: {y: integer}") == [
        "a.yaml:6:15: y: 'a.csv' has no column 'y'; did you mean ' y'?"
    ]


def test_a_column_without_a_name_is_called_by_its_position(ran: Ran) -> None:
    write("a.csv", ",x,\n0,1,2\n")
    assert ran("a.csv").rows == {"column_1": ["0"], "x": ["1"], "column_3": ["2"]}
