"""What every meta-learning algorithm keeps to, the baselines among them."""

import json

import numpy as np
import pytest
from meta_groups import setting_of, simulated

from lepton_dask.learn.meta.choice import STORED, AlgorithmTable
from lepton_dask.learn.meta.groups import LocalGroups, drawn_seed, grouped, in_parts
from lepton_dask.learn.meta.loop import trained

SMALL = {"hidden": (6,), "steps": 5, "tasks": 4}


def algorithm_of(name):
    kind = STORED[name]
    return kind(**SMALL) if "hidden" in kind.model_fields else kind()


every_algorithm = pytest.mark.parametrize("name", list(STORED))
every_loss = pytest.mark.parametrize("loss", ["squared", "logistic"])


@pytest.fixture(params=["squared", "logistic"])
def problem(request):
    rows, _ = simulated([0.5, 1.0, -0.5], np.diag([0.5, 0.3, 0.1]), T=12, n=10, loss=request.param)
    return setting_of(2, loss=request.param, shots=(3,)), rows


def learnt(algorithm, setting, rows, rounds=2, seed=0):
    held = [algorithm.keep(setting, part) for part in in_parts(rows, algorithm.parts)]
    groups = LocalGroups(tuple(held))
    prior = algorithm.start(setting, seed)
    for number in range(1, rounds + 1):
        prior = trained(algorithm, setting, groups, prior, number, seed)
    return prior


@every_algorithm
def test_the_same_seed_gives_the_same_bits(name, problem):
    setting, rows = problem
    algorithm = algorithm_of(name)
    one, other = (learnt(algorithm, setting, rows).arrays() for _ in range(2))
    assert all(one[key].tobytes() == other[key].tobytes() for key in one)


@every_algorithm
def test_a_prior_is_what_its_arrays_say_and_options_are_what_their_json_says(name, problem):
    setting, rows = problem
    algorithm = algorithm_of(name)
    prior = learnt(algorithm, setting, rows)
    again = algorithm.prior_of({key: value.copy() for key, value in prior.arrays().items()})
    told = type(algorithm).model_validate_json(json.dumps(algorithm.model_dump(mode="json")))
    assert told == algorithm
    x = np.linspace(-1, 1, 8).reshape(4, 2)
    one = [model.linear(x) for model in algorithm.adapt(setting, prior, rows)]
    other = [model.linear(x) for model in told.adapt(setting, again, rows)]
    assert np.array_equal(one, other)


@every_algorithm
def test_a_group_without_rows_has_the_model_of_an_unknown_one(name, problem):
    setting, rows = problem
    algorithm = algorithm_of(name)
    prior = learnt(algorithm, setting, rows)
    nothing = rows.rows(np.empty(0, np.intp), np.array([0, 1]))
    one, other = algorithm.adapt(setting, prior, nothing)
    x = np.ones((3, 2))
    assert np.isfinite(one.linear(x)).all()
    assert np.array_equal(one.linear(x), other.linear(x))


@every_algorithm
def test_each_group_is_adapted_by_its_rows_alone(name, problem):
    setting, rows = problem
    algorithm = algorithm_of(name)
    prior = learnt(algorithm, setting, rows)
    x = np.linspace(-1, 1, 8).reshape(4, 2)
    together = algorithm.adapt(setting, prior, rows)
    for t in (0, 7):
        [alone] = algorithm.adapt(setting, prior, rows.group(t))
        # Groups side by side take as many steps as the slowest needs.
        assert alone.linear(x) == pytest.approx(together[t].linear(x), rel=1e-6, abs=1e-9)


@every_algorithm
def test_parts_without_a_group_add_nothing_and_fail_nothing(name, problem):
    setting, rows = problem
    algorithm = algorithm_of(name)
    prior = algorithm.start(setting, 0)
    parts = [rows, rows.take(np.empty(0, np.intp))]
    messages = [
        algorithm.work(setting, prior, algorithm.keep(setting, part), drawn_seed(1, number))
        for number, part in enumerate(parts)
    ]
    both = algorithm.combine(setting, prior, messages).arrays()
    alone = algorithm.combine(setting, prior, messages[:1]).arrays()
    assert all(np.allclose(both[key], alone[key], rtol=1e-12, atol=0) for key in both)


def test_names_are_told_apart_as_texts_and_numbers_as_short_as_they_go():
    owner = np.array([0, 1, 2, 0, 3])
    rows = grouped(
        owner, [3.0, "a", "3", 4.5], np.arange(10.0).reshape(5, 2), owner * 1.0, owner * 1.0
    )
    assert rows.names == ("3", "4.5", "a")
    assert rows.y.tolist() == [0.0, 2.0, 0.0, 3.0, 1.0]


def test_rows_of_a_group_come_to_one_part_whatever_the_chunks():
    rows, _ = simulated([0.0, 1.0], np.eye(2), T=30, n=6)
    whole = in_parts(rows, 4)
    assert sum(len(part.names) for part in whole) == 30
    assert all(len(part.names) > 1 for part in whole)
    half = in_parts(rows.take(np.arange(0, 30, 2)), 4)
    for part, of_half in zip(whole, half, strict=True):
        assert set(of_half.names) <= set(part.names)


def test_every_algorithm_can_be_told_by_table():
    for name in AlgorithmTable.model_fields:
        assert AlgorithmTable.model_validate({name: {}}).algorithm.name == name
