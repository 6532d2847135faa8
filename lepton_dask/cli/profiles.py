"""A profile as a table for people."""

from __future__ import annotations

import re

from rich.table import Table

from lepton_dask.artifacts.redact import Redactor
from lepton_dask.cli.histogram import blocks, histogram
from lepton_dask.cli.tables import add_row, make_table
from lepton_dask.data.profile import ColumnProfile, Profile

SHARES = ("0.05", "0.5", "0.95")
TOP_LEVELS = 3
LEVEL_WIDTH = 24

_FRACTION = re.compile(r"(?<=T\d\d:\d\d:\d\d)\.\d{9}Z?$")


def profile(title: str, whole: Profile, redactor: Redactor) -> Table:
    """A line for each column: its type, what is missing, and how its values lie."""
    heads = ("column", "type", "missing", "range", "mean ± sd", "5 / 50 / 95 %", "rows", "levels")
    marks = blocks()
    plain = [head.replace("±", "+-") if marks.isascii() else head for head in heads]
    table = make_table(f"{title}: {whole.rows:,} rows", *plain)
    document = whole.to_json()["columns"]
    assert isinstance(document, dict)
    for name, column in whole.columns.items():
        cells = _cells(column, document[name], marks)
        add_row(table, *map(redactor.text, (name, column.type.kind, *cells)))
    return table


def _cells(column: ColumnProfile, document: dict[str, object], marks: str) -> tuple[str, ...]:
    return (
        _missing(column),
        _range(document),
        _spread(document, "+-" if marks.isascii() else "±"),
        _quantiles(document),
        histogram(column, marks),
        _levels(document),
    )


def _missing(column: ColumnProfile) -> str:
    rows = column.count + column.missing
    return f"{column.missing:,} ({column.missing / rows:.1%})" if column.missing else "0"


def _range(document: dict[str, object]) -> str:
    if "minimum" not in document:
        return ""
    return f"{_shown(document['minimum'])} .. {_shown(document['maximum'])}"


def _spread(document: dict[str, object], sign: str) -> str:
    if "mean" not in document:
        return ""
    return f"{_shown(document['mean'])} {sign} {_shown(document['standard_deviation'])}"


def _quantiles(document: dict[str, object]) -> str:
    quantiles = document.get("quantiles")
    if not isinstance(quantiles, dict):
        return ""
    return " / ".join(_shown(quantiles[share]) for share in SHARES)


def _levels(document: dict[str, object]) -> str:
    if document["levels"] is None:
        more_than = document["levels_more_than"]
        assert isinstance(more_than, int)
        return f"more than {more_than:,}"
    if document["type"] in ("date", "timestamp"):
        return f"{document['levels']:,}"
    top = document["top_levels"]
    assert isinstance(top, list)
    assert isinstance(document["levels"], int)
    shown = ", ".join(f"{_shown(each['value'])} {each['count']:,}" for each in top[:TOP_LEVELS])
    return f"{document['levels']:,}: {shown}" if shown else f"{document['levels']:,}"


def _shown(value: object) -> str:
    """A number short, a moment to the second, a text not too long."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) or value is None:
        return str(value)
    text = _FRACTION.sub("", str(value))
    return text if len(text) <= LEVEL_WIDTH else f"{text[: LEVEL_WIDTH - 3]}..."
