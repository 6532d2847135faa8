"""The `read` verb: files in, chunks of Arrow columns out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lepton_dask.component import Component
from lepton_dask.data.declared import DeclaredType
from lepton_dask.parts import Part

Format = Literal["csv", "parquet", "jsonl", "json"]


class Read(Component):
    """Files of one table.

    `path` is a file, a glob, a list of either, or a mapping of part to either; local or an fsspec
    URL. `{home}` in it matches as `*` does and makes a text column; `#/pointer` behind it picks an
    array inside a JSON document. `format` defaults to what the file's name says (`.gz` and `.zip`
    are looked through). `columns` names the columns of a CSV file without a header and the fields
    of a JSON document's arrays, and selects columns of any other.
    `rows` reads the first so many rows of each file. `row_number` adds a column with the number of
    each row in its file, from 0.

    Only an empty unquoted CSV field and what `missing_values` lists are missing.
    """

    path: str | tuple[str, ...] | dict[Part, str | tuple[str, ...]]
    format: Format | None = None
    separator: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8"
    header: bool = True
    skip_rows: int = Field(default=0, ge=0)
    columns: tuple[str, ...] | None = None
    missing_values: tuple[str, ...] | dict[str, tuple[str, ...]] = ()
    types: dict[str, DeclaredType] = Field(default_factory=dict)
    row_number: str | None = None
    rows: int | None = Field(default=None, gt=0)
