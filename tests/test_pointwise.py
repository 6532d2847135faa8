"""The losses' formulas against scikit-learn, against decimals of 1000 digits, against slopes."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from loss_problems import EVERY_LOSS, targets
from scipy.optimize import minimize_scalar
from sklearn._loss.loss import (
    HalfBinomialLoss,
    HalfGammaLoss,
    HalfMultinomialLoss,
    HalfPoissonLoss,
    HalfSquaredError,
    HalfTweedieLoss,
    PinballLoss,
)
from sklearn.linear_model._huber import _huber_loss_and_gradient

from lepton_dask.learn.kernels import elementary, pointwise
from lepton_dask.learn.losses import Huber, Logistic, Multinomial, Quantile

every_loss = pytest.mark.parametrize("loss", EVERY_LOSS.values(), ids=list(EVERY_LOSS))
TAILS = (-1000.0, -700.0, -40.0, -3.0, -1e-9, 0.0, 0.5, 36.0, 40.0, 700.0, 1000.0)
ONE = Decimal(1)


def oracle(loss):
    """scikit-learn's loss of the same name; huber's is elsewhere."""
    a = loss.parameters[0]
    return {
        "squared": HalfSquaredError,
        "logistic": HalfBinomialLoss,
        "multinomial": lambda: HalfMultinomialLoss(n_classes=3),
        "poisson": HalfPoissonLoss,
        "gamma": HalfGammaLoss,
        "tweedie": lambda: HalfTweedieLoss(power=a),
        "quantile": lambda: PinballLoss(quantile=a),
    }[loss.name]()


def exactly(loss, y, z):
    """Value, slope and curvature as in a textbook, in decimals, without any care for rounding."""
    y, z = Decimal(y), Decimal(z)
    a = Decimal(loss.parameters[0])
    p = ONE / (1 + (-z).exp())
    residual = z - y
    if loss.name == "squared":
        return residual**2 / 2, residual, ONE
    if loss.name == "logistic":
        return (1 + z.exp()).ln() - y * z, p - y, p * (1 - p)
    if loss.name == "poisson" or (loss.name == "tweedie" and a == 1):
        return z.exp() - y * z, z.exp() - y, z.exp()
    if loss.name == "gamma" or (loss.name == "tweedie" and a == 2):
        return y * (-z).exp() + z, 1 - y * (-z).exp(), y * (-z).exp()
    if loss.name == "tweedie":
        one, two = ((1 - a) * z).exp(), ((2 - a) * z).exp()
        curvature = (2 - a) * two - (1 - a) * y * one
        return two / (2 - a) - y * one / (1 - a), two - y * one, curvature
    if loss.name == "huber":  # scale 1
        if abs(residual) <= a:
            return 1 + residual**2, 2 * residual, Decimal(2)
        sign = ONE if residual > 0 else -ONE
        return 1 + 2 * a * abs(residual) - a * a, 2 * a * sign, Decimal(0)
    r = -residual
    return (a * r, -a, Decimal(0)) if r >= 0 else ((a - 1) * r, 1 - a, Decimal(0))


def close(found, exact, size=Decimal(0)):
    """Within 1e-14 of the exact number relatively, or of `size`; infinite where it overflows."""
    if abs(exact) > Decimal(np.finfo(float).max):
        return found == (np.inf if exact > 0 else -np.inf)
    allowed = max(Decimal("1e-14") * max(abs(exact), size), Decimal("1e-320"))
    return abs(Decimal(float(found)) - exact) <= allowed


@pytest.mark.parametrize(
    "loss", [v for v in EVERY_LOSS.values() if v.name != "multinomial"], ids=repr
)
def test_every_formula_is_exact_to_its_last_digits_in_the_tails(loss):
    some = (0.0, 1.0) if loss.name == "logistic" else (1.0, 3.25, 1000.0)
    if loss.name in ("poisson",) or (loss.name == "tweedie" and loss.power < 2):
        some = (0.0, *some)
    y, z = (np.ravel(a) for a in np.meshgrid(some, TAILS))
    found = (f(loss, y, z) for f in (pointwise.value, pointwise.gradient, pointwise.curvature))
    with localcontext(prec=1000, Emax=10**6, Emin=-(10**6)):
        for one in zip(y, z, *found, strict=True):
            exact = exactly(loss, *one[:2])
            # Where terms of the formula cancel (y z against log y), they do in the last digits.
            sizes = _terms(loss, *one[:2])
            for value, number, size in zip(one[2:], exact, sizes, strict=True):
                assert close(value, number, size), (one, float(number))


def _terms(loss, y, z):
    """The largest terms of value, slope and curvature, where a sum of them may cancel."""
    if loss.name == "logistic":
        return (Decimal(0),) * 3
    y, z = Decimal(y), Decimal(z)
    power = {"poisson": 1, "gamma": 2}.get(loss.name, loss.parameters[0])
    if loss.name in ("poisson", "gamma", "tweedie"):
        p = Decimal(power)
        terms = y * ((1 - p) * z).exp() + ((2 - p) * z).exp()
        if loss.name == "tweedie":  # the product (1 - p) z is rounded before it is an exponent
            terms *= max(ONE, abs(z) / 50)
        return terms + y * abs(z) + abs(z), terms, terms
    return (abs(y) + abs(z)) ** 2 if loss.name == "squared" else abs(y) + abs(z), *(
        (abs(y) + abs(z)),
        Decimal(1),
    )


def test_multinomial_is_exact_to_its_last_digits_in_the_tails():
    rows = [(0, 40, -40), (1000, -1000, 0), (0, 0, 0), (3, 2.5, -700), (-1000, -1000, -1001)]
    with localcontext(prec=1000, Emax=10**6, Emin=-(10**6)):
        for row in rows:
            for y in range(3):
                z = np.array([row], float)
                e = [Decimal(k).exp() for k in z[0]]
                p = [k / sum(e) for k in e]
                value = pointwise.value(Multinomial(), np.array([y]), z)[0]
                assert close(value, -p[y].ln()), (row, y)
                slope = pointwise.gradient(Multinomial(), np.array([y]), z)[0]
                bend = pointwise.curvature(Multinomial(), np.array([y]), z)[0]
                for k in range(3):
                    assert close(slope[k], p[k] - (k == y)), (row, y, k)
                    assert close(bend[k], p[k] * (1 - p[k])), (row, y, k)


@pytest.mark.parametrize("loss", [v for v in EVERY_LOSS.values() if v.name != "huber"], ids=repr)
def test_formulas_equal_scikit_learns_but_for_terms_of_y_alone(loss):
    rng = np.random.default_rng(0)
    y = targets(loss, 200, rng)
    z = rng.normal(0, 2, (200, 3) if loss.name == "multinomial" else 200)
    reference, start = oracle(loss), np.zeros_like(z)
    ours = pointwise.value(loss, y, z) - pointwise.value(loss, y, start)
    theirs = reference.loss(y, z) - reference.loss(y, start)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    slope, bend = (
        reference.gradient_hessian(y, z) if loss.smooth else (reference.gradient(y, z), None)
    )
    np.testing.assert_allclose(pointwise.gradient(loss, y, z), slope, rtol=1e-12, atol=1e-14)
    if bend is not None:
        np.testing.assert_allclose(pointwise.curvature(loss, y, z), bend, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
def test_huber_with_its_scale_equals_scikit_learns(scale):
    rng = np.random.default_rng(0)
    y, z, w = rng.normal(0, 3, 100), rng.normal(0, 1, 100), rng.uniform(0.2, 3, 100)
    total, gradient = _huber_loss_and_gradient(
        np.array([1.0, 0.0, scale]), z[:, None], y, 1.35, 0.0, w
    )
    assert w @ pointwise.value(Huber(), y, z, scale=scale) == pytest.approx(total, rel=1e-12)
    slope = pointwise.gradient(Huber(), y, z, scale=scale)
    np.testing.assert_allclose((w * slope) @ np.column_stack([z, z * 0 + 1]), gradient[:2])


@every_loss
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_slope_and_curvature_are_the_derivatives_by_finite_differences(loss, smoothing):
    rng = np.random.default_rng(0)
    y = targets(loss, 300, rng)
    z = rng.normal(0, 2, (300, 3) if loss.name == "multinomial" else 300)
    h, options = 1e-6, {"scale": 0.8, "smoothing": smoothing}
    for k in [(..., 0), (..., 1), (..., 2)] if z.ndim == 2 else [...]:
        step = np.zeros_like(z)
        step[k] = h
        ends = [(y, z + step), (y, z - step)]
        slope, bend = (
            (f(loss, *ends[0], **options) - f(loss, *ends[1], **options)) / (2 * h)
            for f in (pointwise.value, pointwise.gradient)
        )
        found = pointwise.gradient(loss, y, z, **options)
        np.testing.assert_allclose(found[k], slope, rtol=1e-6, atol=1e-6)
        found = pointwise.curvature(loss, y, z, **options)
        np.testing.assert_allclose(found[k], bend[k], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("mu", [1e-3, 0.5, 20.0])
def test_the_smoothed_pinball_is_the_barriers_minimum(q, mu):
    for r in (-30.0, -1.0, 0.0, 0.2, 8.0):

        def barrier(log_v, r=r):
            v = np.exp(log_v) + max(-r, 0.0)
            u = r + v if r < 0 else r + np.exp(log_v)
            u = np.exp(log_v) if r < 0 else u
            return q * u + (1 - q) * v - mu * (np.log(u) + np.log(v))

        least = minimize_scalar(barrier, bounds=(-20, 8), method="bounded", options={"xatol": 1e-9})
        loss, y, z = Quantile(quantile=q), np.array([r]), np.zeros(1)
        found = pointwise.value(loss, y, z, smoothing=mu)[0]
        assert found == pytest.approx(least.fun, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("mu", [1e-12, 1e-3, 1.0])
def test_the_smoothed_pinball_keeps_its_digits_in_the_tails(mu):
    loss = Quantile(quantile=0.3)
    with localcontext(prec=100):
        q, m = Decimal(loss.quantile), Decimal(mu)
        for residual in (-1000.0, -1.0, -1e-9, 0.0, 1e-9, 1.0, 1000.0):
            r = Decimal(residual)
            u = (r + 2 * m + (r * r + 4 * m * m).sqrt()) / 2
            v = u - r
            y, z = np.array([residual]), np.zeros(1)
            slope = pointwise.gradient(loss, y, z, smoothing=mu)[0]
            bend = pointwise.curvature(loss, y, z, smoothing=mu)[0]
            value = pointwise.value(loss, y, z, smoothing=mu)[0]
            assert close(value, q * u + (1 - q) * v - m * (u.ln() + v.ln()), Decimal(mu) * 60)
            assert close(slope, m / u - q, ONE)
            assert close(bend, m / (u * u + v * v))


def test_a_small_smoothing_is_the_pinball():
    y, z = np.random.default_rng(0).normal(size=(2, 100))
    loss = Quantile(quantile=0.3)
    for f in (pointwise.value, pointwise.gradient):
        np.testing.assert_allclose(f(loss, y, z, smoothing=1e-12), f(loss, y, z), atol=1e-8)


def test_exp_and_log1p_are_within_three_units_in_the_last_place():
    x = np.concatenate([np.linspace(-745, 709.7, 4001), [-0.0, 1e-300, -1e-17]])
    exact = np.exp(x.astype(np.longdouble))
    found = np.array([elementary.exp(v) for v in x])
    spacing = np.maximum(np.spacing(exact.astype(float)), 5e-324)
    assert np.max(np.abs(found - exact) / spacing) < 3
    d = np.concatenate([np.linspace(0, 1, 4001), np.geomspace(1e-323, 1, 2000)])
    exact = np.log1p(d.astype(np.longdouble))
    found = np.array([elementary.log1p_of_decay(v) for v in d])
    assert np.max(np.abs(found - exact) / np.spacing(exact.astype(float))) < 3


@pytest.mark.parametrize(
    ("x", "result"), [(np.inf, np.inf), (-np.inf, 0.0), (710.0, np.inf), (-746.0, 0.0), (0.0, 1.0)]
)
def test_exp_overflows_and_vanishes_as_it_should(x, result):
    assert elementary.exp(x) == result


def test_nan_stays_nan():
    assert np.isnan(elementary.exp(np.nan))
    assert np.isnan(pointwise.value(Logistic(), np.ones(1), np.full(1, np.nan)))[0]
