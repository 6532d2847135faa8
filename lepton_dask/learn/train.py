"""The `train` verb."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lepton_dask.component import Component
from lepton_dask.learn.goal import Goal
from lepton_dask.learn.optimizers import OptimizerChoice
from lepton_dask.learn.penalty import Penalty

LossName = Literal["squared", "logistic"]


class EarlyStopping(Component):
    """Stops after `patience` iterations without a better validation loss; keeps the best."""

    patience: int = Field(gt=0)


class Train(Component):
    """min over b: (1 / sum w) sum_i w_i loss(y_i, x_i'b + b_0) + l1 |b|_1 + (l2 / 2) |b|^2."""

    loss: LossName
    penalty: Penalty = Penalty()
    optimizer: OptimizerChoice = "auto"
    max_passes: int = Field(default=500, gt=0)
    tolerance: float = Field(default=1e-6, ge=0)
    early_stopping: EarlyStopping | None = None
    goal: Goal | None = None
