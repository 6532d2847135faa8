"""The folders in which input paths are looked up."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path


def is_url(path: str) -> bool:
    """Whether fsspec reads the path: `s3://bucket/a.csv`, `memory://a.csv`."""
    return "://" in path


@dataclass(frozen=True)
class Roots:
    """A relative path is tried against each of `folders` in order, and the first that has it wins.

    With `confine` (the configuration names `roots:`) no path leaves the folders, neither by `..`
    nor by a symlink; without, absolute paths are fine.
    """

    folders: tuple[Path, ...]
    confine: bool = False

    def find(self, path: str) -> tuple[Path, ...]:
        """The files or folders that a local path or glob names, sorted; empty where there are none.

        A file whose own name has `*`, `?` or `[` in it is found before the name is taken for a
        glob. The answer may lie outside the folders: ask `holds`. Raises ValueError for a glob
        that is none, `a**.csv`.
        """
        for folder in self.folders or (Path(),):
            literal = folder / path  # an absolute path stays itself
            if literal.exists():
                return (literal,)
            if glob.has_magic(path):
                whole = literal.absolute()
                anchor = Path(whole.anchor)
                found = sorted(anchor.glob(str(whole.relative_to(anchor))))
                if found:
                    return tuple(found)
        return ()

    def holds(self, path: Path) -> bool:
        """Whether a path may be read: always, or with `confine` if it lies inside a folder."""
        if not self.confine:
            return True
        real = path.resolve()
        return any(real.is_relative_to(folder.resolve()) for folder in self.folders)
