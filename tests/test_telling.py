"""A run tells the scheduler how far it is, and is never held up by that."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from distributed import Client, Scheduler
from processes import eventually, stock_scheduler
from showing import on_scheduler, showing

from lepton_dask.events import Iterated, Listener, MetaRound, StepStarted, Warned
from lepton_dask.run.telling import POINTS, Curve, Progress, Teller, telling


def iterated(iteration: int, step: str = "model") -> Iterated:
    return Iterated(step, iteration, float(iteration), 0.1, 1 / (1 + iteration), 0.1)


def reports(dask_scheduler: Scheduler) -> object:
    return dask_scheduler.plugins["showing"].reports


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with showing(tmp_path) as client:
        yield client


def tell_of(listener: Listener, count: int) -> None:
    listener(StepStarted("model", "train"))
    for iteration in range(count):
        listener(iterated(iteration))


@pytest.mark.cluster
def test_the_scheduler_hears_of_steps_losses_and_the_end(client: Client):
    with telling(client, "credit") as listener:
        tell_of(listener, 3)
        eventually(lambda: bool(on_scheduler(client, reports)))
    [*_, last] = on_scheduler(client, reports)
    assert (last["name"], last["step"], last["verb"]) == ("credit", "model", "train")
    assert (last["state"], last["passes"]) == ("finished", 2.0)
    assert list(last["losses"]) == [1, 1 / 2, 1 / 3]
    assert len({each["id"] for each in on_scheduler(client, reports)}) == 1


@pytest.mark.cluster
def test_ten_thousand_iterations_are_a_few_reports_and_cost_next_to_nothing(client: Client):
    with telling(client, "credit") as listener:
        began = time.perf_counter()
        tell_of(listener, 10_000)
        seconds = time.perf_counter() - began
    assert seconds < 1
    heard = on_scheduler(client, reports)
    assert len(heard) <= 2 + 4 * seconds
    assert heard[-1]["losses"][-1] == 1 / 10_000
    assert len(heard[-1]["losses"]) <= POINTS


class Lost:
    """A client whose scheduler is gone."""

    @property
    def loop(self) -> object:
        raise RuntimeError("the loop is closed")

    def sync(self, *_arguments: object, **_options: object) -> None:
        raise OSError("the connection is lost")


def test_a_scheduler_that_is_gone_does_not_disturb_a_run():
    teller = Teller(Lost(), Progress("credit"))
    tell_of(teller, 3)
    teller.finish()


@pytest.mark.cluster
def test_a_scheduler_without_priorities_is_told_nothing(tmp_path: Path):
    with (
        stock_scheduler(tmp_path) as (address, _),
        Client(address) as client,
        telling(client, "credit") as listener,
    ):
        assert not isinstance(listener, Teller)
        tell_of(listener, 3)


# --- what a report holds -------------------------------------------------------------------------


def test_a_loss_that_is_no_number_is_left_out():
    curve = Curve()
    for loss in (1.0, float("nan"), float("inf"), 0.5):
        curve.add(1.0, loss)
    assert curve.losses == [1.0, 0.5]


def test_steps_side_by_side_keep_a_curve_each():
    progress = Progress("bakeoff")
    for iteration in range(3):
        progress.add(iterated(iteration, "left"))
        progress.add(iterated(iteration, "right"))
    assert len(progress.report("running")["losses"]) == 3


def test_what_is_no_progress_is_not_told():
    assert not Progress("credit").add(Warned(None, "a warning"))


def test_secrets_do_not_leave_with_a_name():
    progress = Progress("of-secret", lambda text: text.replace("secret", "***"))
    assert progress.report("running")["name"] == "of-***"


@pytest.mark.parametrize("count", [1, 2, POINTS - 1, POINTS, POINTS + 1, 10 * POINTS + 7])
def test_a_long_curve_is_thinned_evenly_and_keeps_both_ends(count):
    curve = Curve()
    for i in range(count):
        curve.add(float(i), float(i))
    losses = curve.losses
    assert (losses[0], losses[-1]) == (0, count - 1)
    assert len(losses) <= POINTS
    steps = {later - earlier for earlier, later in pairwise(losses[:-1])}
    assert len(steps) <= 1


def test_rounds_of_learning_from_groups_are_a_curve_of_held_out_scores() -> None:
    progress = Progress("schools")
    for number, score in enumerate([1.0, 0.8, 0.7]):
        assert progress.add(MetaRound("model", number, 0.1, score, score, "rmse"))
    assert progress.report("running")["losses"] == [1.0, 0.8, 0.7]
