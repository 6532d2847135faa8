"""The `clean` verb: columns dropped and renamed, rows dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lepton_dask.component import Component
from lepton_dask.data.chunks import RowNumbers
from lepton_dask.data.expressions.check import Checked, expression_mistakes
from lepton_dask.data.expressions.on_arrow import evaluate
from lepton_dask.data.selectors import select
from lepton_dask.data.tables import plain_table
from lepton_dask.data.types import ColumnType, Schema, described
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.suggest import did_you_mean

Names = tuple[str, ...] | Literal["all"]


class Clean(Component):
    """In this order: drop, rename, require, drop_missing, drop_duplicates, filter.

    `drop` takes selectors (a name, or `^a regular expression$`). Rows in which a column of
    `require` or of `drop_missing` is missing are dropped; the first count as a loss column by
    column, the second as one. Of rows that are equal in the columns of `drop_duplicates` the first
    stays. `max_bad_share` is the share of a column's values (or of rows) that may be quarantined
    before the run fails. Of `filter`, an expression, only the rows stay for which it is true.
    """

    drop: tuple[str, ...] = ()
    rename: dict[str, str] = Field(default_factory=dict)
    require: tuple[str, ...] = ()
    drop_missing: Names = ()
    drop_duplicates: Names = ()
    filter: str | None = None
    max_bad_share: float = Field(default=0.01, ge=0, le=1)


@dataclass(frozen=True)
class Cleaned:
    """What is left of a chunk, and how many rows each reason took."""

    table: pa.Table
    row_numbers: RowNumbers
    lost: Mapping[str, int]


def clean_schema(
    clean: Clean, schema: Schema, at: DocumentPath
) -> tuple[dict[str, ColumnType], list[Mistake]]:
    """The columns after the step, and every mistake in naming them.

    `at` is the node's path in the document, `("steps", "tidy", "clean")`.
    """
    mistakes: list[Mistake] = []
    dropped: set[str] = set()
    for i, selector in enumerate(clean.drop):
        matched, wrong = select(selector, list(schema), (*at, "drop", i))
        dropped.update(matched)
        mistakes += wrong
    kept = [name for name in schema if name not in dropped]
    if not kept and not mistakes:
        mistakes.append(Mistake((*at, "drop"), "drops every column"))
    mistakes += _rename_mistakes(clean, kept, dropped, (*at, "rename"))
    after = {clean.rename.get(name, name): schema[name] for name in kept}
    gone = dict.fromkeys(dropped, "dropped")
    gone |= {old: f"renamed to '{new}'" for old, new in clean.rename.items()}
    for key, names in (
        ("require", clean.require),
        ("drop_missing", clean.drop_missing),
        ("drop_duplicates", clean.drop_duplicates),
    ):
        for i, name in enumerate(() if names == "all" else names):
            if name not in after:
                happened = f"it is {gone[name]} above" if name in gone else ""
                mistakes.append(
                    Mistake(
                        (*at, key, i),
                        f"unknown column '{name}'",
                        happened or did_you_mean(name, after),
                    )
                )
    if clean.filter is not None:
        mistakes += check_filter(clean.filter, after, (*at, "filter"))[1]
    return after, mistakes


def check_filter(
    text: str, schema: Schema, at: DocumentPath
) -> tuple[Checked | None, list[Mistake]]:
    """The filter's expression over the columns that the step leaves, and what is wrong with it."""
    checked, mistakes = expression_mistakes(text, schema, at)
    if checked is not None and checked.type.kind != "boolean":
        found = f"a filter is true or false, and this is {described(checked.type)}"
        mistakes.append(Mistake(at, found, "compare it: 'x > 0'"))
    return checked, mistakes


def filter_chunk(checked: Checked, table: pa.Table, row_numbers: RowNumbers) -> Cleaned:
    """The rows for which a filter is true; where it is false or missing they go."""
    keep = pc.fill_null(evaluate(checked, plain_table(table)), False).to_numpy(zero_copy_only=False)
    lost = {"the filter is not true": int(np.count_nonzero(~keep))}
    return Cleaned(table.filter(pa.array(keep)), row_numbers[keep], lost)


def clean_chunk(clean: Clean, table: pa.Table, row_numbers: RowNumbers) -> Cleaned:
    """Drops and renames columns, and drops rows with missing values; duplicates are dropped
    afterwards, across chunks (duplicates.py)."""
    dropped = {
        name for selector in clean.drop for name in select(selector, table.column_names, ())[0]
    }
    kept = [name for name in table.column_names if name not in dropped]
    table = table.select(kept).rename_columns([clean.rename.get(name, name) for name in kept])
    lost: dict[str, int] = {}
    keep = np.ones(table.num_rows, bool)
    for name in clean.require:
        present = table[name].is_valid().to_numpy()
        lost[f"required '{name}' is missing"] = int(np.count_nonzero(keep & ~present))
        keep &= present
    if clean.drop_missing:
        names = table.column_names if clean.drop_missing == "all" else clean.drop_missing
        complete = np.ones(table.num_rows, bool)
        for name in names:
            complete &= table[name].is_valid().to_numpy()
        lost["a value is missing"] = int(np.count_nonzero(keep & ~complete))
        keep &= complete
    if keep.all():
        return Cleaned(table, row_numbers, lost)
    return Cleaned(table.filter(pa.array(keep)), row_numbers[keep], lost)


def duplicate_columns(clean: Clean, table: pa.Table) -> pa.Table:
    """The columns in which rows are compared for `drop_duplicates`."""
    return table if clean.drop_duplicates == "all" else table.select(list(clean.drop_duplicates))


def _rename_mistakes(
    clean: Clean, kept: list[str], dropped: set[str], at: DocumentPath
) -> list[Mistake]:
    mistakes = [
        Mistake(
            (*at, old),
            f"unknown column '{old}'",
            "it is dropped above" if old in dropped else did_you_mean(old, kept),
            at_key=True,
        )
        for old in clean.rename
        if old not in kept
    ]
    counts = Counter(clean.rename.get(name, name) for name in kept)
    mistakes += [
        Mistake((*at, old), f"two columns would be called '{new}'")
        for old, new in clean.rename.items()
        if counts[new] > 1
    ]
    return mistakes
