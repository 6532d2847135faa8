"""Each task's linear head around a prior mean: the most probable weights, in closed form or by
Newton's method, and the exact derivatives of what they depend on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lepton_dask.learn.meta.base import MetaLoss
from lepton_dask.learn.meta.pointwise import derivatives, values
from lepton_dask.matrix import Floats

MAX_NEWTON = 20
MAX_HALVINGS = 12
SMALL_STEP = 1e-10
ROUNDING = 1e-14


class HeadPrior(NamedTuple):
    """v ~ N(mean, diag(precision)^-1), the noise's variance taken as 1: mean (F,), precision
    (F,)."""

    mean: Floats
    precision: Floats


class Heads(NamedTuple):
    """v (T, F), which minimise of every task

        sum over its rows of weight l(y, phi'v) + (v - m)' P (v - m) / 2

    with what is needed on the way back: slope (T, S), weight dl/dz at v, and the Hessian."""

    v: Floats
    slope: Floats
    hessian: Hessian


class Hessian:
    """A_t = Phi_t' C_t Phi_t + P of each of T tasks, C_t and P diagonals; inverted as it is, or,
    where a task has fewer rows than features, by the matrix of its rows (Woodbury):

        A^-1 = P^-1 - P^-1 G' (I + G P^-1 G')^-1 G P^-1,  G = C^1/2 Phi
    """

    def __init__(self, phi: Floats, curvature: Floats, precision: Floats) -> None:
        """phi (T, S, F), curvature (T, S), at least 0, precision (F,)."""
        self.phi, self.curvature = phi, curvature
        self._variance = 1.0 / precision
        self._short = phi.shape[1] < phi.shape[2]
        self._scaled = phi * np.sqrt(curvature)[..., None]
        turned = self._scaled.swapaxes(1, 2)
        if self._short:
            rows = (self._scaled * self._variance) @ turned
            matrix = rows + np.eye(phi.shape[1])
        else:
            matrix = turned @ self._scaled + np.diag(precision)
        self._inverse = _inverse(matrix)

    def solve(self, v: Floats) -> Floats:
        """A_t^-1 v_t (T, F)."""
        if not self._short:
            return _apply(self._inverse, v)
        damped = v * self._variance
        rows = _apply(self._inverse, _apply(self._scaled, damped))
        return damped - self._variance * _apply(self._scaled.swapaxes(1, 2), rows)


def fit_heads(loss: MetaLoss, prior: HeadPrior, phi: Floats, y: Floats, weight: Floats) -> Heads:
    """The heads of T tasks: phi (T, S, F), y (T, S), weight (T, S), 0 where there is no row.

    Squared loss: one Newton step from the mean is the ridge solution,
    v = m + (Phi' W Phi + P)^-1 Phi' W (y - Phi m) (Bertinetto and others: Meta-learning with
    differentiable closed-form solvers, ICLR 2019, section 3.2; around a learnt mean: Harrison,
    Sharma, Pavone: Meta-learning priors for efficient online Bayesian regression, WAFR 2018,
    section 3). Logistic: Newton's method to the minimum, a step halved where it does not descend.
    """
    v = np.repeat(prior.mean[None], len(phi), axis=0)
    by_z = derivatives(loss, y, _apply(phi, v))
    for _ in range(1 if loss == "squared" else MAX_NEWTON):
        hessian = Hessian(phi, weight * by_z.curvature, prior.precision)
        gradient = _apply(phi.swapaxes(1, 2), weight * by_z.slope)
        gradient += prior.precision * (v - prior.mean)
        step = hessian.solve(gradient)
        if loss == "logistic":
            step *= _scales(loss, prior, phi, y, weight, v, step)
        v = v - step
        by_z = derivatives(loss, y, _apply(phi, v))
        if np.abs(step).max(initial=0.0) < SMALL_STEP:
            break
    if loss == "logistic":
        hessian = Hessian(phi, weight * by_z.curvature, prior.precision)
    return Heads(v, weight * by_z.slope, hessian)


class HeadSlopes(NamedTuple):
    """dJ/dmean (F,), dJ/dlog precision (F,), summed over the tasks, and dJ/dphi (T, S, F)."""

    mean: Floats
    log_precision: Floats
    phi: Floats


def back_through_heads(prior: HeadPrior, heads: Heads, slope: Floats) -> HeadSlopes:
    """From dJ/dv (T, F) to what v depends on.

    By the implicit function theorem at the minimum, where P (v - m) + Phi' s(Phi v) = 0, s the
    weighted slope: with u = A^-1 dJ/dv,

        dJ/dm = P u,  dJ/dlog P = -P u (v - m),  dJ/dPhi = -s u' - C Phi u v'

    Exact for the squared loss, and for the logistic where Newton's method has converged.
    """
    u = heads.hessian.solve(slope)
    weighted = prior.precision * u
    along = heads.hessian.curvature * _apply(heads.hessian.phi, u)
    by_phi = heads.slope[..., None] * u[:, None, :]
    by_phi += along[..., None] * heads.v[:, None, :]
    by_log_precision = -np.einsum("tf,tf->f", weighted, heads.v - prior.mean)
    return HeadSlopes(weighted.sum(axis=0), by_log_precision, -by_phi)


def _scales(
    loss: MetaLoss,
    prior: HeadPrior,
    phi: Floats,
    y: Floats,
    weight: Floats,
    v: Floats,
    step: Floats,
) -> Floats:
    """(T, 1) the share of each task's step after which its objective is not larger."""

    def objective(at: Floats) -> Floats:
        penalty = 0.5 * (np.square(at - prior.mean) @ prior.precision)
        rows: Floats = (weight * values(loss, y, _apply(phi, at))).sum(axis=1)
        return rows + penalty

    scale = np.ones((len(v), 1))
    # At the minimum the objective's changes are rounding.
    before = objective(v)
    before += 100.0 * ROUNDING * np.abs(before)
    for _ in range(MAX_HALVINGS):
        worse = ~(objective(v - scale * step) <= before)
        if not worse.any():
            break
        scale[worse] /= 2
    return scale


def _inverse(matrices: Floats) -> Floats:
    """Of positive definite matrices (T, A, A), also where rounding has left them singular."""
    most = np.einsum("taa->ta", matrices).max(axis=1, initial=0.0)
    lifted = matrices + (ROUNDING * most)[:, None, None] * np.eye(matrices.shape[1])
    return np.asarray(np.linalg.inv(lifted), dtype=np.float64)


def _apply(matrices: Floats, vectors: Floats) -> Floats:
    """(T, A, B) times (T, B)."""
    product: Floats = np.matmul(matrices, vectors[..., None])[..., 0]
    return product
