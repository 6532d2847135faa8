"""The fit to a sample: how near it comes, what few rows or none decide, and what it saves."""

from dataclasses import replace

import numpy as np
import pytest

from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.local_passes import LocalPasses
from lepton_dask.learn.losses import Huber, Logistic, Multinomial, Poisson, Quantile
from lepton_dask.learn.objective import Objective
from lepton_dask.learn.optimizers import Lbfgs, Newton
from lepton_dask.learn.optimizers.base import Query
from lepton_dask.learn.optimizers.preconditioner import preconditioner
from lepton_dask.learn.pilot import fit_pilot, pilot_rows
from lepton_dask.matrix import Block, Layout


def correlated(rows, columns, seed=0, spread=0.0):
    """Columns x_j = .9 x_(j-1) + noise, on scales of up to 10^+-spread."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns))
    for j in range(1, columns):
        X[:, j] = 0.9 * X[:, j - 1] + np.sqrt(0.19) * X[:, j]
    z = X @ (rng.normal(size=columns) / np.sqrt(columns))
    y = (rng.random(rows) < 1 / (1 + np.exp(-2 * z))).astype(float)
    return X * 10 ** rng.uniform(-spread, spread, columns), y


def block_of(X, y, codes=None):
    codes = np.empty((len(y), 0), np.int32) if codes is None else codes
    return Block(X, codes, y, np.ones(len(y)))


def logistic(columns, levels=(), l2=1e-5):
    model = LinearModel(Logistic(), Layout(columns, levels))
    on = np.ones(model.parameters)
    on[-1] = 0.0
    return Objective(model, 0 * on, l2 * on)


def first_rows(block, rows):
    return Block(*(array[:rows] for array in block[:4]))


def passes_to(optimizer, passes, least, pilot, sub_optimality=1e-6, most=200):
    """Passes until the objective is so near to `least`, the sample counted as its share."""
    null = passes.null_model()
    state = optimizer.start(null.theta, null.curvature, pilot)
    for count in range(1, most):
        state = optimizer.step(state, passes.evaluate(state.query))
        if state.point is not None and (state.point.value - least) / least <= sub_optimality:
            return count + (pilot.share if pilot else 0)
        assert state.ended is None
    raise AssertionError("it did not get there")


def least_of(passes):
    null = passes.null_model()
    optimizer = Newton()
    state = optimizer.start(null.theta, null.curvature)
    while state.ended is None:
        state = optimizer.step(state, passes.evaluate(state.query))
    assert state.ended == "converged"
    return state.point.value


@pytest.mark.parametrize("spread", [0.0, 1.5])
def test_from_a_pilot_seven_passes_do_on_correlated_columns_of_any_scale(spread):
    block = block_of(*correlated(20_000, 30, spread=spread))
    objective = logistic(30)
    passes = LocalPasses(objective, [block])
    least = least_of(passes)
    pilot = fit_pilot(objective, [first_rows(block, 1000)], share=0.05)
    assert passes_to(Lbfgs(), passes, least, pilot) <= 7
    assert passes_to(Newton(), passes, least, pilot) <= 4
    assert passes_to(Lbfgs(), passes, least, None) > 15


def test_on_rare_levels_a_pilot_is_no_worse_than_none():
    rng = np.random.default_rng(2)
    shares = 1 / np.arange(1, 201) ** 1.2
    codes = rng.choice(200, (20_000, 1), p=shares / shares.sum()).astype(np.int32)
    X = rng.normal(size=(20_000, 4))
    z = X @ [1.0, -0.5, 0.3, 0.0] + rng.normal(size=200)[codes[:, 0]]
    block = block_of(X, (rng.random(20_000) < 1 / (1 + np.exp(-z))).astype(float), codes)
    objective = logistic(4, (200,))
    passes = LocalPasses(objective, [block])
    least = least_of(passes)
    pilot = fit_pilot(objective, [first_rows(block, 3000)], share=0.15)
    with_it = passes_to(Lbfgs(), passes, least, pilot)
    assert with_it <= passes_to(Lbfgs(), passes, least, None)


def test_levels_that_the_sample_never_saw_keep_the_null_start():
    X, y = correlated(2000, 3)
    codes = np.random.default_rng(1).integers(0, 4, (2000, 1), dtype=np.int32)
    pilot = fit_pilot(logistic(3, (6,)), [block_of(X, y, codes)])
    np.testing.assert_array_equal(pilot.theta[7:9], 0.0)
    assert np.all(np.diagonal(pilot.hessian) > 0)


def test_a_level_of_one_class_alone_does_not_run_away():
    X, y = correlated(2000, 3)
    codes = np.zeros((2000, 1), np.int32)
    codes[:5], y[:5] = 1, 1.0
    pilot = fit_pilot(logistic(3, (2,), l2=0.0), [block_of(X, y, codes)])
    assert 0 < pilot.theta[4] < 5


def test_what_the_sample_saw_too_little_is_added_and_what_too_much_taken_off():
    X, y = correlated(2000, 2)
    pilot = fit_pilot(logistic(2), [block_of(X, y)])
    full = pilot.curvature * [1.0, 4.0, 0.25]
    found = np.diagonal(preconditioner(pilot, full))
    np.testing.assert_allclose(found, np.diagonal(pilot.hessian) * [1.0, 4.0, 0.25], rtol=1e-9)
    assert np.all(np.linalg.eigvalsh(preconditioner(pilot, full)) > 0)


def test_a_pilot_that_is_not_finite_on_all_rows_is_left_for_the_null_model():
    block = block_of(*correlated(500, 3))
    objective = logistic(3)
    passes = LocalPasses(objective, [block])
    pilot = replace(fit_pilot(objective, [block]), theta=np.full(4, np.inf))
    least = least_of(passes)
    with np.errstate(invalid="ignore"):
        for optimizer in (Lbfgs(), Newton()):
            assert passes_to(optimizer, passes, least, pilot) < 30


def test_every_smooth_loss_has_a_pilot():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3))
    z = X @ [0.5, -0.3, 0.1]
    for loss, y, outputs in [
        (Poisson(), rng.poisson(np.exp(z)).astype(float), 1),
        (Huber(), z + rng.normal(size=500), 1),
        (Multinomial(), rng.integers(0, 3, 500).astype(float), 3),
    ]:
        model = LinearModel(loss, Layout(3), outputs)
        nothing = np.zeros(model.parameters)
        objective = Objective(model, nothing, nothing)
        pilot = fit_pilot(objective, [block_of(X, y)])
        passes = LocalPasses(objective, [block_of(X, y)])
        null = passes.null_model()
        state = Lbfgs().start(null.theta, null.curvature, pilot)
        at_pilot = passes.evaluate(state.query)
        assert at_pilot.gradient_norm < 0.02, loss.name


def test_without_rows_or_without_both_classes_there_is_none_or_one_that_is_finite():
    assert fit_pilot(logistic(3), []) is None
    X, _ = correlated(100, 3)
    pilot = fit_pilot(logistic(3), [block_of(X, np.zeros(100))])
    assert pilot is None or np.isfinite(pilot.theta).all()


def test_it_pays_for_many_rows_of_few_parameters_and_a_smooth_objective():
    objective = logistic(100)
    assert pilot_rows(objective, 200_000)
    assert not pilot_rows(objective, 10_000)
    assert not pilot_rows(logistic(2000), 10_000_000)
    on = np.ones(101)
    assert not pilot_rows(replace(objective, l1=on), 200_000)
    quantile = LinearModel(Quantile(), Layout(100))
    assert not pilot_rows(Objective(quantile, 0 * on, 0 * on), 200_000)


def test_through_a_coarse_fit_it_comes_as_near_to_its_minimum_as_its_rows_tell():
    block = block_of(*correlated(8000, 5))
    objective = logistic(5)
    passes = LocalPasses(objective, [block])
    pilot = fit_pilot(objective, [block])
    found = passes.evaluate(Query(pilot.theta)).value - least_of(passes)
    assert 0 <= found < 0.1 * 6 / (2 * 8000)  # the ridge included


def columns_of(kind, rows, rng):
    """Four normal columns, of which the last may be another."""
    X = rng.normal(size=(rows, 4))
    if kind == "of rare ones":
        X[:, 3] = rng.random(rows) < 0.001
    if kind == "of a heavy tail":
        X[:, 3] = rng.standard_cauchy(rows)
    if kind == "of zeros":
        X[:, 3] = 0.0
    return X


@pytest.mark.parametrize("kind", ["normal", "of rare ones", "of a heavy tail", "of zeros"])
def test_the_null_model_is_told_where_the_sample_knows_every_column(kind):
    rng = np.random.default_rng(0)
    X = columns_of(kind, 200_000, rng)
    block = block_of(X, (rng.random(200_000) < 0.3).astype(float))
    told = fit_pilot(logistic(4), [first_rows(block, 10_000)], share=0.05).null
    if kind != "normal":
        assert told is None
        return
    of_all = LocalPasses(logistic(4), [block]).null_model()
    np.testing.assert_allclose(told.curvature, of_all.curvature, rtol=0.06)
    np.testing.assert_allclose(told.theta[-1], of_all.theta[-1], atol=0.06)


def test_levels_have_all_rows_looked_at():
    X, y = correlated(2000, 3)
    codes = np.random.default_rng(1).integers(0, 4, (2000, 1), dtype=np.int32)
    assert fit_pilot(logistic(3, (4,)), [block_of(X, y, codes)]).null is None


def test_of_rows_without_weight_there_is_none():
    block = block_of(*correlated(2000, 3))
    assert fit_pilot(logistic(3), [block._replace(weight=np.zeros(2000))]) is None


def test_the_sample_has_rows_for_its_parameters_within_bounds():
    assert pilot_rows(logistic(4), 10_000_000) == 10_000
    assert pilot_rows(logistic(99), 10_000_000) == 20_000
    assert pilot_rows(logistic(400), 10_000_000) == 25_000
    assert pilot_rows(logistic(4), 100_000) == 5_000
