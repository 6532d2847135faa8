"""Newton's method for l1."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

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
from lepton_dask.learn.optimizers.quadratic import newton_step, positive
from lepton_dask.learn.penalty import shrink
from lepton_dask.matrix import Floats

PROMISE = 1e-16
"""What a step promises to win is rounding below this share of the objective."""

ROUNDS = 40
SWEEPS = 50
"""Coordinate sweeps a round; after each round the signs that it found are tried exactly."""

FORCING = 1e-7
"""The model's minimum is known when what is left of its subgradient falls below this share."""


@dataclass(frozen=True, kw_only=True)
class ProxNewtonState(State):
    """`search` runs from `point` to the model's minimum at `target`."""

    target: Floats | None = None
    search: Backtracking | None = None


class ProxNewton(Optimizer[ProxNewtonState]):
    """theta <- theta + t (theta* - theta), theta* the minimum of the quadratic model with l1:

        theta* = argmin_b  g'(b - theta) + (b - theta)'H (b - theta) / 2 + sum_j l1_j |b_j|

    found by coordinate descent on the (M, M) Hessian, without a pass over rows, and then exactly,
    by solving for the coefficients that it leaves at the signs that it gives them. t by
    backtracking on the objective itself (Lee, Sun, Saunders: Proximal Newton-Type Methods for
    Minimizing Composite Functions, SIAM J. Optim. 2014, algorithm 1). What is 0 in theta* is
    exactly 0. One pass an iteration where t = 1 is good.
    """

    name = "prox_newton"
    takes_l1 = True
    most_parameters = MAX_HESSIAN_PARAMETERS

    def start(
        self,
        theta: Floats,
        curvature: Floats,  # noqa: ARG002 - the whole Hessian is asked for
        pilot: Pilot | None = None,  # noqa: ARG002 - l1 switches off what a subsample would set
    ) -> ProxNewtonState:
        return ProxNewtonState(query=Query(theta, curvature=True))

    def step(self, state: ProxNewtonState, evaluation: Evaluation) -> ProxNewtonState:
        if state.point is None:
            if not evaluation.finite:
                return replace(state, ended="diverged")
            return _search(replace(state, point=evaluation))
        assert state.search is not None
        slope = _slope(evaluation, accepted(state), state.target)
        if state.search.accepts(evaluation, slope):
            return _search(replace(state, point=evaluation, iteration=state.iteration + 1))
        return _try(state, state.search.shorter(evaluation, slope))

    def settle(self, state: ProxNewtonState) -> tuple[Floats, int]:
        """The last accepted iterate: what lies ahead is a trial."""
        if state.point is None:
            return state.theta, 0
        return state.point.theta, state.iteration


def _search(state: ProxNewtonState) -> ProxNewtonState:
    """The state that begins a search from its point, or ends there."""
    point = accepted(state)
    target = _model_minimum(point)
    moved = target - point.theta
    promise = float(point.gradient @ moved)
    if point.l1 is not None:
        promise += float(point.l1 @ (np.abs(target) - np.abs(point.theta)))
    if not promise < 0:
        return replace(state, ended="converged" if same(target, point.theta) else "stalled")
    if -promise <= PROMISE * abs(point.value):
        return replace(state, ended="converged")
    search = Backtracking(value=point.value, slope=promise)
    return _try(replace(state, target=target), search)


def _try(state: ProxNewtonState, search: Backtracking | None) -> ProxNewtonState:
    """The state that asks for what `search` is to try."""
    point = accepted(state)
    if search is None:
        return replace(state, ended="stalled")
    assert state.target is not None
    theta = state.target
    if search.step < 1.0:
        theta = point.theta + search.step * (state.target - point.theta)
    if same(theta, point.theta):
        return replace(state, ended="stalled")
    return replace(state, query=Query(theta, curvature=True), search=search)


def _slope(evaluation: Evaluation, point: Evaluation, target: Floats | None) -> float:
    """How steeply the objective rises at an evaluation along the search, from below."""
    assert target is not None
    moved = target - point.theta
    slope = float(evaluation.gradient @ moved)
    if evaluation.l1 is not None:
        signs = np.where(evaluation.theta == 0, -np.sign(point.theta), np.sign(evaluation.theta))
        slope += float(evaluation.l1 @ (signs * moved))
    return slope


def _model_minimum(point: Evaluation) -> Floats:
    """theta* (M,) of the quadratic model at a point."""
    assert point.hessian is not None
    if point.l1 is None or not point.l1.any():
        return point.theta + newton_step(point.hessian, point.gradient, point.intercepts)
    from lepton_dask.learn.optimizers.coordinate_descent import sweep_coordinates

    hessian = positive(point.hessian)
    theta, slope = point.theta.copy(), point.gradient.copy()
    scale = np.sqrt(np.maximum(np.diagonal(hessian), np.finfo(np.float64).tiny))
    tolerance = FORCING * float(np.max(np.abs(point.subgradient) / scale))
    for _ in range(ROUNDS):
        left = sweep_coordinates(hessian, slope, theta, point.l1, SWEEPS, tolerance)
        exact = _at_these_signs(hessian, point, theta)
        if exact is not None:
            return exact
        if left <= tolerance:
            break
        # Summed up sweep by sweep, the slope gathers rounding.
        slope = point.gradient + hessian @ (theta - point.theta)
    return theta


def _at_these_signs(hessian: Floats, point: Evaluation, theta: Floats) -> Floats | None:
    """The model's minimum if theta (M,) has the right signs and zeros; None if it has not."""
    assert point.l1 is not None
    kept = (theta != 0) | (point.l1 == 0)
    found = np.where(kept, theta, 0.0)
    slope = point.gradient + hessian @ (found - point.theta) + point.l1 * np.sign(found)
    inside = np.flatnonzero(kept)
    found[inside] += newton_step(hessian[np.ix_(inside, inside)], slope[inside])
    bound = point.l1 > 0
    if np.any(np.sign(found[bound]) != np.sign(theta[bound])):
        return None
    slope = point.gradient + hessian @ (found - point.theta)
    outside = np.abs(shrink(slope[~kept], point.l1[~kept]))
    inside_left = np.abs(slope[inside] + point.l1[inside] * np.sign(found[inside]))
    left = max(float(part.max()) for part in (outside, inside_left) if part.size)
    return found if left <= FORCING * point.gradient_norm else None
