"""Hessians of a sample of rows: how near they come, where they are summed, and Newton by them."""

import itertools

import numpy as np
import pytest

from lepton_dask.learn.kernels import sweep_block
from lepton_dask.learn.kernels.sums import Leverage
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.local_passes import LocalPasses
from lepton_dask.learn.losses import Logistic, Poisson
from lepton_dask.learn.objective import Objective, total
from lepton_dask.learn.optimizers import Newton
from lepton_dask.learn.optimizers.base import Query
from lepton_dask.learn.pilot import fit_pilot
from lepton_dask.learn.sampling import rows_of
from lepton_dask.learn.shard_tasks import shard_answer
from lepton_dask.learn.train import Size, Train, choose_optimizer
from lepton_dask.learn.tree import added_shards
from lepton_dask.matrix import Block, Layout, Sparse

LEVELS = 60
ROWS = 100_000


def table(rows=ROWS, seed=0):
    """Four dense columns of several scales, and levels of which the rarest have a few rows."""
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, LEVELS + 1) ** 2.5
    codes = rng.choice(LEVELS, (rows, 2), p=shares / shares.sum()).astype(np.int32)
    codes[:5, 0] = LEVELS - 1
    X = rng.normal(size=(rows, 4)) * [1.0, 10.0, 0.1, 1.0]
    effects = rng.normal(size=(LEVELS, 2))
    z = X @ [1.0, 0.1, -5.0, 0.0] + effects[codes[:, 0], 0] + effects[codes[:, 1], 1] - 3
    y = (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(float)
    return Block(X, codes, y, rng.uniform(0.5, 2.0, rows))


def logistic(l2=1e-5):
    model = LinearModel(Logistic(), Layout(4, (LEVELS, LEVELS)))
    on = np.ones(model.parameters)
    on[-1] = 0.0
    return Objective(model, 0 * on, l2 * on)


def halves(block, parts=4):
    bounds = np.linspace(0, len(block.target), parts + 1).astype(int)
    return [rows_of(block, np.arange(a, b)) for a, b in itertools.pairwise(bounds)]


@pytest.fixture(scope="module")
def fit():
    """The objective, its passes and a pilot."""
    objective, block = logistic(), table()
    passes = LocalPasses(objective, halves(block))
    sample = rows_of(block, np.arange(0, ROWS, 20))
    return objective, passes, fit_pilot(objective, [sample], share=0.05)


def sampled_and_whole(fit, rows, seed=0):
    _objective, passes, pilot = fit
    whole = passes.evaluate(Query(pilot.theta, curvature=True))
    weight = sum(float(block.weight.sum()) for block in passes.blocks)
    leverage = Leverage(weight * np.diagonal(whole.hessian), rows, seed)
    return passes.evaluate(Query(pilot.theta, leverage=leverage)), whole


def test_every_direction_of_the_hessian_is_seen_by_a_sample_to_a_third(fit):
    sampled, whole = sampled_and_whole(fit, rows=200)
    ratios = np.linalg.eigvals(np.linalg.solve(whole.hessian, sampled.hessian)).real
    assert ratios.min() > 2 / 3
    assert ratios.max() < 4 / 3


def test_the_sampled_hessian_is_that_of_all_rows_on_average(fit):
    sampled = [sampled_and_whole(fit, rows=20, seed=seed)[0].hessian for seed in range(40)]
    _, whole = sampled_and_whole(fit, rows=20)
    scale = np.sqrt(np.diagonal(whole.hessian))
    along = np.random.default_rng(1).normal(size=(len(scale), 50)) / scale[:, None]
    bends = np.array([np.sum(along * (hessian @ along), axis=0) for hessian in sampled])
    error = bends.mean(axis=0) - np.sum(along * (whole.hessian @ along), axis=0)
    assert np.all(np.abs(error) < 5 * bends.std(axis=0) / np.sqrt(len(sampled)))


def test_rows_that_alone_speak_of_a_parameter_are_all_kept(fit):
    sampled, whole = sampled_and_whole(fit, rows=1000)
    rare = 4 + LEVELS - 1  # five rows, and those that chance dealt it
    assert sampled.hessian[4, 4] != whole.hessian[4, 4]
    np.testing.assert_allclose(sampled.hessian[rare, rare], whole.hessian[rare, rare], rtol=1e-9)


def test_value_and_gradient_are_those_of_all_rows(fit):
    sampled, whole = sampled_and_whole(fit, rows=20)
    np.testing.assert_allclose(sampled.value, whole.value, rtol=1e-13)
    np.testing.assert_allclose(sampled.gradient, whole.gradient, atol=1e-13)


def test_a_large_enough_sample_is_the_whole(fit):
    sampled, whole = sampled_and_whole(fit, rows=1e15)
    np.testing.assert_allclose(sampled.hessian, whole.hessian, rtol=1e-7, atol=1e-13)


def test_hashed_columns_count_in_a_rows_leverage_and_hessian():
    rng = np.random.default_rng(0)
    starts = np.arange(0, 3001, 3)
    columns = rng.integers(0, 20, 3000).astype(np.int32)
    columns.reshape(-1, 3)[:] = np.argsort(rng.random((1000, 20)))[:, :3]
    sparse = Sparse(starts, columns, rng.random(3000).astype(np.float32))
    block = Block(
        rng.normal(size=(1000, 1)),
        np.empty((1000, 0), np.int32),
        rng.integers(0, 2, 1000).astype(float),
        np.ones(1000),
        sparse,
    )
    model = LinearModel(Logistic(), Layout(1, (), 20))
    theta = rng.normal(size=model.parameters)
    whole = sweep_block(block, model, theta, curvature=True).hessian
    all_rows = Leverage(np.diagonal(whole), 1e15)
    sampled = sweep_block(block, model, theta, leverage=all_rows).sketch.hessian
    np.testing.assert_allclose(sampled, whole, rtol=1e-7, atol=1e-9)
    third = Leverage(np.diagonal(whole), 10)
    drawn = [
        sweep_block(block, model, theta, leverage=third, chunk=number).sketch.hessian
        for number in range(200)
    ]
    error = np.mean(drawn, axis=0) - whole
    assert np.all(np.abs(error) < 6 * np.std(drawn, axis=0) / np.sqrt(200) + 1e-9)


def test_the_bits_do_not_depend_on_which_chunks_lie_together():
    objective, block = logistic(), table(20_000)
    chunks = halves(block, parts=7)
    theta = np.random.default_rng(3).normal(size=objective.model.parameters) / 10
    whole = total([sweep_block(each, objective.model, theta, curvature=True) for each in chunks])
    query = Query(theta, leverage=Leverage(np.diagonal(whole.hessian), 20))
    found = []
    for groups in ([(0, 1, 2, 3, 4, 5, 6)], [(0, 2, 4, 6), (1, 3, 5)], [(5, 6), (0, 3), (1, 2, 4)]):
        shards = [
            shard_answer([chunks[i] for i in numbers], numbers, objective.model, query)
            for numbers in groups
        ]
        found.append(added_shards(groups, shards))
    for other in found[1:]:
        np.testing.assert_array_equal(other.sketch.hessian, found[0].sketch.hessian)
        np.testing.assert_array_equal(other.gradient, found[0].gradient)


def minimise(optimizer, fit, most=60):
    _, passes, pilot = fit
    null = passes.null_model()
    state = optimizer.start(null.theta, null.curvature, pilot)
    norms = []
    while state.ended is None and len(norms) < most:
        state = optimizer.step(state, passes.evaluate(state.query))
        norms.append(state.point.gradient_norm)
        if norms[-1] <= 1e-7:
            return state.point, len(norms)
    raise AssertionError(f"no minimum: {norms}")


def test_newton_by_a_sample_takes_hardly_more_passes_than_by_all_rows(fit):
    exact, exact_passes = minimise(Newton(), fit)
    sampled, sampled_passes = minimise(Newton(rows_a_parameter=100), fit)
    assert sampled_passes <= exact_passes + 3
    np.testing.assert_allclose(sampled.theta, exact.theta, atol=5e-3)
    np.testing.assert_allclose(sampled.value, exact.value, rtol=1e-9)


def test_each_step_samples_by_the_diagonal_of_the_one_before(fit):
    _, passes, pilot = fit
    null = passes.null_model()
    newton = Newton(rows_a_parameter=100)
    state = newton.start(null.theta, null.curvature, pilot)
    weight = sum(float(block.weight.sum()) for block in passes.blocks)
    for _ in range(3):
        state = newton.step(state, passes.evaluate(state.query))
        hessian = state.point.hessian * weight
        np.testing.assert_allclose(state.query.leverage.diagonal, np.diagonal(hessian), rtol=0.05)
        assert state.query.leverage.rows == 100
        assert state.query.leverage.seed == state.iteration + 1


def test_without_a_pilot_newton_asks_for_all_rows():
    state = Newton(rows_a_parameter=100).start(np.zeros(3), np.ones(3))
    assert state.query.curvature
    assert state.query.leverage is None


@pytest.mark.parametrize(
    ("loss", "penalty", "size", "name"),
    [
        ("logistic", {"l2": 1e-6}, Size(1_600_000, 437, 41, 424), "newton"),
        ("poisson", {}, Size(1_000_000, 51, 11, 40), "newton"),
        ("logistic", {}, Size(1_000_000, 51, 50, 0), "lbfgs"),  # no level that is rare
        ("logistic", {}, Size(1_000_000, 1201, 1100, 110), "lbfgs"),  # the products cost more
        ("logistic", {}, Size(5_000, 51, 11, 40), "lbfgs"),  # no rows for a pilot
        ("huber", {}, Size(1_000_000, 52, 11, 40), "lbfgs"),
        ("multinomial", {}, Size(1_000_000, 153, 11, 120), "lbfgs"),
    ],
)
def test_auto_samples_curvatures_where_they_are_cheaper_than_a_gradient(loss, penalty, size, name):
    optimizer, why = choose_optimizer(Train(loss=loss, penalty=penalty), size)
    assert optimizer.name == name
    if name == "newton":
        assert optimizer.rows_a_parameter
        assert "save passes" in why


def test_a_sampled_poisson_fit_is_the_exact_one():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(40_000, 3))
    y = rng.poisson(np.exp(X @ [0.5, -0.2, 0.1] - 1)).astype(float)
    block = Block(X, np.empty((40_000, 0), np.int32), y, np.ones(40_000))
    model = LinearModel(Poisson(), Layout(3, ()))
    nothing = np.zeros(model.parameters)
    objective = Objective(model, nothing, nothing)
    passes = LocalPasses(objective, halves(block))
    pilot = fit_pilot(objective, [rows_of(block, np.arange(2000))], share=0.05)
    exact, _ = minimise(Newton(), (objective, passes, pilot))
    sampled, _ = minimise(Newton(rows_a_parameter=100), (objective, passes, pilot))
    np.testing.assert_allclose(sampled.theta, exact.theta, atol=1e-6)
