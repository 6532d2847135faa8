"""The l1 penalty: the minimum that scikit-learn finds, exact zeros, and what ends the descent."""

from __future__ import annotations

import numpy as np
import pytest
from in_memory import BlockPasses, make_block, one_hot, split_block
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression

from lepton_dask.learn.descent import Descent, descend
from lepton_dask.learn.objective import Evaluation
from lepton_dask.learn.optimizers import Fista, GradientDescent, ProxNewton
from lepton_dask.learn.optimizers.base import Query
from lepton_dask.learn.optimizers.coordinate_descent import sweep_coordinates
from lepton_dask.learn.penalty import shrink
from lepton_dask.learn.train import EarlyStopping, Train, choose_optimizer, train_mistakes
from lepton_dask.matrix import Block

LEVELS = (3, 5)
TIGHT = 1e-9


def fitted(block: Block, loss: str, l1: float, l2: float = 0.0, **rules: object) -> Descent:
    passes = BlockPasses(split_block(block, [90, 90, 200]), LEVELS, loss, l2, l1=l1)
    penalty = {"l1": l1, "l2": l2}
    train = Train(loss=loss, penalty=penalty, **{"tolerance": TIGHT, "max_passes": 5000} | rules)
    return descend(train, choose_optimizer(train)[0], passes)


@pytest.mark.parametrize("l1", [1e-3, 1e-2, 1e-1])
@pytest.mark.parametrize("l2", [0.0, 0.02])
def test_squared_coefficients_equal_scikit_learns(l1: float, l2: float) -> None:
    """(1 / sum w) sum w r^2 / 2 + alpha (ratio |b|_1 + (1 - ratio) |b|^2 / 2) is its objective."""
    block = make_block(loss="squared")
    found = fitted(block, "squared", l1, l2)
    alpha = l1 + l2
    oracle = (
        ElasticNet(alpha=alpha, l1_ratio=l1 / alpha, tol=1e-14, max_iter=200_000)
        if l2
        else Lasso(alpha=l1, tol=1e-14, max_iter=200_000)
    )
    X = one_hot(block, LEVELS)
    oracle.fit(X, block.target, sample_weight=block.weight)
    assert found.stopped.code == "tolerance"
    # One-hot columns beside an intercept have many minima without l2: their predictions are one.
    ours = X @ found.theta[:-1] + found.theta[-1]
    np.testing.assert_allclose(ours, oracle.predict(X), atol=1e-6)
    if l2:
        np.testing.assert_allclose(found.theta, [*oracle.coef_, oracle.intercept_], atol=1e-6)
        np.testing.assert_array_equal(found.theta[:-1] == 0, oracle.coef_ == 0)


@pytest.mark.parametrize("l1", [1e-3, 1e-2, 1e-1])
def test_logistic_coefficients_equal_scikit_learns(l1: float) -> None:
    block = make_block()
    found = fitted(block, "logistic", l1)
    oracle = LogisticRegression(
        C=1 / (l1 * block.weight.sum()),
        l1_ratio=1,
        solver="saga",
        tol=1e-11,
        max_iter=200_000,
        random_state=0,
    )
    X = one_hot(block, LEVELS)
    oracle.fit(X, block.target, sample_weight=block.weight)
    ours = X @ found.theta[:-1] + found.theta[-1]
    np.testing.assert_allclose(ours, oracle.decision_function(X), atol=1e-5)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_the_conditions_of_the_minimum_hold_by_hand(loss: str) -> None:
    """|g_j| <= l1 where b_j is 0, g_j = -l1 sign(b_j) elsewhere, and no gradient by the intercept;
    g by central differences of the mean loss."""
    block, l1 = make_block(loss=loss), 0.05
    theta = fitted(block, loss, l1).theta
    b = theta[:-1]
    passes = BlockPasses([block], LEVELS, loss)
    step = 1e-5 * np.eye(len(theta))
    slopes = [
        (passes.evaluate(Query(theta + h)).value - passes.evaluate(Query(theta - h)).value) / 2e-5
        for h in step
    ]
    g = np.array(slopes)
    assert g[-1] == pytest.approx(0, abs=1e-8)
    assert np.any(b == 0)
    assert np.any(b != 0)
    assert np.all(np.abs(g[:-1][b == 0]) <= l1 + 1e-8)
    np.testing.assert_allclose(g[:-1][b != 0], -l1 * np.sign(b[b != 0]), atol=1e-8)


def test_a_penalty_that_is_too_strong_leaves_the_intercept_alone() -> None:
    block = make_block()
    found = fitted(block, "logistic", l1=10.0)
    share = np.average(block.target, weights=block.weight)
    np.testing.assert_array_equal(found.theta[:-1], 0.0)
    assert found.theta[-1] == pytest.approx(np.log(share / (1 - share)))
    assert found.passes == 1


def test_the_loss_in_the_history_is_the_whole_objective() -> None:
    block, l1 = make_block(), 0.02
    found = fitted(block, "logistic", l1)
    mean_loss = BlockPasses([block], LEVELS).evaluate(Query(found.theta)).value
    expected = mean_loss + l1 * np.sum(np.abs(found.theta[:-1]))
    assert found.history[-1].loss == pytest.approx(expected, rel=1e-12)
    assert found.history[-1].gradient_norm <= TIGHT


def test_ending_by_passes_leaves_exact_zeros_too() -> None:
    found = fitted(make_block(), "logistic", l1=0.1, max_passes=6, tolerance=0.0, optimizer="fista")
    assert found.stopped.code == "max_passes"
    assert np.count_nonzero(found.theta[:-1] == 0) >= 3


def test_early_stopping_watches_the_loss_without_the_penalty() -> None:
    *training, validation = split_block(make_block(rows=400), [90, 300])
    passes = BlockPasses(training, LEVELS, validation=validation, l1=1e-4)
    train = Train(loss="logistic", penalty={"l1": 1e-4}, early_stopping=EarlyStopping(patience=3))
    found = descend(train, Fista(), passes)
    least = min(record.validation for record in found.history)
    assert passes.validation_loss(found.theta) == pytest.approx(least, rel=1e-12)


def test_passes_are_few_where_columns_are_independent() -> None:
    block = make_block(rows=5000, dense=20, levels=(), weighted=False)
    train = Train(loss="logistic", penalty={"l1": 1e-3}, tolerance=1e-4)
    found = descend(train, Fista(), BlockPasses([block], (), l1=1e-3))
    assert found.stopped.code == "tolerance"
    assert found.passes <= 30


def test_shrinking_moves_towards_zero_and_stops_there() -> None:
    shrunk = shrink(np.array([3.0, -3.0, 0.5, -0.5, 0.0]), 1.0)
    np.testing.assert_array_equal(shrunk, [2.0, -2.0, 0.0, 0.0, 0.0])


def test_the_smallest_subgradient_is_what_the_kink_leaves() -> None:
    theta, gradient = np.array([0.0, 0.0, 2.0, -2.0, 7.0]), np.array([0.3, -2.0, -1.0, -1.0, 0.5])
    evaluation = Evaluation(theta, 1.0, gradient, l1=np.array([1.0, 1, 1, 1, 0]))
    np.testing.assert_array_equal(evaluation.subgradient, [0.0, -1.0, 0.0, -2.0, 0.5])
    assert evaluation.gradient_norm == 2.0


def test_auto_takes_prox_newton_for_l1_and_says_why() -> None:
    optimizer, reason = choose_optimizer(Train(loss="squared", penalty={"l1": 0.1}))
    assert optimizer == ProxNewton()
    assert "kink at 0" in reason


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_prox_newton_needs_few_passes_on_correlated_columns(loss: str) -> None:
    rng = np.random.default_rng(4)
    block = make_block(rows=2000, dense=30, levels=(), loss=loss, seed=4)
    mixed = block.dense @ (np.eye(30) + 0.9 * rng.normal(size=(30, 30)))
    block = block._replace(dense=mixed * 10 ** rng.uniform(-1, 1, 30))
    passes = BlockPasses([block], (), loss, l1=1e-3)
    train = Train(loss=loss, penalty={"l1": 1e-3}, tolerance=1e-9)
    found = descend(train, ProxNewton(), passes)
    assert found.stopped.code == "tolerance"
    assert found.passes <= 8


def test_coordinate_descent_finds_the_models_minimum() -> None:
    """By its conditions: |q_j| <= l1_j at 0, q_j = -l1_j sign(d_j) elsewhere."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(40, 12))
    hessian, start = root.T @ root, rng.normal(size=12)
    gradient, l1 = rng.normal(size=12) * 20, np.append(np.full(11, 15.0), 0.0)
    theta, slope = start.copy(), gradient.copy()
    left = sweep_coordinates(hessian, slope, theta, l1, 10_000, 1e-12)
    assert left <= 1e-12
    slope = gradient + hessian @ (theta - start)
    zero = theta == 0
    assert np.any(zero[:-1])
    assert np.all(np.abs(slope[zero]) <= l1[zero] + 1e-9)
    np.testing.assert_allclose(slope[~zero], -(l1 * np.sign(theta))[~zero], atol=1e-9)


def test_a_coefficient_of_factor_0_is_free_and_the_others_are_not() -> None:
    block = make_block(loss="squared")
    passes = BlockPasses([block], LEVELS, "squared", l1=100.0)
    passes.objective.l1[0] = 0.0
    for optimizer in (ProxNewton(), Fista()):
        found = descend(Train(loss="squared", tolerance=1e-8), optimizer, passes)
        assert found.theta[0] != 0.0
        np.testing.assert_array_equal(found.theta[1:-1], 0.0)
        line = np.polyfit(block.dense[:, 0], block.target, 1, w=np.sqrt(block.weight))
        np.testing.assert_allclose(found.theta[[0, -1]], line, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["lbfgs", {"gradient_descent": {"learning_rate": 0.1}}])
def test_an_optimizer_without_a_proximal_step_is_refused_with_l1(optimizer: object) -> None:
    train = Train(loss="logistic", penalty={"l1": 0.1}, optimizer=optimizer)
    [mistake] = train_mistakes(train, ("train",), ("m", "train"))
    assert mistake.path == ("m", "train", "optimizer")
    assert "use optimizer: prox_newton" in mistake.fix
    assert not GradientDescent.takes_l1
