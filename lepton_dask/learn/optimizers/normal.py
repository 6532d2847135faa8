"""The normal equations of least squares."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lepton_dask.learn.objective import Evaluation
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


@dataclass(frozen=True, kw_only=True)
class NormalState(State):
    """`hessian` (M, M) is that of every theta."""

    hessian: Floats | None = None


class Normal(Optimizer[NormalState]):
    """H (theta* - theta) = -g: the minimum of the squared loss with l2, from one pass.

    H = X'WX / sum w + diag(l2) does not depend on theta. A second pass, of a gradient alone, tells
    what rounding left, and the same H takes it away (iterative refinement: Golub, Van Loan, Matrix
    Computations, 4th ed., 3.5.3), pass by pass while the gradient still halves. Where columns are
    collinear the coefficients are those of least norm, as scikit-learn's: see `newton_step`.
    """

    name = "normal"
    losses = frozenset({"squared"})
    most_parameters = MAX_HESSIAN_PARAMETERS

    def start(
        self,
        theta: Floats,
        curvature: Floats,  # noqa: ARG002 - the whole Hessian is asked for
        pilot: Pilot | None = None,  # noqa: ARG002 - one pass leads to the minimum from anywhere
    ) -> NormalState:
        return NormalState(query=Query(theta, curvature=True))

    def step(self, state: NormalState, evaluation: Evaluation) -> NormalState:
        if not evaluation.finite:
            return replace(state, ended="diverged" if state.point is None else "stalled")
        if state.point is None:
            return _solved(replace(state, point=evaluation, hessian=evaluation.hessian))
        if evaluation.gradient_norm > 0.5 * state.point.gradient_norm:
            better = evaluation.value < state.point.value
            state = _taken(state, evaluation) if better else state
            return replace(state, ended="converged")
        return _solved(_taken(state, evaluation))

    def settle(self, state: NormalState) -> tuple[Floats, int]:
        """The solution of the equations: it needs no test."""
        if state.point is None:
            return state.theta, 0
        return state.theta, state.iteration + 1


def _taken(state: NormalState, evaluation: Evaluation) -> NormalState:
    return replace(state, point=evaluation, iteration=state.iteration + 1)


def _solved(state: NormalState) -> NormalState:
    """The state that asks for a gradient at the solution from its point."""
    point = accepted(state)
    assert state.hessian is not None
    theta = point.theta + newton_step(state.hessian, point.gradient, point.intercepts)
    if same(theta, point.theta):
        return replace(state, ended="converged")
    return replace(state, query=Query(theta))
