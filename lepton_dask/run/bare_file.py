"""A file without a pipeline: the `read` that it seems to need."""

from __future__ import annotations

from dataclasses import dataclass

from lepton_dask.data.content import SourceFile, read_content
from lepton_dask.data.files import find_files
from lepton_dask.data.guess_csv import CsvGuess, guess_csv
from lepton_dask.data.head import HEAD_BYTES
from lepton_dask.data.read import Read
from lepton_dask.data.roots import Roots
from lepton_dask.errors import DocumentPath, UserError


@dataclass(frozen=True)
class BareFile:
    """A path, as a user names it, with how its files are read; `guess` is None where the format
    says all of it."""

    read: Read
    files: tuple[SourceFile, ...]
    guess: CsvGuess | None


def look_at(path: str, at: DocumentPath, roots: Roots) -> BareFile:
    """Finds the files (a path, a glob or a URL) and looks at the head of the first.

    A file whose name says no format is taken for CSV. Raises UserError for a path that is wrong.
    """
    read = Read(path=path)
    try:
        files = find_files(read, at, roots)
    except UserError:  # either the name says no format, or this raises what is wrong
        read = Read(path=path, format="csv")
        files = find_files(read, at, roots)
    if files[0].format != "csv":
        return BareFile(read, files, None)
    guess = guess_csv(read_content(files[0], HEAD_BYTES))
    return BareFile(guess.applied(read), files, guess)
