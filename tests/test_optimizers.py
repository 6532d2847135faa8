"""Every optimizer goes through the same tests; a new one is a row in ROWS.

A row says how small a gradient the optimizer reaches on the small problems below, within how
many passes, and how near to the minimum it is then. What takes kinks alone has its own file.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from in_memory import BlockPasses, make_block, one_hot, split_block
from pydantic import ValidationError
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from lepton_dask.learn.objective import Evaluation
from lepton_dask.learn.optimizers import (
    OPTIMIZERS,
    Fista,
    GradientDescent,
    Lbfgs,
    Newton,
    Normal,
    Optimizer,
    ProxNewton,
    Sgd,
)
from lepton_dask.learn.optimizers.base import MAX_HALVINGS, Query
from lepton_dask.learn.optimizers.line_search import LineSearch
from lepton_dask.learn.optimizers.quadratic import newton_step
from lepton_dask.learn.train import (
    Size,
    Train,
    choose_optimizer,
    too_many_parameters,
    train_mistakes,
)


@dataclass(frozen=True)
class Row:
    optimizer: Optimizer[Any]
    reaches: float
    passes: int
    near: float = 1e-6

    @property
    def losses(self):
        takes = self.optimizer.losses
        return [loss for loss in ("logistic", "squared") if takes is None or loss in takes]


ROWS = [
    Row(Lbfgs(), 1e-8, 80),
    Row(Lbfgs(history=3), 1e-8, 150),
    Row(GradientDescent(), 1e-8, 1500),
    Row(GradientDescent(learning_rate=0.3), 1e-6, 3000, near=1e-4),
    Row(GradientDescent(start="random"), 1e-8, 1500),
    Row(Fista(), 1e-8, 200),
    Row(Newton(), 1e-8, 9),
    Row(ProxNewton(), 1e-8, 9),
    Row(Normal(), 1e-12, 3),
    Row(Sgd(batches=4, decay=0.1), 5e-3, 600, near=0.4),
    Row(Sgd(batches=4, decay=0.1, method="adam"), 5e-3, 600, near=0.4),
]


def name(row):
    return str(row.optimizer).replace(" ", ",") or row.optimizer.name


every_optimizer = pytest.mark.parametrize("row", ROWS, ids=name)
every_optimizer_and_loss = pytest.mark.parametrize(
    ("row", "loss"),
    [pytest.param(row, loss, id=f"{name(row)}-{loss}") for row in ROWS for loss in row.losses],
)


def every_optimizer_for(loss):
    rows = [row for row in ROWS if loss in row.losses]
    return pytest.mark.parametrize("row", rows, ids=name)


every_loss = pytest.mark.parametrize("loss", ["logistic", "squared"])

LEVELS = (3, 5)
L2 = 0.02


def minimise(optimizer, passes, tolerance, max_passes):
    """The last state, and the objective's value at each accepted iterate."""
    null = passes.null_model()
    state = optimizer.start(optimizer.initial_theta(null.theta, seed=3), null.curvature)
    values = []
    while passes.passes < max_passes:
        before = state.point
        state = optimizer.step(state, passes.evaluate(state.query))
        if state.point is not before:
            values.append(state.point.value)
            if state.point.gradient_norm <= tolerance:
                break
        if state.ended:
            break
    return state, values


def problem(loss, **changes):
    blocks = split_block(make_block(loss=loss, **changes), [100, 100, 170])
    return BlockPasses(blocks, LEVELS, loss, L2)


def test_every_optimizer_of_the_grammar_has_a_row():
    kinks = {name for name, kind in OPTIMIZERS.items() if kind.takes_kinks}
    assert {row.optimizer.name for row in ROWS} | kinks == set(OPTIMIZERS)


@every_optimizer_and_loss
def test_it_reaches_its_gradient_within_its_passes(row, loss):
    passes = problem(loss)
    state, _ = minimise(row.optimizer, passes, row.reaches, row.passes)
    assert state.point.gradient_norm <= row.reaches
    assert state.ended in (None, "converged")


@every_optimizer_for("logistic")
def test_logistic_coefficients_equal_scikit_learns(row):
    block = make_block()
    state, _ = minimise(row.optimizer, problem("logistic"), row.reaches, row.passes)
    C = 1 / (L2 * block.weight.sum())
    oracle = LogisticRegression(C=C, tol=1e-10, max_iter=10_000, solver="newton-cholesky")
    oracle.fit(one_hot(block, LEVELS), block.target, sample_weight=block.weight)
    expected = [*oracle.coef_[0], *oracle.intercept_]
    np.testing.assert_allclose(state.point.theta, expected, atol=row.near)


@every_optimizer_for("squared")
def test_squared_coefficients_equal_scikit_learns(row):
    block = make_block(loss="squared")
    state, _ = minimise(row.optimizer, problem("squared"), row.reaches, row.passes)
    oracle = Ridge(alpha=L2 * block.weight.sum(), solver="cholesky")
    oracle.fit(one_hot(block, LEVELS), block.target, sample_weight=block.weight)
    expected = [*oracle.coef_, oracle.intercept_]
    np.testing.assert_allclose(state.point.theta, expected, atol=row.near)


@every_optimizer
def test_stepping_again_from_a_kept_state_gives_the_same_bits(row):
    passes = problem(row.losses[0])
    kept, _ = minimise(row.optimizer, passes, 0.0, 3)
    evaluation = passes.evaluate(kept.query)
    one, other = (row.optimizer.step(kept, evaluation) for _ in range(2))
    assert one.theta.tobytes() == other.theta.tobytes()


@every_optimizer
def test_an_objective_that_is_never_finite_has_diverged(row):
    state = row.optimizer.start(np.zeros(3), np.ones(3))
    for _ in range(5 * MAX_HALVINGS):
        state = row.optimizer.step(state, Evaluation(state.theta, np.inf, np.full(3, np.nan)))
        if state.ended:
            break
    assert state.ended == "diverged"


@every_optimizer_for("logistic")  # normal's objective is a parabola, finite everywhere
def test_a_step_beyond_the_finite_range_is_taken_back_and_shortened(row):
    """J = |theta - 3|^2 / 2 where |theta| < 4, infinite outside."""

    def evaluate(theta):
        outside = np.max(np.abs(theta)) >= 4
        value = np.inf if outside else 0.5 * float((theta - 3) @ (theta - 3))
        return Evaluation(theta, value, theta - 3, hessian=0.4 * np.eye(2))

    optimizer = row.optimizer
    if isinstance(optimizer, GradientDescent) and optimizer.learning_rate != "auto":
        optimizer = GradientDescent(learning_rate=1.9)
    state = optimizer.start(np.zeros(2), np.ones(2))
    for _ in range(200):
        state = optimizer.step(state, evaluate(state.theta))
        if state.ended or (state.point is not None and state.point.gradient_norm < 1e-6):
            break
    np.testing.assert_allclose(state.point.theta, 3.0, atol=max(1e-5, row.near))


@every_optimizer
def test_at_the_minimum_there_is_no_step_left(row):
    state = row.optimizer.start(np.ones(2), np.zeros(2))
    for _ in range(getattr(row.optimizer, "batches", 1)):
        still = Evaluation(np.ones(2), 1.0, np.zeros(2), hessian=np.zeros((2, 2)))
        state = row.optimizer.step(state, still)
    assert state.ended in ("stalled", "converged")


@pytest.mark.parametrize("weighted", [False, True])
def test_normal_with_constant_and_collinear_columns_equals_scikit_learns(weighted):
    block = make_block(loss="squared", levels=(), weighted=weighted)
    X = np.column_stack([block.dense, np.full(300, 7.0), block.dense[:, 0], 3 * block.dense[:, 1]])
    passes = BlockPasses([block._replace(dense=X)], (), "squared")
    state, _ = minimise(Normal(), passes, 1e-12, 5)
    oracle = LinearRegression().fit(X, block.target, sample_weight=block.weight)
    expected = [*oracle.coef_, oracle.intercept_]
    np.testing.assert_allclose(state.point.theta, expected, atol=1e-9)


def test_normal_on_columns_of_mixed_scales_and_large_means_equals_scikit_learns():
    block = make_block(loss="squared", levels=())
    X = block.dense * [1e-2, 1.0, 1e2, 1e3] + [1.0, 50.0, 1e4, 0.0]
    passes = BlockPasses([block._replace(dense=X)], (), "squared")
    state, _ = minimise(Normal(), passes, 0.0, 10)
    oracle = LinearRegression().fit(X, block.target, sample_weight=block.weight)
    np.testing.assert_allclose(state.point.theta[:-1], oracle.coef_, rtol=1e-6)
    assert state.ended == "converged"


def test_newton_with_collinear_columns_takes_the_least_coefficients():
    block = make_block(levels=())
    X = np.column_stack([block.dense, block.dense[:, 0], np.full(300, 2.0)])
    state, _ = minimise(Newton(), BlockPasses([block._replace(dense=X)], ()), 1e-10, 20)
    alone, _ = minimise(Newton(), BlockPasses([block], ()), 1e-10, 20)
    theta, expected = state.point.theta, alone.point.theta
    np.testing.assert_allclose(theta[[0, 4]], expected[0] / 2, rtol=1e-8)
    np.testing.assert_allclose(theta[[1, 2, 3, 6]], expected[1:], rtol=1e-8)
    assert theta[5] == pytest.approx(0.0, abs=1e-10)


@pytest.mark.parametrize("loss", ["huber", "poisson", "gamma"])
@pytest.mark.parametrize("optimizer", [Newton(), Lbfgs(), ProxNewton()], ids=lambda o: o.name)
def test_other_smooth_losses_reach_one_minimum(loss, optimizer):
    block = make_block(loss="squared")
    target = block.target if loss == "huber" else np.ceil(np.exp(0.5 * block.target))
    passes = BlockPasses([block._replace(target=target)], LEVELS, loss, L2)
    state, _ = minimise(optimizer, passes, 1e-8, 100)
    assert state.point.gradient_norm <= 1e-8
    best, _ = minimise(Newton(), passes, 1e-10, 300)
    np.testing.assert_allclose(state.point.theta, best.point.theta, atol=1e-5)


def test_where_the_hessian_is_not_positive_newtons_step_still_descends():
    rng = np.random.default_rng(0)
    for _ in range(20):
        root = rng.normal(size=(5, 5))
        gradient = rng.normal(size=5)
        hessian = root + root.T + 3 * np.eye(5)
        hessian[np.diag_indices(5)] = np.abs(np.diagonal(hessian)) + 0.1
        assert newton_step(hessian, gradient) @ gradient < 0
        positive = root @ root.T + np.eye(5)
        expected = -np.linalg.solve(positive, gradient)
        np.testing.assert_allclose(newton_step(positive, gradient), expected, rtol=1e-9)


def test_a_fixed_rate_follows_the_formula_to_the_letter():
    passes = problem("squared")
    optimizer = GradientDescent(learning_rate=0.01)
    null = passes.null_model()
    theta = null.theta
    state = optimizer.start(theta, null.curvature)
    for _ in range(20):
        theta = theta - 0.01 * passes.evaluate(Query(theta)).gradient
        state = optimizer.step(state, passes.evaluate(state.query))
    settled, iterations = optimizer.settle(state)
    assert iterations == 20
    np.testing.assert_array_equal(settled, theta)


def test_a_random_start_is_drawn_from_the_seed():
    optimizer = GradientDescent(start="random")
    one, again, other = (optimizer.initial_theta(np.zeros(50), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).all()
    assert 0 <= one.min() < 0.2
    assert 0.8 < one.max() < 1


def test_lbfgs_never_lets_the_objective_rise():
    _, values = minimise(Lbfgs(), problem("logistic"), 1e-8, 100)
    assert np.all(np.diff(values) <= 1e-10)


@every_loss
def test_lbfgs_reaches_a_tiny_gradient_on_correlated_columns_of_mixed_scales(loss):
    rng = np.random.default_rng(5)
    block = make_block(rows=2000, dense=12, levels=(4, 30), loss=loss, seed=5)
    mixed = block.dense @ (np.eye(12) + 0.9 * rng.normal(size=(12, 12)))
    mixed *= 10 ** rng.uniform(-3, 3, 12)
    passes = BlockPasses([block._replace(dense=mixed)], (4, 30), loss, l2=1e-6)
    state, _ = minimise(Lbfgs(), passes, 1e-8, 200)
    assert state.point.gradient_norm <= 1e-8


def test_lbfgs_spends_little_more_than_a_pass_an_iteration():
    passes = problem("logistic")
    state, _ = minimise(Lbfgs(), passes, 1e-8, 100)
    assert passes.count <= state.iteration + 6


def test_a_line_search_finds_the_valley_of_a_steep_and_a_flat_function():
    for minimum in (1e-4, 0.3, 1.0, 50.0, 1e5):
        search = LineSearch(value=0.5 * minimum**2, slope=-minimum, step=1.0)
        while not search.accepts(0.5 * (search.step - minimum) ** 2, search.step - minimum):
            search = search.after(0.5 * (search.step - minimum) ** 2, search.step - minimum)
        assert 0.1 * minimum <= search.step <= 1.9 * minimum


def test_a_line_search_on_rounding_noise_accepts_by_slopes():
    search = LineSearch(value=1.0, slope=-1e-18, step=1.0)
    assert search.accepts(1.0 + 1e-14, 1e-20)
    assert not search.accepts(1.0 + 1e-6, 1e-20)


def test_a_line_search_gives_up_where_every_step_is_infinite():
    search: LineSearch | None = LineSearch(value=1.0, slope=-1.0, step=1.0)
    steps = []
    while search is not None:
        steps.append(search.step)
        search = search.after(np.inf, np.nan)
    np.testing.assert_array_equal(steps, 0.5 ** np.arange(len(steps)))


def test_the_pipeline_names_an_optimizer_or_configures_one():
    def chosen(optimizer):
        return choose_optimizer(Train(loss="logistic", optimizer=optimizer))[0]

    assert chosen("lbfgs") == Lbfgs()
    assert chosen({"lbfgs": {"history": 3}}) == Lbfgs(history=3)
    fixed = {"learning_rate": 0.01, "start": "random"}
    assert chosen({"gradient_descent": fixed}) == GradientDescent(
        learning_rate=0.01, start="random"
    )


@pytest.mark.parametrize(
    ("loss", "penalty", "parameters", "name", "words"),
    [
        ("squared", {"l2": 1}, 50, "normal", "one pass leads to its minimum"),
        ("squared", {}, 5000, "lbfgs", "no pilot (5,000 coefficients, more than 1,500)"),
        ("logistic", {}, 50, "lbfgs", "a pilot fit to a subsample"),
        ("logistic", {}, None, "lbfgs", "up to 1,500 coefficients"),
        ("logistic", {"l1": 0.1}, 50, "prox_newton", "50 coefficients, at most 4,096"),
        ("squared", {"l1": 0.1}, None, "prox_newton", "up to 4,096 coefficients"),
        ("squared", {"l1": 0.1}, 5000, "fista", "kink at 0"),
        ("quantile", {}, 5, "interior_point", "a kink in every row"),
        ("huber", {}, 5, "lbfgs", "the huber loss is smooth"),
    ],
)
def test_auto_chooses_and_says_why(loss, penalty, parameters, name, words):
    size = None if parameters is None else Size(1000, parameters, 20, 10)
    optimizer, reason = choose_optimizer(Train(loss=loss, penalty=penalty), size)
    assert optimizer.name == name
    assert words in reason


def test_an_optimizer_for_another_loss_is_refused_with_the_one_for_this():
    for train, words in [
        (Train(loss="logistic", optimizer="normal"), "for the squared loss alone; the loss is log"),
        (Train(loss="quantile", optimizer="lbfgs"), "needs a smooth loss, and quantile is not"),
        (Train(loss="poisson", optimizer="interior_point"), "for the quantile loss alone"),
    ]:
        [mistake] = train_mistakes(train, ("train",), ("m", "train"))
        assert words in str(mistake)
        assert f"use optimizer: {choose_optimizer(Train(loss=train.loss))[0].name}" in str(mistake)


def test_a_hessian_that_is_too_large_is_refused_in_words():
    words = too_many_parameters(Newton(), 5000)
    assert words == (
        "newton needs the Hessian of 5,000 parameters (191 MiB in every worker thread), "
        "and takes at most 4,096"
    )
    assert too_many_parameters(Newton(), 4096) is None
    assert too_many_parameters(Lbfgs(), 1_000_000) is None


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [
        ("adm", "'auto' or 'normal' or 'newton' or 'prox_newton'"),
        ({}, "expected one optimizer, found none"),
        ({"lbfgs": {}, "gradient_descent": {}}, "found lbfgs, gradient_descent"),
        ({"lbfgs": {"history": 0}}, "greater than 0"),
        ({"gradient_descent": {"learning_rate": 0}}, "greater than 0"),
    ],
)
def test_a_wrong_optimizer_is_refused_with_one_error_that_names_the_right_ones(optimizer, words):
    with pytest.raises(ValidationError) as refused:
        Train(loss="logistic", optimizer=optimizer)
    assert words in refused.value.errors()[0]["msg"]
