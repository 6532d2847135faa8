"""A fit to a subsample: where the fit to all rows begins, and the metric of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lepton_dask.learn.local_passes import LocalPasses
from lepton_dask.learn.objective import NullModel, Objective
from lepton_dask.learn.optimizers.base import MAX_PILOT_PARAMETERS, Pilot, accepted
from lepton_dask.learn.optimizers.newton import Newton
from lepton_dask.matrix import Block, Floats

SHARE = 0.05
"""Of the rows: more costs more than the passes that it saves."""

ENOUGH_ROWS = 25_000
"""More make the sample's error no smaller than the steps behind it do."""

ROWS_A_PARAMETER = 10
"""With fewer in the sample, its Hessian is more noise than curvature."""

RIDGE = 1e-3
"""On three samples of 25,000 rows of census_income, whose levels of occupation and industry hardly
differ, Newton's method took 9, 23 and 15 passes with the ridge of one row, 6, 6 and 7 with that of
30."""

MAX_PASSES = 12
NEGLIGIBLE = 0.01
"""Of the statistical error M / 2n of the objective: what a further Newton step need not win."""


def pilot_rows(objective: Objective, rows: int) -> int:
    """How many of `rows` rows a pilot should see; 0 where it does not save more than it costs.

    It does for a smooth objective with at most MAX_PILOT_PARAMETERS, where SHARE of the rows are
    ROWS_A_PARAMETER for each.
    """
    model = objective.model
    smooth = objective.smooth and model.loss.smooth
    if not (smooth and pilot_pays(model.parameters, rows)):
        return 0
    return max(ROWS_A_PARAMETER * model.parameters, min(round(SHARE * rows), ENOUGH_ROWS))


def pilot_pays(parameters: int, rows: int) -> bool:
    """Whether a table has rows enough for a pilot, and not too many parameters."""
    enough = round(SHARE * rows) >= ROWS_A_PARAMETER * parameters
    return enough and parameters <= MAX_PILOT_PARAMETERS


@np.errstate(over="ignore", invalid="ignore")
def fit_pilot(objective: Objective, blocks: Sequence[Block], share: float = 1.0) -> Pilot | None:
    """The minimum over the blocks' rows, to their statistical error, by Newton's method; None where
    it comes to nothing.

    A ridge keeps what few rows or none decide near the null model: levels that the subsample never
    saw, or saw with one class alone, and columns that few rows tell from others.
    """
    rows = sum(len(block.target) for block in blocks)
    if rows == 0:
        return None
    null = LocalPasses(objective, blocks).null_model()
    ridge = _ridge(objective, null, rows)
    if not (np.isfinite(ridge).all() and ridge.any()):
        return None
    steadied = replace(objective, l2=objective.l2 + ridge)
    passes, newton = LocalPasses(steadied, blocks), Newton()
    state = newton.start(null.theta, null.curvature + ridge)
    enough = NEGLIGIBLE * len(null.theta) / (2.0 * rows)
    for _ in range(MAX_PASSES):
        state = newton.step(state, passes.evaluate(state.query))
        point = state.point
        if state.ended is not None or (
            point is not None
            and state.search is not None
            and state.search.trials == 0
            and -0.5 * state.search.slope <= enough
        ):
            break
    if state.point is None or state.ended == "diverged":
        return None
    point = accepted(state)
    assert point.hessian is not None
    if not (np.isfinite(point.hessian).all() and (np.diagonal(point.hessian) > 0).all()):
        return None
    weight = sum(float(block.weight.sum()) for block in blocks)
    return Pilot(point.theta, point.hessian, null.curvature + ridge, share, weight)


def _ridge(objective: Objective, null: NullModel, rows: int) -> Floats:
    """RIDGE of the curvature, and at least one row's, for each parameter of the linear predictor
    (M,).

    A dense column's row is as large as its mean square; a level's is 1 where it is there at all.
    """
    model = objective.model
    K, P = model.outputs, model.layout.dense
    bend = null.curvature[model.intercepts]
    bend = np.maximum(bend, 1e-3 * np.max(bend))
    ridge = np.zeros(model.parameters)
    ridge[: model.intercepts.stop] = np.tile(bend, model.layout.coefficients + 1)
    ridge[: P * K] = (null.curvature - objective.l2)[: P * K]
    return ridge * max(RIDGE, 1.0 / rows)
