"""Whole JSON documents, and pointers into them."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_tables import AT, TEXT, columns_of, parsed, row_numbers_of, settled, written

from lepton_dask.data.files import find_files
from lepton_dask.data.formats import json as documents
from lepton_dask.data.head import read_head
from lepton_dask.data.lenient import parse_leniently, read_for_prediction
from lepton_dask.data.read import Read
from lepton_dask.data.reading import plan_chunks
from lepton_dask.data.roots import Roots
from lepton_dask.data.types import ColumnType
from lepton_dask.errors import UserError

OBJECTS = [{"a": 1, "b": "x"}, {"b": "y", "c": 1.5}, {"a": None, "c": 2}]


def document(folder: Path, value: object, name: str = "t.json") -> str:
    return written(folder, json.dumps(value), name)


def refusal(**read: object) -> str:
    with pytest.raises(UserError) as error:
        columns_of(Read.model_validate(read))
    return str(error.value)


def test_rule_4_an_array_of_objects_is_a_table(tmp_path: Path):
    read = Read(path=document(tmp_path, OBJECTS), row_number="t")
    assert columns_of(read) == {
        "a": [1, None, None],
        "b": ["x", "y", None],
        "c": [None, 1.5, 2.0],
        "t": [0, 1, 2],
    }


def test_rule_4_a_pointer_picks_an_array(tmp_path: Path):
    inside = {"train": [{"a": 1}], "more": {"a/b": [[{"a": 2}], {"~m": [{"a": 3}, {"a": 4}]}]}}
    path = document(tmp_path, inside)
    for pointer, expected in (("train", [1]), ("more/a~1b/0", [2]), ("more/a~1b/1/~0m", [3, 4])):
        assert columns_of(Read(path=f"{path}#/{pointer}")) == {"a": expected}
    assert columns_of(Read(path=document(tmp_path, {"": [{"a": 5}]}) + "#/")) == {"a": [5]}
    assert columns_of(Read(path=document(tmp_path, [{"a": 6}]) + "#")) == {"a": [6]}


def test_arrays_of_arrays_have_names_from_columns(tmp_path: Path):
    path = document(tmp_path, [["hi", 1], ["bye", None], [None, 3]])
    read = Read(path=path, columns=("text", "n"))
    assert columns_of(read) == {"text": ["hi", "bye", None], "n": [1, None, 3]}
    message = refusal(path=path)
    assert "has arrays of 2 for rows, whose fields have no names" in message
    assert "name them: 'columns: [column_1, column_2]'" in message
    assert "has arrays of 2 for rows, and 1 columns are named" in refusal(path=path, columns=("a",))


def test_official_parts_of_one_document_are_tables_of_their_own(tmp_path: Path):
    path = document(tmp_path, {"train": [["a", 1], ["b", 2]], "test": [["c", 3.5]]})
    read = Read(path={"train": f"{path}#/train", "test": f"{path}#/test"}, columns=("x", "y"))
    files = find_files(read, AT, Roots(()))
    assert [(file.stem, file.part) for file in files] == [
        ("t#/train", "train"),
        ("t#/test", "test"),
    ]
    schema, chunks = settled(read)
    assert schema.schema["y"] == ColumnType("number")
    assert [chunk.table.to_pydict() for chunk in chunks] == [
        {"x": ["a", "b"], "y": [1.0, 2.0]},
        {"x": ["c"], "y": [3.5]},
    ]


def test_pointers_whose_tables_differ_are_told_apart_in_messages(tmp_path: Path):
    path = document(tmp_path, {"one": [{"a": 1}], "two": [{"b": 1}], "three": [{"a": "x"}]})
    message = refusal(path=(f"{path}#/one", f"{path}#/two"))
    assert f"'{path}#/two' has no column 'a', '{path}#/one' has one" in message
    message = refusal(path=(f"{path}#/one", f"{path}#/three"))
    assert f"a text in '{path}#/three' and an integer in '{path}#/one'" in message
    assert "/t#/one'; list each file once" in refusal(path=(f"{path}#/one", f"{path}#/one"))


def test_a_glob_or_capture_may_have_a_pointer(tmp_path: Path):
    for language in ("de", "en"):
        document(tmp_path, {"rows": [{"a": language}]}, f"t_{language}.json")
    read = Read(path=str(tmp_path / "t_{language}.json") + "#/rows")
    assert columns_of(read) == {"a": ["de", "en"], "language": ["de", "en"]}
    files = find_files(read, AT, Roots(()))
    assert [file.shown for file in files] == ["t_de.json#/rows", "t_en.json#/rows"]


def test_gzip_and_zip_are_looked_through(tmp_path: Path):
    content = json.dumps({"rows": OBJECTS}).encode()
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(content))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("b.json", content)
    for name in ("a.json.gz", "b.zip"):
        assert columns_of(Read(path=f"{tmp_path / name}#/rows"))["b"] == ["x", "y", None]


def test_a_file_whose_own_name_has_a_hash_wins(tmp_path: Path):
    written(tmp_path, "x\n1\n", "a#b.csv")
    assert columns_of(Read(path=str(tmp_path / "a#b.csv"))) == {"x": [1]}


@pytest.mark.parametrize(
    ("pointer", "message"),
    [
        ("/trian", "leads nowhere: the object at '#' has no 'trian'; did you mean '#/train'?"),
        ("/in/tset", "the object at '#/in' has no 'tset'; did you mean '#/in/test'?"),
        ("/zzzzzz", "there are '#/train', '#/in', '#/n'"),
        ("/train/7", "leads nowhere: the array at '#/train' has 1 element and no '7'"),
        ("/train/-", "the array at '#/train' has 1 element and no '-'"),
        ("/train/00", "the array at '#/train' has 1 element and no '00'"),
        ("/n/x", "leads nowhere: there is a number at '#/n'; there are arrays at '#/train', "),
        ("/in", "leads to an object, not an array; there are arrays at '#/in/test'"),
        ("/n", "leads to a number, not an array"),
        ("train", "has a pointer without a slash; write '#/train'"),
        ("", "holds an object, not an array; there are arrays at '#/train', '#/in/test'"),
    ],
)
def test_a_pointer_that_leads_to_no_array_says_what_is_there(
    tmp_path: Path, pointer: str, message: str
):
    path = document(tmp_path, {"train": [{"a": 1}], "in": {"test": [{"a": 1}]}, "n": 1})
    assert message in refusal(path=f"{path}#{pointer}")


def test_a_pointer_into_what_is_no_document_is_refused(tmp_path: Path):
    assert "is no JSON document that '#/x' could point into" in refusal(
        path=written(tmp_path, "a\n1\n") + "#/x"
    )
    assert "there is no file" in refusal(path=str(tmp_path / "none.json") + "#/x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2", "is not one JSON document (Expecting ',' delimiter"),
        ('{"a": 1}\n{"a": 2}\n', "add 'format: jsonl' to the read step"),
        ('[{"a": NaN}]', "NaN is no JSON number"),
        ("[" * 100_000, "nested too deeply"),
        (b'[{"a": "\xe9"}]', "is not UTF-8: byte 0xE9 at offset 8"),
        ("[1, 2]", "has no element that is a row: "),
        ('[{"a": {"b": 1}}]', "has a column 'a' that is of type struct"),
    ],
)
def test_a_document_that_is_no_table_is_refused(tmp_path: Path, content: str | bytes, message: str):
    read = Read(path=written(tmp_path, content, "t.json"))
    (file,) = find_files(read, AT, Roots(()))
    with pytest.raises(UserError) as error:
        read_head(read, file)
    assert message in str(error.value)


def test_elements_that_are_no_rows_are_set_aside_and_located(tmp_path: Path):
    read = Read(path=document(tmp_path, [{"a": 1}, [2], {"a": 3}, None]))
    assert columns_of(read) == {"a": [1, 3]}
    assert row_numbers_of(read) == [0, 2]
    bad = parsed(read)[0].quarantined.rows
    assert bad is not None
    assert (bad.count, bad.row, bad.what) == (2, 1, "is an array, not an object")
    read = Read(path=document(tmp_path, [["x", 1], ["y"], ["z", 3]]), columns=("a", "b"))
    assert columns_of(read) == {"a": ["x", "z"], "b": [1, 3]}
    bad = parsed(read)[0].quarantined.rows
    assert bad is not None
    assert (bad.row, bad.what) == (1, "expected 2 fields, found 1")


def test_a_document_above_the_cap_is_refused_by_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 1000)
    rows = [{"a": i} for i in range(300)]
    message = refusal(path=document(tmp_path, rows))
    assert "is a JSON document of more than" in message
    assert "convert it to JSON lines" in message
    (tmp_path / "t.json.gz").write_bytes(gzip.compress(json.dumps(rows).encode()))
    assert "is a JSON document of more than" in refusal(path=str(tmp_path / "t.json.gz"))


def test_arrays_to_predict_for_may_lack_the_target(tmp_path: Path):
    schema = {"text": TEXT, "intent": TEXT}
    node = Read(path="t.json", columns=("text", "intent"))
    for rows in ([["hi", "greet"]], [["hi"]]):
        path = document(tmp_path, rows)
        (file,) = find_files(Read(path=path), AT, Roots(()))
        read, fitting = read_for_prediction(node, file, schema, ["intent"])
        (chunk,) = plan_chunks(read, file)
        lenient = parse_leniently(read, chunk, fitting)
        assert lenient.table["text"].to_pylist() == ["hi"]
        assert lenient.reasons == [None]


values = st.one_of(st.none(), st.text(st.sampled_from('a"\n\\é?\u2028'), max_size=4))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(values, values), min_size=1, max_size=15))
def test_it_reads_what_python_wrote(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
):
    path = document(tmp_path_factory.mktemp("j"), rows)
    read = Read(path=path, columns=("a", "b"), types={"a": "text", "b": "text"})
    expected = {"a": [row[0] for row in rows], "b": [row[1] for row in rows]}
    assert columns_of(read) == expected
