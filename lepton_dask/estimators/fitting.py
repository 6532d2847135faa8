"""From rows and an objective to parameters: which optimizer, how long, from where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from lepton_dask.learn.blas import one_blas_thread
from lepton_dask.learn.descent import Descent, Iteration, Passes, descend
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import Loss
from lepton_dask.learn.objective import Evaluation, NullModel, Objective
from lepton_dask.learn.optimizers.base import (
    MAX_HESSIAN_PARAMETERS,
    Optimizer,
    Outset,
    Pilot,
    Query,
)
from lepton_dask.learn.optimizers.fista import Fista
from lepton_dask.learn.optimizers.interior_point import InteriorPoint
from lepton_dask.learn.optimizers.lbfgs import Lbfgs
from lepton_dask.learn.optimizers.newton import Newton
from lepton_dask.learn.optimizers.normal import Normal
from lepton_dask.learn.optimizers.prox_newton import ProxNewton
from lepton_dask.learn.train import Train
from lepton_dask.matrix import Floats

OptimizerName = Literal["auto", "newton", "lbfgs", "fista"]

NEWTON_WORK = 1e9
"""Multiplications of a Hessian, rows times parameters squared, up to which Newton's method is done
before L-BFGS has begun: a fraction of a second."""


STALLED_SHARE, STALLED_GRADIENT = 1e-4, 1e-8
"""What may be left of the gradient at the start, or in all, where no step is better any more."""


@dataclass(frozen=True)
class Settings:
    """What an estimator's constructor says about the way to the minimum.

    tolerance    the largest partial derivative of the mean objective to end at; with a `spread`,
                 the standard deviation of y, in units of the largest that the squared loss could
                 have at the start, spread * sqrt(max_j mean x_j^2), whatever the units of y and X
    max_iter     the most passes over the rows, that at the start aside
    optimizer    by name; `auto` goes by the objective
    say          hears of every iteration
    least_scale  what huber's scale stays above
    """

    tolerance: float
    max_iter: int
    optimizer: OptimizerName = "auto"
    say: Callable[[Iteration], None] = lambda _: None
    spread: float | None = None
    least_scale: float = 0.0

    def absolute(self, curvature: Floats) -> float:
        """The tolerance of the gradient, given the objective's diagonal curvature, (M,)."""
        if self.spread is None:
            return self.tolerance
        return self.tolerance * self.spread * float(np.sqrt(curvature.max()))


def mean_objective(model: LinearModel, l1: float, l2: float, fit_intercept: bool) -> Objective:
    """(1 / sum w) sum w l + l1 |b|_1 + l2 / 2 |b|^2 over the coefficients b."""
    penalised = np.zeros(model.parameters)
    penalised[model.coefficients] = 1.0
    return Objective(model, l1 * penalised, l2 * penalised, fit_intercept)


def minimise(
    objective: Objective, passes: Passes, settings: Settings, rows: int, start: Floats | None
) -> Descent:
    """The minimum over so many rows, from `start` (M,) or from the model without features."""
    null = passes.null_model()
    if start is not None:
        null = replace(null, theta=start)
    train = Train(
        loss=objective.model.loss.name,
        max_passes=settings.max_iter + 1,
        tolerance=settings.absolute(null.curvature),
    )
    optimizer = optimizer_for(objective, settings.optimizer, rows)
    # A sample's minimum is no better a start than that of the fit before, or for few rows.
    sampled = start is None and not _soon(objective.model, rows)
    begun = StartedAt(passes, null, sampled)
    if settings.least_scale > 0:
        begun = ScaledAbove(passes, null, sampled, settings.least_scale)
    # descend gives BLAS one thread, for good.
    with one_blas_thread():
        return descend(train, optimizer, begun, on_iteration=settings.say)


def optimizer_for(objective: Objective, name: OptimizerName, rows: int) -> Optimizer[Any]:
    """The optimizer of a name in the form that the loss and the penalty need.

    `auto`: the normal equations of least squares; else Newton's method where its Hessians are soon
    made, and otherwise a first-order method.
    """
    model = objective.model
    affordable = model.parameters <= MAX_HESSIAN_PARAMETERS
    if not model.loss.smooth:
        return InteriorPoint()
    if name == "fista" or (not objective.smooth and not affordable):
        return Fista()
    if not objective.smooth:
        return ProxNewton()
    if name == "lbfgs" or not affordable:
        return Lbfgs()
    if model.loss.name == "squared":
        return Normal()
    newton = name == "newton" or (_soon(model, rows) and _convex(model.loss))
    return Newton() if newton else Lbfgs()


def _soon(model: LinearModel, rows: int) -> bool:
    """Whether Hessians are soon made."""
    return rows * model.parameters**2 <= NEWTON_WORK


def _convex(loss: Loss) -> bool:
    """Whether a Hessian says where the minimum is: a Tweedie loss is convex for some powers."""
    return loss.name != "tweedie" or 1.0 <= loss.parameters[0] <= 2.0


def has_converged(descent: Descent) -> bool:
    """Whether the minimum is reached: by a test, or because rounding allows no better step.

    A stalled optimizer is taken at its word where the gradient says the same.
    """
    if descent.stopped.code == "tolerance":
        return True
    if descent.stopped.code != "stalled":
        return False
    first, last = descent.history[0].gradient_norm, descent.history[-1].gradient_norm
    return last <= max(STALLED_SHARE * first, STALLED_GRADIENT)


@dataclass(frozen=True)
class StartedAt:
    """Passes that start from a model which is known: that without features, or a fit before.
    `samples` is whether a fit to a subsample may come in between."""

    passes: Passes
    start: NullModel
    samples: bool

    def null_model(self) -> NullModel:
        return self.start

    def outset(self) -> Outset:
        return Outset(self.start, self.pilot()())

    def pilot(self) -> Callable[[], Pilot | None]:
        return self.passes.pilot() if self.samples else lambda: None

    def evaluate(self, query: Query) -> Evaluation:
        return self.passes.evaluate(query)

    def validation_loss(self, theta: Floats) -> float:
        return self.passes.validation_loss(theta)

    def validation_metric(self, theta: Floats, metric: str) -> float | None:
        return self.passes.validation_metric(theta, metric)


@dataclass(frozen=True)
class ScaledAbove(StartedAt):
    """The same, where the last parameter is a scale that stays above `least`."""

    least: float

    def evaluate(self, query: Query) -> Evaluation:
        M = len(query.theta)
        if query.theta[-1] >= self.least:
            return self.passes.evaluate(query)
        hessian = np.zeros((M, M)) if query.curvature else None
        return Evaluation(query.theta, np.inf, np.zeros(M), hessian=hessian)
