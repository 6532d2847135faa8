"""The `read` verb: files in, chunks of Arrow columns out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lepton_dask.component import Component
from lepton_dask.data.types import DeclaredType
from lepton_dask.parts import Part

Format = Literal["csv", "parquet", "jsonl", "json"]



class Read(Component):
    """Files of one table.

    `path` is a file, a glob, a list of either, or a mapping of part to either; local or an fsspec
    URL. `format` defaults to what the file's name says (`.gz` and `.zip` are looked through).
    """

    path: str | tuple[str, ...] | dict[Part, str | tuple[str, ...]]
    format: Format | None = None
    separator: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8"
    header: bool = True
    skip_rows: int = Field(default=0, ge=0)
    columns: tuple[str, ...] | None = None
    missing_values: tuple[str, ...] | dict[str, tuple[str, ...]] = ()
    types: dict[str, DeclaredType] = {}
    row_number: str | None = None
    rows: int | None = Field(default=None, gt=0)
