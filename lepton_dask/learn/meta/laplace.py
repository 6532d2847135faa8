"""The logistic likelihood of a group's rows as that of a linear model: Laplace's approximation.

At the mode of u given the rows, with p = P(y = 1) and W = w p (1 - p) there, the logarithm of the
likelihood is that of y* = x'w + (y - p) / (p (1 - p)), normal of variance W^-1, up to the second
order. So the sums of such a linear model stand for the group's rows
(Breslow, Clayton: Approximate inference in generalized linear mixed models, JASA 88, 1993, 2.2).
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

STEPS = 50
HALVINGS = 30
DECREMENT = 1e-12
"""Newton's method ends when half its decrement is less in every group: it is of a log-posterior,
whose unit does not depend on the rows."""


def working_statistics(
    prior: NormalPrior, rows: GroupedRows, columns: NDArray[np.intp]
) -> GroupStatistics:
    """The sums of the linear model that stands for the rows, at each group's mode given the prior;
    the posterior of u by `expectation.posterior` has its mean at that mode."""
    root = covariance_root(prior.Sigma[np.ix_(columns, columns)])
    sums = zeros(rows.names, rows.x.shape[1])
    sums.rows[:] = rows.counts
    for batch in padded(rows):
        z = batch.x @ prior.m
        slopes = batch.x[:, :, columns] @ root
        v = _modes(batch, z, slopes)
        z = z + np.einsum("bnr,br->bn", slopes, v)
        p = LOGIT.inverse(z)
        curvature = batch.weight * p * (1 - p)
        weighted = batch.x * curvature[..., None]
        # w y* times curvature, without a division by p (1 - p), which may be 0.
        target = curvature * z + batch.weight * (batch.y - p)
        gram = np.matmul(weighted.transpose(0, 2, 1), batch.x)
        sums.weight[batch.groups] = batch.weight.sum(axis=1)
        sums.gram[batch.groups] = gram
        sums.moment[batch.groups] = np.einsum("bnd,bn->bd", batch.x, target)
    return sums


def _modes(batch: Padded, offset: Floats, slopes: Floats) -> Floats:
    """v (B, R) that minimises -log P(y | offset + slopes v) + |v|^2 / 2, by Newton's method with
    halved steps, in all B groups at once."""
    v = np.zeros((slopes.shape[0], slopes.shape[2]))
    value = _loss(batch, offset, slopes, v)
    for _ in range(STEPS):
        p = LOGIT.inverse(offset + np.einsum("bnr,br->bn", slopes, v))
        gradient = v - np.einsum("bnr,bn->br", slopes, batch.weight * (batch.y - p))
        curved = slopes * (batch.weight * p * (1 - p))[..., None]
        hessian = np.eye(v.shape[1]) + np.matmul(curved.transpose(0, 2, 1), slopes)
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        decrement = 0.5 * np.einsum("br,br->b", gradient, step)
        if not (decrement > DECREMENT).any():
            return v - step
        v, value = _search(batch, offset, slopes, v, step, value, decrement)
    return v


def _search(
    batch: Padded,
    offset: Floats,
    slopes: Floats,
    v: Floats,
    step: Floats,
    value: Floats,
    decrement: Floats,
) -> tuple[Floats, Floats]:
    """v after the longest of the halved steps that lowers each group's value, and that value."""
    length = np.ones(len(v))
    after = _loss(batch, offset, slopes, v - step)
    for _ in range(HALVINGS):
        # Below the rounding of the value, a step of Newton's is trusted.
        worse = (after > value) & (decrement > 1e-10 * (1 + np.abs(value)))
        if not worse.any():
            break
        length = np.where(worse, length / 2, length)
        after = _loss(batch, offset, slopes, v - length[:, None] * step)
    return v - length[:, None] * step, after


def _loss(batch: Padded, offset: Floats, slopes: Floats, v: Floats) -> Floats:
    z = offset + np.einsum("bnr,br->bn", slopes, v)
    loss = batch.weight * (np.logaddexp(0.0, z) - batch.y * z)
    return np.asarray(loss.sum(axis=1) + 0.5 * np.einsum("br,br->b", v, v))
