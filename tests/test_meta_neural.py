"""Every algorithm of networks goes through the same tests: rounds, parts, priors, safety."""

import numpy as np
import pytest
from meta_tasks import make_groups, setting_of

from lepton_dask.learn.meta.adam import LONGEST, Adam
from lepton_dask.learn.meta.base import GroupedRows
from lepton_dask.learn.meta.maml import Maml, MetaSgd
from lepton_dask.learn.meta.neural import PATIENCE
from lepton_dask.learn.meta.reptile import Reptile
from lepton_dask.learn.meta.ridge_head import RidgeHead

SMALL = {"hidden": (12, 12), "tasks": 8, "steps": 10}
ALGORITHMS = [Maml(**SMALL), MetaSgd(**SMALL), Reptile(**SMALL), RidgeHead(**SMALL)]

every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda each: each.name)
every_loss = pytest.mark.parametrize("loss", ["squared", "logistic"])

GROUPS = make_groups([12, 7, 9, 30] * 5, weighted=True)


def trained(algorithm, rows, setting, rounds=1):
    """In two parts, as on two workers."""
    prior = algorithm.start(setting, 0)
    half = len(rows.names) // 2
    parts = [rows.take(np.arange(half)), rows.take(np.arange(half, len(rows.names)))]
    for number in range(rounds):
        messages = [
            algorithm.work(setting, prior, algorithm.keep(setting, part), 2 * number + place)
            for place, part in enumerate(parts)
        ]
        prior = algorithm.combine(setting, prior, messages)
    return prior


def finite(prior):
    return all(np.isfinite(array).all() for array in prior.arrays().values())


def loss_on(models, rows, loss):
    losses = []
    for t, model in enumerate(models):
        z, y = model.linear(rows.group(t).x), rows.group(t).y
        losses += list((z - y) ** 2 / 2 if loss == "squared" else np.logaddexp(0.0, z) - y * z)
    return np.mean(losses)


@every_algorithm
def test_a_prior_comes_back_from_its_arrays(algorithm):
    prior = algorithm.adjust(trained(algorithm, GROUPS, setting_of()), improved=False)
    again = algorithm.prior_of(prior.arrays())
    assert again.arrays().keys() == prior.arrays().keys()
    for name, array in prior.arrays().items():
        assert again.arrays()[name].tobytes() == array.tobytes()
    assert (again.rate, again.idle, again.adam.updates) == (1.0, 1, 10)


@every_algorithm
@every_loss
def test_the_same_seeds_give_the_same_bits_and_others_others(algorithm, loss):
    rows, setting = make_groups([12, 7, 9] * 5, loss), setting_of(loss)
    one, again = (trained(algorithm, rows, setting, 2) for _ in range(2))
    assert one.adam.theta.tobytes() == again.adam.theta.tobytes()
    other = algorithm.combine(setting, one, [algorithm.work(setting, one, rows, 77)])
    assert other.adam.theta.tobytes() != one.adam.theta.tobytes()
    assert (algorithm.start(setting, 1).adam.theta != algorithm.start(setting, 2).adam.theta).any()


@every_algorithm
def test_an_empty_part_counts_for_nothing(algorithm):
    setting, prior = setting_of(), algorithm.start(setting_of(), 0)
    empty = algorithm.keep(setting, make_groups([]))
    none = algorithm.work(setting, prior, empty, 0)
    some = algorithm.work(setting, prior, GROUPS, 0)
    alone = algorithm.combine(setting, prior, [some])
    beside = algorithm.combine(setting, prior, [none, some, none])
    assert beside.adam.theta.tobytes() == alone.adam.theta.tobytes()
    nothing = algorithm.combine(setting, prior, [none, none])
    assert nothing.adam.theta.tobytes() == prior.adam.theta.tobytes()


@every_algorithm
def test_a_round_is_the_parts_average_weighted_by_their_groups(algorithm):
    setting, prior = setting_of(), algorithm.start(setting_of(), 0)
    one = algorithm.work(setting, prior, GROUPS.take(np.arange(15)), 1)
    other = algorithm.work(setting, prior, GROUPS.take(np.arange(15, 20)), 2)
    after = algorithm.combine(setting, prior, [one, other]).adam
    for name in ("theta", "mean", "square"):
        expected = 0.75 * getattr(one.adam, name) + 0.25 * getattr(other.adam, name)
        np.testing.assert_allclose(getattr(after, name), expected, rtol=1e-12, atol=1e-15)
    assert after.updates == 10


@every_algorithm
@every_loss
@pytest.mark.parametrize("sizes", [[1] * 6, [1, 2, 3, 200], [0, 1, 0, 5]], ids=str)
def test_groups_of_all_sizes_are_learnt_from_and_adapted_to(algorithm, loss, sizes):
    rows, setting = make_groups(sizes, loss), setting_of(loss)
    prior = trained(algorithm, rows, setting)
    assert finite(prior)
    assert (prior.adam.theta != algorithm.start(setting, 0).adam.theta).any()
    models = algorithm.adapt(setting, prior, rows)
    assert len(models) == len(sizes)
    assert all(np.isfinite(model.linear(rows.x)).all() for model in models)


@every_algorithm
@every_loss
def test_learning_makes_a_few_rows_of_new_groups_say_more(algorithm, loss):
    rows = make_groups([20] * 200, loss)
    others = make_groups([20] * 60, loss, seed=1)
    few = others.rows(np.flatnonzero(np.arange(1200) % 20 < 8), np.arange(60))
    none = others.rows(np.empty(0, dtype=np.intp), np.arange(60))
    setting = setting_of(loss, shots=(8,))
    algorithm = algorithm.model_copy(update={"steps": 200, "rate": 0.005})
    start, prior = algorithm.start(setting, 0), trained(algorithm, rows, setting, 2)
    unlearnt = loss_on(algorithm.adapt(setting, start, few), others, loss)
    unadapted = loss_on(algorithm.adapt(setting, prior, none), others, loss)
    learnt = loss_on(algorithm.adapt(setting, prior, few), others, loss)
    assert learnt < 0.9 * unlearnt
    assert learnt < 0.95 * unadapted


@every_algorithm
def test_a_group_of_no_rows_has_the_priors_own_model(algorithm):
    setting = setting_of()
    prior = trained(algorithm, GROUPS, setting)
    one, other = algorithm.adapt(setting, prior, make_groups([0, 0]))
    x = GROUPS.x
    np.testing.assert_array_equal(one.linear(x), other.linear(x))
    if algorithm.name != "ridge_head":
        network = algorithm.network(setting)
        theta = prior.adam.theta[: network.size]
        rows = np.concatenate([x, np.ones((len(x), 1))], axis=1)[None]
        expected = network.forward(theta, rows).out[0, :, 0]
        np.testing.assert_allclose(one.linear(x), expected, rtol=1e-10)


@every_algorithm
def test_groups_are_adapted_each_by_its_own_rows_alone(algorithm):
    setting = setting_of()
    prior = trained(algorithm, GROUPS, setting)
    together = algorithm.adapt(setting, prior, GROUPS)
    for t in (0, 3, 19):
        [alone] = algorithm.adapt(setting, prior, GROUPS.group(t))
        np.testing.assert_allclose(alone.linear(GROUPS.x), together[t].linear(GROUPS.x), rtol=1e-9)


@every_algorithm
@every_loss
def test_wide_tables_of_categories_and_rows_far_out_leave_everything_finite(algorithm, loss):
    rng = np.random.default_rng(0)
    rows = make_groups([10] * 12, loss, columns=3)
    codes = np.eye(150)[rng.integers(0, 150, len(rows.y))]
    x = np.concatenate([rows.x, codes, np.zeros((len(rows.y), 5))], axis=1)
    x[::17, 0] = 1e6
    y = rows.y.copy()
    if loss == "squared":
        y[::13] = -1e8
    far = rows._replace(x=x, y=y)
    setting = setting_of(loss, columns=158)
    prior = trained(algorithm, far, setting)
    assert finite(prior)
    models = algorithm.adapt(setting, prior, far)
    assert all(np.isfinite(model.linear(x)).all() for model in models)


@every_algorithm
def test_rows_of_weight_0_are_as_if_they_were_not_there(algorithm):
    setting, prior = setting_of(), algorithm.start(setting_of(), 0)
    rows = make_groups([6])
    heard = rows._replace(weight=np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0]))
    [one] = algorithm.adapt(setting, prior, heard)
    [other] = algorithm.adapt(setting, prior, rows.rows(np.arange(4), np.arange(1)))
    np.testing.assert_allclose(one.linear(rows.x), other.linear(rows.x), rtol=1e-9)
    silent = rows._replace(weight=np.zeros(6))
    assert finite(trained(algorithm, GroupedRows.merged([silent]), setting))


@every_algorithm
def test_the_outer_rate_is_halved_after_rounds_that_improve_nothing(algorithm):
    prior = algorithm.start(setting_of(), 0)
    for _ in range(PATIENCE - 1):
        prior = algorithm.adjust(prior, improved=False)
    assert algorithm.adjust(prior, improved=True).rate == 1.0
    assert algorithm.adjust(algorithm.adjust(prior, improved=True), improved=False).rate == 1.0
    halved = algorithm.adjust(prior, improved=False)
    assert (halved.rate, halved.idle) == (0.5, 0)
    moved = [
        np.abs(algorithm.work(setting_of(), at, GROUPS, 0).adam.theta - at.adam.theta).max()
        for at in (prior, halved)
    ]
    assert moved[1] < 0.8 * moved[0]


def test_a_gradient_that_is_not_finite_is_no_step_and_a_long_one_is_shortened():
    adam = Adam.start(np.zeros(3))
    assert adam.step(np.array([1.0, np.nan, 0.0]), 0.1) is adam
    assert adam.step(np.array([np.inf, 0.0, 0.0]), 0.1) is adam
    far = adam.step(np.array([3e9, 4e9, 0.0]), 0.1)
    np.testing.assert_allclose(far.mean, 0.1 * LONGEST * np.array([0.6, 0.8, 0.0]))
    np.testing.assert_allclose(far.theta, [-0.1, -0.1, 0.0], rtol=1e-6)


def test_parameters_shrink_by_the_decay_of_the_rate_beside_their_step():
    adam = Adam.start(np.array([2.0, -1.0]))
    gradient = np.array([1.0, 1.0])
    plain, shrunk = adam.step(gradient, 0.1), adam.step(gradient, 0.1, decay=0.5)
    np.testing.assert_allclose(shrunk.theta, plain.theta - 0.05 * adam.theta, rtol=1e-12)
    decaying = ALGORITHMS[0].model_copy(update={"decay": 1.0})
    prior = decaying.start(setting_of(), 0)
    one, other = (each.work(setting_of(), prior, GROUPS, 0) for each in (ALGORITHMS[0], decaying))
    assert np.linalg.norm(other.adam.theta) < np.linalg.norm(one.adam.theta)


def test_parts_are_spelt_as_they_are_called():
    assert Maml(parts=5).parts == 5
    assert Maml().parts == 2
