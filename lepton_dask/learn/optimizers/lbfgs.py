"""Limited-memory BFGS."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field

from lepton_dask.learn.objective import Evaluation
from lepton_dask.learn.optimizers.base import Optimizer, State, accepted, same
from lepton_dask.learn.optimizers.line_search import LineSearch
from lepton_dask.matrix import Floats

LEAST_CURVATURE = 1e-14
"""A pair whose s'y falls below this share of |s| |y| is rounding, and not remembered."""


@dataclass(frozen=True)
class Pair:
    """A step s and the change of the gradient along it, y."""

    s: Floats
    y: Floats
    curvature: float
    """s'y > 0."""


@dataclass(frozen=True, kw_only=True)
class LbfgsState(State):
    """`search` runs from `point` along `direction`; `pairs` are the latest, oldest first."""

    pairs: tuple[Pair, ...] = ()
    direction: Floats | None = None
    search: LineSearch | None = None


class Lbfgs(Optimizer[LbfgsState]):
    """theta <- theta - t H g, with H an inverse Hessian built from the last `history` steps.

    Two-loop recursion with H0 = (s'y / y'y) I (Nocedal, Wright: Numerical Optimization, 2nd ed.,
    algorithm 7.4), t from a `LineSearch` that tries 1 first. A line search that fails forgets the
    pairs and tries the steepest descent; where that fails too, the state is stalled.
    """

    name = "lbfgs"

    history: int = Field(default=10, gt=0)

    def start(self, theta: Floats) -> LbfgsState:
        return LbfgsState(theta=theta)

    def step(self, state: LbfgsState, evaluation: Evaluation) -> LbfgsState:
        if state.point is None:
            if not evaluation.finite:
                return replace(state, ended="diverged")
            return _search(replace(state, point=evaluation))
        assert state.search is not None
        assert state.direction is not None
        slope = float(evaluation.gradient @ state.direction) if evaluation.finite else np.nan
        if state.search.accepts(evaluation.value, slope):
            return _search(self._remember(state, evaluation))
        search = state.search.after(evaluation.value, slope)
        if search is None:
            return _fall_back(state)
        theta = state.point.theta + search.step * state.direction
        if same(theta, state.point.theta):
            return _fall_back(state)
        return replace(state, theta=theta, search=search)

    def settle(self, state: LbfgsState) -> tuple[Floats, int]:
        """The last accepted iterate: what lies ahead is a trial."""
        if state.point is None:
            return state.theta, 0
        return state.point.theta, state.iteration

    def _remember(self, state: LbfgsState, new: Evaluation) -> LbfgsState:
        """`new` as the accepted iterate, its step among the pairs."""
        old = accepted(state)
        s, y = new.theta - old.theta, new.gradient - old.gradient
        curvature = float(s @ y)
        pairs = state.pairs
        if curvature > LEAST_CURVATURE * float(np.linalg.norm(s) * np.linalg.norm(y)):
            pairs = (*pairs, Pair(s, y, curvature))[-self.history :]
        return replace(state, point=new, iteration=state.iteration + 1, pairs=pairs)


def _search(state: LbfgsState) -> LbfgsState:
    """The state that begins a line search from its point."""
    point = accepted(state)
    direction = -_inverse_hessian_times(state.pairs, point.gradient)
    slope = float(direction @ point.gradient)
    if not slope < 0:
        return _fall_back(state)
    # Without pairs the direction has the gradient's length, which says nothing of the step's: no
    # parameter moves by more than 1 at first.
    first = 1.0 if state.pairs else min(1.0, 1.0 / point.gradient_norm)
    theta = point.theta + first * direction
    if same(theta, point.theta):
        return _fall_back(state)
    search = LineSearch(value=point.value, slope=slope, step=first)
    return replace(state, theta=theta, direction=direction, search=search)


def _fall_back(state: LbfgsState) -> LbfgsState:
    """Steepest descent from the same point; if that is what failed, nothing more can be done."""
    if not state.pairs:
        return replace(state, ended="stalled")
    return _search(replace(state, pairs=()))


def _inverse_hessian_times(pairs: tuple[Pair, ...], gradient: Floats) -> Floats:
    """H g by the two-loop recursion."""
    result = gradient.copy()
    shares = []
    for pair in reversed(pairs):
        share = float(pair.s @ result) / pair.curvature
        shares.append(share)
        result -= share * pair.y
    if pairs:
        result *= pairs[-1].curvature / float(pairs[-1].y @ pairs[-1].y)
    for pair, share in zip(pairs, reversed(shares), strict=True):
        result += (share - float(pair.y @ result) / pair.curvature) * pair.s
    return result
