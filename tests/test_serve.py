"""Tasks that are served whole or wait: the most important first, and none stopped by another."""

from __future__ import annotations

from fractions import Fraction

from class_shares import MANY
from hypothesis import given
from hypothesis import strategies as st

from lepton_dask.resources.classes import level_number
from lepton_dask.resources.serve import Task, proportional_shares, serve

LEVELS = st.integers(1, 9) | st.sampled_from(["low", "normal", "high", "critical"])
AMOUNTS = st.decimals(0, 50, places=2).map(Fraction)
TASKS = st.lists(st.builds(Task, st.just("task"), LEVELS, AMOUNTS), max_size=12)
TOTALS = st.decimals(0, 200, places=2).map(Fraction)


def article() -> list[Task]:
    return [Task(str(i), i + 1, Fraction(10 * (i + 1))) for i in range(3)]


def served(tasks: list[Task], total: int) -> list[bool]:
    return [each.is_served for each in serve(tasks, Fraction(total))]


def test_where_all_fit_all_are_served():
    assert served(article(), 100) == [True, True, True]


def test_the_important_ones_are_served_first():
    assert served(article(), 30) == [False, False, True]


def test_a_task_that_does_not_fit_does_not_stop_a_smaller_one_behind_it():
    assert served(article(), 40) == [True, False, True]


def test_among_equals_the_table_decides():
    tasks = [Task(name, "normal", Fraction(10)) for name in "abc"] + [Task("d", 5, Fraction(10))]
    assert served(tasks, 20) == [True, True, False, False]


def test_decimal_requirements_add_up_to_what_they_say():
    tasks = [Task(str(i), 5, Fraction(1, 10)) for i in range(3)]
    [*_, last] = serve(tasks, Fraction(3, 10))
    assert last.is_served
    assert last.free == Fraction(1, 10)


@MANY
@given(TASKS, TOTALS)
def test_nothing_is_given_that_is_not_there(tasks, total):
    decisions = serve(tasks, total)
    assert [each.task for each in decisions] == tasks
    assert sum(each.allocated for each in decisions) <= total


@MANY
@given(TASKS, TOTALS)
def test_who_waits_would_not_have_fit_beside_those_who_were_before(tasks, total):
    decisions = serve(tasks, total)
    for each in decisions:
        before = sum(other.allocated for other in decisions if other.turn < each.turn)
        assert each.free == total - before
        assert each.is_served == (each.task.requirement <= each.free)


@MANY
@given(TASKS, TOTALS)
def test_turns_go_by_priority(tasks, total):
    by_turn = sorted(serve(tasks, total), key=lambda each: each.turn)
    levels = [level_number(each.task.priority) for each in by_turn]
    assert levels == sorted(levels, reverse=True)
    assert [each.turn for each in by_turn] == list(range(1, len(tasks) + 1))


# --- shares in proportion ------------------------------------------------------------------------


def test_shares_are_in_proportion_to_priority_times_requirement():
    """Of 28: 1 x 10, 2 x 20, 3 x 30 are 10, 40 and 90 of 140."""
    assert proportional_shares(article(), Fraction(28)) == [2, 8, 18]


def test_what_one_has_too_much_the_others_get():
    """Of 50, 3.6, 14.3 and 32.1 were in proportion; but the last needs 30, so 20 go 1 to 4."""
    assert proportional_shares(article(), Fraction(50)) == [4, 16, 30]


@MANY
@given(TASKS, TOTALS)
def test_shares_in_proportion_are_exact_and_never_more_than_required(tasks, total):
    shares = proportional_shares(tasks, total)
    required = sum(task.requirement for task in tasks)
    assert sum(shares) == min(total, required)
    assert all(0 <= x <= task.requirement for x, task in zip(shares, tasks, strict=True))
    capped = [x == task.requirement for x, task in zip(shares, tasks, strict=True)]
    weights = [level_number(task.priority) * task.requirement for task in tasks]
    levels = [x / w for x, w, full in zip(shares, weights, capped, strict=True) if not full]
    assert len(set(levels)) <= 1
