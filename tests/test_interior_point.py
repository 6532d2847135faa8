"""The quantile loss: the minimum that linear programming finds, and how few passes lead to it."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import linprog
from sklearn.linear_model import QuantileRegressor

from lepton_dask.learn.descent import descend
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.local_passes import LocalPasses
from lepton_dask.learn.losses import Quantile
from lepton_dask.learn.objective import Objective
from lepton_dask.learn.optimizers import InteriorPoint, interior_point
from lepton_dask.learn.optimizers.base import Query
from lepton_dask.learn.optimizers.pinball import minimise_pieces
from lepton_dask.learn.train import Train
from lepton_dask.matrix import Block, Layout

TRAIN = Train(loss="quantile", optimizer="interior_point", tolerance=1e-6)
every_quantile = pytest.mark.parametrize("quantile", [0.1, 0.5, 0.95])


@pytest.fixture
def little_memory(monkeypatch):
    """Tables of 2000 rows and more do not come whole."""
    monkeypatch.setattr(interior_point, "HELD", 2000)


def table(rows=600, columns=4, seed=0, weighted=True):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns))
    y = X @ rng.normal(size=columns) + rng.standard_t(3, size=rows) + 2.0
    return X, y, rng.uniform(0.5, 2.0, rows) if weighted else np.ones(rows)


def passes_over(X, y, weight, quantile, l1=0.0, l2=0.0, fit_intercept=True, codes=None, levels=()):
    codes = np.empty((len(y), 0), np.int32) if codes is None else codes
    model = LinearModel(Quantile(quantile=quantile), Layout(X.shape[1], levels))
    on = np.ones(model.parameters)
    on[-1] = 0.0
    cuts = [0, len(y) // 3, len(y)]
    blocks = [Block(X[a:b], codes[a:b], y[a:b], weight[a:b]) for a, b in pairwise(cuts)]
    return LocalPasses(Objective(model, l1 * on, l2 * on, fit_intercept), blocks)


def linear_program(X, y, weight, quantile, l1=0.0):
    """The least objective, and where it is, by scipy."""
    n, d = X.shape
    share = weight / weight.sum()
    # theta+ and theta- of the coefficients, the intercept's, then u and v.
    costs = [np.full(2 * d, l1), [0.0, 0.0], quantile * share, (1 - quantile) * share]
    ones = np.ones((n, 1))
    rows = np.hstack([X, -X, ones, -ones, np.eye(n), -np.eye(n)])
    found = linprog(np.concatenate(costs), A_eq=rows, b_eq=y, method="highs-ds")
    theta = np.append(found.x[:d] - found.x[d : 2 * d], found.x[2 * d] - found.x[2 * d + 1])
    return found.fun, theta


@every_quantile
@pytest.mark.parametrize("l1", [0.0, 0.05])
def test_objective_and_coefficients_equal_the_linear_programs(quantile, l1):
    X, y, weight = table()
    passes = passes_over(X, y, weight, quantile, l1)
    found = descend(TRAIN, InteriorPoint(), passes)
    least, theta = linear_program(X, y, weight, quantile, l1)
    assert found.stopped.code == "tolerance"
    assert passes.evaluate(Query(found.theta)).value == pytest.approx(least, rel=1e-9)
    np.testing.assert_allclose(found.theta, theta, atol=1e-7)
    assert found.passes == 3


@every_quantile
@pytest.mark.parametrize("l1", [0.0, 0.02])
@pytest.mark.usefixtures("little_memory")
def test_a_table_that_does_not_come_whole_has_the_same_minimum(quantile, l1):
    X, y, weight = table(rows=4000, columns=6, seed=1)
    passes = passes_over(X, y, weight, quantile, l1)
    found = descend(TRAIN, InteriorPoint(), passes)
    oracle = QuantileRegressor(quantile=quantile, alpha=l1, solver="highs")
    oracle.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(found.theta, [*oracle.coef_, oracle.intercept_], atol=1e-7)
    assert found.stopped.code == "tolerance"
    assert found.passes <= 40


@pytest.mark.usefixtures("little_memory")
def test_whole_numbers_with_many_ties_reach_the_least_objective():
    X, y, weight = table(rows=1500, weighted=False)
    y = np.round(y)
    passes = passes_over(X, y, weight, 0.5)
    found = descend(TRAIN, InteriorPoint(), passes)
    oracle = QuantileRegressor(quantile=0.5, alpha=0.0, solver="highs").fit(X, y)
    theirs = passes.evaluate(Query(np.append(oracle.coef_, oracle.intercept_))).value
    assert found.history[-1].loss == pytest.approx(theirs, rel=1e-9)


def test_columns_of_any_scale_and_collinear_levels_reach_the_least_objective():
    X, y, weight = table(rows=500)
    X = X * [1e-3, 1.0, 50.0, 1e4]
    codes = np.random.default_rng(3).integers(0, 4, (500, 1), dtype=np.int32)
    passes = passes_over(X, 1e5 * y, weight, 0.3, codes=codes, levels=(4,))
    found = descend(TRAIN, InteriorPoint(), passes)
    hot = np.hstack([X, np.eye(4)[codes[:, 0]]])
    least, _ = linear_program(hot, 1e5 * y, weight, 0.3)
    assert found.history[-1].loss == pytest.approx(least, rel=1e-8)


def test_without_an_intercept_it_stays_0():
    X, y, weight = table(rows=200)
    found = descend(TRAIN, InteriorPoint(), passes_over(X, y, weight, 0.5, fit_intercept=False))
    oracle = QuantileRegressor(quantile=0.5, alpha=0.0, fit_intercept=False, solver="highs")
    oracle.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(found.theta, [*oracle.coef_, 0.0], atol=1e-7)


def test_a_model_of_one_number_is_the_weighted_quantile_and_l1_alone_leaves_zeros():
    X, y, weight = table(rows=301, weighted=False)
    found = descend(TRAIN, InteriorPoint(), passes_over(X, y, weight, 0.25, l1=50.0))
    np.testing.assert_allclose(found.theta[:-1], 0.0, atol=1e-9)
    assert found.theta[-1] == pytest.approx(np.quantile(y, 0.25, method="inverted_cdf"), rel=1e-7)


def test_l2_is_in_the_minimum_too():
    """By the optimality conditions: no direction of a few thousand goes down."""
    X, y, weight = table(rows=300)
    passes = passes_over(X, y, weight, 0.4, l1=0.01, l2=0.1)
    found = descend(TRAIN, InteriorPoint(), passes)
    least = passes.evaluate(Query(found.theta)).value
    rng = np.random.default_rng(0)
    for length in (1e-1, 1e-3, 1e-5):
        for direction in rng.normal(size=(100, 5)):
            assert passes.evaluate(Query(found.theta + length * direction)).value > least - 1e-13


def test_the_pieces_bound_the_objective_and_touch_it_where_they_were_taken():
    X, y, weight = table(rows=400)
    passes = passes_over(X, y, weight, 0.7, l1=0.03, l2=0.2)
    theta = np.array([0.1, -0.4, 0.0, 1.0, 1.5])
    taken = passes.evaluate(Query(theta, nearest=0.2))
    assert len(taken.pieces.target) == 81 + 4  # of each chunk a fifth, rounded up; and l1's
    assert taken.pieces.value(theta) == pytest.approx(taken.value, rel=1e-12)
    for other in theta + np.random.default_rng(1).normal(size=(50, 5)):
        assert taken.pieces.value(other) <= passes.evaluate(Query(other)).value + 1e-12


def test_rows_without_weight_change_nothing():
    X, y, weight = table(rows=300)
    weight[::3] = 0.0
    there = weight > 0
    one = descend(TRAIN, InteriorPoint(), passes_over(X, y, weight, 0.5))
    other = descend(TRAIN, InteriorPoint(), passes_over(X[there], y[there], weight[there], 0.5))
    np.testing.assert_allclose(one.theta, other.theta, atol=1e-9)


def test_pieces_that_fall_for_ever_have_no_minimum():
    X, y, weight = table(rows=30)
    pieces = passes_over(X, y, weight, 0.5).evaluate(Query(np.zeros(5), nearest=1.0)).pieces
    assert minimise_pieces(pieces._replace(slope=np.full(5, 1e3)), np.zeros(5)) is None


def test_targets_that_a_plane_holds_are_fitted_exactly():
    X, _, weight = table(rows=100)
    y = X @ [1.0, -2.0, 0.5, 3.0] + 0.25
    found = descend(TRAIN, InteriorPoint(), passes_over(X, y, weight, 0.5))
    np.testing.assert_allclose(found.theta, [1.0, -2.0, 0.5, 3.0, 0.25], atol=1e-7)


def test_a_step_again_from_a_kept_state_gives_the_same_bits():
    X, y, weight = table(rows=200)
    passes, optimizer = passes_over(X, y, weight, 0.5), InteriorPoint()
    state = optimizer.start(np.zeros(5), np.ones(5))
    state = optimizer.step(state, passes.evaluate(state.query))
    evaluation = passes.evaluate(state.query)
    one, other = (optimizer.step(state, evaluation) for _ in range(2))
    assert one.theta.tobytes() == other.theta.tobytes()
