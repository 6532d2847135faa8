"""What the columns of a table seem to hold: texts that stand for nothing, and dates as texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lepton_dask.data.arrow import known_type
from lepton_dask.data.arrow_types import declared_format, declared_type
from lepton_dask.data.convert import convert
from lepton_dask.data.declared import Date, DeclaredType, Timestamp
from lepton_dask.data.types import ColumnType

NOTHING = (
    "",
    "?",
    "-",
    "--",
    ".",
    "na",
    "n/a",
    "#n/a",
    "null",
    "nan",
    "none",
    "missing",
    "unknown",
)
"""Texts that stand for a missing value where they stand among numbers or moments, whatever their
case and the blanks around them."""

NOTHING_ANYWHERE = ("?", "n/a", "#n/a", "null", "nan")
"""Those of them that are no level of a category either. `NA` may be Namibia, and that something is
unknown may say a lot."""

_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y")
_CLOCKS = ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f")
FORMATS: tuple[DeclaredType, ...] = (
    *(Date(date=day) for day in _DAYS),
    *(Timestamp(timestamp=f"{day}{t}{clock}") for day in _DAYS for t in " T" for clock in _CLOCKS),
)
"""Ways in which a text may be a date or a moment. Arrow reads the ISO ones itself, where no text in
the column is another."""

TRIED_FIRST = 100
"""Distinct texts that rule most formats out before all are tried."""

_MEASURED = re.compile(r"\s*([-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|\d{4}-\d\d-\d\d([ T].*)?)\s*")


@dataclass(frozen=True)
class MissingTexts:
    """Texts that stand for a missing value, as they are written, each with how often it is seen
    and in which columns."""

    rows: Mapping[str, int]
    columns: tuple[str, ...]


def guess_missing(table: pa.Table) -> MissingTexts:
    """From a table that was read without `missing_values`."""
    counts = {name: _text_counts(table[name]) for name in _text_columns(table)}
    listed: set[str] = set()
    for texts in counts.values():
        nothing = {text for text in texts if text.strip().lower() in NOTHING}
        others = texts.keys() - nothing
        if all(_MEASURED.fullmatch(text) for text in others):
            listed |= nothing
        else:
            listed |= {text for text in nothing if text.strip().lower() in NOTHING_ANYWHERE}
    listed.discard("")  # an empty field is missing anyhow, and a quoted one cannot be listed
    seen: dict[str, int] = {}
    for texts in counts.values():
        for text in sorted(listed & texts.keys()):
            seen[text] = seen.get(text, 0) + texts[text]
    columns = tuple(name for name, texts in counts.items() if listed & texts.keys())
    return MissingTexts(seen, columns)


@dataclass(frozen=True)
class Moments:
    """Text columns that are dates or moments, with their formats; and those that would be by more
    than one format, which nobody but their author can tell apart."""

    formats: Mapping[str, DeclaredType]
    ambiguous: Mapping[str, tuple[str, ...]]


def guess_moments(table: pa.Table) -> Moments:
    """A text column is a moment where exactly one format fits every text of it."""
    formats: dict[str, DeclaredType] = {}
    ambiguous: dict[str, tuple[str, ...]] = {}
    for name in _text_columns(table):
        texts = pc.unique(table[name].drop_null()).cast(pa.string())
        if len(texts) == 0:
            continue
        fitting = [each for each in FORMATS if _fits(texts.slice(0, TRIED_FIRST), each)]
        fitting = [each for each in fitting if _fits(texts, each)]
        if len(fitting) == 1:
            formats[name] = fitting[0]
        elif fitting:
            ambiguous[name] = tuple(declared_format(each) or "" for each in fitting)
    return Moments(formats, ambiguous)


def with_moments(table: pa.Table, moments: Moments) -> pa.Table:
    """The table with the columns of `moments` as what they are."""
    for name, declared in moments.formats.items():
        place = table.column_names.index(name)
        array = convert(table[name], declared_type(declared), declared_format(declared)).array
        table = table.set_column(place, name, array)
    return table


def declared(type_: ColumnType) -> DeclaredType | None:
    """How `types:` says a type; None where only a format could."""
    return None if type_.zone is not None else type_.kind


def _text_columns(table: pa.Table) -> list[str]:
    return [field.name for field in table.schema if known_type(field.type).kind == "text"]


def _text_counts(column: pa.ChunkedArray) -> dict[str, int]:
    counts = pc.value_counts(column.drop_null().cast(pa.string()))
    return dict(
        zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
    )


def _fits(texts: pa.Array, format_: DeclaredType) -> bool:
    converted = convert(pa.chunked_array([texts]), declared_type(format_), declared_format(format_))
    return not converted.bad.size
