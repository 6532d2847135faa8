"""One linear model for all groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.links import LOGIT
from lepton_dask.learn.meta.base import Adapted, GroupedRows, MetaAlgorithm, Setting
from lepton_dask.learn.meta.padded import with_intercept
from lepton_dask.learn.meta.statistics import GroupStatistics
from lepton_dask.learn.optimizers.quadratic import newton_step
from lepton_dask.matrix import Floats

PARTS = 16

RIDGE = 1e-8
"""A share of the rows' weight: enough to choose among equals, and for classes that a plane parts to
have an end; too little to be seen otherwise."""

TOLERANCE = 1e-8


@dataclass(frozen=True)
class PooledPrior:
    """theta (1 + D,), the intercept first."""

    theta: Floats

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"theta": self.theta}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> PooledPrior:
        return cls(arrays["theta"])


class Curvature(NamedTuple):
    """Of the loss summed over rows, at a theta: gradient (1 + D,), hessian (1 + D, 1 + D); the sum
    of the weights; and the length of the longest row, its 1 included."""

    gradient: Floats
    hessian: Floats
    weight: float
    longest: float


class Pooled(MetaAlgorithm[PooledPrior, GroupStatistics | GroupedRows, Curvature]):
    """theta that minimises the loss over all groups' rows, as if they were of one group.

    squared: in one round. logistic: by Newton's method, of which a step d is shortened to
    log(1 + b) / b of its length, b = |d| max |x|, which never lets the loss rise (Sun, Tran-Dinh:
    Generalized self-concordant functions, Mathematical Programming 178, 2019, Theorem 2).
    A new group's rows change nothing.
    """

    name = "pooled"
    refits = True

    @property
    def parts(self) -> int:
        return PARTS

    def keep(self, setting: Setting, rows: GroupedRows) -> GroupStatistics | GroupedRows:
        return GroupStatistics.of_rows(rows) if setting.loss == "squared" else rows

    def start(self, setting: Setting, seed: int) -> PooledPrior:
        drawn = np.random.default_rng(seed)
        return PooledPrior(0.1 * drawn.standard_normal(1 + len(setting.features)))

    def work(
        self,
        setting: Setting,  # noqa: ARG002 - what is held tells the loss
        prior: PooledPrior,
        held: GroupStatistics | GroupedRows,
        seed: int,  # noqa: ARG002 - nothing is drawn
    ) -> Curvature:
        if isinstance(held, GroupStatistics):
            gram = held.gram.sum(axis=0)
            gradient = gram @ prior.theta - held.moment.sum(axis=0)
            return Curvature(gradient, gram, float(held.weight.sum()), 0.0)
        x = with_intercept(held.x)
        p = LOGIT.inverse(x @ prior.theta)
        gradient = x.T @ (held.weight * (p - held.y))
        hessian = (x * (held.weight * p * (1 - p))[:, None]).T @ x
        longest = float(np.sqrt(np.max(np.einsum("nd,nd->n", x, x), initial=0.0)))
        return Curvature(gradient, hessian, float(held.weight.sum()), longest)

    def combine(
        self,
        setting: Setting,  # noqa: ARG002 - the curvature is all that counts
        prior: PooledPrior,
        messages: Sequence[Curvature],
    ) -> PooledPrior:
        ridge = np.full(len(prior.theta), RIDGE * sum(message.weight for message in messages))
        ridge[0] = 0.0
        gradient = np.sum([message.gradient for message in messages], axis=0)
        hessian = np.sum([message.hessian for message in messages], axis=0)
        step = newton_step(hessian + np.diag(ridge), gradient + ridge * prior.theta, slice(0, 1))
        reach = float(np.linalg.norm(step)) * max(message.longest for message in messages)
        return PooledPrior(prior.theta + step * (np.log1p(reach) / reach if reach > 0 else 1.0))

    def has_converged(self, before: PooledPrior, after: PooledPrior) -> bool:
        change = np.linalg.norm(after.theta - before.theta)
        return bool(change <= TOLERANCE * max(1.0, float(np.linalg.norm(after.theta))))

    def adapt(
        self,
        setting: Setting,  # noqa: ARG002 - the same for every group
        prior: PooledPrior,
        rows: GroupedRows,
    ) -> tuple[Adapted, ...]:
        model = Adapted(prior.theta[1:], float(prior.theta[0]))
        return (model,) * len(rows.names)

    def prior_of(self, arrays: Mapping[str, NDArray[Any]]) -> PooledPrior:
        return PooledPrior.of_arrays(arrays)
