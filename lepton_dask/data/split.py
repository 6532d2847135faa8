"""The `split` verb: rows to train, validation and test."""

from __future__ import annotations

from pydantic import Field

from lepton_dask.component import Component
from lepton_dask.parts import Part

Share = float
Start = float | int | str


class Split(Component):
    """By fractions (hashed by row, within each class of `stratify`, or by whole groups of
    `group`), by `time` (fractions, or the first moment of validation and of test, with a `gap`
    left out between the parts), or by a `column` whose values name the parts. `of` carves out of
    one part of what comes in."""

    train: Start | None = None
    validation: Start | None = None
    test: Start | None = None
    stratify: str | None = None
    group: str | None = None
    time: str | None = None
    gap: str | int | float | None = None
    column: str | None = None
    of: Part | None = Field(default=None)
