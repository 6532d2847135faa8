"""How a pipeline names columns: by name, or by `^a regular expression$`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.suggest import did_you_mean, listed


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
        return (), [
            Mistake(at, f"'{selector}' is not a regular expression: {error}", at_key=at_key)
        ]
    matched = tuple(name for name in names if pattern.fullmatch(name))
    if matched:
        return matched, []
    return (), [
        Mistake(at, f"'{selector}' matches no column", f"there are {listed(names)}", at_key=at_key)
    ]


def unknown_column(
    name: str, names: Sequence[str], at: DocumentPath, *, at_key: bool = False
) -> Mistake:
    return Mistake(at, f"unknown column '{name}'", did_you_mean(name, names), at_key=at_key)
