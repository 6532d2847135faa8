"""From the sums over all groups to the next prior: the M step.

There are two steps, and neither lets the marginal likelihood fall. Either m alone moves, to its
generalised least squares estimate given Sigma and sigma; or all move to the maximum of the expected
log-likelihood in a larger model, y = x'm + z'(gamma * u) + e, u ~ N(alpha, Sigma), which says the
same as the smaller and is reached in far fewer rounds (Liu, Rubin, Wu: Parameter expansion to
accelerate EM, Biometrika 85, 1998; the first kind of step makes it an ECME algorithm: Liu, Rubin,
Biometrika 81, 1994). That step is taken which is sure to gain more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.meta.expectation import Expected
from lepton_dask.learn.meta.normal_prior import NormalPrior
from lepton_dask.learn.optimizers.quadratic import newton_step
from lepton_dask.matrix import Floats

LEAST_SIGMA = 1e-3
"""Of a y of standard deviation 1: below, a fit is exact."""

LEAST_VARIANCE = 1e-12
"""Of a random coefficient: below, it is the same for all."""


def next_prior(
    prior: NormalPrior,
    sums: Expected,
    columns: NDArray[np.intp],
    independence: float,
    has_sigma: bool,
) -> NormalPrior:
    """The better of the two steps."""
    steps = (
        generalised_least_squares(prior, sums),
        expanded_step(prior, sums, columns, independence, has_sigma),
    )
    return max(steps, key=lambda step: step.gain)


def generalised_least_squares(prior: NormalPrior, sums: Expected) -> NormalPrior:
    """m + (X'V^-1 X)^-1 X'V^-1 (y - X m); where X is not of full rank, of the least change."""
    change = newton_step(sums.information, -sums.score, slice(0, 1))
    gain = 0.5 * float(sums.score @ change)
    return NormalPrior(prior.m + change, prior.Sigma, prior.sigma, gain)


def expanded_step(
    prior: NormalPrior,
    sums: Expected,
    columns: NDArray[np.intp],
    independence: float,
    has_sigma: bool,
) -> NormalPrior:
    """The maximum of the expected log-likelihood of the larger model, as a prior of the smaller."""
    change, gamma, square, before = _regression(sums)
    alpha = sums.mean / max(sums.groups, 1)
    Sigma, gain = _covariance(prior, sums, columns, independence)
    sigma = prior.sigma
    if has_sigma:
        sigma = max(LEAST_SIGMA, np.sqrt(max(square, 0.0) / sums.weight))
    gain += 0.5 * (before / prior.sigma**2 - square / sigma**2)
    gain -= sums.weight * np.log(sigma / prior.sigma)
    m = prior.m + change
    m[columns] += gamma * alpha
    scaled = np.zeros_like(prior.Sigma)
    scaled[np.ix_(columns, columns)] = Sigma * np.outer(gamma, gamma)
    scaled[columns, columns] += LEAST_VARIANCE
    return NormalPrior(m, scaled, float(sigma), float(gain))


def _regression(sums: Expected) -> tuple[Floats, Floats, float, float]:
    """The change of m and gamma that minimise E (y - X m - Z gamma u)'W(y - X m - Z gamma u), the
    minimum, and the value at no change and gamma = 1."""
    d, R = sums.crossed.shape
    ones = np.ones(R)
    hessian = np.block([[sums.gram, sums.crossed], [sums.crossed.T, sums.scaled]])
    slope = np.concatenate(
        [sums.residual - sums.crossed @ ones, sums.explained - sums.scaled @ ones]
    )
    step = newton_step(hessian, -slope, slice(0, 1))
    before = sums.square - 2 * float(sums.explained.sum()) + float(sums.scaled.sum())
    square = before - 2 * float(slope @ step) + float(step @ hessian @ step)
    return step[:d], 1.0 + step[d:], square, before


def _covariance(
    prior: NormalPrior, sums: Expected, columns: NDArray[np.intp], independence: float
) -> tuple[Floats, float]:
    """var(u) of the larger model, and what it gains with alpha.

    Few groups cannot tell R (R + 1) / 2 covariances. So the logarithm of a density is added that is
    the higher the less the coefficients tell of each other,

        -k/2 (sum_j log P_jj - log det P),   P = Sigma^-1

    0 for a diagonal Sigma and below for any other (Hadamard), whatever the columns' units; with one
    random column there is nothing to add. It counts like k groups more. log P_jj lies below its
    tangent, whose maximum has a closed form:

        Sigma = (sum of E (u - alpha)(u - alpha)' + k diag(1 / P_jj)) / (T + k)
    """
    T = sums.groups
    before = prior.Sigma[np.ix_(columns, columns)]
    if not len(columns):
        return before, 0.0
    # On the scale where the variances are 1.
    scale = np.sqrt(np.diagonal(before))
    unit = np.outer(scale, scale)
    correlation = before / unit
    precision = np.linalg.inv(correlation)
    added = independence * np.diag(1.0 / np.diagonal(precision))
    second = sums.second / unit
    mean = sums.mean / scale
    total = T + independence
    after = (second - np.outer(mean, mean) / max(T, 1) + added) / total
    gain = 0.5 * (
        float(np.sum(precision * (second + added)))
        - total * len(columns)
        + total * (np.linalg.slogdet(correlation)[1] - np.linalg.slogdet(after)[1])
    )
    return after * unit, gain
