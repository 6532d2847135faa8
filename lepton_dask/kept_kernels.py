"""Functions that numba compiles, kept on disk; imports no compiler before there is one to compile.

numba keeps what it compiled beside the package, or in the user's cache folder where the package's
cannot be written to; where neither can, every process compiles for itself.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Kept:
    """Compiled functions that may contain a part of any of `files`, all of them in folders of this
    package. They release the GIL; a division by zero is an infinity or NaN."""

    files: tuple[Path, ...]

    @cached_property
    def stamp(self) -> str:
        """A hash of the files."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def compiled(self, function: F, **options: Any) -> F:
        """`function`, compiled on its first call or read from the disk; `options` are numba's."""
        from numba import njit

        options = {"nogil": True, "error_model": "numpy", **options}
        try:
            dispatcher = njit(cache=True, **options)(function)
        except RuntimeError:  # "cannot cache function: no locator available for file"
            return cast("F", njit(**options)(function))
        # numba drops what it kept when the function's own file changed. What is compiled contains
        # what it calls, from other files too: all of them are to count.
        dispatcher._cache._cache_file._source_stamp = self.stamp
        return cast("F", dispatcher)

    def has(self, name: str) -> bool:
        """Whether this installation has compiled `name`; so too where it may keep nothing, since
        nobody can tell."""
        folder = self._folder if self._folder.exists() else self._folder.parent
        return self._mark(name).exists() or not os.access(folder, os.W_OK)

    @contextmanager
    def making(self, name: str) -> Iterator[None]:
        """Compiles in its body what is `name` from then on, or reads it from the disk. One process
        compiles at a time, and the others find on the disk what they would have compiled beside
        it."""
        if self.has(name):
            yield
            return
        with self._turn():
            yield
        with suppress(OSError):
            self._mark(name).touch()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        try:
            import fcntl

            self._folder.mkdir(exist_ok=True)
            lock = (self._folder / "compiling.lock").open("w")
        except (ImportError, OSError):  # no such locks, or no place for one: side by side then
            yield
            return
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def _folder(self) -> Path:
        return self.files[0].parent / "__pycache__"

    def _mark(self, name: str) -> Path:
        return self._folder / f"{name}-{self.stamp[:12]}-{version('numba')}.compiled"
