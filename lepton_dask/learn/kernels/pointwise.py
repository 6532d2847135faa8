"""The losses' formulas, each stated once: value, derivative and curvature by z for one row.

Compiled. `a` and `b` are the loss's `parameters`, with quantile's `b` the smoothing in use, and
`scale` is huber's sigma. Values, derivatives and curvatures are finite wherever the exact result is
a finite float64, and keep their relative accuracy in the tails. `evaluate` and `curve` take many
rows, with the choice of the loss outside of their loops, so that these become SIMD instructions.
"""

from __future__ import annotations

import math

import numpy as np

from lepton_dask.learn.kernels.elementary import exp, inlined, log1p_of_decay
from lepton_dask.learn.losses import (
    Gamma,
    Huber,
    Logistic,
    Loss,
    Multinomial,
    Poisson,
    Quantile,
    Squared,
    Tweedie,
)
from lepton_dask.matrix import Floats

SQUARED, LOGISTIC, POISSON = Squared.code, Logistic.code, Poisson.code
GAMMA, TWEEDIE, HUBER, QUANTILE = Gamma.code, Tweedie.code, Huber.code, Quantile.code

HUBER_SCALE = -1
"""For `evaluate`: in place of l and dl/dz huber's d2l/dsigma2 and d2l/dz dsigma."""

Pair = tuple[float, float]


@inlined
def squared(y: float, z: float) -> Pair:
    residual = z - y
    return 0.5 * residual * residual, residual


@inlined
def logistic(y: float, z: float) -> Pair:
    # With the signs of z apart no difference of nearly equal numbers is taken: at y = 1, z = 40
    # the derivative is -4.2e-18, not 0.
    decay = exp(-abs(z))
    rising = z >= 0.0
    line = (1.0 - y) * z if rising else -y * z
    over = (1.0 - y) - y * decay if rising else (1.0 - y) * decay - y
    return line + log1p_of_decay(decay), over / (1.0 + decay)


@inlined
def logistic_curvature(z: float) -> float:
    decay = exp(-abs(z))
    return decay / ((1.0 + decay) * (1.0 + decay))


@inlined
def poisson(y: float, z: float) -> Pair:
    mean = exp(z)
    return mean - y * z, mean - y


@inlined
def gamma(y: float, z: float) -> Pair:
    ratio = y * exp(-z)
    return ratio + z, 1.0 - ratio


@inlined
def tweedie(y: float, z: float, power: float) -> Pair:
    # The larger of e^z and 1 is taken out, so that what overflows or vanishes does so as a whole.
    if power == 1.0:
        return poisson(y, z)
    if power == 2.0:
        return gamma(y, z)
    one, two = 1.0 - power, 2.0 - power
    decay = exp(-abs(z))
    if z > 0.0 or y == 0.0:
        outer = exp(two * z)
        ratio = y * decay if y != 0.0 else 0.0
        return outer * (1.0 / two - ratio / one), outer * (1.0 - ratio)
    outer = exp(one * z)
    return outer * (decay / two - y / one), outer * (decay - y)


@inlined
def tweedie_curvature(y: float, z: float, power: float) -> float:
    if power == 1.0:
        return exp(z)
    if power == 2.0:
        return y * exp(-z)
    one, two = 1.0 - power, 2.0 - power
    decay = exp(-abs(z))
    if z > 0.0 or y == 0.0:
        ratio = y * decay if y != 0.0 else 0.0
        return exp(two * z) * (two - one * ratio)
    return exp(one * z) * (two * decay - one * y)


@inlined
def huber(y: float, z: float, epsilon: float, scale: float) -> Pair:
    residual = z - y
    size = abs(residual)
    inside = size <= epsilon * scale
    outer = math.copysign(2.0 * epsilon, residual)
    value = residual * (residual / scale) if inside else (2.0 * size - epsilon * scale) * epsilon
    return scale + value, 2.0 * residual / scale if inside else outer


@inlined
def huber_scale_slope(y: float, z: float, epsilon: float, scale: float) -> float:
    """dl/dsigma: 1 - u^2 inside, 1 - epsilon^2 outside, with u = (z - y) / sigma."""
    u = min(abs(z - y) / scale, epsilon)
    return 1.0 - u * u


@inlined
def huber_scale_bend(y: float, z: float, epsilon: float, scale: float) -> Pair:
    """d2l/dsigma2 and d2l/dz dsigma: 2 u^2 / sigma and -2 u / sigma inside, 0 outside."""
    u = (z - y) / scale
    slant = -2.0 * u / scale if abs(u) <= epsilon else 0.0
    return -u * slant, slant


@inlined
def quantile(y: float, z: float, q: float, mu: float) -> Pair:
    r = y - z
    if mu == 0.0:
        return (q * r, -q) if r >= 0.0 else ((q - 1.0) * r, 1.0 - q)
    u, v = barrier(r, mu)
    # u v = mu (u + v) spares a logarithm.
    return q * u + (1.0 - q) * v - mu * (math.log(mu) + math.log(u + v)), mu / u - q


@inlined
def quantile_curvature(y: float, z: float, mu: float) -> float:
    if mu == 0.0:
        return 0.0
    # mu / (u^2 + v^2), of which neither square overflows.
    u, v = barrier(y - z, mu)
    return (mu / u) / (u + v * (v / u))


@inlined
def barrier(r: float, mu: float) -> Pair:
    """The u and v that minimise q u + (1 - q) v - mu (log u + log v) where u - v = r.

    Their optimality, q - mu / u = -((1 - q) - mu / v), is u v = mu (u + v): the larger of the two
    is mu + (|r| + s) / 2 with s = sqrt(r^2 + 4 mu^2), the smaller mu + (s - |r|) / 2, where
    s - |r| is written as 4 mu^2 / (s + |r|).
    """
    size = abs(r)
    most = max(size, 2.0 * mu)
    share = min(size, 2.0 * mu) / most
    s = most * math.sqrt(1.0 + share * share)
    larger = mu + 0.5 * (size + s)
    smaller = mu + 2.0 * mu * (mu / (s + size))
    return (larger, smaller) if r >= 0.0 else (smaller, larger)


@inlined
def evaluate(
    code: int,
    a: float,
    b: float,
    scale: float,
    y: Floats,
    n: int,
    z: Floats,
    value: Floats,
    slope: Floats,
) -> None:
    """value[:n] and slope[:n], dl/dz, of z[:n] and y[:n]; all but multinomial."""
    if code == SQUARED:
        for i in range(n):
            value[i], slope[i] = squared(y[i], z[i])
    elif code == LOGISTIC:
        for i in range(n):
            value[i], slope[i] = logistic(y[i], z[i])
    elif code == POISSON:
        for i in range(n):
            value[i], slope[i] = poisson(y[i], z[i])
    elif code == GAMMA:
        for i in range(n):
            value[i], slope[i] = gamma(y[i], z[i])
    elif code == TWEEDIE:
        for i in range(n):
            value[i], slope[i] = tweedie(y[i], z[i], a)
    elif code == HUBER:
        for i in range(n):
            value[i], slope[i] = huber(y[i], z[i], a, scale)
    elif code == QUANTILE:
        for i in range(n):
            value[i], slope[i] = quantile(y[i], z[i], a, b)
    elif code == HUBER_SCALE:
        for i in range(n):
            value[i], slope[i] = huber_scale_bend(y[i], z[i], a, scale)


@inlined
def curve(
    code: int,
    a: float,
    b: float,
    scale: float,
    y: Floats,
    n: int,
    z: Floats,
    curvature: Floats,
) -> None:
    """curvature[:n], d2l/dz2, of z[:n] and y[:n]."""
    if code == SQUARED:
        for i in range(n):
            curvature[i] = 1.0
    elif code == LOGISTIC:
        for i in range(n):
            curvature[i] = logistic_curvature(z[i])
    elif code == POISSON:
        for i in range(n):
            curvature[i] = exp(z[i])
    elif code == GAMMA:
        for i in range(n):
            curvature[i] = y[i] * exp(-z[i])
    elif code == TWEEDIE:
        for i in range(n):
            curvature[i] = tweedie_curvature(y[i], z[i], a)
    elif code == HUBER:
        for i in range(n):
            curvature[i] = 2.0 / scale if abs(z[i] - y[i]) <= a * scale else 0.0
    elif code == QUANTILE:
        for i in range(n):
            curvature[i] = quantile_curvature(y[i], z[i], b)


@inlined
def evaluate_classes(y: Floats, z: Floats, value: Floats, slope: Floats) -> None:
    """Multinomial: value (n,) and slope (n, K) of z (n, K), with l = log(sum_k e^z_k) - z_y."""
    n, K = z.shape
    for i in range(n):
        k_y = int(y[i])
        top = 0
        for k in range(1, K):
            if z[i, k] > z[i, top]:
                top = k
        # Sums without the largest, and without the row's own class: neither rounds 1 + e to 1.
        beside_top = 0.0
        beside_own = 0.0
        for k in range(K):
            e = exp(z[i, k] - z[i, top])
            slope[i, k] = e
            if k != top:
                beside_top += e
            if k != k_y:
                beside_own += e
        whole = 1.0 + beside_top
        value[i] = (z[i, top] - z[i, k_y]) + math.log1p(beside_top)
        for k in range(K):
            slope[i, k] /= whole
        slope[i, k_y] = -beside_own / whole


def value(
    loss: Loss, y: Floats, z: Floats, *, scale: float = 1.0, smoothing: float = 0.0
) -> Floats:
    """l(y, z), shape (n,); y (n,), z (n,), of multinomial (n, K). Terms of y alone are dropped."""
    return _evaluated(loss, y, z, scale, smoothing)[0]


def gradient(
    loss: Loss, y: Floats, z: Floats, *, scale: float = 1.0, smoothing: float = 0.0
) -> Floats:
    """dl/dz, shaped like z."""
    return _evaluated(loss, y, z, scale, smoothing)[1]


def curvature(
    loss: Loss, y: Floats, z: Floats, *, scale: float = 1.0, smoothing: float = 0.0
) -> Floats:
    """d2l/dz2, shaped like z; of multinomial the diagonal of the (K, K) matrix of a row.

    It is never negative but for tweedie with a power outside of [1, 2].
    """
    y, z = np.asarray(y, dtype=np.float64), np.asarray(z, dtype=np.float64)
    if loss.code == Multinomial.code:
        p = loss.inverse_link(z)
        return p * others(p)
    bend = np.empty(len(z))
    a, b = parameters(loss, smoothing)
    curve(loss.code, a, b, scale, y, len(z), z, bend)
    return bend


def others(p: Floats) -> Floats:
    """1 - p of probabilities p (n, K) that sum to 1 in each row, as the sum of the others: so that
    it keeps its digits where p is nearly 1."""
    K = p.shape[1]
    return np.asarray(p @ (1.0 - np.eye(K)))


def parameters(loss: Loss, smoothing: float) -> Pair:
    """What the formulas take as `a` and `b`."""
    a, b = loss.parameters
    return (a, smoothing) if loss.code == Quantile.code else (a, b)


def _evaluated(
    loss: Loss, y: Floats, z: Floats, scale: float, smoothing: float
) -> tuple[Floats, Floats]:
    y, z = np.ascontiguousarray(y, dtype=np.float64), np.ascontiguousarray(z, dtype=np.float64)
    values, slopes = np.empty(len(z)), np.empty_like(z)
    if loss.code == Multinomial.code:
        evaluate_classes(y, z, values, slopes)
    else:
        a, b = parameters(loss, smoothing)
        evaluate(loss.code, a, b, scale, y, len(z), z, values, slopes)
    return values, slopes
