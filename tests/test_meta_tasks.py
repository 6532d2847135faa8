"""Tasks drawn from groups, and groups adapted in batches."""

import collections
import math

import numpy as np
from meta_tasks import make_groups

from lepton_dask.learn.meta import tasks as rooms
from lepton_dask.learn.meta.tasks import drawn_episodes, drawn_rows, gathered, in_batches


def test_rows_are_drawn_without_repetition_from_all_of_the_group():
    counts = np.array([0, 1, 3, 5, 100])
    places = drawn_rows(np.random.default_rng(0), counts, 5)
    for count, row in zip(counts, places, strict=True):
        there = row[row >= 0]
        assert len(set(there)) == len(there) == min(5, count)
        assert (there < count).all()
        assert (row[len(there) :] == -1).all()


def test_every_order_of_every_choice_of_rows_is_as_likely():
    draws = 24_000
    places = drawn_rows(np.random.default_rng(0), np.full(draws, 4), 3)
    counts = collections.Counter(map(tuple, places.tolist()))
    assert len(counts) == math.perm(4, 3)
    # 24 cells of 1000: chi-squared of 23 degrees of freedom stays below 50 but for 1 in 1000.
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 50


def test_support_and_query_are_different_rows_of_one_group():
    rows = make_groups([1, 2, 7, 40])
    episodes = drawn_episodes(np.random.default_rng(0), rows, 200, support=4, query=10)
    supports = {0: 0, 1: 1, 2: 3, 3: 4}
    queries = {0: 1, 1: 1, 2: 4, 3: 10}
    seen = set()
    for supported, queried in zip(episodes.support, episodes.query, strict=True):
        support, query = supported[supported >= 0], queried[queried >= 0]
        group = int(np.searchsorted(rows.starts, query[0], side="right")) - 1
        seen.add(group)
        both = np.concatenate([support, query])
        assert len(set(both)) == len(both)
        assert (both >= rows.starts[group]).all()
        assert (both < rows.starts[group + 1]).all()
        assert (len(support), len(query)) == (supports[group], queries[group])
    assert seen == {0, 1, 2, 3}


def test_groups_without_rows_are_never_drawn():
    rows = make_groups([0, 3, 0, 3])
    episodes = drawn_episodes(np.random.default_rng(0), rows, 50, support=2, query=2)
    assert (episodes.query >= 0).any(axis=1).all()


def test_what_is_not_there_has_no_weight():
    rows = make_groups([3, 5], weighted=True)
    tasks = gathered(rows, np.array([[0, 1, -1], [3, 4, 7]]))
    np.testing.assert_array_equal(tasks.weight[0], [*rows.weight[:2], 0.0])
    np.testing.assert_allclose(tasks.shares.sum(axis=1), 1.0)
    np.testing.assert_array_equal(tasks.x[1, 2], [*rows.x[7], 1.0])


def test_batches_hold_every_group_once_with_all_its_rows(monkeypatch):
    monkeypatch.setattr(rooms, "MOST_NUMBERS", 100)
    sizes = [0, 30, 2, 5, 1, 2, 0, 9]
    rows = make_groups(sizes)
    seen = []
    batches = list(in_batches(rows, row_numbers=5, task_numbers=10))
    assert len(batches) > 2
    for groups, tasks in batches:
        assert len(groups) == 1 or len(groups) * (10 + 5 * tasks.y.shape[1]) <= 100
        for group, y, weight in zip(groups, tasks.y, tasks.weight, strict=True):
            np.testing.assert_array_equal(y[weight > 0], rows.group(group).y)
        seen += groups.tolist()
    assert sorted(seen) == list(range(len(sizes)))


def test_no_groups_are_no_batches():
    assert not list(in_batches(make_groups([]), 1, 1))
