"""The `prepare` verb: what is fitted on the training rows before a model is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lepton_dask.component import Component
from lepton_dask.data.calendar import DatePart
from lepton_dask.data.prepared import Label, Transform

Impute = Literal["mean", "median", "none"]
Scale = Literal["standard", "minmax", "robust", "none"]
As = Literal["number", "category", "date", "text"]


class Constant(Component):
    """`{constant: 0}`: the value that takes a missing one's place."""

    constant: float


class Hash(Component):
    """Hashed n-grams of a text column."""

    words: tuple[int, int] | None = None
    characters: tuple[int, int] | None = None
    buckets: int = Field(default=262_144, gt=1)


class Target(Component):
    """`column` (a name, or a position from 0: -1 is the last) or an `expression`, with the
    `positive` label of two.

    Where the expression is missing, the row leaves training. It alone may look ahead, with
    `lead(x, n)`, over the rows in the order of `order` within each value of `group`. The columns
    that it reads are never features, and predicting does not need them.
    """

    column: str | int | None = None
    positive: Label | None = None
    expression: str | None = None
    group: str | None = None
    order: str | None = None


class Numeric(Component):
    """Number columns: first `impute`, then `transform`, then `scale`.

    Missing values become the mean or median of those present, or a constant; with `none` a row
    without a value is neither learnt from nor scored. `log1p` is log(1 + x); a row with x <= -1 is
    neither learnt from nor scored. `scale`, over the imputed and transformed training values:
    `standard` (x - mean) / standard deviation of the population, `minmax` (x - min) / (max - min),
    `robust` (x - median) / (upper quartile - lower quartile), `none`.
    """

    impute: Impute | float | Constant = "median"
    scale: Scale = "standard"
    transform: Transform = "none"


class Categorical(Component):
    """Category columns: levels that fewer than `minimum_count` training rows have become one."""

    minimum_count: int = Field(default=10, ge=1)


class Dates(Component):
    """Date and timestamp columns: a category for each of the `parts`; a date has no hour."""

    parts: tuple[DatePart, ...] = Field(default=("month", "weekday", "hour"), min_length=1)


class Text(Component):
    """Text columns that are hashed."""

    hash: Hash | None = None


class Treatment(Component):
    """What `columns: {selector: ...}` says of the columns that the selector matches.

    What a name does not say is taken from the expression that matches the column too, and then
    from the defaults of the column's type.
    """

    as_: As | None = Field(default=None, alias="as")
    impute: Impute | float | Constant | None = None
    scale: Scale | None = None
    transform: Transform | None = None
    minimum_count: int | None = Field(default=None, ge=1)
    parts: tuple[DatePart, ...] | None = Field(default=None, min_length=1)
    hash: Hash | None = None


class Prepare(Component):
    """Target, roles and treatments. Everything fitted is fitted on the training part alone.

    `exclude` takes selectors (a name, or `^a regular expression$`), as `columns` does.
    """

    target: str | int | Target
    weight: str | None = None
    id: str | tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    numeric: Numeric = Numeric()
    categorical: Categorical = Categorical()
    date: Dates = Dates()
    text: Text = Text()
    columns: dict[str, Treatment] = Field(default_factory=dict)
