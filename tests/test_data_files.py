"""Which files a `read` step names."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading_tables import AT, columns_of, written

from lepton_dask.data.files import find_files, stem_of
from lepton_dask.data.read import Read
from lepton_dask.data.roots import Roots
from lepton_dask.errors import RunError, UserError


def found(folder: Path, path: object, *, confine: bool = False, **keys: object):
    read = Read.model_validate({"path": path, **keys})
    return find_files(read, AT, Roots((folder,), confine))


def refusal(folder: Path, path: object, *, confine: bool = False, **keys: object) -> str:
    with pytest.raises(UserError) as error:
        found(folder, path, confine=confine, **keys)
    return str(error.value)


def test_a_relative_path_is_looked_up_in_each_folder_in_order(tmp_path: Path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    written(tmp_path / "second", "a\n1\n")
    (file,) = find_files(
        Read(path="table.csv"), AT, Roots((tmp_path / "first", tmp_path / "second"))
    )
    assert file.path == str(tmp_path / "second" / "table.csv")
    assert (file.shown, file.stem, file.size_bytes) == ("table.csv", "table", 4)
    assert (file.format, file.compression, file.part) == ("csv", None, None)


def test_a_glob_gives_its_files_sorted(tmp_path: Path):
    for name in ("b.csv", "a.csv", "c.txt"):
        written(tmp_path, "a\n1\n", name)
    assert [file.shown for file in found(tmp_path, "*.csv")] == ["a.csv", "b.csv"]
    assert [file.shown for file in found(tmp_path, str(tmp_path / "*.csv"))] == ["a.csv", "b.csv"]


def test_a_mapping_gives_each_file_its_part(tmp_path: Path):
    for name in ("a.csv", "b.csv", "c.csv"):
        written(tmp_path, "a\n1\n", name)
    files = found(tmp_path, {"train": ("a.csv", "b.csv"), "test": "c.csv"})
    assert [(file.stem, file.part) for file in files] == [
        ("a", "train"),
        ("b", "train"),
        ("c", "test"),
    ]


def test_a_name_with_brackets_is_a_file_before_it_is_a_glob(tmp_path: Path):
    written(tmp_path, "a\n1\n", "t[1].csv")
    assert [file.shown for file in found(tmp_path, "t[1].csv")] == ["t[1].csv"]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("flights.csv", "flights"),
        ("flights.csv.gz", "flights"),
        ("flights.csv.zip", "flights"),
        ("flights.parquet", "flights"),
        ("flights.parquet.brotli", "flights"),
        ("flights.2013.jsonl", "flights.2013"),
        (".csv", ".csv"),
    ],
)
def test_the_stem_outlives_conversion_and_compression(name: str, stem: str):
    assert stem_of(name) == stem


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path: Path):
    written(tmp_path, "a\n1\n", "flights.csv")
    message = refusal(tmp_path, "fligths.csv")
    assert message == "path: there is no file 'fligths.csv'; did you mean 'flights.csv'?"


def test_every_missing_file_is_named_at_once(tmp_path: Path):
    message = refusal(tmp_path, ("a.csv", "b.csv"))
    assert "path[0]: there is no file 'a.csv'" in message
    assert "path[1]: there is no file 'b.csv'" in message


def test_an_empty_glob_is_refused(tmp_path: Path):
    assert refusal(tmp_path, "*.csv") == "path: no file matches '*.csv'"


def test_a_folder_is_refused(tmp_path: Path):
    (tmp_path / "tables").mkdir()
    assert "'tables' is a folder; name its files: 'tables/*.csv'" in refusal(tmp_path, "tables")


def test_an_empty_file_is_refused(tmp_path: Path):
    written(tmp_path, "")
    assert "'table.csv' is empty (0 bytes)" in refusal(tmp_path, "table.csv")


def test_an_unknown_extension_is_refused_unless_the_format_is_given(tmp_path: Path):
    written(tmp_path, "a\n1\n", "table.txt")
    assert "add 'format: csv'" in refusal(tmp_path, "table.txt")
    assert found(tmp_path, "table.txt", format="csv")[0].format == "csv"


def test_parquet_is_known_by_its_first_bytes(tmp_path: Path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "adult.parquet.brotli")
    (file,) = found(tmp_path, "adult.parquet.brotli")
    assert (file.format, file.stem) == ("parquet", "adult")


def test_files_of_one_name_in_two_folders_are_told_apart_by_the_folder(tmp_path: Path):
    for folder in ("2013", "2014"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder, "a\n1\n")
    assert [file.stem for file in found(tmp_path, "*/table.csv")] == ["2013/table", "2014/table"]


def test_one_table_given_twice_is_refused(tmp_path: Path):
    written(tmp_path, "a\n1\n")
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress(b"a\n1\n"))
    assert "2 files are called" in refusal(tmp_path, ("table.csv", "table.csv.gz"))


def test_confined_roots_refuse_dots_absolute_paths_and_symlinks_that_leave(tmp_path: Path):
    inside = tmp_path / "inside"
    inside.mkdir()
    outside = written(tmp_path, "a\n1\n", "outside.csv")
    (inside / "link.csv").symlink_to(outside)
    written(inside, "a\n1\n", "in.csv")
    for path in ("../outside.csv", outside, "link.csv", f"file://{outside}"):
        assert "leaves the folders" in refusal(inside, path, confine=True)
        assert found(inside, path)
    assert found(inside, str(inside / "in.csv"), confine=True)
    assert "may leave" in refusal(inside, f"simplecache::file://{outside}", confine=True)


def test_a_url_is_read_through_fsspec():
    memory = fsspec.filesystem("memory")
    memory.pipe("/tables/a.csv", b"x\n1\n")
    memory.pipe("/tables/b.csv", b"x\n2\n")
    try:
        read = Read(path="memory://tables/*.csv")
        files = find_files(read, AT, Roots((), confine=True))
        assert [file.stem for file in files] == ["a", "b"]
        assert columns_of(read) == {"x": [1, 2]}
        assert "there is no file" in refusal(Path(), "memory://tables/c.csv")
    finally:
        memory.rm("/tables", recursive=True)


def test_a_url_of_an_unknown_kind_is_refused():
    assert "is not a URL that fsspec reads" in refusal(Path(), "nosuch://tables/c.csv")


def test_gzip_and_zip_are_looked_through(tmp_path: Path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x\n1\n"))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("b.csv", "x\n2\n")
    read = Read(path=(str(tmp_path / "a.csv.gz"), str(tmp_path / "b.zip")))
    assert [file.compression for file in find_files(read, AT, Roots(()))] == ["gzip", "zip"]
    assert columns_of(read) == {"x": [1, 2]}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (["a.csv", "b.csv"], "holds 2 files"),
        ([], "holds 0 files"),
        (["../a.csv"], "leaves its folder"),
        (["/a.csv"], "leaves its folder"),
    ],
)
def test_an_archive_holds_one_plain_member(tmp_path: Path, members: list[str], message: str):
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        for member in members:
            archive.writestr(member, "x\n1\n")
    with pytest.raises(UserError, match=message):
        columns_of(Read(path=str(tmp_path / "t.csv.zip")))


def test_a_compression_bomb_is_refused(tmp_path: Path):
    bomb = gzip.compress(b"x\n" + b"1\n" * (12 << 20))
    (tmp_path / "t.csv.gz").write_bytes(bomb)
    with pytest.raises(UserError, match="unpacks to more than"):
        columns_of(Read(path=str(tmp_path / "t.csv.gz")))


def test_a_truncated_gzip_file_fails_with_its_name(tmp_path: Path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"x\n1\n2\n" * 1000)[:-12])
    with pytest.raises(RunError, match=r"t\.csv\.gz.*the gzip file is damaged"):
        columns_of(Read(path=str(tmp_path / "t.csv.gz")))


def test_a_glob_that_is_none_is_refused(tmp_path: Path):
    assert "'a**.csv' is no glob" in refusal(tmp_path, "a**.csv")


@pytest.mark.parametrize(
    ("path", "where"),
    [((), ("path",)), ({}, ("path",)), ({"train": "a.csv", "test": ()}, ("path", "test"))],
)
def test_a_path_that_names_no_file_is_refused(tmp_path: Path, path: object, where: object) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    with pytest.raises(UserError) as refused:
        find_files(Read(path=path), (), Roots((tmp_path,)))
    [mistake] = refused.value.mistakes
    assert (mistake.path, mistake.found) == (where, "names no file")
