"""The minimum of a function with kinks that is held in memory, by a primal-dual method."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lepton_dask.learn.objective import Pieces
from lepton_dask.learn.optimizers.quadratic import newton_step
from lepton_dask.matrix import Floats

MAX_ITERATIONS = 100
TO_THE_EDGE = 0.9995
"""The share of the way to the nearest bound that a step may go."""

EXACT = 1e-12
"""The duality gap at which the minimum is found, as a share of the sum of all terms."""


class _Point(NamedTuple):
    """theta (M,); the residual's parts u - v and the dual variable of each row, (m,)."""

    theta: Floats
    u: Floats
    v: Floats
    dual: Floats


def minimise_pieces(pieces: Pieces, theta: Floats) -> Floats | None:
    """theta (M,) that minimises the pieces, from one near it; None where there is no minimum, or
    none was found.

    Primal and dual together, with Mehrotra's corrector, on

        min over theta:  c'theta + theta'diag(l2)theta / 2 + sum U_i u_i + L_i v_i
        over y - X theta = u - v; u, v >= 0

    whose dual variables lie in -L <= lambda <= U (Portnoy, Koenker: The Gaussian Hare and the
    Laplacian Tortoise, Statist. Sci. 1997, 4, the Frisch-Newton method).
    """
    X, y, upper, lower, slope, l2 = pieces[:6]
    spread = float(np.mean(np.abs(y - X @ theta)))
    if not np.isfinite(spread):
        return None
    if spread == 0.0:
        return theta
    residual = y - X @ theta
    at = _Point(
        theta,
        np.maximum(residual, 0.0) + spread,
        np.maximum(-residual, 0.0) + spread,
        0.5 * (upper - lower),
    )
    terms = len(y)
    scale = float(upper @ np.maximum(residual, 0) + lower @ np.maximum(-residual, 0))
    for _ in range(MAX_ITERATIONS):
        above, below = upper - at.dual, at.dual + lower
        gap = float(at.u @ above + at.v @ below)
        primal = y - X @ at.theta - at.u + at.v
        dual = slope + l2 * at.theta - X.T @ at.dual
        feasible = float(np.max(np.abs(primal))) <= 1e-9 * spread
        if gap <= EXACT * scale and feasible:
            return at.theta
        width = 1.0 / (at.u / above + at.v / below)
        system = X.T @ (width[:, None] * X)
        system[np.diag_indices_from(system)] += l2
        ahead = _direction(at, pieces, width, system, primal, dual, 0.0, 0.0, 0.0)
        reach, dual_reach = _reaches(at, ahead, above, below)
        after = float(
            (at.u + reach * ahead.u) @ (above - dual_reach * ahead.dual)
            + (at.v + reach * ahead.v) @ (below + dual_reach * ahead.dual)
        )
        mu = (after / gap) ** 3 * gap / (2 * terms)
        step = _direction(
            at, pieces, width, system, primal, dual, mu, -ahead.u * ahead.dual, ahead.v * ahead.dual
        )
        reach, dual_reach = _reaches(at, step, above, below)
        moved = _Point(
            at.theta + reach * step.theta,
            at.u + reach * step.u,
            at.v + reach * step.v,
            at.dual + dual_reach * step.dual,
        )
        if not (np.isfinite(moved.theta).all() and np.isfinite(moved.dual).all()):
            return None
        at = moved
    return None


def _direction(
    at: _Point,
    pieces: Pieces,
    width: Floats,
    system: Floats,
    primal: Floats,
    dual: Floats,
    mu: float,
    second_u: Floats | float,
    second_v: Floats | float,
) -> _Point:
    """Newton's step towards u (U - lambda) = v (lambda + L) = mu, less the second-order terms."""
    X = pieces.rows
    above, below = pieces.upper - at.dual, at.dual + pieces.lower
    wanted_u = mu - at.u * above - second_u
    wanted_v = mu - at.v * below - second_v
    left = primal - wanted_u / above + wanted_v / below
    theta = newton_step(system, dual - X.T @ (width * left))
    moved = width * (left - X @ theta)
    return _Point(
        theta,
        (wanted_u + at.u * moved) / above,
        (wanted_v - at.v * moved) / below,
        moved,
    )


def _reaches(at: _Point, step: _Point, above: Floats, below: Floats) -> tuple[float, float]:
    """How far a step may go in u and v, and in the dual."""
    primal = min(_reach(at.u, step.u), _reach(at.v, step.v))
    return primal, min(_reach(above, -step.dual), _reach(below, step.dual))


def _reach(size: Floats, step: Floats) -> float:
    falling = step < 0
    if not falling.any():
        return 1.0
    return min(1.0, TO_THE_EDGE * float(np.min(-size[falling] / step[falling])))
