"""The ridge head: closed form, gradients through it, and the head of classes."""

import numpy as np
import pytest
from meta_tasks import (
    by_differences,
    loss_of,
    make_groups,
    make_tasks,
    relative_error,
    rows_of,
    setting_of,
)

from lepton_dask.learn.layers import through
from lepton_dask.learn.meta.adam import Adam
from lepton_dask.learn.meta.head import HeadPrior, fit_heads
from lepton_dask.learn.meta.neural import NeuralPrior
from lepton_dask.learn.meta.ridge_head import RidgeHead

every_loss = pytest.mark.parametrize("loss", ["squared", "logistic"])

ALGORITHM = RidgeHead(hidden=(8, 6))
HEAD = 7


def parameters(loss="squared", seed=3):
    """As after some learning: a mean and precisions that differ."""
    rng = np.random.default_rng(seed)
    theta = ALGORITHM.first(setting_of(loss), rng)
    theta[-2 * HEAD :] += 0.5 * rng.normal(size=2 * HEAD)
    return theta


def prior_of(theta):
    return NeuralPrior(Adam.start(theta))


@pytest.mark.parametrize("rows", [1, 4, 7, 50])
def test_adapting_equals_the_normal_equations(rows):
    theta, groups = parameters(), make_groups([rows] * 3, weighted=True)
    models = ALGORITHM.adapt(setting_of(), prior_of(theta), groups)
    mean, precision = theta[-2 * HEAD : -HEAD], np.exp(theta[-HEAD:])
    for t, model in enumerate(models):
        own = groups.group(t)
        phi = np.column_stack([through(model.hidden, own.x), np.ones(rows)])
        left = phi.T @ (own.weight[:, None] * phi) + np.diag(precision)
        right = phi.T @ (own.weight * own.y) + precision * mean
        expected = np.linalg.solve(left, right)
        np.testing.assert_allclose([*model.coefficients, model.intercept], expected, rtol=1e-8)


@every_loss
@pytest.mark.parametrize("rows", [5, 12], ids=["few rows", "many rows"])
def test_the_gradient_goes_through_the_heads_exactly(loss, rows):
    setting, theta = setting_of(loss), parameters(loss)
    support, query = make_tasks(4, rows, loss), make_tasks(4, 9, loss, seed=1)

    def query_loss(at):
        return loss_of(ALGORITHM.adapt(setting, prior_of(at), rows_of(support)), query, loss)

    gradient = ALGORITHM.gradient(setting, theta, support, query)
    expected = by_differences(query_loss, theta, range(len(theta)))
    assert relative_error(gradient, expected) < 1e-6


@pytest.mark.parametrize("rows", [5, 12])
def test_a_head_of_classes_is_where_the_objectives_gradient_is_0(rows):
    rng = np.random.default_rng(0)
    phi, weight = rng.normal(size=(6, rows, HEAD)), rng.uniform(0, 2, (6, rows))
    y = (rng.random((6, rows)) < 0.5).astype(float)
    prior = HeadPrior(3.0 * rng.normal(size=HEAD), rng.uniform(0.01, 1.0, HEAD))
    v = fit_heads("logistic", prior, phi, y, weight).v
    p = 1 / (1 + np.exp(-np.einsum("tsf,tf->ts", phi, v)))
    gradient = np.einsum("tsf,ts->tf", phi, weight * (p - y)) + prior.precision * (v - prior.mean)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-8)


def test_a_head_of_separable_classes_far_from_its_mean_is_finite():
    phi = np.array([[[1.0, 1000.0], [1.0, -1000.0], [1.0, 900.0]]])
    prior = HeadPrior(np.array([0.0, -50.0]), np.full(2, 1e-5))
    v = fit_heads("logistic", prior, phi, np.array([[1.0, 0.0, 1.0]]), np.ones((1, 3))).v
    assert np.isfinite(v).all()
    z = phi[0] @ v[0]
    assert ((z > 0) == [True, False, True]).all()


@every_loss
def test_a_group_of_no_rows_has_the_mean_as_its_head(loss):
    theta, setting = parameters(loss), setting_of(loss)
    [model] = ALGORITHM.adapt(setting, prior_of(theta), make_groups([0], loss))
    np.testing.assert_array_equal([*model.coefficients, model.intercept], theta[-2 * HEAD : -HEAD])


def test_the_hidden_layers_are_the_same_for_all_groups():
    models = ALGORITHM.adapt(setting_of(), prior_of(parameters()), make_groups([3, 4]))
    assert models[0].hidden is models[1].hidden
    assert [layer.weight.shape for layer in models[0].hidden] == [(2, 8), (8, 6)]
