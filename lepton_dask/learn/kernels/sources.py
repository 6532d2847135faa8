"""What compiled kernels were made from, and whether they are there; imports no compiler."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).parent / "__pycache__"
"""Where numba keeps them, if it may write there."""


@cache
def sources() -> str:
    """A hash of every file that a kernel may contain a part of."""
    digest = hashlib.sha256()
    learn = Path(__file__).parent.parent
    for file in sorted([*learn.glob("kernels/*.py"), *learn.glob("losses/*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def is_compiled(loss: str) -> bool:
    """Whether this installation has the loss's kernels on its disk; so too where it may keep none
    there, since nobody can tell."""
    return _mark(loss).exists() or not os.access(FOLDER, os.W_OK)


def compiled(loss: str) -> None:
    """Notes that it has."""
    with suppress(OSError):
        _mark(loss).touch()


def _mark(loss: str) -> Path:
    return FOLDER / f"{loss}-{sources()[:12]}-{version('numba')}.compiled"
