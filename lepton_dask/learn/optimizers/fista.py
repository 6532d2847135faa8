"""Accelerated proximal gradient: the optimizer for l1."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from lepton_dask.learn.objective import Evaluation
from lepton_dask.learn.optimizers.base import (
    MAX_HALVINGS,
    Ending,
    Optimizer,
    Pilot,
    Query,
    State,
    accepted,
    same,
)
from lepton_dask.learn.penalty import shrink
from lepton_dask.matrix import Floats

SAFETY = 1.1
"""How far the bound on the curvature is set above a curvature that was met."""


@dataclass(frozen=True, kw_only=True)
class FistaState(State):
    """`point` is y_k, where the gradient was taken, `proximal` is x_k, and `before` x_(k-1).

    `metric` (M,) is the diagonal M, `bound` is L, `momentum` t_k and `following` t_(k+1).
    `halvings` counts how often the step from `point` was taken back.
    """

    metric: Floats
    proximal: Floats
    before: Floats
    bound: float = 1.0
    momentum: float = 1.0
    following: float = 1.0
    halvings: int = 0


class Fista(Optimizer[FistaState]):
    """Minimises f(theta) + l1 |b|_1 with f smooth and the intercept free, one pass an iteration.

        x_k     = shrink(y_k - M^-1 grad f(y_k) / L, l1 M^-1 / L)
        t_(k+1) = (1 + sqrt(1 + 4 t_k^2)) / 2
        y_(k+1) = x_k + (t_k - 1) / t_(k+1) (x_k - x_(k-1))

    (Beck, Teboulle: A Fast Iterative Shrinkage-Thresholding Algorithm, SIAM J. Imaging Sci. 2009,
    4.1 to 4.3), in the metric of M, the Hessian's diagonal at the start. Where the step goes
    against the momentum, (y_k - x_k)'M (x_k - x_(k-1)) > 0, the momentum begins anew: t_k = 1
    (O'Donoghue, Candes: Adaptive Restart for Accelerated Gradient Schemes, Found. Comput. Math.
    2015, 3.2, the gradient scheme). That finds linear convergence without knowing its rate.

    L backtracks on what the passes show anyway: a step whose two gradients show more curvature,

        (grad f(y) - grad f(y'))'(y - y') > L (y - y')'M (y - y'),

    is taken back, and taken again with that curvature. A bound from f(x_k) would cost a second pass
    an iteration. The iterates are the y_k, whose smallest subgradient is known; a coefficient that
    is 0 in x_k and x_(k-1) is exactly 0 in y_(k+1). On the census table (48,842 x 108, one-hot,
    l1 1e-3, gradient 1e-6): 375 passes.
    """

    name = "fista"
    takes_l1 = True

    def start(
        self,
        theta: Floats,
        curvature: Floats,
        pilot: Pilot | None = None,  # noqa: ARG002 - the contract's shape
    ) -> FistaState:
        # A parameter without curvature has no gradient either, unless the start was far off.
        metric = np.where(curvature > 0, curvature, 1.0)
        return FistaState(query=Query(theta), metric=metric, proximal=theta, before=theta)

    def step(self, state: FistaState, evaluation: Evaluation) -> FistaState:
        if state.point is None:
            if not evaluation.finite:
                return replace(state, ended="diverged")
            return _step(replace(state, point=evaluation))
        if not evaluation.finite:
            return _again(state, 2 * state.bound, "diverged")
        met = _curvature(state.point, evaluation, state.metric)
        if met > state.bound:
            return _again(state, SAFETY * met, "stalled")
        return _step(
            replace(
                state,
                point=evaluation,
                iteration=state.iteration + 1,
                before=state.proximal,
                momentum=state.following,
                halvings=0,
            )
        )

    def settle(self, state: FistaState) -> tuple[Floats, int]:
        """The proximal step from the last gradient: it needs no test, and its zeros are exact."""
        if state.point is None:
            return state.theta, 0
        return state.proximal, state.iteration + 1


def _step(state: FistaState) -> FistaState:
    """The state that steps from its point, and asks for what lies ahead."""
    point = accepted(state)
    step = 1.0 / (state.bound * state.metric)
    proximal = point.theta - step * point.gradient
    if point.l1 is not None:
        proximal = shrink(proximal, point.l1 * step)
    moved = proximal - state.before
    against = float((point.theta - proximal) @ (state.metric * moved)) > 0
    momentum = 1.0 if against else state.momentum
    following = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * momentum**2))
    theta = proximal + (momentum - 1.0) / following * moved
    return replace(
        state,
        query=Query(theta),
        proximal=proximal,
        following=following,
        ended="stalled" if same(theta, point.theta) else None,
    )


def _again(state: FistaState, bound: float, otherwise: Ending) -> FistaState:
    """A shorter step from the same point; where there were too many, the end."""
    if state.halvings == MAX_HALVINGS:
        return replace(state, ended=otherwise)
    return _step(replace(state, bound=bound, halvings=state.halvings + 1))


def _curvature(old: Evaluation, new: Evaluation, metric: Floats) -> float:
    """(g - g')'(y - y') / (y - y')'M (y - y'): what the smooth part bends along the step.

    0 where a norm leaves the range of float64: such a step says nothing of the curvature.
    """
    moved = new.theta - old.theta
    length = float(moved @ (metric * moved))
    turned = float(moved @ (new.gradient - old.gradient))
    return turned / length if 0 < length < math.inf and turned < math.inf else 0.0
