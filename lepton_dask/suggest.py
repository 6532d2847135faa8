"""Names and numbers in messages: the nearest known name, lists that stay short, plurals."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` most likely stands for; None if none is like it."""
    by_lower_case: dict[str, str] = {}
    for candidate in names:
        by_lower_case.setdefault(candidate.lower(), candidate)
    matches = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.6)
    return by_lower_case[matches[0]] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean 'age'?` for `aeg`; the known names where none is near; empty without any."""
    names = list(known)
    near = nearest(name, names)
    if near is not None:
        return f"did you mean '{near}'?"
    return f"there are {listed(names)}" if names else ""


def counted(number: int, one: str, many: str = "") -> str:
    """`1 chunk`, `2 chunks`; `many` where an s does not make the plural."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def listed(names: Iterable[object], most: int = 6) -> str:
    """`'a', 'b' and 4 more`."""
    quoted = [f"'{name}'" for name in names]
    if len(quoted) <= most:
        return ", ".join(quoted)
    return f"{', '.join(quoted[:most])} and {len(quoted) - most} more"
