"""The logistic likelihood of a group's rows as that of a linear model.

The distribution of u given a group's rows is taken as the normal one that is nearest to it
(Gaussian variational approximation: Ormerod, Wand, J. Computational and Graphical Statistics 21,
2012). With its z = x'w ~ N(mean, s^2) and averages over it, p = E P(y = 1), W = w E p (1 - p), the
rows tell of u what y* = x'w + W^-1 w (y - p), normal of variance W^-1, would. So the sums of such a
linear model stand for the rows. Were s 0, this would be Laplace's approximation (Breslow, Clayton,
JASA 88, 1993, 2.2), which finds too little variance where groups have few rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.links import LOGIT
from lepton_dask.learn.meta.base import GroupedRows
from lepton_dask.learn.meta.expectation import covariance_root
from lepton_dask.learn.meta.normal_prior import NormalPrior
from lepton_dask.learn.meta.padded import Padded, padded
from lepton_dask.learn.meta.statistics import GroupStatistics, zeros
from lepton_dask.matrix import Floats

NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
NODE_WEIGHTS = NODE_WEIGHTS / np.sqrt(2 * np.pi)
"""Averages over a normal variable; at s = 3 those of p are right to 1e-3."""

STEPS = 100
DECREMENT = 1e-12
"""Half of Newton's, of a logarithm of a density, whose unit does not depend on the rows."""

SPREAD = 1e-6
"""Change of s^2, relative to 1 + s^2."""


def working_statistics(
    prior: NormalPrior, rows: GroupedRows, columns: NDArray[np.intp]
) -> GroupStatistics:
    """The sums of the linear model that stands for each group's rows at this prior, its sigma 1:
    `expectation.posterior` makes of them the nearest normal distribution of u."""
    root = covariance_root(prior.Sigma[np.ix_(columns, columns)])
    sums = zeros(rows.names, rows.x.shape[1])
    sums.rows[:] = rows.counts
    for batch in padded(rows):
        z, variance = _nearest(batch, batch.x @ prior.m, batch.x[:, :, columns] @ root)
        p, slope = averages(z, variance)
        curvature = batch.weight * slope
        weighted = batch.x * curvature[..., None]
        # W y*, which needs no division by an average that may be 0.
        target = curvature * z + batch.weight * (batch.y - p)
        sums.weight[batch.groups] = batch.weight.sum(axis=1)
        sums.gram[batch.groups] = np.matmul(weighted.transpose(0, 2, 1), batch.x)
        sums.moment[batch.groups] = np.einsum("bnd,bn->bd", batch.x, target)
    return sums


def averages(z: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Of p and of p (1 - p), p = 1 / (1 + exp(-a)), over a ~ N(z, variance), elementwise."""
    mean, slope, deviation = np.zeros_like(z), np.zeros_like(z), np.sqrt(variance)
    for node, share in zip(NODES, NODE_WEIGHTS, strict=True):
        p = LOGIT.inverse(z + node * deviation)
        mean += share * p
        slope += share * p * (1 - p)
    return mean, slope


def _nearest(batch: Padded, offset: Floats, slopes: Floats) -> tuple[Floats, Floats]:
    """Mean and variance (B, n) of z = offset + slopes v, v ~ N(0, I) given the rows, in all B
    groups at once; slopes (B, n, R).

    Newton's method for the mean of v, and after each step its covariance anew. A step d is
    shortened to log(1 + b) / b of its length, b = max |slopes d|, which overshoots for no rows
    (Sun, Tran-Dinh: Generalized self-concordant functions, Math. Programming 178, 2019, Thm. 2).
    """
    B, n, R = slopes.shape
    v, variance = np.zeros((B, R)), np.zeros((B, n))
    z = offset
    for _ in range(STEPS):
        p, slope = averages(z, variance)
        gradient = v - np.einsum("bnr,bn->br", slopes, batch.weight * (batch.y - p))
        curved = slopes * (batch.weight * slope)[..., None]
        spread = np.linalg.inv(np.eye(R) + np.matmul(curved.transpose(0, 2, 1), slopes))
        step = np.einsum("brs,bs->br", spread, gradient)
        decrement = 0.5 * np.max(np.einsum("br,br->b", gradient, step), initial=0.0)
        along = np.einsum("bnr,br->bn", slopes, step)
        reach = np.maximum(np.max(np.abs(along), axis=1), 1e-12)
        length = np.log1p(reach) / reach
        v, z = v - length[:, None] * step, z - length[:, None] * along
        before, variance = variance, np.einsum("bnr,bnr->bn", slopes @ spread, slopes)
        settled = np.abs(variance - before) <= SPREAD * (1 + variance)
        if decrement <= DECREMENT and settled.all():
            break
    return z, variance
