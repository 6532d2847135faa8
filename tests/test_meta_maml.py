"""MAML, Meta-SGD and Reptile: gradients through the inner steps, and adapting that is safe."""

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

from lepton_dask.learn.meta.adam import Adam
from lepton_dask.learn.meta.inner import descend, mean_losses, task_gradient
from lepton_dask.learn.meta.maml import Maml, MetaSgd
from lepton_dask.learn.meta.neural import NeuralPrior
from lepton_dask.learn.meta.reptile import Reptile

every_loss = pytest.mark.parametrize("loss", ["squared", "logistic"])
every_depth = pytest.mark.parametrize("inner_steps", [1, 3])


def prior_of(theta):
    return NeuralPrior(Adam.start(theta))


def query_loss(algorithm, loss, support, query):
    """The query loss after adapting, as a function of the parameters, by the public road."""
    setting = setting_of(loss)

    def of(theta):
        return loss_of(algorithm.adapt(setting, prior_of(theta), rows_of(support)), query, loss)

    return of


def assert_exact(algorithm, loss, theta):
    support, query = make_tasks(4, 5, loss), make_tasks(4, 9, loss, seed=1)
    gradient = algorithm.gradient(setting_of(loss), theta, support, query)
    places = np.random.default_rng(2).choice(len(theta), 60, replace=False)
    expected = by_differences(query_loss(algorithm, loss, support, query), theta, places, 1e-6)
    assert relative_error(gradient[places], expected) < 1e-6


@every_loss
@every_depth
def test_mamls_gradient_goes_through_its_steps_exactly(loss, inner_steps):
    algorithm = Maml(hidden=(8, 6), inner_rate=0.1, inner_steps=inner_steps)
    assert_exact(algorithm, loss, algorithm.first(setting_of(loss), np.random.default_rng(3)))


@every_loss
@every_depth
def test_meta_sgds_gradient_by_the_start_and_by_the_rates_is_exact(loss, inner_steps):
    algorithm = MetaSgd(hidden=(8, 6), inner_rate=0.1, inner_steps=inner_steps)
    rng = np.random.default_rng(3)
    theta = algorithm.first(setting_of(loss), rng)
    theta[len(theta) // 2 :] *= rng.uniform(-0.2, 1.0, len(theta) // 2)
    assert_exact(algorithm, loss, theta)


def test_the_gradient_is_exact_also_where_a_step_was_halved():
    algorithm = Maml(hidden=(8, 6), inner_rate=3.0)
    setting, support = setting_of(), make_tasks(4, 5)
    theta = algorithm.first(setting, np.random.default_rng(3))
    _, step = descend(algorithm.network(setting), "squared", theta, 3.0, support)
    assert (step.scale < 1).any()
    assert_exact(algorithm, "squared", theta)


def test_meta_sgd_with_equal_rates_adapts_as_maml_does():
    setting, rows = setting_of(), make_groups([5, 2, 9])
    maml, meta_sgd = Maml(), MetaSgd()
    for one, other in zip(
        maml.adapt(setting, maml.start(setting, 1), rows),
        meta_sgd.adapt(setting, meta_sgd.start(setting, 1), rows),
        strict=True,
    ):
        np.testing.assert_array_equal(one.linear(rows.x), other.linear(rows.x))


@every_loss
def test_adapting_with_far_too_large_steps_stays_finite_and_makes_no_loss_worse(loss):
    algorithm = Maml(inner_steps=30, inner_rate=1e4)
    setting, tasks = setting_of(loss), make_tasks(4, 5, loss)
    network, prior = algorithm.network(setting), algorithm.start(setting, 0)
    theta = np.repeat(prior.adam.theta[None], 4, axis=0)
    with np.errstate(all="ignore"):
        for _ in range(30):
            theta = theta - 1e4 * task_gradient(network, loss, theta, tasks)
        unguarded = mean_losses(network, loss, theta, tasks)
    before = mean_losses(network, loss, prior.adam.theta, tasks)
    assert not (unguarded[:-1] <= before[:-1]).any()
    if loss == "squared":
        assert not np.isfinite(unguarded[:-1]).any()
    for t, model in enumerate(algorithm.adapt(setting, prior, rows_of(tasks))[:-1]):
        after = loss_of([model], tasks.take(np.array([t])), loss)
        assert after < before[t]


@pytest.mark.parametrize("algorithm", [Maml(), MetaSgd(), Reptile()], ids=lambda a: a.name)
def test_more_steps_than_were_learnt_with_fit_the_rows_better(algorithm):
    setting, rows = setting_of(), make_groups([8] * 5)
    prior = algorithm.start(setting, 0)
    losses = []
    for steps in (1, 10, 100):
        field = "adapting_steps" if algorithm.name == "reptile" else "inner_steps"
        models = algorithm.model_copy(update={field: steps}).adapt(setting, prior, rows)
        losses.append(
            np.mean([(models[t].linear(rows.group(t).x) - rows.group(t).y) ** 2 for t in range(5)])
        )
    assert losses == sorted(losses, reverse=True)


def test_reptile_goes_towards_where_descent_ends():
    algorithm = Reptile(hidden=(8, 6), inner_steps=2)
    setting, support, query = setting_of(), make_tasks(4, 5), make_tasks(4, 10, seed=1)
    theta = algorithm.first(setting, np.random.default_rng(3))
    gradient = algorithm.gradient(setting, theta, support, query)
    ends = theta
    for batch in (support, query.columns(slice(0, 5))):
        ends, _ = descend(algorithm.network(setting), "squared", ends, 0.1, batch)
    np.testing.assert_allclose(theta - 0.2 * gradient, ends.mean(axis=0), rtol=1e-10)
