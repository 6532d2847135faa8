"""Several resources: the lowest dominant share is filled first, task by task."""

from __future__ import annotations

from fractions import Fraction

import pytest
from class_shares import MANY, classes
from hypothesis import given
from hypothesis import strategies as st

from lepton_dask.resources.allocate import TaskDemand, allocate, allocate_tasks
from lepton_dask.resources.classes import Classes, ClassShare, exact

USERS = Classes((ClassShare("a"), ClassShare("b")))
MACHINE = {"cpu": 9, "GB": 18}


@st.composite
def cases(draw: st.DrawFn) -> tuple[Classes, dict[str, TaskDemand], dict[str, int]]:
    shares = draw(classes(least=2, most=4))
    capacity = {"cpu": draw(st.integers(1, 30)), "GB": draw(st.integers(1, 60))}
    wanted = {
        name: TaskDemand(
            draw(st.integers(0, 25)),
            {"cpu": draw(st.integers(0, 5)), "GB": draw(st.integers(0, 9))},
        )
        for name in shares.names
    }
    return shares, wanted, capacity


@st.composite
def contested(draw: st.DrawFn) -> tuple[Classes, dict[str, TaskDemand], dict[str, int]]:
    """Small tasks, more than fit, and no guarantees: who gets one decides what another has."""
    weights = draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    shares = Classes(tuple(ClassShare(f"c{i}", weight) for i, weight in enumerate(weights)))
    amounts = st.fixed_dictionaries({"cpu": st.integers(1, 3), "GB": st.integers(1, 3)})
    wanted = {name: TaskDemand(draw(st.integers(5, 15)), draw(amounts)) for name in shares.names}
    return shares, wanted, {"cpu": draw(st.integers(5, 20)), "GB": draw(st.integers(5, 20))}


def used(wanted: dict[str, TaskDemand], tasks: dict[str, int], resource: str) -> Fraction:
    return sum((exact(wanted[n].amounts[resource]) * k for n, k in tasks.items()), Fraction())


def dominant(demand: TaskDemand, capacity: dict[str, int]) -> Fraction:
    """Of one task."""
    return max(Fraction(exact(a), capacity[r]) for r, a in demand.amounts.items())


def most(share: ClassShare, demand: TaskDemand, capacity: dict[str, int]) -> int:
    one = dominant(demand, capacity)
    return min(demand.tasks, max(1, exact(share.maximum) // one)) if one else demand.tasks


def test_the_example_of_the_paper():
    """Ghodsi et al. 2011, 4.1: <1 CPU, 4 GB> and <3 CPU, 1 GB> on 9 CPUs and 18 GB."""
    wanted = {"a": TaskDemand(100, {"cpu": 1, "GB": 4}), "b": TaskDemand(100, {"cpu": 3, "GB": 1})}
    assert allocate_tasks(USERS, wanted, MACHINE) == {"a": 3, "b": 2}


@MANY
@given(cases())
def test_nothing_is_used_that_is_not_there_or_not_asked_for(case):
    shares, wanted, capacity = case
    tasks = allocate_tasks(shares, wanted, capacity)
    assert all(0 <= k <= wanted[name].tasks for name, k in tasks.items())
    assert all(used(wanted, tasks, r) <= amount for r, amount in capacity.items())


@MANY
@given(cases())
def test_no_task_waits_that_would_fit(case):
    shares, wanted, capacity = case
    tasks = allocate_tasks(shares, wanted, capacity)
    free = {r: amount - used(wanted, tasks, r) for r, amount in capacity.items()}
    for share in shares:
        demand = wanted[share.name]
        fits = all(a <= free[r] for r, a in demand.amounts.items())
        assert not fits or tasks[share.name] >= most(share, demand, capacity)


@MANY
@given(cases())
def test_maxima_bound_the_dominant_share(case):
    shares, wanted, capacity = case
    tasks = allocate_tasks(shares, wanted, capacity)
    for share in shares:
        assert tasks[share.name] <= most(share, wanted[share.name], capacity)


@MANY
@given(cases())
def test_guarantees_of_whole_tasks_are_kept(case):
    shares, wanted, capacity = case
    tasks = allocate_tasks(shares, wanted, capacity)
    for share in shares:
        one = dominant(wanted[share.name], capacity)
        if one:
            kept = min(wanted[share.name].tasks, exact(share.guaranteed) // one)
            assert tasks[share.name] >= kept


@MANY
@given(cases() | contested(), st.data())
def test_to_claim_other_numbers_of_tasks_brings_nothing(case, data):
    shares, wanted, capacity = case
    name = data.draw(st.sampled_from(shares.names))
    lie = TaskDemand(data.draw(st.integers(0, 60)), wanted[name].amounts)
    honest = allocate_tasks(shares, wanted, capacity)[name]
    claimed = allocate_tasks(shares, wanted | {name: lie}, capacity)[name]
    assert min(claimed, wanted[name].tasks) <= honest


def by_hand(shares: Classes, wanted: dict[str, TaskDemand], capacity: dict[str, int]):
    """The paper's Algorithm 1 word by word, without guarantees: no heap, all shares anew."""
    tasks = dict.fromkeys(shares.names, 0)
    open_ = [share for share in shares if wanted[share.name].tasks]
    while open_:
        lowest = min(
            open_,
            key=lambda s: tasks[s.name] * dominant(wanted[s.name], capacity) / exact(s.weight),
        )
        name = lowest.name
        trial = tasks | {name: tasks[name] + 1}
        fits = all(used(wanted, trial, r) <= amount for r, amount in capacity.items())
        if fits and trial[name] <= most(lowest, wanted[name], capacity):
            tasks = trial
        else:
            open_.remove(lowest)
    return tasks


@MANY
@given(cases())
def test_the_order_is_that_of_the_paper(case):
    shares, wanted, capacity = case
    plain = Classes(tuple(ClassShare(s.name, s.weight, maximum=s.maximum) for s in shares))
    assert allocate_tasks(plain, wanted, capacity) == by_hand(plain, wanted, capacity)


@MANY
@given(classes(least=2, most=4), st.integers(20, 200))
def test_of_one_resource_each_has_its_share_to_within_two_tasks(shares, capacity):
    plain = Classes(tuple(ClassShare(s.name, s.weight) for s in shares))
    wanted = {name: TaskDemand(capacity, {"slot": 1}) for name in plain.names}
    tasks = allocate_tasks(plain, wanted, {"slot": capacity})
    fair = allocate(plain, dict.fromkeys(plain.names, capacity), capacity)
    assert sum(tasks.values()) == capacity
    for name, k in tasks.items():
        assert fair[name] - len(fair) < k < fair[name] + 2


def test_a_task_that_does_not_fit_stops_no_other():
    wanted = {"a": TaskDemand(5, {"cpu": 10}), "b": TaskDemand(3, {"cpu": 1})}
    assert allocate_tasks(USERS, wanted, MACHINE) == {"a": 0, "b": 3}


def test_a_resource_of_which_there_is_none_is_given_to_nobody():
    wanted = {"a": TaskDemand(5, {"gpu": 1}), "b": TaskDemand(3, {"cpu": 1})}
    assert allocate_tasks(USERS, wanted, {"cpu": 2, "gpu": 0}) == {"a": 0, "b": 2}


def test_tasks_that_need_nothing_all_run():
    wanted = {"a": TaskDemand(10**9, {}), "b": TaskDemand(1, {"cpu": 9})}
    assert allocate_tasks(USERS, wanted, MACHINE) == {"a": 10**9, "b": 1}


@pytest.mark.parametrize(
    ("demand", "told"),
    [
        (TaskDemand(1, {"gpu": 1}), "no capacity of 'gpu'; there is cpu, GB"),
        (TaskDemand(1, {"cpu": -1}), "needs -1 of 'cpu'"),
        (TaskDemand(-1, {"cpu": 1}), "negative"),
    ],
)
def test_what_is_no_demand_is_an_error(demand, told):
    with pytest.raises(ValueError, match=told):
        allocate_tasks(USERS, {"a": demand}, MACHINE)
