"""Interior points for the loss with a kink in every row."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
from lepton_dask.learn.optimizers.pinball import minimise_pieces
from lepton_dask.learn.optimizers.quadratic import newton_step
from lepton_dask.matrix import Floats

HELD = 4_000_000
"""Numbers of a table that are brought together: 32 MiB. A smaller table comes whole."""

LEAST_ROWS = 10
"""Rows a parameter that are brought together at least: their kinks hold the minimum in place."""

MOST_PARAMETERS = 2048
"""As many rows a parameter of as many parameters take 320 MiB."""

SMOOTHEST, ROUGHEST = 1.0, 0.02
"""mu at the start and at the end of the smooth part, as a share of the objective at the start."""

REDUCTION = 0.2
LEAST_SCALE = 1e-9
"""Where the objective falls to 0 the gap is told as a share of this share of its start's."""


@dataclass(frozen=True, kw_only=True)
class InteriorPointState(State):
    """`scale` is the objective at the start, `share` that of the rows that are asked for.

    In the smooth part `smooth` is the last evaluation at one mu, and `direction` Newton's step
    from it. `lowest` is the greatest lower bound of J so far.
    """

    scale: float = 0.0
    share: float = 0.0
    smooth: Evaluation | None = None
    direction: Floats | None = None
    halvings: int = 0
    lowest: float = 0.0


class InteriorPoint(Optimizer[InteriorPointState]):
    """The minimum of the quantile loss, with l1 and l2 or without.

    A table of few numbers comes whole, and the linear program is solved where it came to. Of a
    larger one the signs of most residuals are settled early: from the smoothed objective

        q u + (1 - q) v - mu (log u + log v)  over  u - v = r;  u, v > 0

    by a few Newton steps at falling mu. Then the rows nearest to the model come, the others are
    represented by the tangent of their loss, and the sum is minimised by a primal-dual method
    (`minimise_pieces`). The sum is never above J and touches it where the signs of the others have
    not changed, so that

        J(theta) - J* <= J(theta) - the sum's least value,

    known from the next pass; converged when it is below `gap` of J (the reduced problem of
    Portnoy, Koenker: The Gaussian Hare and the Laplacian Tortoise, Statist. Sci. 1997, 5, with a
    certificate in place of its repairs).
    """

    name = "interior_point"
    takes_l1 = True
    takes_kinks = True
    losses = frozenset({"quantile"})
    most_parameters = MOST_PARAMETERS

    gap: float = Field(default=1e-9, gt=0)

    def start(
        self,
        theta: Floats,
        curvature: Floats,  # noqa: ARG002 - no diagonal helps at a kink
        pilot: Pilot | None = None,  # noqa: ARG002 - the smooth part begins far from the minimum
    ) -> InteriorPointState:
        return InteriorPointState(query=Query(theta, nearest=0.0))

    def step(self, state: InteriorPointState, evaluation: Evaluation) -> InteriorPointState:
        if state.point is None:
            return _begin(state, evaluation)
        if state.query.smoothing > 0:
            return _smooth_step(state, evaluation)
        return self._sharp_step(state, evaluation)

    def settle(self, state: InteriorPointState) -> tuple[Floats, int]:
        """The last iterate: what lies ahead is a trial."""
        if state.point is None:
            return state.theta, 0
        return state.point.theta, state.iteration

    def _sharp_step(self, state: InteriorPointState, evaluation: Evaluation) -> InteriorPointState:
        """The state after an evaluation of J itself, with the nearest rows."""
        point = accepted(state)
        first = point.pieces is None or len(point.pieces.target) == 0
        if evaluation.finite and (first or evaluation.value <= point.value):
            moved = replace(state, point=evaluation, iteration=state.iteration + 1, halvings=0)
            if self._certain(evaluation, state.lowest):
                return replace(moved, ended="converged")
            return _solved(moved)
        if self._certain(point, state.lowest):
            return replace(state, ended="converged")
        if state.halvings == MAX_HALVINGS:
            return replace(state, ended="stalled")
        theta = 0.5 * (point.theta + state.theta)
        if same(theta, point.theta):
            return replace(state, ended="stalled")
        query = replace(state.query, theta=theta)
        return replace(state, query=query, halvings=state.halvings + 1)

    def _certain(self, point: Evaluation, lowest: float) -> bool:
        return point.value - lowest <= self.gap * abs(point.value)


def _begin(state: InteriorPointState, evaluation: Evaluation) -> InteriorPointState:
    """From J at the start to all rows, or to the smooth part."""
    if not evaluation.finite or evaluation.pieces is None:
        return replace(state, ended="diverged")
    if evaluation.value == 0.0:
        return replace(state, point=evaluation, ended="converged")
    M, rows = len(evaluation.theta), evaluation.pieces.of
    share = min(1.0, max(HELD, LEAST_ROWS * M * M) / (M * rows))
    scale = evaluation.value
    state = replace(state, point=evaluation, scale=scale, share=share, lowest=-scale)
    if share == 1.0:
        return replace(state, query=Query(state.theta, nearest=1.0))
    return replace(state, query=Query(state.theta, curvature=True, smoothing=SMOOTHEST * scale))


def _smooth_step(state: InteriorPointState, evaluation: Evaluation) -> InteriorPointState:
    """Newton's next step on the smoothed objective; where the step before was too long, half."""
    smooth, mu = state.smooth, state.query.smoothing
    if smooth is not None and not evaluation.value < smooth.value:
        if state.halvings == MAX_HALVINGS:
            return replace(state, ended="stalled")
        assert state.direction is not None
        direction = 0.3 * state.direction
        query = replace(state.query, theta=smooth.theta + direction)
        return replace(state, query=query, direction=direction, halvings=state.halvings + 1)
    if not evaluation.finite:
        return replace(state, ended="diverged")
    assert evaluation.hessian is not None
    direction = newton_step(evaluation.hessian, evaluation.gradient, evaluation.intercepts)
    theta = evaluation.theta + direction
    decrement = -0.5 * float(direction @ evaluation.gradient)
    state = replace(state, direction=direction, halvings=0)
    if decrement > 0.1 * mu:
        query = Query(theta, curvature=True, smoothing=mu)
        return replace(state, query=query, smooth=evaluation)
    if mu > ROUGHEST * state.scale:
        query = Query(theta, curvature=True, smoothing=REDUCTION * mu)
        return replace(state, query=query, smooth=None)
    return replace(state, query=Query(theta, nearest=state.share), smooth=None)


def _solved(state: InteriorPointState) -> InteriorPointState:
    """The state that asks for J at the minimum of the pieces at its point."""
    point = accepted(state)
    assert point.pieces is not None
    theta = minimise_pieces(point.pieces, point.theta)
    if theta is None:
        return replace(state, ended="stalled")
    lowest = max(state.lowest, point.pieces.value(theta))
    return replace(state, query=Query(theta, nearest=state.share), lowest=lowest)
