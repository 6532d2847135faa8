"""Shares of one resource: guarantees, then weighted max-min, in exact numbers."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from time import perf_counter

import pytest
from class_shares import MANY, classes, demands
from hypothesis import given
from hypothesis import strategies as st

from lepton_dask.resources.allocate import allocate, allocate_units
from lepton_dask.resources.classes import DEFAULT_CLASSES, Classes, ClassShare, exact

CAPACITIES = st.integers(0, 120)


def caps_of(shares: Classes, wanted: dict[str, int], capacity: int) -> dict[str, Fraction]:
    return {s.name: min(Fraction(wanted[s.name]), exact(s.maximum) * capacity) for s in shares}


def unit_caps_of(shares: Classes, wanted: dict[str, int], capacity: int) -> dict[str, int]:
    return {
        s.name: min(wanted[s.name], max(1, exact(s.maximum) * capacity // 1), capacity)
        for s in shares
    }


def by_bisection(shares: Classes, wanted: dict[str, int], capacity: int) -> dict[str, float]:
    """The definition itself, with the water level found in floats."""
    caps = {name: float(cap) for name, cap in caps_of(shares, wanted, capacity).items()}
    floors = {s.name: min(caps[s.name], float(s.guaranteed) * capacity) for s in shares}
    total = min(float(capacity), sum(caps.values()))

    def at(level: float) -> dict[str, float]:
        return {
            s.name: max(floors[s.name], min(caps[s.name], level * float(s.weight))) for s in shares
        }

    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(at(middle).values()) < total else (low, middle)
    return at(high)


# --- exact shares --------------------------------------------------------------------------------


@MANY
@given(data=st.data(), shares=classes(), capacity=CAPACITIES)
def test_shares_are_those_of_a_water_level(data, shares, capacity):
    wanted = data.draw(demands(shares))
    given_ = allocate(shares, wanted, capacity)
    assert {name: float(x) for name, x in given_.items()} == pytest.approx(
        by_bisection(shares, wanted, capacity), abs=1e-6
    )


@MANY
@given(data=st.data(), shares=classes(), capacity=CAPACITIES)
def test_no_class_gets_more_than_it_asked_for_or_its_maximum(data, shares, capacity):
    wanted = data.draw(demands(shares))
    given_ = allocate(shares, wanted, capacity)
    for name, cap in caps_of(shares, wanted, capacity).items():
        assert 0 <= given_[name] <= cap


@MANY
@given(data=st.data(), shares=classes(), capacity=CAPACITIES)
def test_nothing_is_left_that_a_class_could_use_and_sums_are_exact(data, shares, capacity):
    wanted = data.draw(demands(shares))
    given_ = allocate(shares, wanted, capacity)
    usable = sum(caps_of(shares, wanted, capacity).values())
    assert sum(given_.values()) == min(capacity, usable)


@MANY
@given(data=st.data(), shares=classes(), capacity=CAPACITIES)
def test_guarantees_are_kept_whatever_the_others_ask_for(data, shares, capacity):
    wanted = data.draw(demands(shares))
    given_ = allocate(shares, wanted, capacity)
    for share in shares:
        for guarantee in (share.reserve, share.minimum):
            assert given_[share.name] >= min(wanted[share.name], exact(guarantee) * capacity)


@MANY
@given(data=st.data(), shares=classes(least=2), capacity=CAPACITIES)
def test_above_its_guarantee_nobody_is_ahead_of_one_who_wants_more(data, shares, capacity):
    """Max-min: what is given above a guarantee lies at the level, or below it at a cap."""
    wanted = data.draw(demands(shares))
    given_ = allocate(shares, wanted, capacity)
    caps = caps_of(shares, wanted, capacity)
    level = {s.name: given_[s.name] / exact(s.weight) for s in shares}
    hungry = [name for name in shares.names if given_[name] < caps[name]]
    for share in shares:
        if given_[share.name] > exact(share.guaranteed) * capacity:
            assert all(level[share.name] <= level[name] for name in hungry)


@MANY
@given(data=st.data(), shares=classes(), capacity=CAPACITIES)
def test_asking_for_something_else_than_one_needs_brings_nothing(data, shares, capacity):
    wanted = data.draw(demands(shares))
    name = data.draw(st.sampled_from(shares.names))
    lie = data.draw(st.integers(0, 200))
    honest = allocate(shares, wanted, capacity)[name]
    useful = min(allocate(shares, wanted | {name: lie}, capacity)[name], wanted[name])
    assert useful <= honest


@MANY
@given(data=st.data(), shares=classes(least=2), capacity=CAPACITIES)
def test_an_unused_reserve_is_lent_and_comes_back(data, shares, capacity):
    wanted = data.draw(demands(shares))
    name = data.draw(st.sampled_from(shares.names))
    idle = allocate(shares, wanted | {name: 0}, capacity)
    busy = allocate(shares, wanted, capacity)
    share = next(each for each in shares if each.name == name)
    usable = sum(caps_of(shares, wanted | {name: 0}, capacity).values())
    assert sum(idle.values()) == min(capacity, usable)
    assert all(idle[other] >= busy[other] for other in shares.names if other != name)
    assert busy[name] >= min(wanted[name], exact(share.reserve) * capacity)


@MANY
@given(data=st.data(), shares=classes(), capacity=CAPACITIES)
def test_the_unit_of_measure_does_not_matter(data, shares, capacity):
    wanted = data.draw(demands(shares))
    smaller = allocate(
        shares, {n: Fraction(d, 3) for n, d in wanted.items()}, Fraction(capacity, 3)
    )
    assert smaller == {name: x / 3 for name, x in allocate(shares, wanted, capacity).items()}


def test_a_worked_example():
    """Weights 8, 4, 2 and 1 of 100: all above their guarantees."""
    wanted = dict.fromkeys(DEFAULT_CLASSES.names, 100)
    fifteenths = {"critical": 800, "high": 400, "normal": 200, "low": 100}
    assert allocate(DEFAULT_CLASSES, wanted, 100) == {
        name: Fraction(x, 15) for name, x in fifteenths.items()
    }
    assert allocate(DEFAULT_CLASSES, {"low": 3, "high": 10}, 100) == {
        "critical": 0,
        "high": 10,
        "normal": 0,
        "low": 3,
    }


def test_a_decimal_share_is_the_decimal_and_not_the_float_next_to_it():
    shares = Classes((ClassShare("a", maximum=0.29), ClassShare("b", minimum=0.07)))
    assert allocate(shares, {"a": 100, "b": 0}, 100)["a"] == 29
    assert allocate_units(shares, {"a": 100, "b": 0}, 100)["a"] == 29
    assert sum(allocate(shares, {"a": 0.1, "b": 0.2}, 1).values()) == Fraction(3, 10)


@pytest.mark.parametrize(
    ("wanted", "capacity"), [({"low": -1}, 4), ({"low": 1}, -4), ({"lo": 1}, 4)]
)
@pytest.mark.parametrize("function", [allocate, allocate_units])
def test_what_is_no_demand_or_capacity_is_an_error(function, wanted, capacity):
    with pytest.raises(ValueError, match=r"no class lo|negative"):
        function(DEFAULT_CLASSES, wanted, capacity)


# --- whole units ---------------------------------------------------------------------------------


@MANY
@given(data=st.data(), shares=classes(), capacity=CAPACITIES)
def test_units_are_whole_exact_in_sum_and_within_demand_and_maximum(data, shares, capacity):
    wanted = data.draw(demands(shares))
    given_ = allocate_units(shares, wanted, capacity)
    caps = unit_caps_of(shares, wanted, capacity)
    assert all(type(x) is int for x in given_.values())
    assert all(0 <= given_[name] <= caps[name] for name in shares.names)
    assert sum(given_.values()) == min(capacity, sum(caps.values()))


@MANY
@given(data=st.data(), shares=classes(), capacity=st.integers(100, 200))
def test_units_are_the_exact_shares_rounded_down_or_up(data, shares, capacity):
    """Where maxima are whole: a maximum that is not is rounded before anything is given."""
    shares = Classes(tuple(ClassShare(s.name, s.weight, s.reserve, s.minimum) for s in shares))
    wanted = data.draw(demands(shares))
    fair = allocate(shares, wanted, capacity)
    for name, x in allocate_units(shares, wanted, capacity).items():
        assert fair[name] // 1 <= x <= -(-fair[name] // 1)


@MANY
@given(data=st.data(), shares=classes(), capacity=CAPACITIES)
def test_guarantees_of_whole_units_are_kept(data, shares, capacity):
    wanted = data.draw(demands(shares))
    given_ = allocate_units(shares, wanted, capacity)
    for share in shares:
        least = min(wanted[share.name], exact(share.guaranteed) * capacity // 1)
        assert given_[share.name] >= least


@MANY
@given(data=st.data(), shares=classes(), capacity=CAPACITIES)
def test_asking_for_other_units_than_one_needs_brings_nothing(data, shares, capacity):
    wanted = data.draw(demands(shares))
    name = data.draw(st.sampled_from(shares.names))
    lie = data.draw(st.integers(0, 200))
    honest = allocate_units(shares, wanted, capacity)[name]
    useful = min(allocate_units(shares, wanted | {name: lie}, capacity)[name], wanted[name])
    assert useful <= honest


def test_among_equal_remainders_the_higher_class_is_rounded_up():
    shares = Classes((ClassShare("first"), ClassShare("second"), ClassShare("third")))
    wanted = dict.fromkeys(shares.names, 10)
    assert allocate_units(shares, wanted, 4) == {"first": 2, "second": 1, "third": 1}
    assert allocate_units(shares, wanted, 5) == {"first": 2, "second": 2, "third": 1}


def test_the_largest_remainder_is_rounded_up():
    shares = Classes((ClassShare("a", 1), ClassShare("b", 3), ClassShare("c", 1)))
    # Of 4: 0.8, 2.4, 0.8.
    assert allocate_units(shares, dict.fromkeys(shares.names, 9), 4) == {"a": 1, "b": 2, "c": 1}


def test_a_maximum_is_at_least_one_unit():
    shares = Classes((ClassShare("a"), ClassShare("b", maximum=0.1)))
    assert allocate_units(shares, {"b": 5}, 2) == {"a": 0, "b": 1}


@pytest.mark.parametrize("capacity", [1, 2, 3, 7])
def test_what_is_owed_keeps_shares_of_less_than_a_unit_over_time(capacity):
    wanted = dict.fromkeys(DEFAULT_CLASSES.names, 100)
    fair = allocate(DEFAULT_CLASSES, wanted, capacity)
    had: Counter[str] = Counter()
    for round_ in range(1, 301):
        owed = {name: float((round_ - 1) * x - had[name]) for name, x in fair.items()}
        had.update(allocate_units(DEFAULT_CLASSES, wanted, capacity, owed))
        assert all(abs(had[name] - round_ * x) <= 1 for name, x in fair.items())


def test_four_classes_take_tens_of_microseconds():
    wanted = {"critical": 3, "high": 40, "normal": 50, "low": 1000}
    best = min(_seconds(wanted) for _ in range(20))
    assert best < 100e-6


def _seconds(wanted: dict[str, int]) -> float:
    start = perf_counter()
    for _ in range(50):
        allocate_units(DEFAULT_CLASSES, wanted, 16)
    return (perf_counter() - start) / 50
