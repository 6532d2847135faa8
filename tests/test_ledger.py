"""The ledger's promises, without a cluster: shares, lags, and who is let ahead."""

from __future__ import annotations

import random

import pytest

from lepton_dask.resources.classes import DEFAULT_CLASSES, Classes, ClassShare
from lepton_dask.resources.ledger import LAG_LIMIT_S, Contention, Ledger, quantile


def simulate(classes: Classes, work: dict[str, float], slots: int, tasks: int) -> dict[str, float]:
    """The part of the slots that each class of `work` (its tasks' seconds) gets when all of them
    always have more: a scheduler that runs the highest class, and what is let ahead before it."""
    ledger = Ledger(classes)
    ledger.slots = slots
    for name in work:
        for _ in range(10 * slots):
            ledger.moved(name, "new", "queued", 0.0)
    highest = next(name for name in classes.names if name in work)
    used = dict.fromkeys(work, 0.0)
    ahead: list[str] = []
    now = 0.0
    for _ in range(tasks):
        for name in ledger.owed():
            ledger.accounts[name].ahead += 1
            ahead.append(name)
        name = ahead.pop(0) if ahead else highest
        ledger.accounts[name].ahead = max(0, ledger.accounts[name].ahead - 1)
        now += work[name]
        ledger.ran(name, work[name], 0.0, now)
        used[name] += work[name]
    return {name: seconds / sum(used.values()) for name, seconds in used.items()}


def test_classes_that_always_have_work_get_slots_in_proportion_to_their_weights() -> None:
    found = simulate(DEFAULT_CLASSES, dict.fromkeys(DEFAULT_CLASSES.names, 0.02), 4, 4000)
    assert found == pytest.approx(
        {"critical": 8 / 15, "high": 4 / 15, "normal": 2 / 15, "low": 1 / 15}, abs=0.01
    )


def test_long_tasks_of_a_class_do_not_get_it_more_slots() -> None:
    found = simulate(DEFAULT_CLASSES, {"high": 0.01, "normal": 0.2}, 2, 8000)
    assert found == pytest.approx({"high": 2 / 3, "normal": 1 / 3}, abs=0.02)


def test_low_work_gets_its_minimum_under_a_flood_that_its_weight_would_not_give_it() -> None:
    classes = Classes((ClassShare("critical", 100), ClassShare("low", 1, minimum=0.05)))
    found = simulate(classes, {"critical": 0.05, "low": 0.05}, 2, 4000)
    assert found["low"] == pytest.approx(0.05, abs=0.005)


def test_nothing_is_let_ahead_where_one_class_alone_has_work() -> None:
    ledger = Ledger(DEFAULT_CLASSES)
    ledger.slots = 2
    for _ in range(50):
        ledger.moved("low", "new", "queued", 0.0)
        ledger.ran("low", 1.0, 1.0, 1.0)
    assert ledger.owed() == []
    assert ledger.accounts["low"].lag_s == 0


def test_lags_of_classes_with_work_add_up_to_nothing_and_are_forgotten_beyond_a_limit() -> None:
    draw = random.Random(0)
    ledger = Ledger(DEFAULT_CLASSES)
    ledger.slots = 3
    for name in DEFAULT_CLASSES.names:
        for _ in range(9):
            ledger.moved(name, "new", "queued", 0.0)
    for _ in range(20):
        ledger.ran(draw.choice(DEFAULT_CLASSES.names), 0.1, 0.0, 1.0)
    assert sum(each.lag_s for each in ledger.accounts.values()) == pytest.approx(0, abs=1e-12)
    for _ in range(1000):
        ledger.ran("critical", 1.0, 0.0, 1.0)
    assert ledger.accounts["high"].lag_s == LAG_LIMIT_S * 3


def test_a_class_that_ran_out_of_work_saves_nothing_up() -> None:
    ledger = Ledger(DEFAULT_CLASSES)
    ledger.slots = 1
    for name in ("high", "low"):
        for _ in range(5):
            ledger.moved(name, "new", "queued", 0.0)
    ledger.ran("high", 1.0, 0.0, 3.0)
    assert ledger.accounts["low"].lag_s > 0
    for _ in range(5):
        ledger.moved("low", "queued", "released", 3.0)
    assert ledger.accounts["low"].lag_s == 0


def test_work_that_goes_on_beside_short_critical_tasks_is_owed_nothing() -> None:
    ledger = Ledger(DEFAULT_CLASSES)
    ledger.slots = 1
    ledger.moved("low", "new", "processing", 0.0)
    for second in range(50):
        ledger.moved("critical", "new", "processing", second + 0.4)
        ledger.moved("critical", "processing", "memory", second + 0.5)
        ledger.ran("critical", 0.1, 0.1, second + 0.5)
        ledger.ran("low", 1.0, 1.0, second + 1.0)
        assert ledger.owed() == []
    assert ledger.accounts["low"].lag_s == -1.0  # a task of its own


def test_a_class_of_tasks_longer_than_any_lag_that_is_kept_gets_its_share_too() -> None:
    found = simulate(DEFAULT_CLASSES, {"critical": 0.1, "low": 30.0}, 2, 20_000)
    assert found["low"] == pytest.approx(1 / 9, abs=0.02)


def test_contention_is_counted_within_an_interval() -> None:
    contention = Contention()
    assert contention.seconds(0.0, 9.0) == 0
    contention.turn(True, 1.0)
    contention.turn(True, 2.0)
    contention.turn(False, 4.0)
    contention.turn(True, 6.0)
    assert contention.seconds(0.0, 9.0) == 6
    assert contention.seconds(3.0, 7.0) == 2
    assert contention.seconds(4.5, 5.5) == 0


def test_no_more_tasks_are_let_ahead_than_there_are_slots() -> None:
    ledger = Ledger(DEFAULT_CLASSES)
    ledger.slots = 2
    for name in ("high", "low"):
        for _ in range(99):
            ledger.moved(name, "new", "queued", 0.0)
    ledger.accounts["low"].mean_s = 0.001
    for _ in range(10):
        ledger.ran("high", 1.0, 0.0, 3.0)
    assert ledger.owed() == ["low", "low"]


def test_the_slots_in_use_are_those_of_the_last_seconds() -> None:
    ledger = Ledger(DEFAULT_CLASSES)
    ledger.ran("high", 1.0, 0.0, 10.0)
    ledger.ran("high", 0.5, 0.0, 11.5)
    assert ledger.used("high", 11.9) == pytest.approx(1.5 / 2)
    assert ledger.used("high", 12.5) == pytest.approx(0.5 / 2)
    assert ledger.used("high", 99.0) == 0


def test_a_quantile_is_one_of_the_values() -> None:
    assert quantile([], 0.5) is None
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0
