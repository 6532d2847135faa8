"""The `clean` verb: columns dropped and renamed, rows dropped."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lepton_dask.component import Component


class Clean(Component):
    """In this order: drop, rename, require, drop_missing, drop_duplicates, filter.

    `drop` takes selectors (a name, or `^a regular expression$`); `max_bad_share` is the share of a
    column's values (or of rows) that may be quarantined before the run fails.
    """

    drop: tuple[str, ...] = ()
    rename: dict[str, str] = {}
    require: tuple[str, ...] = ()
    drop_missing: tuple[str, ...] | Literal["all"] = ()
    drop_duplicates: tuple[str, ...] | Literal["all"] = ()
    filter: str | None = None
    max_bad_share: float = Field(default=0.01, ge=0, le=1)
