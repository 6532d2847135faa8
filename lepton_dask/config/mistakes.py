"""Mistakes: near names, the file's order, and how one looks in a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from lepton_dask.errors import Mistake, Place
from lepton_dask.suggest import nearest

OVERRIDE = "--set"
"""The file name that places in the command line's overrides bear."""

_WIDTH = 100
_SHOWN = 60


def suggestion(name: str, names: Iterable[str], otherwise: str) -> str:
    """What to do about an unknown name: take the nearest one, or one of all of them, which
    `otherwise` ("the steps are") introduces."""
    known = list(names)
    near = nearest(name, known)
    if near is not None:
        return f"did you mean '{near}'?"
    return f"{otherwise} {', '.join(known)}" if known else ""


def shown(text: str) -> str:
    """A value as a message may show it: in quotes, short, and without control characters."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return f"'{clean[:_SHOWN]}...'" if len(clean) > _SHOWN else f"'{clean}'"


def in_order(mistakes: Iterable[Mistake], file: str) -> list[Mistake]:
    """Placed mistakes by line and column: those in `file` first, then those in files that it
    extends, then those in `--set`. Each is said once, although several steps may share the value
    that it is about."""
    unique = {(str(mistake.place), mistake.found, mistake.fix): mistake for mistake in mistakes}

    def position(mistake: Mistake) -> tuple[bool, bool, str, int, int]:
        place = mistake.place or Place(file, 0, 0)
        return (
            place.file == OVERRIDE,
            place.file != file,
            place.file,
            place.line,
            place.column,
        )

    return sorted(unique.values(), key=position)


def render(mistake: Mistake) -> str:
    """The mistake in one line, then the line of the file with a caret under the column.

        a.yaml:14:7: optimizer: unknown 'adm'; did you mean 'adam'?
            optimizer: adm
                       ^

    Plain text; a long line is cut to the part around the column.
    """
    place = mistake.place
    if place is None or not place.source.strip():
        return str(mistake)
    source = "".join(c if c.isprintable() else " " for c in place.source)
    caret = place.column - 1
    start = max(0, min(caret - _WIDTH // 2, len(source) - _WIDTH))
    cut = source[start : start + _WIDTH]
    before = "..." if start else ""
    after = "..." if start + _WIDTH < len(source) else ""
    indent = len(cut) - len(cut.lstrip()) if not start else 0
    line = before + cut[indent:].rstrip() + after
    return f"{mistake}\n    {line}\n    {' ' * (len(before) + caret - start - indent)}^"
