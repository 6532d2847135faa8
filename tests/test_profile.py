"""A profile says what the rows hold, and merges in any grouping."""

from __future__ import annotations

import datetime as dt
import json
from fractions import Fraction
from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_dask.data import levels as levels_module
from lepton_dask.data import profile as profile_module
from lepton_dask.data.levels import DISTINCT_CAP
from lepton_dask.data.profile import Profile, merge_profiles, profile_table
from lepton_dask.data.types import ColumnType

SCHEMA = pa.schema(
    {
        "number": pa.float64(),
        "integer": pa.int64(),
        "text": pa.string(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "moment": pa.timestamp("ns", "Europe/Paris"),
    }
)
CELLS = {
    "number": st.floats(-1e6, 1e6),
    "integer": st.integers(-(2**62), 2**62),
    "text": st.sampled_from(["a", "b", "", "éa", "NA"]),
    "boolean": st.booleans(),
    "date": st.dates(),
    "moment": st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)),
}
ROW = st.fixed_dictionaries({name: st.none() | cells for name, cells in CELLS.items()})


def table(rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def column(values: list[object], type_: pa.DataType | None = None) -> Profile:
    return profile_table(pa.table({"x": pa.array(values, type_)}))


def in_any_grouping(profiles: list[Profile], choose) -> Profile:
    profiles = list(profiles)
    while len(profiles) > 1:
        i = choose.randrange(len(profiles) - 1)
        profiles[i : i + 2] = [merge_profiles(profiles[i], profiles[i + 1])]
    return profiles[0]


@given(
    chunks=st.lists(st.lists(ROW, max_size=12), min_size=1, max_size=6),
    choose=st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_merged_in_any_grouping_it_is_the_profile_of_all_rows(chunks, choose) -> None:
    rows = [row for chunk in chunks for row in chunk]
    merged = in_any_grouping([profile_table(table(chunk)) for chunk in chunks], choose)
    whole = profile_table(table(rows))
    assert merged.rows == len(rows)
    for name, cells in CELLS.items():
        del cells
        a, b = merged.columns[name], whole.columns[name]
        present = [row[name] for row in rows if row[name] is not None]
        assert (a.count, a.missing) == (len(present), len(rows) - len(present))
        assert a.levels is not None
        expected = {value: present.count(value) for value in present}
        assert len(a.levels) == len(expected)
        assert a.levels.values.equals(b.levels.values)
        assert a.levels.counts.tolist() == b.levels.counts.tolist()
        assert a.longest == b.longest
        if a.moments is not None:
            assert (a.moments.minimum, a.moments.maximum) == (b.moments.minimum, b.moments.maximum)
            assert a.quantile(0.5) == b.quantile(0.5)
        if name == "number" and present:
            assert_moments(a.moments, present)


def assert_moments(moments, values: list[float]) -> None:
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    squares = sum((value - mean) ** 2 for value in exact)
    size = float(max(map(abs, exact)))
    assert moments.mean == pytest.approx(float(mean), rel=1e-12, abs=1e-12 * size)
    assert moments.squares == pytest.approx(float(squares), rel=1e-12, abs=1e-24 * size**2)


@pytest.mark.parametrize("level", [0.0, 1e9, 1e15])
def test_moments_keep_twelve_digits_far_from_zero(level: float) -> None:
    values = level + np.random.default_rng(3).integers(0, 1000, 5000) / 8
    merged = reduce(merge_profiles, [column(part.tolist()) for part in np.array_split(values, 17)])
    assert_moments(merged.columns["x"].moments, values.tolist())


def test_log1p_moments_are_those_of_the_values_above_minus_one() -> None:
    values = [-3.0, -1.0, -0.5, 0.0, 2.0, 9.0, None]
    log1p = column(values).columns["x"].log1p
    expected = np.log1p([-0.5, 0.0, 2.0, 9.0])
    assert log1p.count == 4
    assert log1p.mean == pytest.approx(expected.mean(), rel=1e-15)
    assert log1p.standard_deviation == pytest.approx(expected.std(), rel=1e-15)
    assert column([-2, -1]).columns["x"].log1p is None


@given(
    chunks=st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=6),
    choose=st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_overflow_of_levels_does_not_depend_on_the_grouping(chunks, choose) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levels_module, "DISTINCT_CAP", {**DISTINCT_CAP, "text": 5})
        profiles = [column([str(v) for v in chunk], pa.string()) for chunk in chunks]
        merged = in_any_grouping(profiles, choose)
    distinct = {value for chunk in chunks for value in chunk}
    assert (merged.columns["x"].levels is None) == (len(distinct) > 5)


def test_long_texts_overflow_by_their_bytes(monkeypatch) -> None:
    monkeypatch.setattr(levels_module, "TEXT_BYTES_CAP", 10)
    assert column(["aaaaa", "bbbbb"]).columns["x"].levels is not None
    assert column(["aaaaa", "bbbbbb"]).columns["x"].levels is None


def test_a_measured_number_has_quantiles_within_its_stated_rank_error() -> None:
    values = np.random.default_rng(4).normal(size=30_000)
    merged = reduce(merge_profiles, [column(part.tolist()) for part in np.array_split(values, 7)])
    profile = merged.columns["x"]
    assert profile.levels is None
    assert profile.rank_error > 0
    rank = np.count_nonzero(values <= profile.quantile(0.25))
    assert abs(rank - 0.25 * len(values)) <= profile.rank_error + 1


@pytest.mark.parametrize("span", [200, 10**9])
def test_quantiles_stay_within_their_rank_error_when_levels_overflow_late(
    span: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels_module, "DISTINCT_CAP", {**DISTINCT_CAP, "integer": 150})
    monkeypatch.setattr(profile_module, "DISTINCT_CAP", {**DISTINCT_CAP, "integer": 150})
    values = np.random.default_rng(5).integers(-span // 2, span // 2, 40_000)
    values[:100] = np.arange(100)
    parts = [values[:100], values[100:200], values[200:], values[:300]]
    merged = reduce(merge_profiles, [column(part.tolist()) for part in parts]).columns["x"]
    assert merged.levels is None
    every = np.concatenate(parts)
    for share in (0.1, 0.5, 0.9):
        found = merged.quantile(share)
        below, up_to = np.count_nonzero(every < found), np.count_nonzero(every <= found)
        assert below - merged.rank_error <= share * len(every) <= up_to + merged.rank_error + 1


def test_extremes_of_integers_are_exact_beyond_what_a_float_holds() -> None:
    profile = column([2**53 + 1, None, -(2**62) - 1]).columns["x"]
    assert (profile.moments.minimum, profile.moments.maximum) == (-(2**62) - 1, 2**53 + 1)


def test_the_two_zeros_are_one_level() -> None:
    merged = merge_profiles(column([0.0, 1.0]), column([-0.0, 1.0]))
    assert merged.columns["x"].levels.pairs() == [(0.0, 2), (1.0, 2)]


def test_texts_of_a_dictionary_that_no_row_has_are_not_levels() -> None:
    encoded = pa.array(["a", "b", "a"]).dictionary_encode().slice(2)
    profile = profile_table(pa.table({"x": encoded})).columns["x"]
    assert profile.type == ColumnType("text")
    assert profile.levels.pairs() == [("a", 1)]


def test_profiles_of_other_columns_or_types_do_not_merge() -> None:
    with pytest.raises(ValueError, match="different columns or types"):
        merge_profiles(column([1]), column([1.0]))


def test_its_json_is_strict_and_readable() -> None:
    rows = [
        {"number": 1.5, "integer": 3, "text": "aé", "boolean": True},
        {"date": dt.date(9999, 12, 31), "moment": dt.datetime(2020, 1, 2, 3)},
    ]
    document = json.loads(json.dumps(profile_table(table(rows)).to_json(), allow_nan=False))
    columns = document["columns"]
    assert document["rows"] == 2
    assert columns["number"]["mean"] == 1.5
    assert columns["text"] == {
        "type": "text",
        "count": 1,
        "missing": 1,
        "longest": 2,
        "levels": 1,
        "top_levels": [{"value": "aé", "count": 1}],
    }
    assert columns["boolean"]["top_levels"] == [{"value": True, "count": 1}]
    assert columns["date"]["maximum"] == "9999-12-31"
    assert columns["moment"]["minimum"] == "2020-01-02T03:00:00.000000000Z"
    assert columns["moment"]["zone"] == "Europe/Paris"


def test_a_column_without_any_value_has_a_profile() -> None:
    for type_ in (pa.float64(), pa.string(), pa.bool_(), pa.timestamp("ns"), pa.null()):
        profile = column([None, None], type_).columns["x"]
        assert (profile.count, profile.missing) == (0, 2)
        merged = merge_profiles(column([None], type_), column([], type_))
        assert merged.columns["x"].missing == 1
        json.dumps(merged.to_json(), allow_nan=False)
