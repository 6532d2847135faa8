"""The optimizers, and the union that a pipeline chooses from.

A new optimizer is its own file, its line in `OptimizerTable`, and its row in
tests/test_optimizers.py.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Tag, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from lepton_dask.component import Component
from lepton_dask.learn.optimizers.base import Ending, Optimizer, State
from lepton_dask.learn.optimizers.fista import Fista
from lepton_dask.learn.optimizers.gradient_descent import GradientDescent
from lepton_dask.learn.optimizers.interior_point import InteriorPoint
from lepton_dask.learn.optimizers.lbfgs import Lbfgs
from lepton_dask.learn.optimizers.newton import Newton
from lepton_dask.learn.optimizers.normal import Normal
from lepton_dask.learn.optimizers.prox_newton import ProxNewton
from lepton_dask.learn.optimizers.sgd import Sgd

__all__ = [
    "AUTO",
    "OPTIMIZERS",
    "Ending",
    "Fista",
    "GradientDescent",
    "InteriorPoint",
    "Lbfgs",
    "Newton",
    "Normal",
    "Optimizer",
    "OptimizerChoice",
    "OptimizerTable",
    "ProxNewton",
    "Sgd",
    "State",
]


class OptimizerTable(Component):
    """`{NAME: {...}}`: exactly one name."""

    normal: Normal | None = None
    newton: Newton | None = None
    prox_newton: ProxNewton | None = None
    interior_point: InteriorPoint | None = None
    lbfgs: Lbfgs | None = None
    gradient_descent: GradientDescent | None = None
    fista: Fista | None = None
    sgd: Sgd | None = None

    @model_validator(mode="after")
    def _one_name(self) -> OptimizerTable:
        if len(self._named) != 1:
            found = ", ".join(self._named) or "none"
            raise PydanticCustomError("optimizer_count", f"expected one optimizer, found {found}")
        return self

    @property
    def optimizer(self) -> Optimizer[Any]:
        """The optimizer that is named."""
        return next(iter(self._named.values()))

    @property
    def _named(self) -> dict[str, Optimizer[Any]]:
        return {name: value for name, value in self if value is not None}


AUTO = "auto"
OPTIMIZERS: dict[str, type[Optimizer[Any]]] = {
    kind.name: kind
    for field in OptimizerTable.model_fields.values()
    for kind in getattr(field.annotation, "__args__", ())
    if kind is not type(None)
}
"""Every optimizer by the name that a pipeline gives it."""

_NAMES = (AUTO, *OPTIMIZERS)


def _known(name: str) -> str:
    if name not in _NAMES:
        expected = " or ".join(repr(known) for known in _NAMES)
        raise PydanticKnownError("literal_error", {"expected": expected})
    return name


def _form(choice: object) -> str:
    return "name" if isinstance(choice, str) else "table"


OptimizerName = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"enum": list(_NAMES), "type": "string"})
]
# Told apart by form, so that a mistake inside a table is not also reported as a wrong name.
OptimizerChoice = Annotated[
    Annotated[OptimizerName, Tag("name")] | Annotated[OptimizerTable, Tag("table")],
    Discriminator(_form),
]
