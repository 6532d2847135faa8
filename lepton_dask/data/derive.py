"""The `derive` verb: new columns from the ones that are there."""

from __future__ import annotations

from pydantic import Field

from lepton_dask.component import Component
from lepton_dask.data.types import DeclaredType


class Derive(Component):
    """New columns, by expressions (`columns`) or by a function of the user's own (`python`).

    `python: package.module:function` is called with each chunk as a pandas DataFrame and returns a
    DataFrame of as many rows with the columns that `outputs` declares.
    """

    columns: dict[str, str] = {}
    group: str | None = None
    order: str | None = None
    python: str | None = Field(default=None, pattern=r"^[\w.]+:\w+$")
    outputs: dict[str, DeclaredType] = {}
