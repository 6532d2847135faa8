"""The hierarchical linear model, for both losses."""

import warnings

import numpy as np
import pandas as pd
import pytest
from meta_groups import (
    groups_of,
    learn,
    marginal_log_likelihood,
    setting_of,
    simulated,
    split,
)
from scipy.optimize import minimize
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from lepton_dask.learn.meta import expectation
from lepton_dask.learn.meta.expectation import posterior, random_columns
from lepton_dask.learn.meta.hierarchical_linear import HierarchicalLinear
from lepton_dask.learn.meta.maximisation import generalised_least_squares
from lepton_dask.learn.meta.normal_prior import NormalPrior, random_prior
from lepton_dask.learn.meta.statistics import GroupStatistics
from lepton_dask.learn.meta.variational import averages

M = [0.3, -0.7, 0.4]
SIGMA = np.array([[0.5, 0.2, 0.0], [0.2, 0.4, 0.0], [0.0, 0.0, 0.0]])
FREE = HierarchicalLinear(independence=1e-9, tolerance=1e-8)
"""Nothing but the likelihood."""


def sizes(message):
    return [np.shape(each) for each in message]


@pytest.mark.parametrize("random", ["intercept", [0, 1]])
def test_the_squared_loss_gives_statsmodels_maximum_likelihood(random):
    rows, _ = simulated(M, SIGMA)
    prior = learn(FREE, setting_of(2, random=random), rows, rounds=3000)[-1]
    owner = np.repeat(rows.names, rows.counts)
    X = np.column_stack([np.ones(len(rows.y)), rows.x])
    chosen = X[:, random_columns(setting_of(2, random=random).random)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        oracle = MixedLM(rows.y, X, owner, chosen).fit(reml=False)
    R = chosen.shape[1]
    np.testing.assert_allclose(prior.m, oracle.fe_params, atol=2e-4)
    np.testing.assert_allclose(prior.Sigma[:R, :R], oracle.cov_re, atol=2e-4)
    assert prior.sigma**2 == pytest.approx(oracle.scale, rel=1e-3)
    assert not prior.Sigma[R:].any()
    assert marginal_log_likelihood(prior, rows) == pytest.approx(oracle.llf, abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("random", ["all", "intercept", [1, 2]])
def test_the_marginal_likelihood_never_falls_over_rounds(random, seed):
    rows, _ = simulated(M, SIGMA, T=25, n=6, seed=seed)
    priors = learn(FREE, setting_of(2, random=random), rows, rounds=60, seed=seed)
    values = [marginal_log_likelihood(prior, rows) for prior in priors]
    assert len(values) > 5
    assert np.min(np.diff(values)) > -1e-7


def test_the_belief_in_independence_is_paid_for_by_likelihood_alone():
    """Likelihood and log-density of the belief together never fall."""
    rows, _ = simulated(M, SIGMA + 0.05 * np.eye(3), T=15, n=5)
    algorithm, setting = HierarchicalLinear(independence=4.0), setting_of(2)

    def value(prior):
        precision = np.linalg.inv(prior.Sigma)
        apart = np.log(np.diagonal(precision)).sum() - np.linalg.slogdet(precision)[1]
        return marginal_log_likelihood(prior, rows) - 0.5 * (2 * 4.0) * apart

    values = [value(prior) for prior in learn(algorithm, setting, rows, rounds=60)]
    assert np.min(np.diff(values)) > -1e-7


def test_known_m_sigma_and_sigma_are_recovered_from_many_groups():
    rows, _ = simulated(M, SIGMA, T=1500, n=15)
    prior = learn(HierarchicalLinear(), setting_of(2), rows)[-1]
    np.testing.assert_allclose(prior.m, M, atol=0.06)
    np.testing.assert_allclose(prior.Sigma, SIGMA, atol=0.05)
    assert prior.sigma == pytest.approx(0.5, rel=0.02)


def test_the_belief_ends_where_likelihood_and_belief_together_are_greatest():
    rows, _ = simulated(M, SIGMA + 0.1, T=15, n=8)
    algorithm = HierarchicalLinear(independence=4.0, tolerance=1e-9)
    end = learn(algorithm, setting_of(2), rows, rounds=3000)[-1]

    def value(Sigma):
        precision = np.linalg.inv(Sigma)
        apart = np.log(np.diagonal(precision)).sum() - np.linalg.slogdet(precision)[1]
        prior = NormalPrior(end.m, Sigma, end.sigma)
        return marginal_log_likelihood(prior, rows) - 0.5 * (2 * 4.0) * apart

    rng = np.random.default_rng(0)
    for _ in range(20):
        change = np.eye(3) + 0.02 * rng.normal(size=(3, 3))
        assert value(change @ end.Sigma @ change.T) < value(end.Sigma) + 1e-6


@pytest.mark.parametrize(("n", "most"), [(300, 4), (15, 10)])
def test_convergence_takes_few_rounds(n, most):
    rows, _ = simulated(M, np.diag([0.5, 0.4, 0.02]), T=100, n=n)
    assert len(learn(HierarchicalLinear(), setting_of(2), rows)) - 1 <= most


def test_a_column_that_is_constant_within_groups_is_learnt_in_few_rounds():
    rows, _ = simulated([0.0], [[0.5]], T=60, n=100)
    level = np.repeat(np.arange(60) % 2, rows.counts)
    wide = rows._replace(x=level[:, None].astype(float), y=rows.y + level)
    assert len(learn(HierarchicalLinear(), setting_of(1, random="intercept"), wide)) - 1 <= 8


def test_the_step_of_m_alone_is_generalised_least_squares():
    rows, _ = simulated(M, SIGMA, T=6, n=5)
    rows = rows._replace(weight=np.random.default_rng(0).uniform(0.5, 2, len(rows.y)))
    prior, columns = NormalPrior(np.zeros(3), SIGMA, 0.5), np.array([0, 1])
    sums = expectation.expected(prior, GroupStatistics.of_rows(rows), columns)
    information, moment = np.zeros((3, 3)), np.zeros(3)
    for t in range(6):
        own = rows.group(t)
        X = np.column_stack([np.ones(len(own.y)), own.x])
        inverse = np.linalg.inv(X @ SIGMA @ X.T + 0.25 * np.diag(1 / own.weight))
        information += X.T @ inverse @ X
        moment += X.T @ inverse @ own.y
    step = generalised_least_squares(prior, sums)
    np.testing.assert_allclose(step.m, np.linalg.solve(information, moment), rtol=1e-9)
    gain = marginal_log_likelihood(step, rows) - marginal_log_likelihood(prior, rows)
    assert step.gain == pytest.approx(gain)


def test_the_posterior_is_the_closed_form_at_known_parameters():
    rows, _ = simulated(M, SIGMA, T=5, n=4)
    prior = NormalPrior(np.array(M), SIGMA, 0.5)
    setting = setting_of(2, random=[0, 1])
    models = HierarchicalLinear().adapt(setting, prior, rows)
    columns = random_columns(setting.random)
    covariance = posterior(prior, GroupStatistics.of_rows(rows), columns).covariance
    for t, model in enumerate(models):
        own = rows.group(t)
        X = np.column_stack([np.ones(len(own.y)), own.x])
        V = X @ SIGMA @ X.T + 0.25 * np.eye(len(own.y))
        expected = M + SIGMA @ X.T @ np.linalg.solve(V, own.y - X @ M)
        np.testing.assert_allclose([model.intercept, *model.coefficients], expected, atol=1e-10)
        left = SIGMA - SIGMA @ X.T @ np.linalg.solve(V, X @ SIGMA)
        np.testing.assert_allclose(covariance[t], left[:2, :2], atol=1e-10)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_a_group_without_rows_gets_m_and_one_with_many_its_own_fit(loss):
    m, Sigma = [0.2, 1.0], np.diag([0.3, 0.3])
    rows, w = simulated(m, Sigma, T=1, n=20_000, loss=loss)
    prior, setting = NormalPrior(np.array(m), Sigma, 0.5), setting_of(1, loss=loss)
    none = rows.rows(np.empty(0, np.intp), np.array([0]))
    [model] = HierarchicalLinear().adapt(setting, prior, none)
    np.testing.assert_allclose([model.intercept, *model.coefficients], m)
    [model] = HierarchicalLinear().adapt(setting, prior, rows)
    np.testing.assert_allclose([model.intercept, *model.coefficients], w[0], atol=0.06)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_groups_in_any_parts_give_the_same_prior(loss):
    rows, _ = simulated(M, SIGMA, T=30, loss=loss)
    setting = setting_of(2, loss=loss)
    one, seven = (
        learn(HierarchicalLinear(), setting, rows, rounds=5, parts=parts)[-1] for parts in (1, 7)
    )
    np.testing.assert_allclose(one.m, seven.m, atol=1e-10)
    np.testing.assert_allclose(one.Sigma, seven.Sigma, atol=1e-10)


def test_more_parts_than_groups_and_groups_in_pieces_give_the_same_prior(monkeypatch):
    rows, _ = simulated(M, SIGMA, T=10)
    setting = setting_of(2)
    one = learn(HierarchicalLinear(), setting, rows, rounds=5)[-1]
    many = learn(HierarchicalLinear(), setting, rows, rounds=5, parts=13)[-1]
    monkeypatch.setattr(expectation, "CELLS", 30)
    pieces = learn(HierarchicalLinear(), setting, rows, rounds=5)[-1]
    for other in (many, pieces):
        np.testing.assert_allclose(other.m, one.m, atol=1e-10)
        np.testing.assert_allclose(other.Sigma, one.Sigma, atol=1e-10)


def test_what_is_held_of_torn_groups_merges_to_the_same_prior():
    rows, _ = simulated(M, SIGMA, T=30)
    algorithm, setting = HierarchicalLinear(), setting_of(2)
    whole = algorithm.keep(setting, rows)
    merged = GroupStatistics.merged([algorithm.keep(setting, part) for part in split(rows, 4)])
    start = algorithm.start(setting, 0)
    one, other = (
        algorithm.combine(setting, start, [algorithm.work(setting, start, held, 0)])
        for held in (whole, merged)
    )
    np.testing.assert_allclose(one.Sigma, other.Sigma, rtol=1e-10)
    np.testing.assert_allclose(one.m, other.m, rtol=1e-8)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_a_messages_size_depends_on_neither_rows_nor_groups(loss):
    found = []
    for T, n in ((5, 10), (50, 40)):
        rows, _ = simulated(M, SIGMA, T=T, n=n, loss=loss)
        algorithm, setting = HierarchicalLinear(), setting_of(2, loss=loss)
        held = algorithm.keep(setting, rows)
        found.append(sizes(algorithm.work(setting, algorithm.start(setting, 0), held, 0)))
    assert found[0] == found[1]


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_weights_equal_repeated_rows(loss):
    rows, _ = simulated([0.1, 0.5], np.diag([0.4, 0.2]), T=15, n=8, loss=loss)
    times = np.random.default_rng(0).integers(1, 4, len(rows.y))
    owner = np.repeat(rows.names, rows.counts)
    weighted = groups_of(rows.x, rows.y, owner, times)
    again = np.repeat(np.arange(len(rows.y)), times)
    repeated = groups_of(rows.x[again], rows.y[again], owner[again])
    setting = setting_of(1, loss=loss)
    one, other = (
        learn(HierarchicalLinear(), setting, each, rounds=10)[-1] for each in (weighted, repeated)
    )
    np.testing.assert_allclose(one.m, other.m, atol=1e-7)
    np.testing.assert_allclose(one.Sigma, other.Sigma, atol=1e-7)
    assert one.sigma == pytest.approx(other.sigma)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_collinear_constant_and_group_constant_columns_stay_finite(loss):
    rows, _ = simulated([0.2, 0.5], np.diag([0.4, 0.2]), T=12, n=10, loss=loss)
    level = np.repeat(np.arange(12) % 3, rows.counts)
    x = np.column_stack(
        [
            rows.x,
            np.eye(3)[level],  # sums to the intercept, and constant within each group
            np.full(len(rows.y), 2.0),
            np.zeros(len(rows.y)),
            -3 * rows.x[:, 0],
        ]
    )
    wide = rows._replace(x=x)
    setting = setting_of(x.shape[1], loss=loss)
    prior = learn(HierarchicalLinear(), setting, wide, rounds=200)[-1]
    assert np.isfinite(prior.m).all()
    assert np.isfinite(prior.sigma)
    assert np.abs(prior.m).max() < 10
    values = np.linalg.eigvalsh(prior.Sigma)
    assert values.min() >= -1e-12
    assert values.max() < 10
    models = HierarchicalLinear().adapt(setting, prior, wide)
    z = np.concatenate([model.linear(wide.group(t).x) for t, model in enumerate(models)])
    narrow = learn(HierarchicalLinear(), setting_of(1, loss=loss), rows)[-1]
    models = HierarchicalLinear().adapt(setting_of(1, loss=loss), narrow, rows)
    plain = np.concatenate([model.linear(rows.group(t).x) for t, model in enumerate(models)])
    assert np.sqrt(np.mean((z - plain) ** 2)) < 0.4


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_one_row_groups_and_more_columns_than_groups_give_a_proper_prior(loss):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(8, 20))
    y = x[:, 0] if loss == "squared" else (x[:, 0] > 0).astype(float)
    rows = groups_of(x, y, list(range(8)))
    prior = learn(HierarchicalLinear(), setting_of(20, loss=loss), rows, rounds=100)[-1]
    assert np.isfinite(prior.m).all()
    assert np.linalg.eigvalsh(prior.Sigma).min() >= -1e-12
    assert prior.sigma > 0


def test_columns_that_do_not_vary_between_groups_get_next_to_no_variance():
    rng = np.random.default_rng(2)
    T, n, D = 42, 10, 15
    owner = np.repeat(np.arange(T), n)
    x = rng.normal(size=(T * n, D))
    w = rng.normal(size=(T, 2))
    y = w[owner, 0] + w[owner, 1] * x[:, 0] + 0.3 * x[:, 1] + 0.1 * rng.normal(size=T * n)
    rows = groups_of(x, y, owner)
    prior = learn(HierarchicalLinear(), setting_of(D), rows, rounds=300)[-1]
    deviation = np.sqrt(np.diagonal(prior.Sigma))
    np.testing.assert_allclose(deviation[:2], w.std(axis=0), rtol=0.1)
    assert deviation[2:].max() < 0.03


def test_without_random_columns_it_is_the_least_squares_of_all_rows():
    rows, _ = simulated(M, np.zeros((3, 3)), T=10)
    prior = learn(HierarchicalLinear(), setting_of(2, random=[]), rows)[-1]
    X = np.column_stack([np.ones(len(rows.y)), rows.x])
    expected, rest, *_ = np.linalg.lstsq(X, rows.y, rcond=None)
    np.testing.assert_allclose(prior.m, expected, atol=1e-8)
    assert prior.sigma == pytest.approx(np.sqrt(rest[0] / len(rows.y)))
    models = HierarchicalLinear().adapt(setting_of(2, random=[]), prior, rows)
    assert len(models) == 10


def test_the_start_is_drawn_from_the_seed_and_the_end_does_not_depend_on_it():
    rows, _ = simulated(M, SIGMA)
    setting = setting_of(2, random=[0, 1])
    one, again, other = (random_prior(setting, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.m, again.m)
    np.testing.assert_array_equal(one.Sigma, again.Sigma)
    assert (one.m != other.m).all()
    assert not one.Sigma[2].any()
    ends = [learn(FREE, setting, rows, rounds=2000, seed=seed)[-1] for seed in (1, 2)]
    np.testing.assert_allclose(ends[0].Sigma, ends[1].Sigma, atol=1e-4)


def test_a_prior_is_made_again_of_its_arrays():
    prior = random_prior(setting_of(3), 0)
    again = HierarchicalLinear().prior_of(prior.arrays())
    np.testing.assert_array_equal(again.m, prior.m)
    np.testing.assert_array_equal(again.Sigma, prior.Sigma)
    assert again.sigma == prior.sigma


def quadrature(rows):
    """Intercept, coefficients and the random intercept's standard deviation of the greatest
    likelihood, each group's integral over it by Gauss and Hermite."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    owner = np.repeat(np.arange(len(rows.names)), rows.counts)

    def loss(theta):
        z = (theta[0] + rows.x @ theta[1:-1])[:, None] + np.exp(theta[-1]) * nodes
        log_p = np.zeros((len(rows.names), len(nodes)))
        np.add.at(log_p, owner, rows.y[:, None] * z - np.logaddexp(0, z))
        top = log_p.max(axis=1, keepdims=True)
        return -np.sum(top[:, 0] + np.log(np.exp(log_p - top) @ weights))

    found = minimize(loss, np.zeros(rows.x.shape[1] + 2), method="BFGS").x
    return found[:-1], np.exp(found[-1])


@pytest.mark.parametrize(("T", "n", "deviation"), [(60, 20, 1.0), (150, 6, 1.0), (60, 15, 2.0)])
def test_the_logistic_loss_gives_the_maximum_likelihood_found_by_quadrature(T, n, deviation):
    m = [-0.5, 1.0]
    rows, _ = simulated(m, np.diag([deviation**2, 0]), T=T, n=n, loss="logistic", seed=1)
    setting = setting_of(1, loss="logistic", random="intercept")
    prior = learn(HierarchicalLinear(), setting, rows)[-1]
    expected, spread = quadrature(rows)
    np.testing.assert_allclose(prior.m, expected, atol=0.03)
    assert np.sqrt(prior.Sigma[0, 0]) == pytest.approx(spread, rel=0.03)


def test_logistic_averages_are_those_of_many_draws():
    z = np.array([0.0, 1.5, -4.0])
    draws = z + 1.3 * np.random.default_rng(0).standard_normal((400_000, 3))
    p = 1 / (1 + np.exp(-draws))
    mean, slope = averages(z, np.full(3, 1.69))
    np.testing.assert_allclose(mean, p.mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(slope, (p * (1 - p)).mean(axis=0), atol=2e-3)


def test_groups_of_one_class_alone_are_drawn_to_the_others():
    rows, _ = simulated([0.0], [[1.0]], T=40, n=5, loss="logistic")
    setting = setting_of(0, loss="logistic")
    prior = learn(HierarchicalLinear(), setting, rows)[-1]
    share = pd.Series(rows.y).groupby(np.repeat(rows.names, rows.counts)).mean().to_numpy()
    intercepts = np.array(
        [model.intercept for model in HierarchicalLinear().adapt(setting, prior, rows)]
    )
    assert {0.0, 1.0} <= set(share)
    assert np.abs(intercepts).max() < 3
    assert np.corrcoef(share, intercepts)[0, 1] > 0.9
