"""The fitted preparation: equal to scikit-learn's, fitted on training rows alone, pure."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, RobustScaler, StandardScaler

from lepton_dask.data.arrow import to_columns
from lepton_dask.data.fit import Fitted, fit
from lepton_dask.data.fit_target import TargetLimit, fit_target
from lepton_dask.data.prepare import Prepare
from lepton_dask.data.prepared import Prepared
from lepton_dask.data.profile import merge_profiles, profile_table
from lepton_dask.data.treatments import resolve_treatments
from lepton_dask.errors import UserError
from lepton_dask.learn.losses import Gamma, Poisson, Squared, Tweedie

AT = ("steps", "features", "prepare")


def fitted(train: pa.Table, other: pa.Table | None = None, task="regression", **keys) -> Fitted:
    prepare = Prepare.model_validate({"target": "y", **keys})
    training = profile_table(train)
    every = training if other is None else merge_profiles(training, profile_table(other))
    treatments, mistakes = resolve_treatments(prepare, training.schema, AT, task)
    assert mistakes == []
    return fit(treatments, prepare, every, training, at=AT, task=task)


def with_target(**columns: list[object] | pa.Array) -> pa.Table:
    rows = len(next(iter(columns.values())))
    return pa.table({**columns, "y": np.arange(float(rows))})


def refusal(**arguments) -> list[str]:
    with pytest.raises(UserError) as caught:
        fitted(**arguments)
    return [f"{'.'.join(map(str, m.path[3:]))}: {m.found}; {m.fix}" for m in caught.value.mistakes]


SCALERS = {"standard": StandardScaler, "minmax": MinMaxScaler, "robust": RobustScaler}


@pytest.mark.parametrize("missing", [0, 150])
@pytest.mark.parametrize("transform", ["none", "log1p"])
@pytest.mark.parametrize("scale", list(SCALERS))
@pytest.mark.parametrize("impute", ["mean", "median", 7.0])
def test_numbers_are_imputed_and_scaled_as_scikit_learn_does(
    impute, scale, transform, missing
) -> None:
    values = np.random.default_rng(5).lognormal(1, 2, size=600)
    values[:missing] = np.nan
    prepared = fitted(
        with_target(x=pa.array(values, from_pandas=True)),
        numeric={"impute": impute, "scale": scale, "transform": transform},
    ).prepared
    imputer = (
        SimpleImputer(strategy=impute)
        if isinstance(impute, str)
        else SimpleImputer(strategy="constant", fill_value=impute)
    )
    log = FunctionTransformer(np.log1p if transform == "log1p" else None)
    expected = make_pipeline(imputer, log, SCALERS[scale]()).fit_transform(values[:, None])
    rows = prepared.apply(to_columns(with_target(x=pa.array(values, from_pandas=True))))
    np.testing.assert_allclose(rows.dense, expected, rtol=1e-12, atol=1e-12)
    assert rows.dense.flags.c_contiguous
    assert rows.problems is None


def test_without_imputation_a_row_with_a_missing_value_is_a_problem() -> None:
    train = with_target(x=[1.0, 3.0, None], z=[0.0, 1.0, 2.0])
    prepared = fitted(train, columns={"x": {"impute": "none"}}).prepared
    rows = prepared.apply(to_columns(train))
    np.testing.assert_array_equal(rows.dense[:2, 0], [-1, 1])
    assert rows.problems.tolist() == [None, None, "'x' is missing"]
    assert np.isfinite(rows.dense).all()


def test_values_that_have_no_log1p_and_values_that_are_not_finite_are_problems_of_their_rows() -> (
    None
):
    train = with_target(x=[0.0, 1.0, -1.0], z=[0.0, 1.0, 2.0])
    prepared = fitted(train, columns={"x": {"transform": "log1p"}}).prepared
    rows = prepared.apply(to_columns(with_target(x=[-2.0, 1.0, 1.0], z=[1.0, np.inf, 2.0])))
    assert rows.problems.tolist() == [
        "'x' is not above -1, as log1p needs",
        "'z' is not a finite number",
        None,
    ]
    assert np.isfinite(rows.dense).all()


def test_bad_input_52_constant_column() -> None:
    train = with_target(x=[1.0, 2.0], c=[3, 3], t=["a", "a"], n=[4.0, None])
    result = fitted(train, categorical={"minimum_count": 1})
    assert result.prepared.features == ("x",)
    assert result.warnings == (
        "column 'c' is constant (3) in the training rows: dropped",
        "column 't' is constant (a) in the training rows: dropped",
        "column 'n' is constant (4) in the training rows: dropped",
    )


def test_empty_columns_and_ids_are_dropped_with_a_warning() -> None:
    ids = [f"id {i}" for i in range(40)]
    result = fitted(with_target(x=list(range(40)), empty=pa.nulls(40, pa.float64()), id=ids))
    assert result.prepared.features == ("x",)
    assert result.warnings[0] == "column 'empty' has no value in the training rows: dropped"
    assert "looks like an id" in result.warnings[1]


def test_nothing_left_to_learn_from_is_refused() -> None:
    (text,) = refusal(train=with_target(c=[1, 1]))
    assert "no column is left to learn from" in text
    assert "'c' is constant" in text


def test_rare_levels_become_other_and_missing_is_a_level_if_training_has_some() -> None:
    train = with_target(job=["b"] * 3 + ["a"] * 2 + ["rare", None], flag=["u", "v"] * 3 + ["u"])
    prepared = fitted(train, categorical={"minimum_count": 2}).prepared
    assert prepared.features == (
        "job=a",
        "job=b",
        "job=(other)",
        "job=(missing)",
        "flag=u",
        "flag=v",
        "flag=(other)",
    )
    assert prepared.levels == (4, 3)
    assert prepared.columns == ("job", "flag")
    rows = prepared.apply(to_columns(train))
    assert rows.codes[:, 0].tolist() == [1, 1, 1, 0, 0, 2, 3]
    assert rows.codes.dtype == np.int32


def test_bad_input_58_unseen_level_is_other_and_counted() -> None:
    train = with_target(job=["a", "b"] * 2, z=[1, 2, 3, 4])
    prepared = fitted(train, categorical={"minimum_count": 2}).prepared
    rows = prepared.apply(to_columns(with_target(job=["new", "a", None], z=[1, 2, 3])))
    assert rows.codes[:, 0].tolist() == [2, 0, 2]
    assert rows.others.tolist() == [2]
    assert rows.problems is None


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([3, 1, 3, 1], ("1", "3")),
        ([2.5, 1.0, 2.5, 1.0], ("1", "2.5")),
        ([True, False, True, False], ("false", "true")),
    ],
)
def test_numbers_can_be_categories(values, names) -> None:
    table = with_target(h=values)
    prepared = fitted(table, columns={"h": {"as": "category", "minimum_count": 1}}).prepared
    assert prepared.features == (*(f"h={name}" for name in names), "h=(other)")
    assert prepared.apply(to_columns(table)).codes[:, 0].tolist() == [1, 0, 1, 0]
    assert Prepared.from_json(json.loads(json.dumps(prepared.to_json()))) == prepared


def test_integers_that_a_float_cannot_tell_apart_are_no_levels() -> None:
    (text,) = refusal(
        train=with_target(h=[2**53 + 1, 2**53 + 2]), columns={"h": {"as": "category"}}
    )
    assert (
        text == "columns: 'h' holds integers above 2^53, too large to be levels; declare it as text"
    )


def test_dates_become_their_parts() -> None:
    moments = [dt.datetime(2020, 12, 31, 23), None, dt.datetime(2022, 1, 1, 5)]
    table = with_target(t=pa.array(moments, pa.timestamp("ns")))
    prepared = fitted(table, columns={"t": {"parts": ("year", "weekday", "hour")}}).prepared
    assert prepared.features[:5] == (
        "t.year=2020",
        "t.year=2021",
        "t.year=2022",
        "t.year=(other)",
        "t.year=(missing)",
    )
    assert prepared.features[5] == "t.weekday=0"
    assert prepared.apply(to_columns(table)).codes.tolist() == [[0, 3, 23], [4, 8, 25], [2, 5, 5]]


def test_parts_that_cannot_vary_in_training_are_left_out() -> None:
    days = pa.array([dt.date(2020, 5, 1), dt.date(2020, 5, 20)])
    prepared = fitted(with_target(d=days), date={"parts": ("year", "month", "weekday")}).prepared
    assert {name.split("=")[0] for name in prepared.features} == {"d.weekday"}


def test_what_is_fitted_does_not_change_with_the_other_parts() -> None:
    train = with_target(x=[1.0, 2.0, None], job=["a", "b", "a"])
    wild = with_target(x=[1e9, -1e9, None], job=["c", "c", "c"])
    keys = {"categorical": {"minimum_count": 1}}
    assert fitted(train, wild, **keys) == fitted(train, **keys)


def labelled(labels: list[object]) -> pa.Table:
    return pa.table({"x": np.arange(float(len(labels))), "y": labels})


@pytest.mark.parametrize(
    ("labels", "target", "classes"),
    [
        (["no", "yes", "no"], {"column": "y", "positive": "no"}, ("yes", "no")),
        ([1, 2, 1], "y", (1, 2)),
        ([1, 2, 1], {"column": "y", "positive": 1}, (2, 1)),
        ([0.0, 1.0], {"column": "y", "positive": 0}, (1.0, 0.0)),
        ([True, False], "y", (False, True)),
    ],
)
def test_two_labels_are_ordered_negative_then_positive(labels, target, classes) -> None:
    table = labelled([*labels, None])
    prepared = fitted(table, task="classification", target=target).prepared
    assert prepared.classes == classes
    encoded, weight, usable = prepared.target_and_weight(to_columns(table))
    assert encoded.tolist() == [*(float(label == classes[1]) for label in labels), 0.0]
    assert weight.tolist() == [*([1.0] * len(labels)), 0.0]
    assert usable.tolist() == [*([True] * len(labels)), False]


def test_bad_input_55_a_class_absent_from_training_rows_keeps_its_place() -> None:
    target = {"column": "y", "positive": "b"}
    every = labelled(["a", "b", "a", "b"])
    prepared = fitted(every, labelled(["a"]), task="classification", target=target).prepared
    chunk = to_columns(labelled(["b", "b"]))
    assert prepared.target_and_weight(chunk)[0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("labels", "target", "text"),
    [
        (["no", "yes"], "y", "target: 'y' has the labels 'no', 'yes'; say target: {column: y, "),
        (["no"] * 2, "y", "target: 'y' is 'no' in every row: there is one class"),
        (["a", "b", "c"], "y", "target: 'y' has 3 different values ('a', 'b', 'c'), and the loss"),
        ([0.5, 1.5, 2.5], "y", "target: 'y' has 3 different values (0.5, 1.5, 2.5), and the loss"),
        (
            ["no", "yes"],
            {"column": "y", "positive": "Yes"},
            "target.positive: 'Yes' is not a label of 'y'; did you mean 'yes'?",
        ),
        ([1, 2], {"column": "y", "positive": 0}, "target.positive: 0 is not a label of 'y'"),
        (pa.nulls(2, pa.string()), "y", "target: 'y' has no value in any row"),
    ],
)
def test_targets_that_are_not_two_classes_are_refused(labels, target, text) -> None:
    (found,) = refusal(train=labelled(labels), task="classification", target=target)
    assert found.startswith(text)


def test_bad_input_54_one_class_in_the_training_rows_is_refused() -> None:
    target = {"column": "y", "positive": "b"}
    (found,) = refusal(
        train=labelled(["a", "a"]), other=labelled(["b"]), task="classification", target=target
    )
    assert "'a' in every training row" in found


def test_more_labels_than_two_are_told_which_loss_learns_them() -> None:
    (texts,) = refusal(train=labelled(["a", "b", "c"]), task="classification", target="y")
    assert texts.endswith("; use loss: multinomial")
    (numbers,) = refusal(train=labelled([1, 2, 3]), task="classification", target="y")
    assert numbers.endswith("; use loss: multinomial for classes, loss: squared for a number")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a", "c", "b"], ("a", "b", "c")),
        (["yes", "no"], ("no", "yes")),
        ([10, 9, 2], (2, 9, 10)),
        ([1.5, -1.0, 0.0], (-1.0, 0.0, 1.5)),
        ([True, False], (False, True)),
    ],
)
def test_many_classes_are_all_that_any_row_has_in_ascending_order(labels, classes) -> None:
    table = labelled([*labels, None])
    prepared = fitted(table, task="many_classes").prepared
    assert prepared.classes == classes
    encoded, _, usable = prepared.target_and_weight(to_columns(table))
    assert encoded[:-1].tolist() == [float(classes.index(label)) for label in labels]
    assert usable.tolist() == [*([True] * len(labels)), False]
    copy = Prepared.from_json(json.loads(json.dumps(prepared.to_json())))
    assert copy == prepared


def test_a_class_that_only_later_rows_have_keeps_its_place_and_is_told() -> None:
    every = fitted(labelled(["a", "c", "a"]), labelled(["b"]), task="many_classes")
    assert every.prepared.classes == ("a", "b", "c")
    assert every.warnings == ("no training row is 'b': nothing is learnt of what it looks like",)


@pytest.mark.parametrize(
    ("labels", "other", "text"),
    [
        (["a", "a"], ["a"], "target: 'y' is 'a' in every row: there is one class"),
        (["a", "a"], ["b"], "target: 'y' is 'a' in every training row: there is one class"),
        ([0.5] * 1001, np.arange(1001.0), "target: 'y' has more than 1,000 different values, too"),
    ],
)
def test_many_classes_are_two_at_least_and_not_measurements(labels, other, text) -> None:
    (found,) = refusal(
        train=labelled(list(labels)), other=labelled(list(other)), task="many_classes"
    )
    assert found.startswith(text)


@pytest.mark.parametrize(
    ("loss", "lowest", "words"),
    [
        (Poisson(), 0.0, None),
        (Poisson(), -3.0, "goes from -3 to 5, and the poisson loss needs targets of at least 0"),
        (Gamma(), 0.0, "goes from 0 to 5, and the gamma loss needs targets above 0"),
        (Tweedie(power=1.5), 0.0, None),
        (Tweedie(power=2.5), 0.0, "and the tweedie loss needs targets above 0"),
        (Squared(), -3.0, None),
    ],
)
def test_targets_keep_to_what_the_loss_is_defined_for_in_every_part(loss, lowest, words) -> None:
    prepare = Prepare.model_validate({"target": "y"})
    training = profile_table(labelled([1.0, 5.0]))
    every = merge_profiles(training, profile_table(labelled([lowest, 2.0])))
    treatments, _ = resolve_treatments(prepare, training.schema, AT, "regression")
    limits = (TargetLimit(loss.name, loss.target_problem),)
    target, mistakes = fit_target(
        treatments, prepare, every, training, at=AT, task="regression", limits=limits
    )
    assert (target is not None) == (words is None)
    assert [words in mistake.found for mistake in mistakes] == [True] * (words is not None)


@pytest.mark.parametrize(
    ("weights", "text"), [([1.0, -1.0], "has negative values"), ([0.0, 0.0], "no positive value")]
)
def test_weights_that_weigh_nothing_or_less_are_refused(weights, text) -> None:
    (found,) = refusal(train=with_target(x=[1.0, 2.0], w=weights), weight="w")
    assert text in found


def test_a_row_without_a_weight_is_not_usable() -> None:
    table = with_target(x=[1.0, 2.0, 3.0], w=[2.0, None, 0.0])
    prepared = fitted(table, weight="w").prepared
    target, weight, usable = prepared.target_and_weight(to_columns(table))
    assert (target.tolist(), weight.tolist()) == ([0, 0, 2], [2, 0, 0])
    assert usable.tolist() == [True, False, True]


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "x": st.none() | st.floats(-1e3, 1e3),
            "k": st.none() | st.sampled_from(["a", "b", "c"]),
            "t": st.none() | st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2030, 1, 1)),
        }
    ),
    min_size=1,
    max_size=30,
)
ROW_SCHEMA = pa.schema(
    {"x": pa.float64(), "k": pa.string(), "t": pa.timestamp("ns"), "y": pa.float64()}
)


@given(rows=ROWS, cut=st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_rows_are_prepared_one_by_one_whatever_the_chunks(rows, cut) -> None:
    table = pa.Table.from_pylist([{**row, "y": 0.0} for row in rows], schema=ROW_SCHEMA)
    train = pa.table(
        {
            "x": [1.0, None, 3.0],
            "k": ["a", "b", None],
            "t": pa.array([0, None, 10**18], pa.timestamp("ns")),
            "y": [1.0, 2.0, 3.0],
        }
    )
    prepared = fitted(train, categorical={"minimum_count": 1}).prepared
    prepared = Prepared.from_json(json.loads(json.dumps(prepared.to_json())))
    whole = prepared.apply(to_columns(table))
    parts = [prepared.apply(to_columns(p)) for p in (table.slice(0, cut), table.slice(cut))]
    np.testing.assert_array_equal(whole.dense, np.concatenate([p.dense for p in parts]))
    np.testing.assert_array_equal(whole.codes, np.concatenate([p.codes for p in parts]))
    assert (whole.codes >= 0).all()
    assert (whole.codes < np.array(prepared.levels)).all()


def test_bad_input_56_an_empty_chunk_gives_no_rows() -> None:
    table = with_target(x=[1.0, 2.0], job=["a", "b"])
    prepared = fitted(table, categorical={"minimum_count": 1}).prepared
    rows = prepared.apply(to_columns(table.slice(0, 0)))
    assert (rows.dense.shape, rows.codes.shape) == ((0, 1), (0, 1))
