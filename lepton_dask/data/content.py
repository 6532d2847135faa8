"""Bytes out of source files: local or remote, plain or compressed, with sizes capped."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

import fsspec

from lepton_dask.data.read import Format
from lepton_dask.data.roots import is_url
from lepton_dask.errors import DocumentPath, Mistake, RunError, UserError
from lepton_dask.parts import Part

Compression = Literal["gzip", "zip"]

MAX_UNCOMPRESSED_BYTES = 1 << 30
"""A compressed file is one chunk, so that this bounds a chunk's memory."""

MAX_RATIO = 200
"""Text tables compress 3 to 30 times; a bomb about 1000 times."""

RATIO_FREE_BYTES = 16 << 20
"""Below this size the ratio does not matter: a short table of zeros may compress well."""

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class SourceFile:
    """One input file.

    path         absolute local path, or an fsspec URL
    shown        the path as messages show it
    stem         the base name without `.csv`, `.parquet`, `.gz` ..., and the pointer: it stands for
                 the file in the hash of a random split, so that a table keeps its split when it is
                 converted
    size_bytes   on disk
    compression  how the whole file is packed
    part         the part of an official split that the file belongs to
    at           the `read` node that names the file, for messages
    named_at     the text in that node
    captured     (column, text) of each capture in the path
    pointer      in RFC 6901's writing: which array of a JSON document; empty for the document
    """

    path: str
    shown: str
    stem: str
    size_bytes: int
    format: Format
    compression: Compression | None
    part: Part | None
    at: DocumentPath
    named_at: DocumentPath
    captured: tuple[tuple[str, str], ...] = ()
    pointer: str = ""

    def mistake(self, found: str, fix: str = "", key: str = "path") -> UserError:
        """What is wrong with this file, to be raised."""
        at = self.named_at if key == "path" else (*self.at, key)
        return UserError([Mistake(at, f"'{self.shown}' {found}", fix)])


@contextmanager
def open_path(path: str) -> Iterator[IO[bytes]]:
    """The bytes of a local path or URL."""
    if is_url(path):
        with fsspec.open(path, "rb") as stream:
            yield stream
    else:
        with Path(path).open("rb") as stream:
            yield stream


@contextmanager
def open_file(file: SourceFile) -> Iterator[IO[bytes]]:
    """The bytes of a file as they are on disk.

    Raises RunError where the file cannot be opened or read.
    """
    try:
        with open_path(file.path) as stream:
            yield stream
    except OSError as error:
        raise RunError(
            f"the file cannot be read ({error.strerror or error})",
            fix="every worker must see the file at this path",
            file=file.shown,
        ) from error


def read_range(file: SourceFile, start: int, stop: int) -> bytes:
    """Bytes [start, stop) of an uncompressed file; fewer where it ends before."""
    with open_file(file) as stream:
        stream.seek(start)
        return stream.read(max(stop - start, 0))


def read_content(file: SourceFile, limit_bytes: int | None = None) -> bytes:
    """The content of a file, uncompressed: all of it, or its first `limit_bytes`.

    Raises UserError for a compressed file that is a bomb or holds more than one member, RunError
    for one that is damaged.
    """
    with open_file(file) as stream:
        if file.compression is None:
            return stream.read(-1 if limit_bytes is None else limit_bytes)
        try:
            if file.compression == "gzip":
                with gzip.GzipFile(fileobj=stream) as packed:
                    return _read_capped(file, packed, limit_bytes)
            with zipfile.ZipFile(stream) as archive:
                member = only_member(archive, file)
                with archive.open(member) as packed:
                    return _read_capped(file, packed, limit_bytes)
        except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise RunError(
                f"the {file.compression} file is damaged ({error})",
                fix="copy or download it again",
                file=file.shown,
            ) from error


def text_bytes(file: SourceFile) -> int:
    """The size of a file's text, uncompressed; for gzip as the file itself says (modulo 2^32)."""
    if file.compression is None:
        return file.size_bytes
    with open_file(file) as stream:
        if file.compression == "gzip":
            stream.seek(max(file.size_bytes - 4, 0))
            return int.from_bytes(stream.read(4), "little")
        with zipfile.ZipFile(stream) as archive:
            return only_member(archive, file).file_size


def only_member(archive: zipfile.ZipFile, file: SourceFile) -> zipfile.ZipInfo:
    """The one file in a zip archive. Raises UserError for none, several, locked or stray ones."""
    members = [info for info in archive.infolist() if not info.is_dir()]
    if len(members) != 1:
        raise file.mistake(f"holds {len(members)} files", "a .zip file is read if it holds one")
    member = members[0]
    name = PurePosixPath(member.filename)
    if name.is_absolute() or ".." in name.parts:
        raise file.mistake(f"holds '{member.filename}', which leaves its folder")
    if member.flag_bits & 1:
        raise file.mistake("is encrypted", "unpack it first")
    return member


def _read_capped(
    file: SourceFile, packed: IO[bytes] | gzip.GzipFile, limit_bytes: int | None
) -> bytes:
    """Reads on until the end, the limit, or the cap on size or ratio."""
    most = MAX_UNCOMPRESSED_BYTES
    most = min(most, max(RATIO_FREE_BYTES, file.size_bytes * MAX_RATIO))
    content = bytearray()
    while limit_bytes is None or len(content) < limit_bytes:
        block = packed.read(_BLOCK_BYTES)
        if not block:
            break
        content += block
        if len(content) > most:
            raise file.mistake(
                f"unpacks to more than {most:,} bytes (from {file.size_bytes:,})",
                "unpack it first if it is what it should be",
            )
    return bytes(content if limit_bytes is None else content[:limit_bytes])
