"""Arrow tables as numpy columns, and the parts of dates."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_dask.data.arrow import known_type, to_columns
from lepton_dask.data.calendar import DatePart, date_part
from lepton_dask.data.columns import MomentColumn, NumberColumn, TextColumn
from lepton_dask.data.types import ColumnType


def test_numbers_integers_and_truth_values_become_floats_and_a_mask() -> None:
    table = pa.table({"a": [1.5, None], "b": [None, 7], "c": [True, None]})
    columns = to_columns(table)
    for name, place, value in (("a", 0, 1.5), ("b", 1, 7.0), ("c", 0, 1.0)):
        column = columns[name]
        assert isinstance(column, NumberColumn)
        assert column.values.dtype == np.float64
        assert column.values[place] == value
        assert column.missing.tolist() == [i != place for i in range(2)]


@pytest.mark.parametrize("encode", [False, True])
def test_texts_become_codes_in_chunks_or_not(encode: bool) -> None:
    array = pa.chunked_array([["b", None], ["a", "b"]])
    column = to_columns(pa.table({"x": array.dictionary_encode() if encode else array}))["x"]
    assert isinstance(column, TextColumn)
    assert column.codes.dtype == np.int32
    assert [None if c < 0 else column.levels[c] for c in column.codes] == ["b", None, "a", "b"]


def test_dates_keep_their_range_and_timestamps_their_zone() -> None:
    table = pa.table(
        {
            "day": pa.array([dt.date(9999, 12, 31), None]),
            "moment": pa.array([None, dt.datetime(2020, 1, 1)], pa.timestamp("us", "UTC")),
        }
    )
    columns = to_columns(table)
    assert isinstance(columns["day"], MomentColumn)
    assert columns["day"].values.tolist() == [dt.date(9999, 12, 31), None]
    assert columns["moment"].values[1] == np.datetime64("2020-01-01", "ns")
    assert columns["moment"].missing.tolist() == [True, False]
    assert columns["moment"].zone == "UTC"


def test_only_the_named_columns_are_taken() -> None:
    assert list(to_columns(pa.table({"a": [1], "b": [2], "c": [3]}), ["c", "a"])) == ["c", "a"]


def test_a_column_that_is_all_missing_counts_as_text() -> None:
    assert known_type(pa.timestamp("ns", "UTC")) == ColumnType("timestamp", "UTC")
    assert known_type(pa.null()) == ColumnType("text")
    assert known_type(pa.large_string()) == ColumnType("text")


@given(
    moments=st.lists(
        st.none() | st.datetimes(dt.datetime(1972, 1, 1), dt.datetime(2200, 1, 1)), max_size=20
    ),
    zone=st.sampled_from(
        [None, "UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
    ),
)
def test_date_parts_are_those_of_pandas(moments, zone) -> None:
    values = np.array([np.datetime64(m) if m else np.datetime64("NaT") for m in moments])
    values = values.astype("datetime64[ns]")
    series = pd.Series(values)
    shown = series if zone is None else series.dt.tz_localize("UTC").dt.tz_convert(zone)
    parts: tuple[DatePart, ...] = ("year", "month", "day", "weekday", "hour", "minute")
    for part in parts:
        name = "day_of_week" if part == "weekday" else part
        expected = getattr(shown.dt, name).fillna(0).astype(int).tolist()
        assert date_part(MomentColumn(values, zone), part).tolist() == expected
