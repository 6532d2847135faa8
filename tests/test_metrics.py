"""Metrics over chunks equal scikit-learn's over all rows, ties and weights included."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from lepton_dask.learn.evaluate import Evaluate, evaluate_mistakes
from lepton_dask.learn.losses import Logistic, Multinomial, Squared
from lepton_dask.learn.metrics import (
    METRICS,
    OF_MANY,
    THRESHOLDED,
    ClassMetric,
    NumberMetric,
    RankMetric,
    Undefined,
    metric_mistake,
)
from lepton_dask.learn.ranking import cut, merge, range_tally, rank, sample, splitters
from lepton_dask.learn.tallies import (
    Predicted,
    class_tally,
    many_tally,
    merged_classes,
    merged_many,
    merged_numbers,
    number_tally,
)


def at(function, threshold=0.5):
    return lambda y, p, w: function(y, p >= threshold, sample_weight=w, zero_division=0)


def without_division(function):
    return lambda y, p, w: function(y, p >= 0.5, sample_weight=w)


ORACLES = {
    "roc_auc": lambda y, p, w: sk.roc_auc_score(y, p, sample_weight=w),
    "log_loss": lambda y, p, w: sk.log_loss(y, p, sample_weight=w, labels=[0, 1]),
    "accuracy": without_division(sk.accuracy_score),
    "balanced_accuracy": without_division(sk.balanced_accuracy_score),
    "precision": at(sk.precision_score),
    "recall": at(sk.recall_score),
    "f1": at(sk.f1_score),
    "f1_macro": lambda y, p, w: sk.f1_score(
        y, p >= 0.5, sample_weight=w, average="macro", zero_division=0
    ),
    "brier": lambda y, p, w: sk.brier_score_loss(y, p, sample_weight=w),
    "rmse": lambda y, p, w: sk.root_mean_squared_error(y, p, sample_weight=w),
    "mae": lambda y, p, w: sk.mean_absolute_error(y, p, sample_weight=w),
    "r2": lambda y, p, w: sk.r2_score(y, p, sample_weight=w),
    "explained_variance": lambda y, p, w: sk.explained_variance_score(y, p, sample_weight=w),
}
CLASS = [name for name, metric in METRICS.items() if metric.kind == "classification"]
NUMBER = [name for name, metric in METRICS.items() if metric.kind == "regression"]


def rows(kind, n=400, seed=0, ties=True):
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.1, 4.0, n)
    if kind == "classification":
        p = rng.random(n)
        p = np.round(p, 1) if ties else p
        return Predicted((rng.random(n) < 0.3 + 0.4 * p).astype(float), p, weight)
    y = 1e6 + rng.normal(size=n)
    return Predicted(y, y + rng.normal(size=n) + 0.3, weight)


def chunks_of(predicted, bounds):
    edges = [0, *sorted(bounds), len(predicted.target)]
    return [
        Predicted(*(column[start:stop] for column in predicted)) for start, stop in pairwise(edges)
    ]


def pairs(chunks, ranges):
    """The ranking as the cluster takes it: sorted by chunk, cut, merged by range."""
    ranked = [rank(*chunk) for chunk in chunks]
    at = splitters([sample(ranks, ranges) for ranks in ranked], ranges)
    pieces = [cut(ranks, at) for ranks in ranked]
    return [range_tally(merge([piece[i] for piece in pieces])) for i in range(len(at) + 1)]


def scored(name, chunks, threshold=0.5, ranges=3):
    metric = METRICS[name]
    if isinstance(metric, RankMetric):
        return metric.score(pairs(chunks, ranges))
    if isinstance(metric, ClassMetric):
        return metric.score(merged_classes(class_tally(chunk, threshold) for chunk in chunks))
    assert isinstance(metric, NumberMetric)
    return metric.score(merged_numbers(number_tally(chunk) for chunk in chunks))


def test_every_metric_has_an_oracle():
    assert set(METRICS) == set(ORACLES)


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", METRICS)
def test_it_equals_scikit_learns(name, seed, ties):
    whole = rows(METRICS[name].kind, seed=seed, ties=ties)
    expected = ORACLES[name](*whole)
    found = scored(name, chunks_of(whole, [0, 0, 7, 130, 131, 399]))
    assert found == pytest.approx(expected, rel=1e-12)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.0]),
            st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
            st.sampled_from([0.5, 1.0, 3.0]),
        ),
        min_size=2,
        max_size=30,
    ).filter(lambda r: len({y for y, _, _ in r}) == 2),
    st.lists(st.integers(0, 30), max_size=4),
    st.integers(1, 6),
)
@settings(max_examples=150, deadline=None)
def test_the_area_under_the_curve_is_exact_for_every_cut_into_chunks_and_ranges(table, bounds, n):
    whole = Predicted(*np.array(table).T)
    chunks = chunks_of(whole, [min(bound, len(table)) for bound in bounds])
    expected = sk.roc_auc_score(whole.target, whole.prediction, sample_weight=whole.weight)
    assert scored("roc_auc", chunks, ranges=n) == pytest.approx(expected, abs=1e-12)


def test_ranges_hold_about_equal_shares_and_keep_ties_together():
    rng = np.random.default_rng(0)
    chunks = [Predicted(np.zeros(1000), rng.random(1000), np.ones(1000)) for _ in range(5)]
    sizes = [tally.negative for tally in pairs(chunks, 8)]
    assert len(sizes) == 8
    assert 300 < min(sizes) <= max(sizes) < 1000
    tied = [Predicted(np.zeros(100), np.full(100, 0.5), np.ones(100)) for _ in range(5)]
    assert sorted(tally.negative for tally in pairs(tied, 4)) == [0, 0, 0, 500]


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.1])
@pytest.mark.parametrize("name", THRESHOLDED)
def test_thresholds_decide_what_is_called_positive(name, threshold):
    whole = rows("classification")
    y, called = whole.target, (whole.prediction >= threshold).astype(float)
    expected = ORACLES[name](y, called, whole.weight)
    assert scored(name, [whole], threshold=threshold) == pytest.approx(expected, abs=1e-13)


def test_certain_and_wrong_probabilities_are_clipped_as_scikit_learn_does():
    whole = Predicted(np.array([1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]), np.ones(3))
    assert scored("log_loss", [whole]) == pytest.approx(ORACLES["log_loss"](*whole), rel=1e-14)


def test_the_area_is_undefined_with_a_reason_where_there_is_one_class():
    ones = Predicted(np.ones(3), np.array([0.1, 0.5, 0.5]), np.ones(3))
    assert scored("roc_auc", [ones]) == Undefined("the rows are of one class")


@pytest.mark.parametrize("name", THRESHOLDED)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_scores_as_scikit_learn_scores_it(name, label):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of the class that is not there
        for predicted in (0.1, 0.9):
            rows = Predicted(np.full(3, label), np.full(3, predicted), np.ones(3))
            assert scored(name, [rows]) == ORACLES[name](*rows)


def test_precision_without_a_positive_prediction_is_zero():
    low = Predicted(np.array([1.0, 0.0]), np.array([0.1, 0.2]), np.ones(2))
    assert scored("precision", [low]) == 0.0


@pytest.mark.parametrize("error", [0.0, 1.0])
@pytest.mark.parametrize("name", ["r2", "explained_variance"])
def test_a_constant_target_scores_as_scikit_learn_scores_it(name, error):
    rows = Predicted(np.full(4, 3.0), np.full(4, 3.0) + error * np.arange(4), np.ones(4))
    assert scored(name, chunks_of(rows, [2])) == ORACLES[name](*rows)


@pytest.mark.parametrize("name", METRICS)
def test_no_rows_have_no_score(name):
    nothing = Predicted(np.empty(0), np.empty(0), np.empty(0))
    assert isinstance(scored(name, [nothing, nothing]), Undefined)


def test_predictions_that_are_no_probabilities_are_ranked_and_not_taken_for_probabilities():
    whole = rows("classification")
    column = whole._replace(prediction=10 * whole.prediction)
    assert scored("roc_auc", [column]) == pytest.approx(scored("roc_auc", [whole]))
    assert scored("log_loss", [column]) == Undefined("some predictions are not probabilities")
    assert scored("brier", [column]) == Undefined("some predictions are not probabilities")


def test_rows_without_a_prediction_are_counted_and_left_out():
    whole = rows("classification", n=10)
    holes = whole.prediction.copy()
    holes[[2, 5]] = np.nan
    tally = class_tally(whole._replace(prediction=holes), 0.5)
    kept = Predicted(*(np.delete(column, [2, 5]) for column in whole))
    assert (tally.rows, tally.skipped) == (8, 2)
    assert tally[2:] == class_tally(kept, 0.5)[2:]
    assert number_tally(whole._replace(prediction=holes)).skipped == 2


def test_label_counts_are_of_rows_and_weights():
    whole = Predicted(np.array([1.0, 0.0, 1.0]), np.full(3, 0.5), np.array([2.0, 1.0, 0.5]))
    tally = merged_classes(class_tally(chunk, 0.5) for chunk in chunks_of(whole, [1]))
    assert (tally.rows, tally.positives, tally.weight) == (3, 2, 3.5)


def test_a_metric_that_the_target_cannot_have_is_told_in_words():
    assert metric_mistake("roc_auc", Logistic()) is None
    assert metric_mistake("roc_auc", Squared()) == (
        "roc_auc needs a two-class target; the loss is squared"
    )
    assert metric_mistake("rmse", Logistic()) == (
        "rmse needs a numeric target; the loss is logistic"
    )


def test_every_mistake_of_an_evaluate_node_is_told_with_its_place():
    node = Evaluate(
        metrics=("roc_auc", "rmse"),
        goals=({"metric": "mae", "at_most": 1.0},),
        threshold={"metric": "log_loss", "at_least": 0.9},
        choose={"metric": "r2"},
    )
    told = {m.path[1:]: str(m) for m in evaluate_mistakes(node, Logistic(), ("scores",))}
    assert set(told) == {
        ("metrics", 1),
        ("goals", 0, "metric"),
        ("threshold", "metric"),
        ("choose", "metric"),
    }
    assert told["threshold", "metric"] == (
        "metric: log_loss does not depend on the decision threshold; "
        "give one of accuracy, balanced_accuracy, precision, recall, f1, f1_macro"
    )


MANY_ORACLES = {
    "log_loss": lambda y, p, w: sk.log_loss(y, p, sample_weight=w, labels=range(p.shape[1])),
    "accuracy": lambda y, p, w: sk.accuracy_score(y, p.argmax(axis=1), sample_weight=w),
    "balanced_accuracy": lambda y, p, w: sk.balanced_accuracy_score(
        y, p.argmax(axis=1), sample_weight=w
    ),
    "f1_macro": lambda y, p, w: sk.f1_score(
        y, p.argmax(axis=1), sample_weight=w, average="macro", zero_division=0
    ),
}


def many_rows(classes, n=300, seed=0, ties=True):
    """Rows of `classes` classes; with ties, of a few different probabilities."""
    rng = np.random.default_rng(seed)
    p = rng.integers(1, 4, (n, classes)).astype(float) if ties else rng.random((n, classes))
    p /= p.sum(axis=1, keepdims=True)
    y = np.where(rng.random(n) < 0.5, p.argmax(axis=1), rng.integers(0, classes, n))
    return Predicted(y.astype(float), p, rng.uniform(0.1, 4.0, n))


def many_scored(name, chunks):
    return OF_MANY[name].score(merged_many(many_tally(chunk) for chunk in chunks))


def test_every_metric_of_many_classes_has_an_oracle_and_a_name_of_two_classes():
    assert set(OF_MANY) == set(MANY_ORACLES)
    assert all(
        METRICS[name].greater_is_better == m.greater_is_better for name, m in OF_MANY.items()
    )


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("classes", [2, 3, 17])
@pytest.mark.parametrize("name", OF_MANY)
def test_it_equals_scikit_learns_for_many_classes(name, classes, ties):
    whole = many_rows(classes, ties=ties, seed=classes)
    found = many_scored(name, chunks_of(whole, [0, 0, 7, 130, 299]))
    assert found == pytest.approx(MANY_ORACLES[name](*whole), rel=1e-12)


@pytest.mark.parametrize("name", OF_MANY)
def test_classes_that_no_row_has_or_is_called_do_not_count(name):
    whole = many_rows(6, n=40)
    few = whole._replace(target=whole.target % 2)
    few.prediction[:, 4:] = 0.0
    few.prediction[:, 0] += 1.0 - few.prediction.sum(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, of classes that are only called
        expected = MANY_ORACLES[name](*few)
    assert many_scored(name, chunks_of(few, [11])) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", OF_MANY)
def test_two_of_many_classes_score_as_two_classes_do(name):
    whole = many_rows(2, ties=False)
    two = whole._replace(prediction=whole.prediction[:, 1])
    assert many_scored(name, [whole]) == pytest.approx(scored(name, [two]), rel=1e-12)


def test_rows_of_many_classes_without_a_prediction_are_skipped_and_the_others_counted():
    whole = many_rows(3, n=10)
    holes = whole.prediction.copy()
    holes[[2, 5]] = np.nan
    tally = many_tally(whole._replace(prediction=holes))
    kept = many_tally(Predicted(*(np.delete(column, [2, 5], axis=0) for column in whole)))
    assert (tally.rows, tally.skipped) == (8, 2)
    assert tally.confusion.tolist() == kept.confusion.tolist()
    counts = np.bincount(np.delete(whole.target, [2, 5]).astype(int), minlength=3)
    assert tally.labels.tolist() == counts.tolist()
    assert tally.confusion.sum() == pytest.approx(tally.weight)


def test_no_rows_of_many_classes_have_no_score():
    nothing = Predicted(np.empty(0), np.empty((0, 3)), np.empty(0))
    assert isinstance(many_scored("accuracy", [nothing, nothing]), Undefined)
    assert isinstance(many_scored("accuracy", []), Undefined)


def test_a_multinomial_model_is_told_which_metrics_it_has():
    loss = Multinomial()
    assert all(metric_mistake(name, loss) is None for name in OF_MANY)
    assert metric_mistake("roc_auc", loss) == (
        "roc_auc is of two classes; the multinomial loss has "
        "'log_loss', 'accuracy', 'balanced_accuracy', 'f1_macro'"
    )
    assert metric_mistake("rmse", loss) == "rmse needs a numeric target; the loss is multinomial"


def test_a_multinomial_model_has_no_threshold():
    node = Evaluate(metrics=("accuracy", "recall"), threshold={"metric": "recall", "at_least": 0.9})
    told = {m.path[1:]: str(m) for m in evaluate_mistakes(node, Multinomial(), ("scores",))}
    assert set(told) == {("metrics", 1), ("threshold",)}
    assert told["threshold",] == (
        "threshold: the multinomial loss predicts the most probable class, by no threshold; "
        "leave it out"
    )
