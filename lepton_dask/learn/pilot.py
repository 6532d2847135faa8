"""A fit to a subsample: where the fit to all rows begins, and the metric of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lepton_dask.learn.local_passes import LocalPasses
from lepton_dask.learn.objective import NullModel, Objective
from lepton_dask.learn.optimizers.base import MAX_PILOT_PARAMETERS, Pilot, accepted
from lepton_dask.learn.optimizers.newton import Newton, NewtonState
from lepton_dask.learn.sampling import rows_of
from lepton_dask.matrix import Block, Floats, Layout

SHARE = 0.05
"""Of the rows: more costs more than the passes that it saves."""

LEAST_ROWS, MOST_ROWS = 10_000, 25_000
"""Fewer would cost no less, more make the sample's error no smaller than the steps behind it do."""

ENOUGH_ROWS_A_PARAMETER = 200
"""Between the two: on 1 M x 50 independent columns 200 a parameter took as many passes as 500 did
(3 to a sub-optimality of 1e-6), and 122 ms in the place of 158."""

ROWS_A_PARAMETER = 10
"""With fewer in the sample, its Hessian is more noise than curvature."""

RIDGE = 1e-3
"""On three samples of 25,000 rows of census_income, whose levels of occupation and industry hardly
differ, Newton's method took 9, 23 and 15 passes with the ridge of one row, 6, 6 and 7 with that of
30."""

COARSE = 8
"""Of so many rows of the sample one is in a sample of its own, and the fit to all begins at
its minimum: two passes instead of four."""

NULL_ERROR = 0.05
"""The largest relative standard error of a column's mean square at which the sample stands for all
rows, and saves a look at them. The sampled Hessian beside it is off by the root of M / n, .07 at
ENOUGH_ROWS_A_PARAMETER. A normal column has .014 at LEAST_ROWS; one of rare ones, or of a heavy
tail, more than this."""

LOOKED_AT = 1024
"""Rows at a time, so that their squares take no memory to speak of."""

MAX_PASSES = 12
NEAR = 0.3
"""Of the statistical error M / 2n of the objective: a Newton step that wins no more is taken, and
its end not looked at. What it leaves is of the order of its win's square."""


def pilot_rows(objective: Objective, rows: int) -> int:
    """How many of `rows` rows a pilot should see; 0 where it does not save more than it costs.

    It does for a smooth objective with at most MAX_PILOT_PARAMETERS, where SHARE of the rows are
    ROWS_A_PARAMETER for each.
    """
    model = objective.model
    smooth = objective.smooth and model.loss.smooth
    if not (smooth and pilot_pays(model.parameters, rows)):
        return 0
    enough = min(max(ENOUGH_ROWS_A_PARAMETER * model.parameters, LEAST_ROWS), MOST_ROWS)
    return max(ROWS_A_PARAMETER * model.parameters, min(round(SHARE * rows), enough))


def pilot_pays(parameters: int, rows: int) -> bool:
    """Whether a table has rows enough for a pilot, and not too many parameters."""
    enough = round(SHARE * rows) >= ROWS_A_PARAMETER * parameters
    return enough and parameters <= MAX_PILOT_PARAMETERS


def may_tell_null(layout: Layout) -> bool:
    """Whether a sample may stand for all rows. A rare level, or text, may be missing in it."""
    return not layout.levels and not layout.sparse


@np.errstate(over="ignore", invalid="ignore")
def fit_pilot(objective: Objective, blocks: Sequence[Block], share: float = 1.0) -> Pilot | None:
    """The minimum over the blocks' rows, to their statistical error, by Newton's method; None where
    it comes to nothing.

    A ridge keeps what few rows or none decide near the null model: levels that the subsample never
    saw, or saw with one class alone, and columns that few rows tell from others.
    """
    rows = sum(len(block.target) for block in blocks)
    weight = sum(float(block.weight.sum()) for block in blocks)
    if not weight > 0:
        return None
    null = LocalPasses(objective, blocks).null_model()
    ridge = _ridge(objective, null, rows)
    if not (np.isfinite(ridge).all() and ridge.any()):
        return None
    steadied = replace(objective, l2=objective.l2 + ridge)
    passes, newton = LocalPasses(steadied, blocks), Newton()
    coarse = _coarse_pilot(objective, blocks, rows)
    state = newton.start(null.theta, null.curvature + ridge, coarse)
    enough = NEAR * len(null.theta) / (2.0 * rows)
    theta: Floats | None = None
    for _ in range(MAX_PASSES):
        state = newton.step(state, passes.evaluate(state.query))
        theta = _all_but_there(state, enough)
        if theta is not None or state.ended is not None:
            break
    if state.point is None or state.ended == "diverged":
        return None
    point = accepted(state)
    assert point.hessian is not None
    if not (np.isfinite(point.hessian).all() and (np.diagonal(point.hessian) > 0).all()):
        return None
    theta = point.theta if theta is None else theta
    tells = may_tell_null(objective.model.layout) and _squares_error(blocks) <= NULL_ERROR
    told = null if tells else None
    return Pilot(theta, point.hessian, null.curvature + ridge, share, weight, told)


def _coarse_pilot(objective: Objective, blocks: Sequence[Block], rows: int) -> Pilot | None:
    """The fit to one in COARSE of the rows; None where those are too few."""
    if rows < COARSE * ROWS_A_PARAMETER * objective.model.parameters:
        return None
    some = [rows_of(block, np.arange(0, len(block.target), COARSE)) for block in blocks]
    return fit_pilot(objective, some)


def _all_but_there(state: NewtonState, enough: float) -> Floats | None:
    """Where a whole step leads that wins no more than `enough`; None where there is none."""
    search = state.search
    if state.ended is not None or search is None or search.trials:
        return None
    return state.theta if -0.5 * search.slope <= enough else None


def _squares_error(blocks: Sequence[Block]) -> float:
    """The largest relative standard error of a column's weighted mean square, by that of a mean,

        mean = sum w x^2 / sum w,  error^2 = sum w^2 (x^2 - mean)^2 / (sum w)^2;

    infinite for a column of zeros.
    """
    weight = twice = 0.0
    of_squares, of_squares_twice, of_fourths = np.zeros((3, blocks[0].dense.shape[1]))
    for block in blocks:
        for first in range(0, len(block.target), LOOKED_AT):
            part = slice(first, first + LOOKED_AT)
            w, squares = block.weight[part], np.square(block.dense[part])
            w_twice = np.square(w)
            weight, twice = weight + w.sum(), twice + w_twice.sum()
            of_squares = of_squares + w @ squares
            of_squares_twice = of_squares_twice + w_twice @ squares
            of_fourths = of_fourths + w_twice @ np.square(squares)
    mean = of_squares / weight
    variance = (of_fourths - 2 * mean * of_squares_twice + mean**2 * twice) / weight**2
    error = np.sqrt(np.maximum(variance, 0.0))
    return float(np.max(np.where(mean > 0, error / mean, np.inf), initial=0.0))


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
