"""What a learnt prior is held against: one model for all groups, and each group alone."""

import numpy as np
import pytest
from meta_groups import groups_of, learn, setting_of, simulated, split
from sklearn.linear_model import LogisticRegression, Ridge

from lepton_dask.learn.meta.independent import PENALTIES, Independent
from lepton_dask.learn.meta.pooled import Pooled, PooledPrior

M = [0.3, -0.7, 0.4]
SPREAD = np.diag([0.3, 0.2, 0.1])


def test_pooled_squared_is_the_least_squares_of_all_rows_in_one_round():
    rows, _ = simulated(M, SPREAD)
    priors = learn(Pooled(), setting_of(2), rows, parts=3)
    X = np.column_stack([np.ones(len(rows.y)), rows.x])
    expected = np.linalg.lstsq(X, rows.y, rcond=None)[0]
    np.testing.assert_allclose(priors[1].theta, expected, atol=1e-7)
    assert len(priors) <= 3  # the second round finds nothing to change


def test_pooled_logistic_is_scikit_learns_of_all_rows():
    rows, _ = simulated(M, SPREAD, loss="logistic")
    weighted = rows._replace(weight=np.random.default_rng(0).uniform(0.5, 2, len(rows.y)))
    prior = learn(Pooled(), setting_of(2, loss="logistic"), weighted, parts=3)[-1]
    oracle = LogisticRegression(C=np.inf, tol=1e-10, solver="newton-cholesky")
    oracle.fit(rows.x, rows.y, sample_weight=weighted.weight)
    np.testing.assert_allclose(prior.theta, [*oracle.intercept_, *oracle.coef_[0]], atol=1e-5)


def test_pooled_logistic_lets_the_loss_rise_in_no_round_even_from_where_newton_overshoots():
    rows, _ = simulated([0.5, 1.0], np.zeros((2, 2)), loss="logistic")
    algorithm, setting = Pooled(), setting_of(1, loss="logistic")
    priors = [PooledPrior(np.array([8.0, -3.0]))]
    while len(priors) < 60 and not (priors[1:] and algorithm.has_converged(*priors[-2:])):
        message = algorithm.work(setting, priors[-1], rows, 0)
        priors.append(algorithm.combine(setting, priors[-1], [message]))
    z = [rows.x @ prior.theta[1:] + prior.theta[0] for prior in priors]
    losses = [np.sum(np.logaddexp(0, each) - rows.y * each) for each in z]
    assert np.max(np.diff(losses)) < 1e-6
    assert len(priors) < 40


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_pooled_takes_collinear_and_constant_columns(loss):
    rows, _ = simulated(M, SPREAD, loss=loss)
    wide = np.column_stack([rows.x, rows.x[:, 0], np.full(len(rows.y), 3.0)])
    prior = learn(Pooled(), setting_of(4, loss=loss), rows._replace(x=wide))[-1]
    plain = learn(Pooled(), setting_of(2, loss=loss), rows)[-1]
    z = wide @ prior.theta[1:] + prior.theta[0]
    np.testing.assert_allclose(z, rows.x @ plain.theta[1:] + plain.theta[0], atol=1e-4)


def test_pooled_gives_every_group_the_same_model_whatever_its_rows():
    rows, _ = simulated(M, SPREAD, T=4)
    prior = learn(Pooled(), setting_of(2), rows)[-1]
    models = Pooled().adapt(setting_of(2), prior, rows)
    assert len(models) == 4
    assert all(model.intercept == prior.theta[0] for model in models)
    assert Pooled().prior_of(prior.arrays()).theta is prior.theta


def test_an_independent_model_is_a_ridge_of_the_groups_own_rows():
    rows, _ = simulated(M, SPREAD, T=6, n=12)
    weighted = rows._replace(weight=np.random.default_rng(0).uniform(0.5, 2, len(rows.y)))
    prior = learn(Independent(), setting_of(2), weighted)[-1]
    for t, model in enumerate(Independent().adapt(setting_of(2), prior, weighted)):
        own = weighted.group(t)
        centred = own.x - np.average(own.x, axis=0, weights=own.weight)
        scale = np.mean(np.linalg.svd(np.sqrt(own.weight)[:, None] * centred)[1] ** 2)
        fits = [
            Ridge(alpha=penalty * scale).fit(own.x, own.y, sample_weight=own.weight)
            for penalty in PENALTIES
        ]
        gaps = [
            np.abs(fit.coef_ - model.coefficients).max() + abs(fit.intercept_ - model.intercept)
            for fit in fits
        ]
        assert min(gaps) < 1e-9


def test_the_penalty_is_that_of_the_least_generalised_cross_validation():
    rows, _ = simulated(M, SPREAD, T=6, n=12)
    prior = learn(Independent(), setting_of(2), rows)[-1]
    for t, model in enumerate(Independent().adapt(setting_of(2), prior, rows)):
        own = rows.group(t)
        x = own.x - own.x.mean(axis=0)
        y = own.y - own.y.mean()
        scale = np.trace(x.T @ x) / 2

        def generalised(penalty, x=x, y=y, scale=scale):
            hat = x @ np.linalg.solve(x.T @ x + penalty * scale * np.eye(2), x.T)
            rest = y - hat @ y
            return rest @ rest / (len(y) - 1 - np.trace(hat)) ** 2

        penalty = min(PENALTIES, key=generalised)
        expected = np.linalg.solve(x.T @ x + penalty * scale * np.eye(2), x.T @ y)
        np.testing.assert_allclose(model.coefficients, expected, rtol=1e-9)


def test_a_group_of_noise_is_shrunk_to_its_mean():
    rng = np.random.default_rng(0)
    rows = groups_of(rng.normal(size=(30, 10)), rng.normal(size=30) + 5, ["a"] * 30)
    prior = Independent().start(setting_of(10), 0)
    [model] = Independent().adapt(setting_of(10), prior, rows)
    assert np.abs(model.coefficients).max() < 0.2
    assert model.linear(rows.x).mean() == pytest.approx(rows.y.mean())


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_a_group_of_no_rows_gets_the_mean_of_all_rows_and_one_of_one_row_stays_finite(loss):
    rows, _ = simulated(M, SPREAD, loss=loss)
    setting = setting_of(2, loss=loss)
    prior = learn(Independent(), setting, rows, parts=4)[-1]
    few = rows.rows(np.array([int(rows.starts[1])]), np.array([0, 1]))
    empty, single = Independent().adapt(setting, prior, few)
    z = float(empty.linear(np.ones((1, 2)))[0])
    mean = z if loss == "squared" else 1 / (1 + np.exp(-z))
    assert mean == pytest.approx(rows.y.mean(), abs=1e-3)
    assert np.isfinite([single.intercept, *single.coefficients]).all()
    if loss == "squared":
        assert single.intercept == few.y[0]


def test_an_independent_logistic_model_of_many_rows_is_their_fit():
    rows, _ = simulated(M, SPREAD, T=2, n=4000, loss="logistic")
    setting = setting_of(2, loss="logistic")
    prior = learn(Independent(), setting, rows)[-1]
    for t, model in enumerate(Independent().adapt(setting, prior, rows)):
        own = rows.group(t)
        oracle = LogisticRegression(C=1.0, tol=1e-8).fit(own.x, own.y)
        np.testing.assert_allclose(model.coefficients, oracle.coef_[0], atol=0.01)
        assert model.intercept == pytest.approx(oracle.intercept_[0], abs=0.01)


@pytest.mark.parametrize("algorithm", [Pooled(), Independent()], ids=lambda each: each.name)
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_what_is_held_of_torn_groups_merges_to_the_same_prior(algorithm, loss):
    rows, _ = simulated(M, SPREAD, T=10, loss=loss)
    setting = setting_of(2, loss=loss)
    held = [algorithm.keep(setting, part) for part in split(rows, 3)]
    merged = type(held[0]).merged(held)
    start = algorithm.start(setting, 0)
    one, other = (
        algorithm.combine(setting, start, [algorithm.work(setting, start, each, 0)])
        for each in (algorithm.keep(setting, rows), merged)
    )
    for name, array in one.arrays().items():
        np.testing.assert_allclose(other.arrays()[name], array, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("algorithm", [Pooled(), Independent()], ids=lambda each: each.name)
def test_the_start_is_drawn_from_the_seed(algorithm):
    one, again, other = (algorithm.start(setting_of(2), seed).arrays() for seed in (1, 1, 2))
    for name, array in one.items():
        np.testing.assert_array_equal(array, again[name])
        assert (array != other[name]).all()
    assert not algorithm.has_converged(algorithm.prior_of(one), algorithm.prior_of(other))
