"""The objective, the intercepts free:

J(theta) = (1 / sum w) sum_i w_i l(y_i, z_i) + sum_j l1_j |theta_j| + 1/2 sum_j l2_j theta_j^2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np

from lepton_dask.errors import RunError
from lepton_dask.learn.kernels.sums import ChunkSums, ColumnSums, NearRows
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.penalty import Penalty, shrink
from lepton_dask.learn.tree import added
from lepton_dask.matrix import Floats

WeightedT = TypeVar("WeightedT", ChunkSums, ColumnSums)


@dataclass(frozen=True)
class Evaluation:
    """The objective at `theta` (M,): its value, and the gradient (M,) of all of it but
    sum l1_j |theta_j|, which has none where a parameter is 0.

    `l1` (M,) is None where there is none. `hessian` (M, M) is that of the same part as the
    gradient, or its estimate, None where it was not asked for. `intercepts` is where theta holds
    them: of several minima, the one with the least coefficients is wanted, whatever the intercepts.
    `pieces` bound the objective from below and touch it at theta, where the nearest rows were asked
    for.
    """

    theta: Floats
    value: float
    gradient: Floats
    l1: Floats | None = None
    hessian: Floats | None = None
    intercepts: slice | None = None
    pieces: Pieces | None = None

    @cached_property
    def subgradient(self) -> Floats:
        """The smallest subgradient (M,), 0 at the minimum alone; without l1 the gradient.

        g_j + l1_j sign(theta_j) where theta_j is not 0, else what l1_j leaves of g_j.
        """
        if self.l1 is None:
            return self.gradient
        at_zero = shrink(self.gradient, self.l1)
        return np.where(self.theta == 0, at_zero, self.gradient + self.l1 * np.sign(self.theta))

    @cached_property
    def gradient_norm(self) -> float:
        """The largest absolute entry of the smallest subgradient: the largest absolute partial
        derivative, where there is no l1."""
        return float(np.max(np.abs(self.subgradient)))

    @cached_property
    def finite(self) -> bool:
        return bool(np.isfinite(self.value) and np.all(np.isfinite(self.gradient)))


class Pieces(NamedTuple):
    """An objective's lower bound: a sum of kinks, a line and a parabola.

    With r = target - rows theta, (m,),

        constant + slope'theta + theta'diag(l2) theta / 2 + sum_i max(upper_i r_i, -lower_i r_i).

    A row (M,) of a kink is one of the table's, or for l1 a unit vector with a target of 0. `of` is
    how many rows the table has.
    """

    rows: Floats
    target: Floats
    upper: Floats
    lower: Floats
    slope: Floats
    l2: Floats
    constant: float
    of: int

    def value(self, theta: Floats) -> float:
        residual = self.target - self.rows @ theta
        kinks = np.where(residual > 0, self.upper, -self.lower) @ residual
        return float(self.constant + self.slope @ theta + 0.5 * (self.l2 * theta) @ theta + kinks)


@dataclass(frozen=True)
class NullModel:
    """The model without features, and the diagonal of the objective's Hessian there, (M,)."""

    theta: Floats
    curvature: Floats


@dataclass(frozen=True, eq=False)
class Objective:
    """A linear model with its penalty.

    l1 (M,) and l2 (M,) are 0 for what is free: intercepts, and parameters beside the linear
    predictor. Without `fit_intercept` the intercepts stay at 0: their partial derivatives are 0,
    and their rows of the Hessian those of the identity.
    """

    model: LinearModel
    l1: Floats
    l2: Floats
    fit_intercept: bool = True

    @cached_property
    def smooth(self) -> bool:
        """Whether there is a gradient everywhere, for a loss that has one."""
        return not self.l1.any()

    def evaluate(self, theta: Floats, sums: ChunkSums, smoothing: float = 0.0) -> Evaluation:
        """J, and derivatives of its smooth part, from the sums over all rows at theta.

        With `smoothing` mu > 0 the kinks of the penalty are rounded as those of the loss are, by
        `smoothed_magnitude`.
        """
        gradient = sums.gradient / sums.weight + self.l2 * theta
        hessian = sums.hessian if sums.sketch is None else sums.sketch.hessian
        if hessian is not None:
            hessian = hessian / sums.weight
            hessian[np.diag_indices_from(hessian)] += self.l2
        value = sums.loss / sums.weight + 0.5 * float((self.l2 * theta) @ theta)
        l1: Floats | None = None if self.smooth else self.l1
        if l1 is not None and smoothing > 0:
            magnitude, slope, bend = smoothed_magnitude(theta, smoothing)
            value += float(l1 @ magnitude)
            gradient += l1 * slope
            if hessian is not None:
                hessian[np.diag_indices_from(hessian)] += l1 * bend
            l1 = None
        elif l1 is not None:
            value += float(l1 @ np.abs(theta))
        if not self.fit_intercept:
            fixed = self.model.intercepts
            gradient[fixed] = 0.0
            if hessian is not None:
                hessian[fixed, :] = hessian[:, fixed] = 0.0
                hessian[fixed, fixed] = np.eye(self.model.outputs)
        pieces = None if sums.near is None else self._pieces(theta, sums.near, sums.weight)
        return Evaluation(theta, value, gradient, l1, hessian, self.model.intercepts, pieces)

    def _pieces(self, theta: Floats, near: NearRows, weight: float) -> Pieces:
        """The pinball loss of the rows that are there, the tangent at theta of the others, and the
        penalty."""
        quantile = self.model.loss.parameters[0]
        bound = np.flatnonzero(self.l1)
        units = np.zeros((len(bound), len(theta)))
        units[np.arange(len(bound)), bound] = 1.0
        counts = near.weight > 0
        rows, slope = np.vstack([near.rows[counts], units]), near.gradient / weight
        if not self.fit_intercept:
            rows[:, self.model.intercepts] = slope[self.model.intercepts] = 0.0
        share = near.weight[counts] / weight
        return Pieces(
            rows,
            np.append(near.target[counts], np.zeros(len(bound))),
            np.append(quantile * share, self.l1[bound]),
            np.append((1.0 - quantile) * share, self.l1[bound]),
            slope,
            self.l2,
            near.loss / weight - float(slope @ theta),
            near.of,
        )

    def null_model(self, sums: ColumnSums) -> NullModel:
        """Coefficients of 0 and the intercepts at link(weighted mean of y).

        All rows share one z there, so the Hessian's diagonal is d2l/dz2 mean(x_j^2) + l2_j.
        """
        model = self.model
        mean = sums.target / sums.weight
        theta, curvature = np.zeros(model.parameters), np.zeros(model.parameters)
        theta[model.intercepts] = model.loss.link(mean) if self.fit_intercept else 0.0
        bend = np.asarray(model.loss.null_curvature(mean), dtype=np.float64)
        squares = np.append(sums.squares / sums.weight, 1.0)
        curvature[: model.intercepts.stop] = np.outer(squares, bend).ravel()
        if model.loss.extra:
            variance = max(sums.target_squares / sums.weight - float(mean[0]) ** 2, 0.0)
            scale = float(np.sqrt(variance)) or 1.0
            theta[model.intercepts.stop :] = scale
            curvature[: model.intercepts.stop] /= scale
            curvature[model.intercepts.stop :] = 1.0 / scale
        return NullModel(theta, curvature + self.l2)


def unpenalised(model: LinearModel) -> Objective:
    """The mean loss alone."""
    nothing = np.zeros(model.parameters)
    return Objective(model, nothing, nothing)


def penalised(
    model: LinearModel, penalty: Penalty, columns: Sequence[str], fit_intercept: bool = True
) -> Objective:
    """The objective of a penalty as a pipeline names it; `columns` (D,) are those that the
    coefficients were made of."""
    factors = np.repeat(penalty.by_feature(columns), model.outputs)
    l1, l2 = np.zeros(model.parameters), np.zeros(model.parameters)
    l1[model.coefficients] = penalty.l1 * factors
    l2[model.coefficients] = penalty.l2 * factors
    return Objective(model, l1, l2, fit_intercept)


def smoothed_magnitude(b: Floats, mu: float) -> tuple[Floats, Floats, Floats]:
    """|b| as the least u + v - mu (log u + log v) over u - v = b, without its constant at 0: its
    value, slope and curvature, elementwise.

    With s = sqrt(b^2 + mu^2): u + v = s + mu and u v = mu (s + mu) / 2, so the value is
    s - mu - mu log((s + mu) / 2 mu), the slope b / (s + mu), the curvature mu / (s (s + mu)).
    The barrier that interior-point methods for linear programs put on the parts of b.
    """
    s = np.hypot(b, mu)
    grown = b * (b / (s + mu))  # s - mu without cancellation
    return grown - mu * np.log1p(grown / (2.0 * mu)), b / (s + mu), mu / (s * (s + mu))


def total_columns(chunks: Iterable[ColumnSums]) -> ColumnSums:
    """The sum of the chunks' sums, as `added` brackets it.

    Raises RunError where no row has weight: a target has no mean then.
    """
    return weighted(_total(chunks))


def total(chunks: Iterable[ChunkSums]) -> ChunkSums:
    """The sum of the chunks' sums, as `added` brackets it.

    Raises RunError where no row has weight: the objective has no mean then.
    """
    return weighted(_total(chunks))


def weighted(sums: WeightedT) -> WeightedT:
    """The sums over all rows. Raises RunError where no row has weight: nothing has a mean then."""
    if not sums.weight > 0:
        raise _no_rows()
    return sums


def _total(chunks: Iterable[WeightedT]) -> WeightedT:
    try:
        return added(chunks)
    except ValueError as error:
        raise _no_rows() from error


def _no_rows() -> RunError:
    return RunError("no row has a weight above zero", fix="check weight and filters")
