"""Gradient descent, with a fixed learning rate or an adaptive one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from lepton_dask.learn.objective import Evaluation
from lepton_dask.learn.optimizers.base import (
    MAX_HALVINGS,
    Optimizer,
    Pilot,
    Query,
    State,
    accepted,
    same,
)
from lepton_dask.matrix import Floats

FIRST_MOVE = 1e-3
"""Length of the adaptive rate's first step: long against rounding, short against the model."""


@dataclass(frozen=True, kw_only=True)
class GradientDescentState(State):
    """`rate` led, or is to lead, from `point` to `theta`; `growth` is its ratio to the one before.

    `halvings` counts how often the rate had to be halved.
    """

    rate: float = 0.0
    growth: float = 1 / 3
    probing: bool = True
    halvings: int = 0


class GradientDescent(Optimizer[GradientDescentState]):
    """theta <- theta - alpha dJ/dtheta.

    With a number for `learning_rate`, alpha is that number in every step. With `auto`, alpha
    follows the curvature met on the way, measured from two gradients and no further pass:

        L_k     = |g_k - g_(k-1)| / |theta_k - theta_(k-1)|
        alpha_k = min(sqrt(2/3 + alpha_(k-1) / alpha_(k-2)) alpha_(k-1),
                      alpha_(k-1) / sqrt(max(0, 2 alpha_(k-1)^2 L_k^2 - 1)))

    (Malitsky, Mishchenko: Adaptive Gradient Descent without Descent, ICML 2020; this form:
    Adaptive Proximal Gradient Method for Convex Optimization, NeurIPS 2024, algorithm 2.) A first
    short step measures L; alpha starts at 1 / L.

    A step to a non-finite objective is taken back and the rate halved from there on.

    `start: zero` is the model without features, `random` draws every parameter from [0, 1).
    """

    name = "gradient_descent"

    learning_rate: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    start_: Literal["zero", "random"] = Field(default="zero", alias="start")

    def initial_theta(self, null: Floats, seed: int) -> Floats:
        if self.start_ == "random":
            return np.random.default_rng(seed).random(len(null))
        return null

    def start(
        self,
        theta: Floats,
        curvature: Floats,  # noqa: ARG002 - the formula has one rate for all parameters
        pilot: Pilot | None = None,  # noqa: ARG002 - and starts where it is told
    ) -> GradientDescentState:
        return GradientDescentState(query=Query(theta))

    def step(self, state: GradientDescentState, evaluation: Evaluation) -> GradientDescentState:
        if not evaluation.finite:
            return _retreat(state)
        first = state.point is None
        state = self._with_rate(state, evaluation)
        moved = evaluation.theta - state.rate * evaluation.gradient
        return replace(
            state,
            query=Query(moved),
            point=evaluation,
            iteration=0 if first else state.iteration + 1,
            ended="stalled" if same(moved, evaluation.theta) else None,
        )

    def settle(self, state: GradientDescentState) -> tuple[Floats, int]:
        """The step that the last gradient asked for: it needs no test, so it is taken."""
        if state.point is None:
            return state.theta, 0
        return state.theta, state.iteration + 1

    def _with_rate(self, state: GradientDescentState, new: Evaluation) -> GradientDescentState:
        """The state with the rate for the step from `new`."""
        if state.point is None:
            return replace(state, rate=self._first_rate(new))
        if self.learning_rate != "auto":
            return state
        curvature = _curvature(state.point, new)
        if curvature == 0.0:
            return replace(state, rate=2 * state.rate, growth=2.0)
        if state.probing:
            return replace(state, rate=1 / curvature, probing=False)
        rate = math.sqrt(2 / 3 + state.growth) * state.rate
        excess = 2 * (state.rate * curvature) ** 2 - 1
        if excess > 0:
            rate = min(rate, state.rate / math.sqrt(excess))
        return replace(state, rate=rate, growth=rate / state.rate)

    def _first_rate(self, new: Evaluation) -> float:
        if self.learning_rate != "auto":
            return self.learning_rate
        length = float(np.linalg.norm(new.gradient))
        return FIRST_MOVE / length if length > 0 else 1.0


def _curvature(old: Evaluation, new: Evaluation) -> float:
    """|g - g'| / |theta - theta'|, a local Lipschitz constant of the gradient.

    0 where a norm leaves the range of float64: such a step says nothing of the curvature.
    """
    moved = float(np.linalg.norm(new.theta - old.theta))
    turned = float(np.linalg.norm(new.gradient - old.gradient))
    return turned / moved if 0 < moved < math.inf and turned < math.inf else 0.0


def _retreat(state: GradientDescentState) -> GradientDescentState:
    """Half the step from the last iterate whose objective was finite."""
    if state.point is None or state.halvings == MAX_HALVINGS:
        return replace(state, ended="diverged")
    point, rate = accepted(state), state.rate / 2
    theta = point.theta - rate * point.gradient
    return replace(state, query=Query(theta), rate=rate, halvings=state.halvings + 1)
