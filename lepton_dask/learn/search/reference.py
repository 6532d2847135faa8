"""Where descents in lock step begin: near the minimum of one of them, with its Hessian."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from lepton_dask.learn.objective import Evaluation, NullModel, Objective
from lepton_dask.learn.optimizers.base import MAX_PILOT_PARAMETERS, Pilot, Query
from lepton_dask.learn.optimizers.lbfgs import LbfgsState
from lepton_dask.learn.optimizers.newton import Newton, NewtonState
from lepton_dask.learn.optimizers.preconditioner import preconditioner
from lepton_dask.learn.optimizers.quadratic import SOUND_PIVOT
from lepton_dask.learn.search.shared_passes import Candidate, SharedPasses
from lepton_dask.learn.train import Train
from lepton_dask.matrix import Floats

ENTRIES_A_CANDIDATE = 16
REFERENCE_PASSES = 4
NEAR = 1e-4
"""Of the objective: what a Newton step of the reference need not win."""

REFERENCE_TRAIN = Train(loss="squared")
"""The reference has no rules of a pipeline's."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Near the minimum of one of the objectives: the point, the smooth gradient there (M,) and the
    Hessian (M, M)."""

    objective: Objective
    point: Evaluation

    def start(self, objective: Objective, null: Floats, curvature: Floats) -> LbfgsState | None:
        """What another candidate begins with: its own inverse Hessian at the point, known exactly
        since the two differ by a diagonal, and the Newton step from there, whose gradient is known
        too. None where that Hessian is not soundly positive."""
        theta, hessian = self.point.theta, self.point.hessian
        assert hessian is not None
        change = objective.l2 - self.objective.l2
        root = _inverse_root(hessian + np.diag(change))
        if root is None:
            return None
        gradient = self.point.gradient + change * theta
        return LbfgsState(
            query=Query(theta - root.T @ (root @ gradient)),
            metric=root,
            plain=1.0 / np.where(curvature > 0, curvature, 1.0),
            null=null,
        )


def _inverse_root(hessian: Floats) -> Floats | None:
    """R (M, M) with R'R = H^-1, by a Cholesky factor and its inverse: M^3 / 3 each."""
    from scipy.linalg import lapack

    diagonal = np.diagonal(hessian)
    if not (np.isfinite(hessian).all() and (diagonal > 0).all()):
        return None
    scale = 1.0 / np.sqrt(diagonal)
    # scipy brings a BLAS of its own, which nobody has limited yet.
    with threadpool_limits(1, user_api="blas"):
        lower, failed = lapack.dpotrf(hessian * np.outer(scale, scale), lower=1, clean=1)
        if failed or float(np.min(np.diagonal(lower))) ** 2 <= SOUND_PIVOT:
            return None
        inverse, failed = lapack.dtrtri(lower, lower=1)
    return None if failed else np.ascontiguousarray(inverse * scale)


def find_references(
    middle: Objective,
    nulls: Mapping[int, NullModel],
    passes: SharedPasses,
    sharing: int,
    on_pass: Callable[[int], None],
) -> dict[int, Reference]:
    """For each fold a few Newton steps, by all rows outside it, towards the minimum under the
    median penalty; the fit to a subsample, or none, where their Hessians would cost more than they
    save so many candidates.

    A pass of gradients serves all candidates, so a Hessian that they share may cost as much as
    several: on a row of E entries E / 8 times what a gradient does.
    """
    model = middle.model
    entries = model.layout.dense + len(model.layout.levels)
    if model.parameters > MAX_PILOT_PARAMETERS or model.layout.sparse:
        return {}
    fitting = {fold: passes.pilot(middle, fold) for fold in nulls}
    pilots = {fold: fitted() for fold, fitted in fitting.items()}
    if entries * len(nulls) > ENTRIES_A_CANDIDATE * sharing:
        return {
            fold: _of_pilot(middle, pilot, nulls[fold])
            for fold, pilot in pilots.items()
            if pilot is not None
        }
    newton = Newton()
    states = {
        fold: newton.start(null.theta, null.curvature, pilots[fold]) for fold, null in nulls.items()
    }
    candidates = {fold: Candidate(REFERENCE_TRAIN, newton, middle, fold) for fold in nulls}
    going = set(nulls)
    # A pilot's minimum is within a Newton step of that of all rows.
    for _ in range(REFERENCE_PASSES if None in pilots.values() else 1):
        on_pass(len(going))
        asked = {fold: states[fold].query for fold in sorted(going)}
        for fold, answer in passes.evaluate(candidates, asked).items():
            state = states[fold] = newton.step(states[fold], answer)
            if state.ended is not None or _is_near(state):
                going.discard(fold)
        if not going:
            break
    return {
        fold: Reference(middle, state.point)
        for fold, state in states.items()
        if state.point is not None and state.point.hessian is not None and state.point.finite
    }


def _is_near(state: NewtonState) -> bool:
    """Whether the point is a minimum as far as other penalties' minima care."""
    point, search = state.point, state.search
    if point is None or search is None or search.trials:
        return False
    return -0.5 * search.slope <= NEAR * abs(point.value)


def _of_pilot(middle: Objective, pilot: Pilot, null: NullModel) -> Reference:
    """The minimum over a subsample, where the gradient is none."""
    hessian = preconditioner(pilot, null.curvature)
    nothing = np.zeros_like(pilot.theta)
    return Reference(middle, Evaluation(pilot.theta, 0.0, nothing, hessian=hessian))
