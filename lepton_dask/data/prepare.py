"""The `prepare` verb: what is fitted on the training rows before a model is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lepton_dask.component import Component

Impute = Literal["mean", "median", "none"]
Scale = Literal["standard", "minmax", "robust", "none"]
Transform = Literal["log1p", "none"]
DatePart = Literal["year", "month", "day", "weekday", "hour", "minute"]
As = Literal["number", "category", "date", "text"]
Label = str | bool | int | float


class Constant(Component):
    """`{constant: 0}`: the value that takes a missing one's place."""

    constant: float


class Hash(Component):
    """Hashed n-grams of a text column."""

    words: tuple[int, int] | None = None
    characters: tuple[int, int] | None = None
    buckets: int = Field(default=262_144, gt=1)


class Target(Component):
    """`column` (a name, or a position: -1 is the last) with the `positive` label of two, or an
    `expression`."""

    column: str | int | None = None
    positive: Label | None = None
    expression: str | None = None


class Numeric(Component):
    impute: Impute | float | Constant = "median"
    scale: Scale = "standard"
    transform: Transform = "none"


class Categorical(Component):
    minimum_count: int = Field(default=10, ge=1)


class Dates(Component):
    parts: tuple[DatePart, ...] = ("month", "weekday", "hour")


class Text(Component):
    hash: Hash | None = None


class Treatment(Component):
    """What `columns: {selector: ...}` says of the columns that the selector matches. What it does
    not say is taken from the defaults of the column's type."""

    as_: As | None = Field(default=None, alias="as")
    impute: Impute | float | Constant | None = None
    scale: Scale | None = None
    transform: Transform | None = None
    minimum_count: int | None = Field(default=None, ge=1)
    parts: tuple[DatePart, ...] | None = None
    hash: Hash | None = None


class Prepare(Component):
    """Target, roles and treatments. Everything fitted is fitted on the training part alone."""

    target: str | int | Target
    weight: str | None = None
    id: str | tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    numeric: Numeric = Numeric()
    categorical: Categorical = Categorical()
    date: Dates = Dates()
    text: Text = Text()
    columns: dict[str, Treatment] = {}
