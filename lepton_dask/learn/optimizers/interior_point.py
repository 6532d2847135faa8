"""Path following for losses with kinks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field

from lepton_dask.learn.objective import Evaluation
from lepton_dask.learn.optimizers.base import (
    MAX_HALVINGS,
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

LEAST_SCALE = 1e-6
"""Where the objective falls towards 0, the gap is told from its start's share."""

REDUCTIONS = ((0.003, 0.01), (0.03, 0.03), (0.3, 0.1), (1.0, 0.3))
"""How far mu falls when half the Newton decrement is below a share of mu: (share, factor)."""


@dataclass(frozen=True)
class Centre:
    """Where the path is believed to be at mu."""

    theta: Floats
    mu: float


@dataclass(frozen=True, kw_only=True)
class InteriorPointState(State):
    """`point` is at `mu`; `direction` and `decrement` are of Newton's step from there, of which
    `share` is tried. `kinks` is 1 + sum_j l1_j, `scale` the objective at the start."""

    mu: float = 0.0
    kinks: float = 1.0
    scale: float = 0.0
    direction: Floats | None = None
    decrement: float = 0.0
    share: float = 1.0
    halvings: int = 0
    centre: Centre | None = None


class InteriorPoint(Optimizer[InteriorPointState]):
    """The minimum of the quantile loss, with l1 or without, along the central path of its linear
    program.

    The residual's and the coefficients' two parts u - v, u, v > 0, carry a log barrier:

        q u + (1 - q) v - mu (log u + log v)   over u - v = r,

    which has one least u, v for each r, so a pass asks for the smooth objective that is left, in
    theta alone, with its gradient and Hessian. At its minimum theta(mu) every row's duality gap is
    2 mu, so

        J(theta(mu)) - J* <= 2 mu (1 + sum_j l1_j).

    (Portnoy, Koenker: The Gaussian Hare and the Laplacian Tortoise, Statist. Sci. 1997, 4; Boyd,
    Vandenberghe: Convex Optimization, 11.2.) Each pass is a Newton step at one mu; the nearer it
    ends to the path, the further mu falls, and the path is extrapolated there linearly in mu.
    Converged when the gap, with what is left to the path, is below `gap` of the objective.

    The objective of an iterate is the smoothed one, which is never above J.
    """

    name = "interior_point"
    takes_l1 = True
    takes_kinks = True
    losses = frozenset({"quantile"})
    most_parameters = MAX_HESSIAN_PARAMETERS

    gap: float = Field(default=1e-9, gt=0)

    def start(
        self,
        theta: Floats,
        curvature: Floats,  # noqa: ARG002 - the whole Hessian is asked for
        pilot: Pilot | None = None,  # noqa: ARG002 - the path begins far from the minimum
    ) -> InteriorPointState:
        return InteriorPointState(query=Query(theta))

    def step(self, state: InteriorPointState, evaluation: Evaluation) -> InteriorPointState:
        if state.point is None:
            return _begin(state, evaluation)
        if state.query.smoothing == state.mu and not _lower(state, evaluation):
            return _shorter(state)
        if not evaluation.finite:
            return _onwards(state, 0.5 * (state.mu + state.query.smoothing))
        return self._follow(
            replace(
                state,
                point=evaluation,
                iteration=state.iteration + 1,
                mu=state.query.smoothing,
                share=1.0,
                halvings=0,
            )
        )

    def settle(self, state: InteriorPointState) -> tuple[Floats, int]:
        """The last iterate on the path: what lies ahead is a trial."""
        if state.point is None:
            return state.theta, 0
        return state.point.theta, state.iteration

    def _follow(self, state: InteriorPointState) -> InteriorPointState:
        """The state that goes on from its point, or ends there."""
        point = accepted(state)
        assert point.hessian is not None
        direction = newton_step(point.hessian, point.gradient, point.intercepts)
        decrement = -0.5 * float(direction @ point.gradient)
        state = replace(state, direction=direction, decrement=decrement)
        gap = 2.0 * state.mu * state.kinks + abs(decrement)
        if gap <= self.gap * max(abs(point.value), LEAST_SCALE * state.scale):
            return replace(state, ended="converged")
        for share, factor in REDUCTIONS:
            if abs(decrement) <= share * state.mu * state.kinks:
                return _onwards(state, factor * state.mu)
        return _onwards(state, state.mu)


def _begin(state: InteriorPointState, evaluation: Evaluation) -> InteriorPointState:
    """From the objective at the start, which has no smoothing, to the start of the path."""
    if not evaluation.finite:
        return replace(state, ended="diverged")
    point = replace(evaluation, hessian=None)
    if evaluation.value == 0.0:
        return replace(state, point=point, ended="converged")
    kinks = 1.0 if evaluation.l1 is None else 1.0 + float(np.sum(evaluation.l1))
    scale = abs(evaluation.value)
    query = Query(state.theta, curvature=True, smoothing=scale)
    return replace(state, query=query, point=point, kinks=kinks, scale=scale, iteration=-1)


def _lower(state: InteriorPointState, evaluation: Evaluation) -> bool:
    """Whether a Newton step at one mu went down, or as far as rounding shows."""
    if not evaluation.finite:
        return False
    point = accepted(state)
    least = point.value - 1e-4 * state.share * 2.0 * state.decrement
    assert state.direction is not None
    slope = float(evaluation.gradient @ state.direction)
    level = slope <= 1.6 * state.decrement
    return evaluation.value <= least or (
        level and evaluation.value <= point.value + 1e-10 * abs(point.value)
    )


def _shorter(state: InteriorPointState) -> InteriorPointState:
    if state.halvings == MAX_HALVINGS:
        return replace(state, ended="stalled")
    shorter = replace(state, share=0.3 * state.share, halvings=state.halvings + 1)
    return _onwards(shorter, state.mu)


def _onwards(state: InteriorPointState, mu: float) -> InteriorPointState:
    """The state that asks at `mu`, where it believes the path to be there."""
    point = accepted(state)
    assert state.direction is not None
    theta = point.theta + state.share * state.direction
    if mu == state.mu:
        if same(theta, point.theta):
            return replace(state, ended="stalled")
        return replace(state, query=Query(theta, curvature=True, smoothing=mu))
    centre, before = Centre(theta, state.mu), state.centre
    if before is not None and before.mu > state.mu:
        theta = theta + (theta - before.theta) * ((mu - state.mu) / (state.mu - before.mu))
    query = Query(theta, curvature=True, smoothing=mu)
    return replace(state, query=query, centre=centre)
