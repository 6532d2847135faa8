"""What a text under `path:` may stand for: a name, a glob, captures, a pointer into a document."""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

CAPTURE = re.compile(r"\{(\w+)\}")
_TOKEN = re.compile(r"\{\w+\}|\*\*/|\*+|\?|\[[!^]?\]?[^\]/]*\]|[^*?\[{]+|.")


@dataclass(frozen=True)
class PathText:
    """One way to take a text.

    name      a path or glob, every capture a `*`
    pointer   of RFC 6901, into the JSON documents of that name; None without one
    captures  their names in order
    written   the path with its captures, as the user wrote it
    """

    name: str
    pointer: str | None
    captures: tuple[str, ...]
    written: str

    @property
    def is_glob(self) -> bool:
        return glob.has_magic(self.name)

    def captured(self, path: str) -> tuple[tuple[str, str], ...]:
        """(capture, text) from the path of a file that `name` matched."""
        if not self.captures:
            return ()
        match = _expression(self.written).fullmatch(path.replace("\\", "/"))
        assert match is not None, f"{path} is matched by '{self.name}'"
        return tuple(zip(self.captures, match.groups(), strict=True))

    def shown(self, path: str) -> str:
        """A file as messages show it: as it was written, or from the first part that the glob
        filled in."""
        if not self.is_glob:
            return self.written
        parts = PurePosixPath(self.written).parts
        first = next(i for i, part in enumerate(parts) if CAPTURE.search(part) or _is_magic(part))
        count = 1 if "**" in parts else len(parts) - first
        return "/".join(PurePosixPath(path.replace("\\", "/")).parts[-count:])


def ways_to_take(text: str) -> Iterator[PathText]:
    """From the most literal: a file may be called `a#/b.json` or `{home}.csv`."""
    yield PathText(text, None, (), text)
    path, has_pointer, pointer = text.partition("#")
    if has_pointer:
        yield PathText(path, pointer, (), path)
    for written, into in ((text, None), (path, pointer)) if has_pointer else ((text, None),):
        names = tuple(CAPTURE.findall(written))
        if names:
            yield PathText(_glob_of(written), into, names, written)


def base_pattern(text: str) -> str | None:
    """The base name in a path with captures, where all of them stand in it: `Building_{home}.csv`.
    None for other paths."""
    path = text.partition("#")[0]
    name = PurePosixPath(path).name
    return name if CAPTURE.search(name) and not CAPTURE.search(path[: -len(name)]) else None


def captured_from(pattern: str, path: str) -> tuple[tuple[str, str], ...] | None:
    """What a base name's captures hold for a path; None where it is not of that pattern."""
    match = _expression(pattern).fullmatch(path.replace("\\", "/"))
    if match is None:
        return None
    return tuple(zip(CAPTURE.findall(pattern), match.groups(), strict=True))


def _glob_of(written: str) -> str:
    """The path with `*` for captures; `**` beside one is no glob, and alone would be another."""
    parts = written.split("/")
    globs = [re.sub(r"\*+", "*", CAPTURE.sub("*", part)) for part in parts]
    return "/".join(
        each if CAPTURE.search(part) else part for part, each in zip(parts, globs, strict=True)
    )


def _is_magic(part: str) -> bool:
    return glob.has_magic(part)


def _expression(written: str) -> re.Pattern[str]:
    """Matches whole paths that end as `written` does. Its groups are the captures, each as short
    as the rest allows: `{a}_{b}` takes 'x_y_z' for 'x' and 'y_z'."""
    text = str(PurePosixPath(written))
    return re.compile("(?:.*/)?" + "".join(_translated(t) for t in _TOKEN.findall(text)), re.DOTALL)


def _translated(token: str) -> str:
    if CAPTURE.fullmatch(token):
        return "([^/]*?)"
    if token == "**/":
        return "(?:.*/)?"
    if token.startswith("*"):
        return "[^/]*"
    if token == "?":
        return "[^/]"
    if token.startswith("[") and len(token) > 1:
        return fnmatch.translate(token).removesuffix(r"\Z").removesuffix(r"\z")
    return re.escape(token)
