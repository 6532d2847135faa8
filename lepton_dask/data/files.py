"""From the `path` of a `read` step to the files that it names."""

from __future__ import annotations

import glob
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from lepton_dask.data.content import Compression, SourceFile, only_member, open_path
from lepton_dask.data.path_text import CAPTURE, PathText, ways_to_take
from lepton_dask.data.read import Format, Read
from lepton_dask.data.roots import Roots, is_url
from lepton_dask.errors import DocumentPath, Mistake, UserError
from lepton_dask.parts import Part
from lepton_dask.suggest import did_you_mean, listed

FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
}
COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".gzip": "gzip", ".zip": "zip"}

_NO_PART_OF_THE_STEM = {*FORMATS, *COMPRESSIONS, ".txt", ".data", ".brotli", ".snappy", ".zst"}
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class _Entry:
    """One text under `path:`, and where it stands."""

    text: str
    part: Part | None
    at: DocumentPath


@dataclass(frozen=True)
class _Found:
    """A file that a text names, and the way in which the text was taken."""

    path: str
    size_bytes: int
    text: PathText


def find_files(read: Read, at: DocumentPath, roots: Roots) -> tuple[SourceFile, ...]:
    """The files that a `read` node names, in its order; those of a glob sorted.

    `at` is the node's own path in the document, `("steps", "cells", "read")`. Opens no file but
    archives and those whose name does not say their format.

    Raises UserError with every mistake: no path at all, one that is missing, a folder, empty,
    outside the roots, of unknown format, a glob without a match, or captures that differ.
    """
    files: list[SourceFile] = []
    mistakes = _without_files(read, at)
    for entry in _entries(read, at):
        try:
            files += _files_of(entry, read, at, roots)
        except UserError as error:
            mistakes += error.mistakes
    if not mistakes:
        files = _with_unique_stems(files)
        mistakes = [*_same_stem(files, at), *_other_captures(files)]
    if mistakes:
        raise UserError(mistakes)
    return tuple(files)


def stem_of(name: str) -> str:
    """`flights` for `flights.csv.zip`, `flights.parquet` and `flights.parquet.brotli`."""
    path = PurePosixPath(name)
    while path.suffix.lower() in _NO_PART_OF_THE_STEM and path.stem:
        path = PurePosixPath(path.stem)
    return path.name


def _without_files(read: Read, at: DocumentPath) -> list[Mistake]:
    """Lists and mappings of paths that hold none."""
    path = (*at, "path")
    empty: list[DocumentPath] = [path] if read.path in ((), {}) else []
    if isinstance(read.path, dict):
        empty += [(*path, part) for part, paths in read.path.items() if paths == ()]
    return [Mistake(where, "names no file", "give a path", at_key=True) for where in empty]


def _entries(read: Read, at: DocumentPath) -> Iterator[_Entry]:
    if isinstance(read.path, dict):
        for part, paths in read.path.items():
            yield from _listed(paths, part, (*at, "path", part))
    else:
        yield from _listed(read.path, None, (*at, "path"))


def _listed(paths: str | tuple[str, ...], part: Part | None, at: DocumentPath) -> Iterator[_Entry]:
    if isinstance(paths, str):
        yield _Entry(paths, part, at)
    else:
        for i, path in enumerate(paths):
            yield _Entry(path, part, (*at, i))


def _files_of(entry: _Entry, read: Read, at: DocumentPath, roots: Roots) -> list[SourceFile]:
    found = _remote(entry, roots) if is_url(entry.text) else _local(entry, roots)
    return [_described(each, entry, read, at) for each in found]


def _refused(entry: _Entry, found: str, fix: str = "") -> UserError:
    return UserError([Mistake(entry.at, found, fix)])


def _local(entry: _Entry, roots: Roots) -> list[_Found]:
    """Every file that a local path or glob names."""
    paths: tuple[Path, ...] = ()
    for text in ways_to_take(entry.text):
        try:
            paths = roots.find(text.name)
        except ValueError as error:
            raise _refused(entry, f"'{entry.text}' is no glob: {error}") from None
        if paths:
            break
    else:
        raise _missing(entry, roots)
    _check_captures(entry, text)
    is_glob = text.is_glob and len(paths) > 1
    found: list[_Found] = []
    for path in paths:
        if not roots.holds(path):
            raise _refused(
                entry,
                f"'{path}' leaves the folders of the configuration's roots",
                f"the roots are {', '.join(str(folder) for folder in roots.folders)}",
            )
        if path.is_dir():
            if is_glob:
                continue
            raise _refused(
                entry, f"'{entry.text}' is a folder", f"name its files: '{entry.text}/*.csv'"
            )
        found.append(_Found(str(path.absolute()), path.stat().st_size, text))
    if not found:
        raise _refused(entry, f"'{entry.text}' matches folders only")
    return found


def _missing(entry: _Entry, roots: Roots) -> UserError:
    if glob.has_magic(entry.text) or CAPTURE.search(entry.text):
        return _refused(entry, f"no file matches '{entry.text}'")
    path = list(ways_to_take(entry.text))[-1].name
    siblings: list[str] = []
    for folder in roots.folders or (Path(),):
        parent = (folder / path).parent
        if parent.is_dir():
            siblings += sorted(sibling.name for sibling in parent.iterdir())
    looked = ", ".join(str(folder) for folder in roots.folders)
    near = did_you_mean(Path(path).name, siblings) if siblings else ""
    fix = near if near.startswith("did") else f"looked in {looked}" if looked else ""
    return _refused(entry, f"there is no file '{path}'", fix)


def _check_captures(entry: _Entry, text: PathText) -> None:
    double = [name for name, count in Counter(text.captures).items() if count > 1]
    if double:
        raise _refused(
            entry, f"'{text.written}' has two captures called '{double[0]}'", "rename one"
        )


def _remote(entry: _Entry, roots: Roots) -> list[_Found]:
    """Every file that a URL or a glob in one names."""
    if roots.confine and "::" in entry.text:
        raise _refused(entry, "a chained URL may leave the configuration's roots")
    try:
        system, inner = fsspec.core.url_to_fs(entry.text)
        if isinstance(system, LocalFileSystem):
            return _local(replace(entry, text=inner), roots)
        text, names = _remote_names(system, inner)
        infos = [(name, system.info(name)) for name in names]
    except FileNotFoundError:
        raise _refused(entry, f"there is no file '{entry.text}'") from None
    except ImportError as error:
        raise _refused(entry, f"'{entry.text}' needs a package: {error}") from None
    except ValueError as error:
        raise _refused(entry, f"'{entry.text}' is not a URL that fsspec reads: {error}") from None
    except OSError as error:
        raise _refused(entry, f"'{entry.text}' cannot be reached: {error}") from None
    _check_captures(entry, text)
    files = [(name, info) for name, info in infos if info["type"] == "file"]
    if not files:
        what = f"no file matches '{entry.text}'" if not infos else f"'{entry.text}' is a folder"
        raise _refused(entry, what)
    return [
        _Found(system.unstrip_protocol(name), int(info["size"] or 0), text) for name, info in files
    ]


def _remote_names(system: AbstractFileSystem, inner: str) -> tuple[PathText, list[str]]:
    """The first way to take a path under which the file system has something; the last way, where
    it has nothing."""
    *others, last = ways_to_take(inner)
    for text in others:
        names = sorted(system.glob(text.name)) if text.is_glob else [text.name]
        if names and (text.is_glob or system.exists(text.name)):
            return text, names
    return last, sorted(system.glob(last.name)) if last.is_glob else [last.name]


def _described(found: _Found, entry: _Entry, read: Read, at: DocumentPath) -> SourceFile:
    """A file with its format and compression, from its name, or from its first bytes."""
    path, pointer = found.path, found.text.pointer
    name = PurePosixPath(path.replace("\\", "/")).name
    # A URL's own text says where the file is; a file system's inner path does not.
    shown = found.text.shown(path) if found.text.is_glob else entry.text.partition("#")[0]
    if pointer is None and not found.text.is_glob:
        shown = entry.text
    if found.size_bytes == 0:
        raise _refused(entry, f"'{shown}' is empty (0 bytes)")
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    inner = suffixes[:-1] if compression else suffixes
    file = SourceFile(
        path=path,
        shown=shown if pointer is None else f"{shown}#{pointer}",
        stem=stem_of(name) if not pointer else f"{stem_of(name)}#{pointer}",
        size_bytes=found.size_bytes,
        format=read.format or "csv",
        compression=compression,
        part=entry.part,
        at=at,
        named_at=entry.at,
        captured=found.text.captured(path),
        pointer=pointer or "",
    )
    known = read.format or (FORMATS.get(inner[-1]) if inner else None)
    if known is None and compression == "zip":
        known = FORMATS.get(PurePosixPath(_member_name(file)).suffix.lower())
    if known is None and compression is None and _starts_with(path, _PARQUET_MAGIC):
        known = "parquet"
    if known is None:
        raise _refused(
            entry,
            f"the name '{name}' does not say the file's format",
            "add 'format: csv' (or parquet, jsonl, json) to the read step",
        )
    if known == "parquet" and compression is not None and not read.format:
        raise _refused(
            entry, f"'{shown}' is a compressed Parquet file", "unpack it; Parquet compresses itself"
        )
    if pointer is not None and known != "json":
        raise _refused(
            entry,
            f"'{shown}' is no JSON document that '#{pointer}' could point into",
            "leave the pointer out, or add 'format: json' if it is one",
        )
    return replace(file, format=known)


def _member_name(file: SourceFile) -> str:
    try:
        with open_path(file.path) as stream, zipfile.ZipFile(stream) as archive:
            return only_member(archive, file).filename
    except (zipfile.BadZipFile, OSError) as error:
        raise file.mistake(f"is not a zip file ({error})") from None


def _starts_with(path: str, magic: bytes) -> bool:
    with open_path(path) as stream:
        return stream.read(len(magic)) == magic


def _with_unique_stems(files: list[SourceFile]) -> list[SourceFile]:
    """Names the folder too where two files share a base name: `2013/flights`, `2014/flights`."""
    counts = Counter(file.stem for file in files)
    return [
        file if counts[file.stem] == 1 else replace(file, stem=f"{_folder(file)}/{file.stem}")
        for file in files
    ]


def _folder(file: SourceFile) -> str:
    return PurePosixPath(file.path.replace("\\", "/")).parent.name


def _same_stem(files: list[SourceFile], at: DocumentPath) -> list[Mistake]:
    """Two files of one name would get the same random split, row by row."""
    counts = Counter(file.stem for file in files)
    return [
        Mistake(
            (*at, "path"),
            f"{count} files are called '{stem}'",
            "list each file once, and give different tables different names",
        )
        for stem, count in counts.items()
        if count > 1
    ]


def _other_captures(files: list[SourceFile]) -> Iterator[Mistake]:
    """One table has one list of columns."""
    expected = {name for name, _ in files[0].captured}
    for file in files:
        names = {name for name, _ in file.captured}
        if names != expected:
            yield Mistake(
                file.named_at,
                f"'{file.shown}' captures {listed(sorted(names)) or 'nothing'}, "
                f"'{files[0].shown}' {listed(sorted(expected)) or 'nothing'}",
                "all paths of a step need the same captures",
            )
            return
