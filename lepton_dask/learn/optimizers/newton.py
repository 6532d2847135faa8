"""Newton's method."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lepton_dask.learn.objective import Evaluation
from lepton_dask.learn.optimizers.backtracking import Backtracking
from lepton_dask.learn.optimizers.base import (
    MAX_HESSIAN_PARAMETERS,
    Optimizer,
    Pilot,
    Query,
    State,
    accepted,
    same,
)
from lepton_dask.learn.optimizers.quadratic import newton_step
from lepton_dask.matrix import Floats

DECREMENT = 1e-16
"""Half the Newton decrement is what a step may still win: rounding, at this share of J."""


@dataclass(frozen=True, kw_only=True)
class NewtonState(State):
    """`search` runs from `point` along `direction`. `null` is where to begin if the pilot's
    parameters turn out to be none."""

    null: Floats
    direction: Floats | None = None
    search: Backtracking | None = None


class Newton(Optimizer[NewtonState]):
    """theta <- theta - t H^-1 g, H the Hessian over all rows, t from backtracking that tries 1.

    Every pass brings value, gradient and Hessian, so an iteration whose first step is good costs
    one pass. Where H is singular or indefinite see `newton_step`. Starts at the minimum over a
    subsample where there is one, within reach of quadratic convergence. Converged when half the
    Newton decrement, g'H^-1 g / 2, is rounding beside the objective (Boyd, Vandenberghe: Convex
    Optimization, 9.5.2).
    """

    name = "newton"
    most_parameters = MAX_HESSIAN_PARAMETERS

    @property
    def wants_pilot(self) -> bool:
        return True

    def start(
        self,
        theta: Floats,
        curvature: Floats,  # noqa: ARG002 - the whole Hessian is asked for
        pilot: Pilot | None = None,
    ) -> NewtonState:
        first = theta if pilot is None else pilot.theta
        return NewtonState(query=Query(first, curvature=True), null=theta)

    def step(self, state: NewtonState, evaluation: Evaluation) -> NewtonState:
        if state.point is None:
            if evaluation.finite:
                return _search(replace(state, point=evaluation))
            if same(state.theta, state.null):
                return replace(state, ended="diverged")
            return replace(state, query=Query(state.null, curvature=True))
        assert state.search is not None
        assert state.direction is not None
        slope = float(evaluation.gradient @ state.direction)
        if state.search.accepts(evaluation, slope):
            return _search(replace(state, point=evaluation, iteration=state.iteration + 1))
        return _try(state, state.search.shorter(evaluation, slope))

    def settle(self, state: NewtonState) -> tuple[Floats, int]:
        """The last accepted iterate: what lies ahead is a trial."""
        if state.point is None:
            return state.theta, 0
        return state.point.theta, state.iteration


def _search(state: NewtonState) -> NewtonState:
    """The state that begins a search from its point, or ends there."""
    point = accepted(state)
    assert point.hessian is not None
    direction = newton_step(point.hessian, point.gradient, point.intercepts)
    slope = float(direction @ point.gradient)
    if not slope < 0:
        # Either the minimum, or a flat tail: no curvature is left where there is a gradient.
        return replace(state, ended="stalled" if point.gradient.any() else "converged")
    if -0.5 * slope <= DECREMENT * abs(point.value):
        return replace(state, ended="converged")
    search = Backtracking(value=point.value, slope=slope)
    return _try(replace(state, direction=direction), search)


def _try(state: NewtonState, search: Backtracking | None) -> NewtonState:
    """The state that asks for what `search` is to try."""
    point = accepted(state)
    if search is None:
        return replace(state, ended="stalled")
    assert state.direction is not None
    theta = point.theta + search.step * state.direction
    if same(theta, point.theta):
        return replace(state, ended="stalled")
    return replace(state, query=Query(theta, curvature=True), search=search)
