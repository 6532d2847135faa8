"""What a group's sums say of its coefficients, given the prior, and what of the prior: the E step.

All of it is in terms of u = w_t - m on the R random columns z of x, of variance Sigma = L L':

    M = I + L' Z'WZ L / sigma^2                     (Woodbury; well-conditioned, however Sigma is)
    cov(u | y) = L M^-1 L',   mean(u | y) = cov(u | y) Z'W(y - X m) / sigma^2

(Laird, Ware: Random-effects models for longitudinal data, Biometrics 38, 1982, 3.1-3.2.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import add
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.meta.normal_prior import NormalPrior
from lepton_dask.learn.meta.statistics import GroupStatistics
from lepton_dask.matrix import Floats

CELLS = 1 << 21
"""So many numbers of gram are worked on at a time, for the memory's sake: 16 MiB."""


class Posterior(NamedTuple):
    """Of T groups' u: mean (T, R), covariance (T, R, R)."""

    mean: Floats
    covariance: Floats


class Expected(NamedTuple):
    """Sums over groups, at a prior: all that its next step needs, of a size without T or rows.

    groups       T
    weight       sum w
    gram         X'WX (d, d), d = 1 + D
    residual     X'W(y - X m) (d,)
    square       (y - X m)'W(y - X m)
    mean         sum of E u (R,)
    second       sum of E u u' (R, R)
    crossed      sum of X'WZ diag(E u) (d, R)
    scaled       sum of Z'WZ * E u u', elementwise (R, R)
    explained    sum of E u * Z'W(y - X m), elementwise (R,)
    information  X'V^-1 X (d, d), V = var(y) = Z Sigma Z' + sigma^2 W^-1
    score        X'V^-1 (y - X m) (d,)
    """

    groups: int
    weight: float
    gram: Floats
    residual: Floats
    square: float
    mean: Floats
    second: Floats
    crossed: Floats
    scaled: Floats
    explained: Floats
    information: Floats
    score: Floats

    @classmethod
    def added(cls, parts: Sequence[Expected]) -> Expected:
        """The sums over all parts' groups, in the parts' order."""
        total = parts[0]
        for part in parts[1:]:
            total = cls(*map(add, total, part))
        return total


def random_columns(random: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(R,) the places of the columns whose coefficients differ between groups."""
    return np.flatnonzero(random)


def posterior(prior: NormalPrior, sums: GroupStatistics, columns: NDArray[np.intp]) -> Posterior:
    """Of each group's u, from its sums. A group without rows has the prior's."""
    root = covariance_root(prior.Sigma[np.ix_(columns, columns)])
    own = sums.gram[:, columns[:, None], columns]
    residual = (sums.moment - sums.gram @ prior.m)[:, columns]
    spread = np.linalg.inv(whitened(root, own, prior.sigma))
    covariance = root @ spread @ root.T
    mean = np.einsum("trs,ts->tr", covariance, residual) / prior.sigma**2
    return Posterior(mean, covariance)


def whitened(root: Floats, own: Floats, sigma: float) -> Floats:
    """M (T, R, R) of Z'WZ (T, R, R)."""
    return np.asarray(np.eye(len(root)) + root.T @ own @ root / sigma**2)


def covariance_root(covariance: Floats) -> Floats:
    """L with L L' = covariance, which may be singular."""
    scale = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    unit = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(unit, unit))
    return np.asarray(scale[:, None] * vectors * np.sqrt(np.maximum(values, 0.0)))


def expected(prior: NormalPrior, sums: GroupStatistics, columns: NDArray[np.intp]) -> Expected:
    """The sums over the groups that have rows."""
    seen = np.flatnonzero(sums.weight > 0)
    return Expected.added([_expected(prior, part, columns) for part in _pieces(sums, seen)])


def _pieces(sums: GroupStatistics, groups: NDArray[np.intp]) -> Iterator[GroupStatistics]:
    """At least one."""
    most = max(1, CELLS // sums.gram[0:1].size) if len(groups) else 1
    for first in range(0, max(len(groups), 1), most):
        yield sums.take(groups[first : first + most])


def _expected(prior: NormalPrior, sums: GroupStatistics, columns: NDArray[np.intp]) -> Expected:
    mean, covariance = posterior(prior, sums, columns)
    second = covariance + mean[:, :, None] * mean[:, None, :]
    crossing = sums.gram[:, :, columns]
    gram = sums.gram.sum(axis=0)
    residuals = sums.moment - sums.gram @ prior.m
    residual = residuals.sum(axis=0)
    squares = sums.square - (sums.moment + residuals) @ prior.m
    variance = prior.sigma**2
    # By Woodbury: V^-1 = (W - W Z cov(u | y) Z'W / sigma^2) / sigma^2.
    known = np.tensordot(crossing @ covariance, crossing, axes=((0, 2), (0, 2)))
    fitted = np.einsum("tdr,tr->d", crossing, mean)
    return Expected(
        groups=len(sums.names),
        weight=float(sums.weight.sum()),
        gram=gram,
        residual=residual,
        square=float(squares.sum()),
        mean=mean.sum(axis=0),
        second=second.sum(axis=0),
        crossed=np.einsum("tdr,tr->dr", crossing, mean),
        scaled=np.einsum("trs,trs->rs", crossing[:, columns], second),
        explained=np.einsum("tr,tr->r", mean, residuals[:, columns]),
        information=gram / variance - known / variance**2,
        score=(residual - fitted) / variance,
    )
