"""The minimum of a quadratic model g'd + d'H d / 2, whatever the Hessian: positive, singular or
indefinite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepton_dask.matrix import Floats

Mask = NDArray[np.bool_]

SOUND_PIVOT = 1e-11
"""A Cholesky pivot below this share of its diagonal entry is not told from 0."""

MAX_EIGEN_PARAMETERS = 1024
"""Above, eigenvectors take seconds, and what is singular is shifted instead."""

SHIFT = 1e-10
"""The first shift, as a share of each diagonal entry."""


def newton_step(hessian: Floats, gradient: Floats, intercepts: slice | None = None) -> Floats:
    """d (M,) that minimises g'd + d'H d / 2 for H (M, M): -H^-1 g where H is positive definite.

    Worked out on the scale where H has a diagonal of 1, so that no column's unit matters. Where H
    is singular, of all minima that with the least norm of the entries outside `intercepts`, and
    then of those inside: as scikit-learn's least squares on centred columns. Where H has negative
    eigenvalues, their absolute values stand in (Nocedal, Wright: Numerical Optimization, 2nd ed.,
    3.4), so that d descends. Parameters without curvature stay.
    """
    diagonal = np.diagonal(hessian)
    seen = np.flatnonzero(diagonal > 0)
    step = np.zeros_like(gradient)
    if len(seen) == 0 or not np.isfinite(diagonal).all():
        return step
    if len(seen) == len(diagonal):
        step[seen] = _step(hessian, gradient, _mask(intercepts, len(gradient)))
    else:
        free = _mask(intercepts, len(gradient))[seen]
        step[seen] = _step(hessian[np.ix_(seen, seen)], gradient[seen], free)
    return step


def positive(hessian: Floats) -> Floats:
    """The Hessian, or where it is indefinite, as of a loss that is not convex, the Hessian with a
    share of its absolute diagonal added that leaves it positive definite."""
    diagonal = np.diagonal(hessian)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = hessian * np.outer(scale, scale)
    lifted = np.diag(np.maximum(0.0, 1.0 - np.diagonal(scaled)))
    shift = 0.0
    while shift <= len(diagonal):
        try:
            np.linalg.cholesky(scaled + lifted + max(shift, SHIFT) * np.eye(len(scaled)))
        except np.linalg.LinAlgError:
            shift = max(10 * shift, 1e-3)
            continue
        if shift == 0.0:
            return hessian
        return hessian + (lifted + shift * np.eye(len(scaled))) / scale**2
    return np.diag(1.0 / scale**2)


def inverse_root(hessian: Floats) -> Floats | None:
    """R (M, M) with R'R = (H + s diag(H))^-1 for the least of a few shifts s that makes it positive
    definite; None where none of them does, or the diagonal is not positive."""
    diagonal = np.diagonal(hessian)
    if not (np.isfinite(hessian).all() and (diagonal > 0).all()):
        return None
    scale = 1.0 / np.sqrt(diagonal)
    lower = _shifted_cholesky(hessian * np.outer(scale, scale))
    if lower is None:
        return None
    return np.asarray(np.linalg.solve(lower, np.diag(scale)))


def _step(hessian: Floats, gradient: Floats, free: Mask) -> Floats:
    """`newton_step` where the diagonal is positive; `free` (M,) tells the intercepts."""
    scale = 1.0 / np.sqrt(np.diagonal(hessian))
    scaled, slope = hessian * np.outer(scale, scale), scale * gradient
    lower = _cholesky(scaled)
    if lower is not None:
        return -scale * np.linalg.solve(lower.T, np.linalg.solve(lower, slope))
    if len(slope) > MAX_EIGEN_PARAMETERS:
        lower = _shifted_cholesky(scaled)
        if lower is None:
            return -scale * slope
        return -scale * np.linalg.solve(lower.T, np.linalg.solve(lower, slope))
    values, vectors = np.linalg.eigh(scaled)
    least = len(slope) * np.finfo(np.float64).eps * float(np.max(np.abs(values)))
    kept = np.abs(values) > least
    along = vectors[:, kept]
    step = -scale * (along @ ((along.T @ slope) / np.abs(values[kept])))
    return _least_norm(step, scale[:, None] * vectors[:, ~kept], free)


def _least_norm(step: Floats, null: Floats, free: Mask) -> Floats:
    """`step` moved in the span of `null` (M, r) to the least norm outside `free`, then inside."""
    if null.shape[1] == 0:
        return step
    null = null / np.linalg.norm(null, axis=0)
    bound = null[~free]
    left, sizes, right = np.linalg.svd(bound, full_matrices=True)
    rank = int(np.sum(sizes > 1e-8))
    share = (left[:, :rank].T @ step[~free]) / sizes[:rank]
    step = step - null @ (right[:rank].T @ share)
    inside = null @ right[rank:].T
    if inside.shape[1]:
        step = step - inside @ np.linalg.lstsq(inside[free], step[free], rcond=None)[0]
    return step


def _cholesky(scaled: Floats) -> Floats | None:
    """The lower factor of a matrix with a diagonal of 1; None where it is not soundly positive."""
    try:
        lower = np.linalg.cholesky(scaled)
    except np.linalg.LinAlgError:
        return None
    return np.asarray(lower) if float(np.min(np.diagonal(lower))) ** 2 > SOUND_PIVOT else None


def _shifted_cholesky(scaled: Floats) -> Floats | None:
    """The factor of the matrix, or of the matrix plus the least shift that does."""
    lower, shift = _cholesky(scaled), SHIFT
    while lower is None and shift <= 1.0:
        shifted = scaled + shift * np.eye(len(scaled))
        lower, shift = _cholesky(shifted), 10 * shift
    return lower


def _mask(part: slice | None, length: int) -> Mask:
    mask = np.zeros(length, dtype=np.bool_)
    if part is not None:
        mask[part] = True
    return mask
