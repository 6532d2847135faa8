"""The space of a search: what is sampled, and what is refused with its place."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Refused

from lepton_dask.learn.search.domains import Domain
from lepton_dask.learn.search.space import space_of, with_point
from lepton_dask.learn.train import Train

WritePipeline = Callable[[str], Path]


def step(space: dict[str, object], **others: object) -> Train:
    document = {"loss": "logistic", "search": {"space": space, "metric": "roc_auc"}, **others}
    return Train.model_validate(document)


def test_a_log_range_is_even_in_the_logarithm_and_holds_its_ends():
    domain = Domain(log=(1e-6, 1.0))
    assert domain.at(0.5) == pytest.approx(1e-3)
    assert (domain.at(0.0), domain.at(1.0)) == (1e-6, 1.0)
    assert domain.has(1e-6)
    assert not domain.has(2.0)


def test_samples_fill_every_dimension_evenly_and_are_the_same_for_a_seed():
    space = space_of(
        step({"penalty.l2": {"log": (1e-6, 1.0)}, "optimizer": {"choices": ("lbfgs", "newton")}})
    )
    points = [space.sampled(3, trial) for trial in range(32)]
    assert points == [space.sampled(3, trial) for trial in range(32)]
    assert points != [space.sampled(4, trial) for trial in range(32)]
    logs = np.sort([math.log10(point["penalty.l2"]) for point in points])
    # The largest gap of 32 points drawn one by one at random is about log(32) / 32 of the range.
    assert np.diff(logs, prepend=-6, append=0).max() < 2.2 * 6 / 32
    chosen = [point["optimizer"] for point in points]
    assert 14 <= chosen.count("lbfgs") <= 18


def test_a_field_of_whole_numbers_is_sampled_in_whole_numbers():
    space = space_of(step({"max_passes": {"range": (5, 9)}, "penalty.l1": {"range": (0, 1)}}))
    passes = {space.sampled(0, trial)["max_passes"] for trial in range(60)}
    assert passes == {5, 6, 7, 8, 9}
    assert all(isinstance(value, int) for value in passes)
    assert 0 < space.sampled(0, 0)["penalty.l1"] < 1


def test_a_point_becomes_the_fields_of_the_training_and_leaves_the_others():
    train = step(
        {"penalty.l2": {"range": (0, 1)}, "optimizer.lbfgs.history": {"range": (2, 9)}},
        penalty={"l1": 0.0, "factors": {"age": 2.0}},
        tolerance=1e-3,
    )
    there = with_point(train, {"penalty.l2": 0.25, "optimizer.lbfgs.history": 4})
    assert (there.penalty.l2, there.penalty.factors) == (0.25, {"age": 2.0})
    assert there.optimizer.optimizer.history == 4
    assert there.tolerance == 1e-3
    assert there.search is None


STEPS = """
rows: {{read: {{path: {path}}}}}
parts: {{split: {{train: 0.6, validation: 0.4}}}}
features: {{prepare: {{target: y}}}}
model: {{train: {{loss: squared, {train}}}}}
"""


@pytest.fixture
def mistakes(refused: Refused, tmp_path: Path) -> Callable[[str], list[str]]:
    path = tmp_path / "a.csv"
    path.write_text("age,height,y\n" + "".join(f"{i},{i % 7},{i % 5}.5\n" for i in range(40)))
    return lambda train: refused(STEPS.format(path=path, train=train))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("penalty.l3: {range: [0, 1]}", "the step has no field 'penalty.l3'; the keys here are l1"),
        ("penalti.l2: {range: [0, 1]}", "the step has no field 'penalti'; did you mean 'penalty'?"),
        ("penalty.l2: {range: [-1, 1]}", "range[0]: must be at least 0, found -1"),
        ("optimizer: {choices: [lbfgs, newtn]}", "choices[1]: unknown 'newtn'; did you mean"),
        ("penalty.l2: {log: [0, 1]}", "a log range is above 0; write {range: [...]}"),
        ("penalty.l2: {range: [1, 0]}", "the first number must be below the second"),
        ("penalty.l2: {range: [0, 1], log: [1, 2]}", "give one of choices, range and log"),
        ("goal.at_least: {range: [0, 1]}", "'goal.at_least' is not to be searched"),
        (
            "features: {choices: [[age], [heigth]]}",
            "unknown column 'heigth'; did you mean 'height'",
        ),
        ('features: {choices: [["^x.*$"]]}', "'^x.*$' matches no column"),
        (
            "optimizer: {choices: [lbfgs, prox_newton]}, penalty.l1: {range: [0, 0.1]}",
            "lbfgs needs a smooth objective, and l1 is not (at optimizer lbfgs, penalty.l1 0.1)",
        ),
    ],
)
def test_what_a_space_cannot_hold_is_told_before_anything_runs(space, message, mistakes):
    found = mistakes(f"search: {{space: {{{space}}}, metric: rmse}}")
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("search: {space: {penalty.l2: {range: [0, 1]}}}", "a search needs a metric"),
        (
            "search: {space: {penalty.l2: {range: [0, 1]}}, metric: rmse, goal: {at_least: 1}}",
            "rmse falls as a model gets better: give at_most",
        ),
        (
            "search: {space: {penalty.l2: {range: [0, 1]}}, metric: roc_auc}",
            "metric: roc_auc needs a two-class target",
        ),
        (
            "inference: true, search: {space: {features: {choices: [[age]]}}, metric: rmse}",
            "standard errors of what a search has chosen would mislead",
        ),
        (
            "search: {space: {optimizer: {choices: [sgd, lbfgs]}}, metric: rmse, "
            "rungs: {by: rows}}",
            "sgd takes batches of its own, and has no rungs by rows (at optimizer sgd)",
        ),
        (
            "search: {space: {penalty.l2: {choices: [0.1, '${env.PATH}']}}, metric: rmse}",
            "choices[1]: comes from the environment, which is never written, and trials are",
        ),
        ("features: [agee]", "unknown column 'agee'; did you mean 'age'?"),
    ],
)
def test_what_a_search_cannot_be_scored_by_is_told(train, message, mistakes):
    [found] = mistakes(train)
    assert message in found


def test_a_search_without_a_validation_part_or_folds_is_refused(refused, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("age,y\n" + "".join(f"{i},{i % 5}.5\n" for i in range(40)))
    steps = STEPS.format(
        path=path, train="search: {space: {penalty.l2: {range: [0, 1]}}, metric: rmse}"
    ).replace("train: 0.6, validation: 0.4", "train: 0.6, test: 0.4")
    [found] = refused(steps)
    assert found.startswith("search: needs rows to score trials on; give split a `validation`")
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        refused(steps.replace("metric: rmse", "metric: rmse, folds: 3"))
