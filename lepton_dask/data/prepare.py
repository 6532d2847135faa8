"""The `prepare` verb: what is fitted on the training rows before a model is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from lepton_dask.component import Component
from lepton_dask.data.calendar import DatePart
from lepton_dask.data.hashed_text import NGrams
from lepton_dask.data.labels import Label
from lepton_dask.data.prepared import Transform

Impute = Literal["mean", "median", "none"]
Scale = Literal["standard", "minmax", "robust", "none"]
As = Literal["number", "category", "date", "text"]


class Constant(Component):
    """`{constant: 0}`: the value that takes a missing one's place."""

    constant: float


WORDS = (1, 2)
CHARACTERS = (2, 4)


class Hash(Component):
    """Hashed n-grams of a text column: of `words` and of `characters`, each from the shortest to
    the longest, in `buckets` together. What is not named is not hashed; without either, both are,
    words 1 to 2 and characters 2 to 4.

    Buckets that fewer than `minimum_count` training rows touch have no coefficient.
    """

    words: tuple[int, int] | None = None
    characters: tuple[int, int] | None = None
    buckets: int = Field(default=262_144, gt=1, lt=2**31)
    minimum_count: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _shortest_first(self) -> Hash:
        for key in ("words", "characters"):
            lengths = getattr(self, key)
            if lengths is not None and not 1 <= lengths[0] <= lengths[1]:
                shown = f"[{lengths[0]}, {lengths[1]}]"
                raise PydanticCustomError(
                    "ngram_lengths",
                    "{key} are from the shortest to the longest, at least 1, not {shown}",
                    {"key": key, "shown": shown},
                )
        return self

    @property
    def ngrams(self) -> NGrams:
        if self.words is None and self.characters is None:
            return NGrams(WORDS, CHARACTERS, self.buckets)
        return NGrams(self.words, self.characters, self.buckets)


def _by_default(hashed: object) -> object:
    """`hash: true` is a Hash that leaves everything to the defaults."""
    return Hash() if hashed is True else hashed


HashChoice = Annotated[
    Hash,
    BeforeValidator(_by_default),
    WithJsonSchema({"anyOf": [{"const": True}, Hash.model_json_schema()]}),
]


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
    """Text columns: with `hash`, all that nothing treats as categories become hashed n-grams."""

    hash: HashChoice | None = None


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
    hash: HashChoice | None = None


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
