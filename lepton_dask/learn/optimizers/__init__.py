"""The optimizers, and the union that a pipeline chooses from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lepton_dask.component import Component


class GradientDescent(Component):
    learning_rate: float | Literal["auto"] = "auto"
    start: Literal["zero", "random"] = "zero"


class Lbfgs(Component):
    history: int = Field(default=10, gt=0)


class OptimizerTable(Component):
    """`{NAME: {...}}`: exactly one name."""

    gradient_descent: GradientDescent | None = None
    lbfgs: Lbfgs | None = None


OptimizerChoice = Literal["auto", "gradient_descent", "lbfgs"] | OptimizerTable
