"""Models side by side on held-out groups."""

import numpy as np
import pytest
from meta_groups import groups_of, learn, setting_of, simulated

from lepton_dask.learn.meta.comparison import (
    MOST_QUERIES,
    Candidate,
    Comparison,
    Scored,
    best,
    compare,
    draw,
    score,
)
from lepton_dask.learn.meta.hierarchical_linear import HierarchicalLinear
from lepton_dask.learn.meta.independent import Independent
from lepton_dask.learn.meta.pooled import Pooled, PooledPrior

M, SPREAD = [0.3, -0.7], np.diag([0.5, 0.3])


def numbered(counts, start=0):
    """Groups whose rows are told apart by y."""
    owner = np.repeat([f"g{t}" for t in range(len(counts))], counts)
    y = np.arange(len(owner), dtype=float) + start
    return groups_of(np.zeros((len(owner), 1)), y, owner)


def candidates(setting, rows):
    found = []
    for algorithm in (Pooled(), Independent(), HierarchicalLinear()):
        prior = learn(algorithm, setting, rows)[-1]
        found.append(Candidate(algorithm.name, algorithm, prior))
    return found


def test_the_support_of_fewer_shots_is_part_of_that_of_more_and_none_is_predicted():
    few, many = draw(setting_of(1, shots=(10, 5)), numbered([30, 40]), 0).each
    assert (few.shots, many.shots) == (5, 10)
    for t in range(2):
        five, ten = few.support.group(t).y, many.support.group(t).y
        np.testing.assert_array_equal(ten[:5], five)
        assert not set(ten) & set(many.query.group(t).y)


def test_the_same_rows_are_predicted_at_every_number_of_shots():
    few, many = draw(setting_of(1, shots=(5, 10)), numbered([30, 40]), 0).each
    np.testing.assert_array_equal(few.query.y, many.query.y)
    np.testing.assert_array_equal(few.query.counts, [20, 30])


def test_a_group_is_drawn_by_the_seed_and_its_name_whatever_others_there_are():
    setting = setting_of(1, shots=(5,))
    rows = numbered([30, 40])
    [both], [again], [other] = (draw(setting, rows, seed).each for seed in (1, 1, 2))
    [alone] = draw(setting, rows.take(np.array([1])), 1).each
    np.testing.assert_array_equal(both.support.y, again.support.y)
    np.testing.assert_array_equal(both.support.group(1).y, alone.support.y)
    assert set(both.support.y) != set(other.support.y)


def test_small_groups_are_scored_where_a_row_is_left_to_predict_and_counted_where_none_is():
    trials = draw(setting_of(1, shots=(5, 10)), numbered([5, 6, 11, 3, 20]), 0)
    assert trials.left_out == 2
    few, many = trials.each
    assert few.query.names == ("g1", "g2", "g4")
    assert many.query.names == ("g2", "g4")
    np.testing.assert_array_equal(few.query.counts, [1, 1, 10])


def test_of_a_large_group_some_rows_alone_are_predicted():
    [trial] = draw(setting_of(1, shots=(5,)), numbered([3000]), 0).each
    assert trial.query.counts[0] == MOST_QUERIES
    assert len(set(trial.query.y)) == MOST_QUERIES


def test_no_group_large_enough_gives_an_empty_comparison():
    setting = setting_of(1, shots=(5,))
    trials = draw(setting, numbered([3, 4]), 0)
    assert trials.each == ()
    assert trials.left_out == 2
    prior = PooledPrior(np.zeros(2))
    assert np.isnan(score(Pooled(), prior, setting, trials))
    assert compare([Candidate("pooled", Pooled(), prior)], setting, trials, 0).rows == ()


def test_rmse_is_the_root_of_the_mean_over_groups_of_their_mean_squared_error():
    rows = groups_of(np.zeros((50, 1)), [1.0] * 10 + [3.0] * 40, ["a"] * 10 + ["b"] * 40)
    setting, prior = setting_of(1, shots=(5,)), PooledPrior(np.zeros(2))
    trials = draw(setting, rows, 0)
    comparison = compare([Candidate("zero", Pooled(), prior)], setting, trials, 0)
    [row] = comparison.rows
    assert comparison.metric == "rmse"
    assert row.value == pytest.approx(np.sqrt((1 + 9) / 2))
    assert (row.low, row.high) == pytest.approx((1.0, 3.0))
    assert (row.shots, row.model, row.groups) == (5, "zero", 2)
    assert score(Pooled(), prior, setting, trials) == pytest.approx(row.value)


def test_log_loss_is_the_mean_over_groups_and_weights_count():
    rows = groups_of(
        np.zeros((8, 1)), [1.0] * 4 + [0.0] * 4, ["a"] * 4 + ["b"] * 4, [2.0] * 4 + [1.0] * 4
    )
    setting = setting_of(1, loss="logistic", shots=(1,))
    prior = PooledPrior(np.array([np.log(3.0), 0.0]))
    trials = draw(setting, rows, 0)
    comparison = compare([Candidate("p", Pooled(), prior)], setting, trials, 0)
    assert comparison.metric == "log_loss"
    assert comparison.rows[0].value == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_where_groups_differ_and_are_alike_the_learnt_prior_is_best(loss):
    rows, _ = simulated(M, SPREAD, T=120, n=40, loss=loss)
    setting = setting_of(1, loss=loss, shots=(3, 10))
    learnt, new = rows.take(np.arange(80)), rows.take(np.arange(80, 120))
    found = candidates(setting, learnt)
    comparison = compare(found, setting, draw(setting, new, 0), 0)
    assert [(row.shots, row.model) for row in comparison.rows] == [
        (k, name) for k in (3, 10) for name in ("pooled", "independent", "hierarchical_linear")
    ]
    assert best(comparison) == "hierarchical_linear"
    assert all(row.low <= row.value <= row.high for row in comparison.rows)
    values = {(row.shots, row.model): row.value for row in comparison.rows}
    assert values[10, "hierarchical_linear"] < values[3, "hierarchical_linear"]


def test_the_interval_holds_the_value_over_all_groups_about_as_often_as_it_says():
    setting, prior = setting_of(0, shots=(1,)), PooledPrior(np.zeros(1))
    held = 0
    for seed in range(60):
        rows, _ = simulated([0.0], [[1.0]], T=40, n=6, seed=seed)
        candidate = Candidate("zero", Pooled(), prior)
        [row] = compare([candidate], setting, draw(setting, rows, seed), seed).rows
        held += row.low <= np.sqrt(1.25) <= row.high
    assert held >= 50


def test_one_seed_gives_the_same_comparison_to_the_bit():
    rows, _ = simulated(M, SPREAD, T=20)
    setting = setting_of(1)
    found = candidates(setting, rows)
    trials = draw(setting, rows, 3)
    assert compare(found, setting, trials, 3) == compare(found, setting, trials, 3)
    assert compare(found, setting, trials, 3) != compare(found, setting, trials, 4)


def test_the_best_is_that_of_the_least_mean_over_shots_and_of_equals_the_first():
    def scored(shots, model, value):
        return Scored(shots, model, value, value, value, 9)

    rows = (
        scored(5, "a", 1.0),
        scored(5, "b", 0.9),
        scored(5, "c", 0.9),
        scored(10, "a", 0.2),
        scored(10, "b", 0.8),
        scored(10, "c", 0.8),
    )
    assert best(Comparison("rmse", rows, 0)) == "a"
    assert best(Comparison("rmse", rows[1:3], 0)) == "b"
