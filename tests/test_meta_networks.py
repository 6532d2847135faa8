"""Networks on many tasks at once: passes, gradients and products with the Hessian."""

import numpy as np
import pytest
from meta_tasks import by_differences, loss_of, make_tasks, relative_error

from lepton_dask.learn.meta.base import Adapted
from lepton_dask.learn.meta.inner import mean_losses, task_gradient
from lepton_dask.learn.meta.networks import Network
from lepton_dask.learn.meta.pointwise import derivatives, values

TASKS = 3
NETWORK = Network((2, 7, 5, 1), linear=True)

every_loss = pytest.mark.parametrize("loss", ["squared", "logistic"])
shared_or_own = pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])


def thetas(own, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([NETWORK.start(rng) for _ in range(TASKS)]) if own else NETWORK.start(rng)


def test_a_pass_is_that_of_the_model_that_it_becomes():
    theta, tasks = thetas(own=True), make_tasks(TASKS, 6)
    z = NETWORK.forward(theta, tasks.x).out[..., 0]
    for t in range(TASKS):
        *hidden, last = NETWORK.layers(theta[t])
        model = Adapted(last.weight[:, 0], float(last.bias[0]), tuple(hidden))
        np.testing.assert_allclose(z[t], model.linear(tasks.x[t, :, :-1]), rtol=1e-12)


@every_loss
@shared_or_own
def test_each_tasks_gradient_equals_finite_differences(loss, own):
    theta, tasks = thetas(own), make_tasks(TASKS, 6, loss)
    gradient = task_gradient(NETWORK, loss, theta, tasks)
    for t in range(TASKS - 1):

        def loss_at(at, t=t):
            return float(mean_losses(NETWORK, loss, at, tasks.take(np.array([t])))[0])

        mine = theta[t] if own else theta
        expected = by_differences(loss_at, mine, range(NETWORK.size))
        assert relative_error(gradient[t], expected) < 1e-8
    assert not gradient[-1].any()  # a task without weight


@every_loss
def test_the_mean_loss_is_the_weighted_mean_of_the_rows(loss):
    theta, tasks = thetas(own=False), make_tasks(TASKS, 6, loss)
    *hidden, last = NETWORK.layers(theta)
    model = Adapted(last.weight[:, 0], float(last.bias[0]), tuple(hidden))
    expected = loss_of([model] * TASKS, tasks, loss)
    assert mean_losses(NETWORK, loss, theta, tasks).mean() == pytest.approx(expected, rel=1e-12)


@every_loss
@shared_or_own
def test_hessian_products_equal_differences_of_gradients(loss, own):
    theta, tasks = thetas(own), make_tasks(TASKS, 6, loss)
    direction = np.random.default_rng(1).normal(size=(TASKS, NETWORK.size))
    done = NETWORK.forward(theta, tasks.x)
    by_z = derivatives(loss, tasks.y, done.out[..., 0])
    back = NETWORK.backward(done, (tasks.shares * by_z.slope)[..., None])
    curvature = (tasks.shares * by_z.curvature)[..., None]
    product = NETWORK.hessian_product(done, back, curvature, direction)
    step = 1e-6
    above = task_gradient(NETWORK, loss, theta + step * direction, tasks)
    below = task_gradient(NETWORK, loss, theta - step * direction, tasks)
    expected = (above - below) / (2 * step)
    assert relative_error(product, expected if own else expected.sum(axis=0)) < 1e-7


def test_a_summed_gradient_is_the_sum_over_the_tasks():
    network = Network((2, 7, 5), linear=False)
    tasks = make_tasks(TASKS, 6)
    rng = np.random.default_rng(2)
    done = network.forward(network.start(rng), tasks.x)
    deltas = network.backward(done, rng.normal(size=(TASKS, 6, 5))).deltas
    expected = network.gradient(done, deltas).sum(axis=0)
    np.testing.assert_allclose(network.gradient(done, deltas, summed=True), expected, rtol=1e-10)


@every_loss
def test_losses_and_their_derivatives_are_finite_and_right_far_out(loss):
    z = np.array([-1000.0, -40.0, -0.5, 0.0, 0.5, 40.0, 1000.0])
    for y in (0.0, 1.0):
        rows, by_z = values(loss, np.full(7, y), z), derivatives(loss, np.full(7, y), z)
        assert np.isfinite([rows, by_z.slope, by_z.curvature]).all()
        expected = (z - y) ** 2 / 2 if loss == "squared" else np.logaddexp(0.0, z) - y * z
        np.testing.assert_allclose(rows, expected, rtol=1e-12, atol=1e-300)
        near = 1e-6 * np.maximum(1.0, np.abs(z))
        above, below = values(loss, np.full(7, y), z + near), values(loss, np.full(7, y), z - near)
        np.testing.assert_allclose(by_z.slope, (above - below) / (2 * near), atol=1e-7)


def test_a_random_start_has_kinks_away_from_0_and_outputs_of_the_inputs_scale():
    network = Network((50, 40, 40, 1), linear=True)
    theta = network.start(np.random.default_rng(0))
    x = np.concatenate(
        [np.random.default_rng(1).normal(size=(1, 500, 50)), np.ones((1, 500, 1))], 2
    )
    assert 0.3 < network.forward(theta, x).out.std() < 3.0
    assert all(np.unique(layer.bias).size == 40 for layer in network.layers(theta)[:-1])
    assert network.layers(theta)[-1].bias == 0.0
