"""The sums that linear models are learnt from."""

import numpy as np
import pytest
from meta_groups import groups_of, split

from lepton_dask.learn.meta.base import GroupedRows
from lepton_dask.learn.meta.padded import padded
from lepton_dask.learn.meta.statistics import GroupStatistics


def rows_of(seed=0, T=40, D=3):
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(T), rng.integers(1, 60, T))
    x = rng.normal(size=(len(owner), D))
    weight = rng.uniform(0.5, 2.0, len(owner))
    return groups_of(x, x[:, 0] + rng.normal(size=len(x)), [f"g{t:02d}" for t in owner], weight)


def assert_equal(one, other, rtol=1e-12):
    assert one.names == other.names
    np.testing.assert_array_equal(one.rows, other.rows)
    for a, b in zip(one[1:5], other[1:5], strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12)


def test_the_sums_of_two_rows_are_those_worked_out_by_hand():
    rows = groups_of([[2.0], [3.0], [5.0]], [1.0, -1.0, 4.0], ["a", "a", "b"], [1.0, 2.0, 1.0])
    sums = GroupStatistics.of_rows(rows)
    assert sums.names == ("a", "b")
    np.testing.assert_array_equal(sums.rows, [2, 1])
    np.testing.assert_array_equal(sums.weight, [3, 1])
    np.testing.assert_array_equal(sums.gram, [[[3, 8], [8, 22]], [[1, 5], [5, 25]]])
    np.testing.assert_array_equal(sums.moment, [[-1, -4], [4, 20]])
    np.testing.assert_array_equal(sums.square, [3, 16])


def test_each_groups_sums_are_those_over_its_rows():
    rows = rows_of()
    sums = GroupStatistics.of_rows(rows)
    for t in range(len(rows.names)):
        own = rows.group(t)
        X = np.column_stack([np.ones(len(own.y)), own.x])
        np.testing.assert_allclose(sums.gram[t], X.T @ (own.weight[:, None] * X), rtol=1e-12)
        np.testing.assert_allclose(sums.moment[t], X.T @ (own.weight * own.y), atol=1e-12)
        np.testing.assert_allclose(sums.square[t], own.weight @ own.y**2)


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_rows_in_parts_that_tear_groups_apart_sum_to_the_same(parts):
    rows = rows_of()
    whole = GroupStatistics.of_rows(rows)
    merged = GroupStatistics.merged([GroupStatistics.of_rows(part) for part in split(rows, parts)])
    assert_equal(merged, whole)


def test_the_sums_of_merged_rows_are_the_merged_sums():
    parts = split(rows_of(), 3)
    merged = GroupStatistics.merged([GroupStatistics.of_rows(part) for part in parts])
    assert_equal(GroupStatistics.of_rows(GroupedRows.merged(parts)), merged)


def test_merging_gives_the_same_however_parts_are_bracketed():
    one, two, three = (GroupStatistics.of_rows(part) for part in split(rows_of(), 3))
    left = GroupStatistics.merged([GroupStatistics.merged([one, two]), three])
    right = GroupStatistics.merged([one, GroupStatistics.merged([two, three])])
    assert_equal(left, right)


def test_taken_groups_are_those_of_the_taken_rows_in_that_order():
    rows, groups = rows_of(), np.array([7, 2, 30])
    sums = GroupStatistics.of_rows(rows)
    assert_equal(sums.take(groups), GroupStatistics.of_rows(rows.take(groups)))
    assert sums.take(groups).names == ("g07", "g02", "g30")


def test_a_weight_of_three_is_three_rows():
    x, y = np.array([[1.0], [2.0]]), np.array([0.5, -1.0])
    weighted = GroupStatistics.of_rows(groups_of(x, y, ["a", "a"], [3.0, 1.0]))
    again = [0, 0, 0, 1]
    repeated = GroupStatistics.of_rows(groups_of(x[again], y[again], ["a"] * 4))
    for one, other in zip(weighted[1:5], repeated[1:5], strict=True):
        np.testing.assert_allclose(one, other)


def test_numbers_as_names_are_ascending_as_texts_and_a_group_without_rows_has_sums_of_0():
    one = groups_of([[1.0], [2.0]], [1.0, 2.0], [10, 9])
    none = one.rows(np.empty(0, np.intp), np.array([1]))
    merged = GroupStatistics.merged([GroupStatistics.of_rows(each) for each in (none, one)])
    assert merged.names == (10, 9)
    empty = GroupStatistics.of_rows(none)
    assert empty.names == (9,)
    assert not empty.gram.any()
    assert empty.rows[0] == 0


def test_padding_keeps_every_row_once_and_adds_nothing():
    rows = rows_of()
    found = []
    for batch in padded(rows):
        real = batch.x[..., 0] == 1
        np.testing.assert_array_equal(real.sum(axis=1), rows.counts[batch.groups])
        assert not batch.weight[~real].any()
        assert not batch.x[~real].any()
        found += [
            (rows.names[t], y)
            for t, own, kept in zip(batch.groups, batch.y, real, strict=True)
            for y in own[kept]
        ]
    owner = np.repeat(rows.names, rows.counts)
    assert sorted(found) == sorted(zip(owner, rows.y, strict=True))
    assert max(len(batch.groups) for batch in padded(rows)) > 1
