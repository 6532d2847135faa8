"""The losses, and the union that a pipeline chooses from.

A new loss is a class in one of these files, its line in `LossTable` and in `learn.links`, its
formulas in `learn.kernels.pointwise`, and its row in tests/losses_to_test.py.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Discriminator, Tag, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from lepton_dask.component import Component
from lepton_dask.learn.losses.base import Loss, Task
from lepton_dask.learn.losses.classes import Logistic, Multinomial
from lepton_dask.learn.losses.counts import Gamma, Poisson, Tweedie
from lepton_dask.learn.losses.numbers import Huber, Quantile, Squared

__all__ = [
    "LOSSES",
    "Gamma",
    "Huber",
    "Logistic",
    "Loss",
    "LossChoice",
    "LossName",
    "LossTable",
    "Multinomial",
    "Poisson",
    "Quantile",
    "Squared",
    "Task",
    "Tweedie",
    "chosen_loss",
]


class LossTable(Component):
    """`{NAME: {...}}`: exactly one name."""

    squared: Squared | None = None
    logistic: Logistic | None = None
    multinomial: Multinomial | None = None
    poisson: Poisson | None = None
    gamma: Gamma | None = None
    tweedie: Tweedie | None = None
    huber: Huber | None = None
    quantile: Quantile | None = None

    @model_validator(mode="after")
    def _one_name(self) -> LossTable:
        if len(self._named) != 1:
            found = ", ".join(self._named) or "none"
            raise PydanticCustomError("loss_count", f"expected one loss, found {found}")
        return self

    @property
    def loss(self) -> Loss:
        """The loss that is named."""
        return next(iter(self._named.values()))

    @property
    def _named(self) -> dict[str, Loss]:
        return {name: value for name, value in self if value is not None}


LOSSES: dict[str, type[Loss]] = {
    kind.name: kind
    for field in LossTable.model_fields.values()
    for kind in getattr(field.annotation, "__args__", ())
    if kind is not type(None)
}
"""Every loss by the name that a pipeline gives it."""


def _known(name: str) -> str:
    if name not in LOSSES:
        expected = " or ".join(repr(known) for known in LOSSES)
        raise PydanticKnownError("literal_error", {"expected": expected})
    return name


def _form(choice: object) -> str:
    return "name" if isinstance(choice, str) else "table"


LossName = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"enum": list(LOSSES), "type": "string"})
]
# Told apart by form, so that a mistake inside a table is not also reported as a wrong name.
LossChoice = Annotated[
    Annotated[LossName, Tag("name")] | Annotated[LossTable, Tag("table")],
    Discriminator(_form),
]


def chosen_loss(choice: str | LossTable) -> Loss:
    """The loss that a pipeline chose by name, with its defaults, or by table."""
    return LOSSES[choice]() if isinstance(choice, str) else choice.loss
