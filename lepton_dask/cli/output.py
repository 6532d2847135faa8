"""How verbs print: tables, documents, and what ends them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from lepton_dask.cli import documents
from lepton_dask.errors import LeptonError

UNBROKEN = 100_000
"""Columns of a table that goes to a pipe or a file: nothing in it is ever wrapped."""


def stdout_console() -> Console:
    return Console(width=None if sys.stdout.isatty() else UNBROKEN)


def print_json(document: object) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


@contextmanager
def failing_in_json() -> Iterator[None]:
    """What ends a verb is a document on stdout too, beside the lines on stderr."""
    try:
        yield
    except LeptonError as error:
        print_json(documents.failure(error))
        raise
