"""How a pipeline names columns: by name, or by `^a regular expression$`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from lepton_dask.errors import DocumentPath, Mistake


def is_expression(selector: str) -> bool:
    return selector.startswith("^") and selector.endswith("$")


def select(
    selector: str, names: Sequence[str], at: DocumentPath, *, at_key: bool = False
) -> tuple[tuple[str, ...], list[Mistake]]:
    """The columns that a selector matches; matching none is a mistake at `at`."""
    if not is_expression(selector):
        if selector in names:
            return (selector,), []
        return (), [unknown_column(selector, names, at, at_key=at_key)]
    try:
        pattern = re.compile(selector)
    except re.error as error:
        return (), [Mistake(at, f"'{selector}' is not a regular expression: {error}", at_key=at_key)]
    matched = tuple(name for name in names if pattern.fullmatch(name))
    if matched:
        return matched, []
    return (), [
        Mistake(at, f"'{selector}' matches no column", f"there are {listed(names)}", at_key=at_key)
    ]


def unknown_column(
    name: str, names: Sequence[str], at: DocumentPath, *, at_key: bool = False
) -> Mistake:
    return Mistake(at, f"unknown column '{name}'", nearest_hint(name, names), at_key=at_key)


def nearest_hint(name: str, names: Sequence[str]) -> str:
    """`did you mean 'age'?`, or, where nothing is near, what there is."""
    by_case = {each.casefold(): each for each in names}
    near = get_close_matches(name.casefold(), by_case, n=1, cutoff=0.6)
    return f"did you mean '{by_case[near[0]]}'?" if near else f"there are {listed(names)}"


def listed(values: Iterable[object], limit: int = 10) -> str:
    """`'a', 'b', 'c' and 12 more`."""
    shown = [f"'{value}'" if isinstance(value, str) else str(value) for value in values]
    if len(shown) > limit:
        return f"{', '.join(shown[:limit])} and {len(shown) - limit} more"
    return ", ".join(shown) or "none"
