"""A descent that was stopped and goes on, through a file: the same bits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from in_memory import BlockPasses, make_block

from lepton_dask.artifacts.checkpoint import load_checkpoint, save_checkpoint
from lepton_dask.errors import RunError
from lepton_dask.learn.descent import Descent, Halfway, descend
from lepton_dask.learn.optimizers import Fista, GradientDescent, Lbfgs, Newton, ProxNewton, Sgd
from lepton_dask.learn.train import EarlyStopping, Train

LEVELS = (3, 5)


def passes(**changes: float) -> BlockPasses:
    return BlockPasses([make_block()], LEVELS, validation=make_block(seed=1), **changes)


@pytest.mark.parametrize(
    ("optimizer", "changes"),
    [
        (Lbfgs(), {"l2": 1e-3}),
        (GradientDescent(), {"l2": 1e-3}),
        (Newton(), {"l2": 1e-3}),
        (Fista(), {"l1": 1e-2}),
        (ProxNewton(), {"l1": 1e-2}),
        (Sgd(batches=5), {"l2": 1e-3}),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_a_descent_cut_at_any_pass_and_carried_through_a_file_ends_in_the_same_bits(
    optimizer, changes, tmp_path
):
    rules = Train(loss="logistic", max_passes=12, tolerance=1e-12)
    whole = descend(rules, optimizer, passes(**changes))
    for cut in (2, 5, 9):
        first = descend(
            rules.model_copy(update={"max_passes": cut}), optimizer, passes(**changes), keep=True
        )
        if first.halfway is None:
            assert first.stopped.code != "max_passes"
            continue
        save_checkpoint(tmp_path / "a.npz", (first,))
        (loaded,) = load_checkpoint(tmp_path / "a.npz")
        assert isinstance(loaded, Descent)
        second = descend(rules, optimizer, passes(**changes), begin=loaded.halfway)
        assert second.theta.tobytes() == whole.theta.tobytes()
        assert (second.passes, second.iterations) == (whole.passes, whole.iterations)
        drop = [dataclasses.replace(each, seconds=0) for each in second.history]
        assert drop == [dataclasses.replace(each, seconds=0) for each in whole.history]


def test_early_stopping_remembers_its_best_across_the_cut():
    rules = Train(loss="logistic", tolerance=0, early_stopping=EarlyStopping(patience=3))
    whole = descend(rules, GradientDescent(), passes())
    cut = rules.model_copy(update={"max_passes": 3})
    first = descend(cut, GradientDescent(), passes(), keep=True)
    assert isinstance(first.halfway, Halfway)
    assert first.halfway.best is not None
    second = descend(rules, GradientDescent(), passes(), begin=first.halfway)
    assert second.stopped == whole.stopped
    assert second.theta.tobytes() == whole.theta.tobytes()


def test_without_keep_nothing_of_the_optimizer_stays():
    rules = Train(loss="logistic", max_passes=2)
    assert descend(rules, Lbfgs(), passes()).halfway is None


def test_a_file_that_names_something_else_makes_nothing(tmp_path):
    forged = '{"record": ["descent", "np"], "fields": {}}'
    path = tmp_path / "forged.npz"
    for document in (forged, '{"record": ["..os", "system"], "fields": {}}', '{"x": 1}', "}"):
        with path.open("wb") as stream:
            np.savez(stream, document=np.array(document))
        with pytest.raises(RunError, match="it is no checkpoint of this version"):
            load_checkpoint(path)


def test_infinite_and_missing_numbers_come_back(tmp_path):
    path = tmp_path / "a.npz"
    save_checkpoint(path, (float("inf"), None, True, 3, "text", np.arange(3), slice(1, 2)))
    value = load_checkpoint(path)
    assert value[:5] == (float("inf"), None, True, 3, "text")
    assert value[5].tolist() == [0, 1, 2]
    assert value[6] == slice(1, 2)
