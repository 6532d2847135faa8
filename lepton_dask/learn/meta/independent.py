"""A linear model for each group from its own rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.links import LOGIT
from lepton_dask.learn.meta.base import Adapted, GroupedRows, MetaAlgorithm, Setting
from lepton_dask.learn.meta.expectation import posterior
from lepton_dask.learn.meta.normal_prior import NormalPrior
from lepton_dask.learn.meta.statistics import GroupStatistics
from lepton_dask.learn.meta.variational import working_statistics
from lepton_dask.matrix import Floats

PARTS = 16

PENALTIES = np.logspace(-4, 4, 33)
"""That a group's ridge has to choose from, as shares of its columns' mean sum of squares."""

LOGISTIC_PENALTY = 1.0
"""Of half the squared coefficients, beside the loss summed over a group's rows."""

LOGISTIC_INTERCEPT_PENALTY = 0.1
"""Of half the squared distance to the location: rows of one class alone have no other end."""


@dataclass(frozen=True)
class Location:
    """The intercept of a group of which nothing is known: link(mean of y)."""

    location: float

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"location": np.array(self.location)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Location:
        return cls(float(arrays["location"]))


class Independent(MetaAlgorithm[Location, GroupStatistics, Floats]):
    """Each group alone, as if there were no others.

    squared     ridge with a free intercept, its penalty that of the least generalised
                cross-validation, n RSS / (n - 1 - df)^2
                (Golub, Heath, Wahba: Technometrics 21, 1979, eq. 1.4)
    logistic    ridge with a fixed penalty

    Of the other groups only the mean of y is known: a group without rows is predicted by it, which
    for a squared loss is a y of 0.
    """

    name = "independent"
    refits = True

    @property
    def parts(self) -> int:
        return PARTS

    def keep(self, setting: Setting, rows: GroupedRows) -> GroupStatistics:  # noqa: ARG002 - sums do for both
        return GroupStatistics.of_rows(rows._replace(x=rows.x[:, :0]))

    def start(self, setting: Setting, seed: int) -> Location:  # noqa: ARG002 - one for all
        return Location(0.1 * float(np.random.default_rng(seed).standard_normal()))

    def work(
        self,
        setting: Setting,  # noqa: ARG002 - the same sums for every loss
        prior: Location,  # noqa: ARG002 - a mean needs no start
        held: GroupStatistics,
        seed: int,  # noqa: ARG002 - nothing is drawn
    ) -> Floats:
        """The sums of w and of w y."""
        return np.array([held.weight.sum(), held.moment[:, 0].sum()])

    def combine(
        self,
        setting: Setting,
        prior: Location,  # noqa: ARG002 - a mean needs no start
        messages: Sequence[Floats],
    ) -> Location:
        weight, moment = np.sum(messages, axis=0)
        if setting.loss == "squared":
            return Location(float(moment / weight))
        # Half a row of each class more: a mean of 0 or 1 would be certain.
        return Location(float(LOGIT.link(np.array((moment + 0.5) / (weight + 1.0)))))

    def has_converged(self, before: Location, after: Location) -> bool:
        return before == after

    def adapt(self, setting: Setting, prior: Location, rows: GroupedRows) -> tuple[Adapted, ...]:
        if setting.loss == "logistic":
            return _logistic(prior.location, rows)
        bounds = zip(rows.starts[:-1], rows.starts[1:], strict=True)
        return tuple(
            _ridge(prior.location, rows.x[own], rows.y[own], rows.weight[own])
            for own in (slice(int(start), int(end)) for start, end in bounds)
        )

    def prior_of(self, arrays: Mapping[str, NDArray[Any]]) -> Location:
        return Location.of_arrays(arrays)


def _ridge(location: float, x: Floats, y: Floats, weight: Floats) -> Adapted:
    """The ridge of the least generalised cross-validation of rows x (n, D)."""
    total = float(weight.sum())
    if not total > 0:
        return Adapted(np.zeros(x.shape[1]), location)
    centre, mean = weight @ x / total, float(weight @ y / total)
    root = np.sqrt(weight)
    left, sizes, right = np.linalg.svd(root[:, None] * (x - centre), full_matrices=False)
    along, squares = left.T @ (root * (y - mean)), sizes**2
    if not squares.any():
        return Adapted(np.zeros(x.shape[1]), mean)
    penalties = PENALTIES * float(squares.mean())
    kept = squares / (squares + penalties[:, None])
    outside = float(weight @ (y - mean) ** 2 - along @ along)
    residuals = max(outside, 0.0) + ((1 - kept) ** 2) @ along**2
    scores = residuals / np.maximum(total - 1 - kept.sum(axis=1), 1e-12) ** 2
    penalty = penalties[np.argmin(scores)]
    coefficients = right.T @ (sizes / (squares + penalty) * along)
    return Adapted(coefficients, mean - float(centre @ coefficients))


def _logistic(location: float, rows: GroupedRows) -> tuple[Adapted, ...]:
    """A ridge is a normal prior around the location, of variance 1 / penalty; of w given the rows
    the mean is taken."""
    d = 1 + rows.x.shape[1]
    m, variance = np.zeros(d), np.full(d, 1 / LOGISTIC_PENALTY)
    m[0], variance[0] = location, 1 / LOGISTIC_INTERCEPT_PENALTY
    prior = NormalPrior(m, np.diag(variance), 1.0)
    columns = np.arange(d)
    w = m + posterior(prior, working_statistics(prior, rows, columns), columns).mean
    return tuple(Adapted(own[1:], float(own[0])) for own in w)
