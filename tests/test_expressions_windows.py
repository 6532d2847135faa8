"""Windows: what they cover, and that no chunking changes a byte of what they give."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from expression_trees import SCHEMA, expressions, table_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lepton_dask.data.arrow import to_columns
from lepton_dask.data.columns import MomentColumn, NumberColumn, TextColumn
from lepton_dask.data.expressions import on_arrow, on_numpy
from lepton_dask.data.expressions.check import Checked, check
from lepton_dask.data.expressions.ordering import Ordering
from lepton_dask.data.expressions.reach import (
    Reach,
    RowStage,
    SpanStage,
    head_positions,
    tail_positions,
)
from lepton_dask.data.types import ColumnType, Schema

TYPES: Schema = {
    "x": ColumnType("number"),
    "s": ColumnType("text"),
    "g": ColumnType("text"),
    "t": ColumnType("timestamp"),
}
START = pd.Timestamp("2020-03-01")


def readings(rows: int, seed: int = 0) -> pd.DataFrame:
    """Three homes in turn, by the hour with gaps, ties and missing values."""
    random = np.random.default_rng(seed)
    hours = np.sort(random.integers(0, rows // 2 + 1, rows))
    x = random.normal(size=rows).round(3)
    return pd.DataFrame(
        {
            "x": np.where(random.random(rows) < 0.2, np.nan, x),
            "s": random.choice(["a", "b", "c"], rows),
            "g": random.choice(["p", "q", "r"], rows),
            "t": START + pd.to_timedelta(hours, unit="h"),
        }
    )


def arrow(frame: pd.DataFrame) -> pa.Table:
    schema = pa.schema(
        [("x", pa.float64()), ("s", pa.string()), ("g", pa.string()), ("t", pa.timestamp("ns"))]
    )
    return pa.Table.from_pandas(frame, schema, preserve_index=False)


def checked(text: str, order: ColumnType = TYPES["t"]) -> Checked:
    return check(text, TYPES, windows="any", order=order)


def by_group(text: str, frame: pd.DataFrame) -> np.ndarray:
    table = arrow(frame)
    columns = to_columns(table)
    ordering = Ordering.of(columns["t"], columns["g"])
    result = on_arrow.evaluate(checked(text), table, ordering)
    return result.to_pandas().to_numpy()


@pytest.mark.parametrize("rows", [0, 1, 2, 5, 100])
def test_a_lag_in_rows_is_pandas_shift_by_group(rows: int) -> None:
    frame = readings(60)
    expected = frame.groupby("g")["x"].shift(rows).to_numpy()
    np.testing.assert_array_equal(by_group(f"lag(x, {rows})", frame).astype(float), expected)


def test_a_lead_is_pandas_shift_ahead() -> None:
    frame = readings(60)
    expected = frame.groupby("g")["x"].shift(-3).to_numpy()
    np.testing.assert_array_equal(by_group("lead(x, 3)", frame).astype(float), expected)


def test_a_lag_in_time_finds_the_last_row_of_exactly_that_moment() -> None:
    frame = readings(80, seed=3)
    expected = []
    for _, row in frame.iterrows():
        at = frame[(frame.g == row.g) & (frame.t == row.t - pd.Timedelta("3h"))]
        expected.append(at.s.iloc[-1] if len(at) else None)
    assert any(expected)
    assert [None if pd.isna(s) else s for s in by_group("lag(s, '3h')", frame)] == expected


@pytest.mark.parametrize("statistic", ["mean", "sum", "min", "max", "std", "count"])
@pytest.mark.parametrize("length", ["1", "2", "7", "'1h'", "'5h'", "'90min'", "'300s'"])
def test_rolling_statistics_are_those_of_pandas(statistic: str, length: str) -> None:
    frame = readings(90, seed=1)
    least = 0 if statistic == "count" else 1
    parts = []
    for _, home in frame.groupby("g"):
        x = home.set_index("t")["x"]
        window: int | str = length.strip("'") if "'" in length else int(length)
        rolled = getattr(x.rolling(window, min_periods=least), statistic)()
        parts.append(pd.Series(rolled.to_numpy(), index=home.index))
    expected = pd.concat(parts).sort_index().to_numpy()
    found = by_group(f"rolling_{statistic}(x, {length})", frame).astype(float)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_a_rolling_window_of_rows_ends_with_its_own() -> None:
    frame = readings(4).assign(x=[1.0, 2.0, np.nan, 4.0], g="p")
    assert by_group("rolling_sum(x, 2)", frame).tolist() == [1.0, 3.0, 2.0, 4.0]
    assert by_group("rolling_count(x, 2)", frame).tolist() == [1, 2, 1, 1]


def test_rows_without_an_order_have_no_value_and_are_nobodys_history() -> None:
    frame = readings(4).assign(x=[1.0, 2.0, 3.0, 4.0], g="p")
    frame.loc[1, "t"] = pd.NaT
    assert by_group("lag(x, 1)", frame).astype(float).tolist() == pytest.approx(
        [np.nan, np.nan, 1.0, 3.0], nan_ok=True
    )
    assert by_group("rolling_count(x, 9)", frame).astype(float).tolist() == pytest.approx(
        [1, np.nan, 2, 3], nan_ok=True
    )


def test_rows_without_a_group_are_a_group() -> None:
    frame = readings(5).assign(x=[1.0, 2.0, 3.0, 4.0, 5.0], g=["p", None, "p", None, "q"])
    found = by_group("lag(x, 1)", frame).astype(float)
    np.testing.assert_array_equal(found, [np.nan, np.nan, 1, 2, np.nan])


def test_a_table_is_sorted_where_every_group_is() -> None:
    number = NumberColumn(np.array([1.0, 5.0, 1.0, 4.0]), np.zeros(4, dtype=bool))
    groups = TextColumn(np.array([0, 1, 0, 1], np.int32), ("p", "q"))
    assert not Ordering.of(number, groups).is_sorted
    assert not Ordering.of(number, None).is_sorted
    assert Ordering.of(number, TextColumn(np.array([0, 0, 1, 1], np.int32), ("p", "q"))).is_sorted


def test_days_far_from_1970_are_ordered_and_looked_back_on() -> None:
    days = np.array([-700_000, -699_999, 2_900_000, 2_900_001], "datetime64[D]")
    columns = {"x": NumberColumn(np.arange(4.0), np.zeros(4, dtype=bool))}
    ordering = Ordering.of(MomentColumn(days), None)
    found = on_numpy.evaluate(checked("lag(x, '1d')", ColumnType("date")), columns, 4, ordering)
    assert found.missing.tolist() == [True, False, True, False]
    halves = checked("rolling_count(x, '36h')", ColumnType("date"))
    counts = on_numpy.evaluate(halves, columns, 4, ordering)
    assert isinstance(counts, NumberColumn)
    assert counts.values.tolist() == [1, 2, 1, 2]


def test_the_reach_of_nested_windows_is_a_path() -> None:
    assert checked("rolling_mean(lag(x, '24h'), 7) + lag(x, 2)").reach == Reach(
        frozenset({(RowStage(6), SpanStage(86_400 * 10**9)), (RowStage(2),)})
    )
    assert checked("lead(x, 10) > 1").reach == Reach(ahead_rows=10)
    assert checked("x + 1").reach.is_empty


def test_the_tail_of_a_group_is_what_the_next_row_can_reach() -> None:
    order = NumberColumn(np.arange(10.0), np.zeros(10, dtype=bool))
    groups = TextColumn(np.array([0, 1] * 5, np.int32), ("p", "q"))
    ordering = Ordering.of(order, groups)
    nested = Reach(frozenset({(RowStage(1), RowStage(2))}))
    assert tail_positions(ordering, nested).tolist() == [4, 5, 6, 7, 8, 9]
    assert tail_positions(ordering, Reach()).tolist() == []
    assert head_positions(ordering, 2).tolist() == [0, 1, 2, 3]


def test_the_tail_reaches_back_in_time_from_the_last_row() -> None:
    hours = np.array([0, 1, 2, 10, 11], "datetime64[h]").astype("datetime64[ns]")
    ordering = Ordering.of(MomentColumn(hours), None)
    hour = 3600 * 10**9
    assert tail_positions(ordering, Reach(frozenset({(SpanStage(hour),)}))).tolist() == [3, 4]
    both = Reach(frozenset({(SpanStage(hour), RowStage(2)), (RowStage(1),)}))
    assert tail_positions(ordering, both).tolist() == [1, 2, 3, 4]


def cut_and_carried(expression: Checked, table: pa.Table, cuts: list[int]) -> pa.Array:
    """The expression chunk by chunk, each behind the rows that it may look back on."""
    carry, results = table.slice(0, 0), []
    for start, end in pairwise([0, *cuts, table.num_rows]):
        chunk = pa.concat_tables([carry, table.slice(start, end - start)]).combine_chunks()
        columns = to_columns(chunk, ["t", "g"])
        ordering = Ordering.of(columns["t"], columns["g"])
        result = on_arrow.evaluate(expression, chunk, ordering)
        results.append(result.slice(carry.num_rows))
        carry = chunk.take(pa.array(tail_positions(ordering, expression.reach)))
    return pa.concat_arrays(results)


def bytes_of(array: pa.Array) -> tuple[object, ...]:
    return tuple(
        np.float64(value.as_py()).tobytes()
        if pa.types.is_floating(array.type) and value.is_valid
        else value.as_py()
        for value in array
    )


NESTED = [
    "lag(x, 3)",
    "lag(s, '2h')",
    "rolling_mean(lag(x, 1), 4)",
    "rolling_std(x, '4h') - rolling_mean(x, 3)",
    "lag(rolling_sum(x, '3h'), '2h')",
    "rolling_max(lag(rolling_mean(x, 2), '1h'), '3h')",
    "rolling_mean(x, 5) + coalesce(lag(lag(x, '1h'), 2), 0)",
]


@pytest.mark.parametrize("text", NESTED)
def test_a_table_cut_in_every_way_in_two_gives_the_same_bytes(text: str) -> None:
    table = arrow(readings(24, seed=5))
    whole = bytes_of(cut_and_carried(checked(text), table, []))
    assert any(value is not None for value in whole)
    for cut in range(25):
        assert bytes_of(cut_and_carried(checked(text), table, [cut])) == whole


@settings(
    max_examples=120,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    text=st.sampled_from(NESTED),
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(0, 40), max_size=12),
)
def test_a_table_cut_anyhow_gives_the_same_bytes(text: str, seed: int, cuts: list[int]) -> None:
    frame = readings(40, seed)
    frame.loc[frame.index % 11 == 7, "t"] = pd.NaT
    table = arrow(frame)
    expression = checked(text)
    whole = bytes_of(cut_and_carried(expression, table, []))
    assert bytes_of(cut_and_carried(expression, table, sorted(cuts))) == whole


@settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_random_windows_survive_any_cut(data: st.DataObject, seed: int) -> None:
    kind = data.draw(st.sampled_from(["number", "text", "boolean"]))
    text = data.draw(expressions(kind, windows=True))
    expression = check(text, SCHEMA, windows="backward", order=SCHEMA["t"])
    table = table_of(16, seed).sort_by("t").rename_columns(["g" if n == "u" else n for n in SCHEMA])
    table = table.append_column("u", table["g"])
    cuts = sorted(data.draw(st.lists(st.integers(0, 16), max_size=5)))
    whole = bytes_of(cut_and_carried(expression, table, []))
    assert bytes_of(cut_and_carried(expression, table, cuts)) == whole


def test_an_expression_with_windows_needs_an_ordering() -> None:
    table = arrow(readings(3))
    with pytest.raises(ValueError, match="'lag' needs an ordering"):
        on_arrow.evaluate(checked("lag(x, 1)"), table)
    with pytest.raises(ValueError, match="'rolling_sum' needs an ordering"):
        on_numpy.evaluate(checked("rolling_sum(x, 2)"), to_columns(table), 3)
