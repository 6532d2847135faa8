"""Mini-batches: what an epoch is, what it costs, and where it ends."""

import numpy as np
import pytest
from in_memory import BlockPasses, make_block, split_block

from lepton_dask.learn.descent import descend
from lepton_dask.learn.objective import Evaluation
from lepton_dask.learn.optimizers import Lbfgs, Sgd
from lepton_dask.learn.optimizers.base import Query
from lepton_dask.learn.train import Train

LEVELS = (3, 5)
every_method = pytest.mark.parametrize("method", ["momentum", "adam"])


def passes_over(rows=4000, l1=0.0, l2=0.02):
    return BlockPasses(split_block(make_block(rows=rows), [900, 2500]), LEVELS, l2=l2, l1=l1)


def trained(optimizer, epochs, seed=0, **penalty):
    train = Train(loss="logistic", penalty=penalty, tolerance=0.0, max_passes=epochs)
    return descend(train, optimizer, passes_over(**penalty), seed=seed)


@every_method
def test_it_comes_near_the_least_objective_in_a_few_epochs(method):
    best = descend(Train(loss="logistic", tolerance=1e-8), Lbfgs(), passes_over())
    optimizer = Sgd(batches=20, method=method, learning_rate=0.05, decay=0.5)
    found = trained(optimizer, 20, l2=0.02)
    value = passes_over().local.evaluate
    least = best.history[-1].loss
    assert value(Query(found.theta)).value == pytest.approx(least, rel=2e-3)


def test_an_epoch_is_one_pass_and_one_iteration():
    found = trained(Sgd(batches=10), 3, l2=0.02)
    assert found.passes == pytest.approx(3)
    assert found.iterations == 3
    assert [record.iteration for record in found.history] == [1, 2, 3]


def test_an_epoch_takes_every_batch_once_in_an_order_of_its_own():
    optimizer = Sgd(batches=6).seeded(4)
    state = optimizer.start(np.zeros(2), np.ones(2))
    epochs = []
    for _ in range(3):
        numbers = []
        for _ in range(6):
            numbers.append(state.query.batch.number)
            state = optimizer.step(state, Evaluation(state.theta, 1.0, np.ones(2)))
        epochs.append(numbers)
    assert [sorted(numbers) for numbers in epochs] == [list(range(6))] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_order_is_drawn_from_the_seed():
    one, again, other = (trained(Sgd(batches=10), 2, seed, l2=0.02).theta for seed in (1, 1, 2))
    assert one.tobytes() == again.tobytes() != other.tobytes()
    fixed = Sgd(batches=10, seed=7)
    assert fixed.seeded(1) == fixed


def test_an_epochs_loss_and_gradient_are_the_means_over_its_batches():
    optimizer = Sgd(batches=3)
    state = optimizer.start(np.zeros(2), np.ones(2))
    for value in (1.0, 2.0, 6.0):
        state = optimizer.step(state, Evaluation(state.theta, value, np.full(2, value)))
    assert state.point.value == 3.0
    np.testing.assert_array_equal(state.point.gradient, [3.0, 3.0])


def test_momentum_follows_nesterovs_formula_by_hand():
    optimizer = Sgd(batches=1, learning_rate=0.1, momentum=0.5, decay=0.0)
    state = optimizer.start(np.array([1.0]), np.array([4.0]))
    theta, velocity = 1.0, 0.0
    for _ in range(4):
        gradient = 4 * theta
        velocity = 0.5 * velocity - 0.1 / 4 * gradient
        theta += 0.5 * velocity - 0.1 / 4 * gradient
        evaluation = Evaluation(state.theta, 2 * state.theta[0] ** 2, 4 * state.theta)
        state = optimizer.step(state, evaluation)
    assert state.theta[0] == pytest.approx(theta)


def test_the_first_step_of_adam_is_the_learning_rate():
    optimizer = Sgd(batches=1, method="adam", learning_rate=0.01, decay=0.0)
    state = optimizer.start(np.zeros(2), np.ones(2))
    state = optimizer.step(state, Evaluation(state.theta, 1.0, np.array([1e-3, -50.0])))
    np.testing.assert_allclose(state.theta, [-0.01, 0.01], rtol=1e-4)


@every_method
def test_l1_leaves_exact_zeros(method):
    found = trained(Sgd(batches=10, method=method), 10, l1=0.1)
    assert np.count_nonzero(found.theta[:-1] == 0) >= 3
    assert np.any(found.theta[:-1] != 0)
