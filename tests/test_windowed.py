"""Windows over the chunks of a table: the same for every way of cutting it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_dask.data.arrow_types import column_type
from lepton_dask.data.expressions.check import check
from lepton_dask.data.windowed import (
    ChunkOrder,
    Windowed,
    evaluate_chunk,
    evaluate_together,
    head,
    order_of_chunk,
    tail,
    with_columns,
)

EXPRESSIONS = {
    "before": "lag(x, 2)",
    "an_hour_before": "lag(x, '1h')",
    "mean": "rolling_mean(x, 3)",
    "mean_of_before": "rolling_mean(lag(x, 1), '3h')",
    "spread": "rolling_std(x, 4) / (1 + abs(lag(x, 3)))",
    "ahead": "lead(x, 2) - x",
    "label": "lag(label, 1)",
    "double": "2 * x",
}


def table(rows: int = 60, seed: int = 0) -> pa.Table:
    """Three groups, interleaved, in order, with gaps, repeated moments and missing values."""
    rng = np.random.default_rng(seed)
    hours = np.cumsum(rng.integers(0, 3, rows))
    x = pd.Series(rng.normal(size=rows)).mask(rng.random(rows) < 0.1)
    return pa.table(
        {
            "home": pa.array(rng.choice(["a", "b", None], rows).tolist(), pa.string()),
            "t": pa.array(hours * 3_600_000_000_000, pa.int64()).cast(pa.timestamp("ns")),
            "x": pa.array(x, from_pandas=True),
            "label": pa.array(rng.choice(["low", "high"], rows).tolist()),
        }
    )


def windowed(
    rows: pa.Table, group: str | None = "home", order: str = "t", **chosen: str
) -> Windowed:
    schema = {field.name: column_type(field.type) for field in rows.schema}
    texts = chosen or EXPRESSIONS
    checked = {
        name: check(text, schema, windows="any", order=schema[order])
        for name, text in texts.items()
    }
    return Windowed(checked, order, group)


def cut(rows: pa.Table, bounds: Sequence[int]) -> list[pa.Table]:
    edges = [0, *sorted(bounds), rows.num_rows]
    return [rows.slice(start, stop - start) for start, stop in pairwise(edges)]


def over_chunks(windows: Windowed, chunks: Sequence[pa.Table]) -> pa.Table:
    """As a run evaluates them: from tails carried forward and heads carried back."""
    before: list[pa.Table | None] = [None]
    for chunk in chunks[:-1]:
        own = tail(windows, None, chunk)
        before.append(own if before[-1] is None else tail(windows, before[-1], own))
    behind: list[pa.Table | None] = [None]
    for chunk in reversed(chunks[1:]):
        behind.insert(0, head(windows, head(windows, chunk, None), behind[0]))
    made = [evaluate_chunk(windows, *each) for each in zip(before, chunks, behind, strict=True)]
    return pa.concat_tables(made)


def same_bytes(one: pa.Table, other: pa.Table) -> bool:
    """Equal to the last bit, missing values too."""
    return one.combine_chunks().equals(other.combine_chunks(), check_metadata=False)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(bounds=st.lists(st.integers(0, 60), max_size=8), seed=st.integers(0, 20))
def test_every_way_of_cutting_a_table_gives_the_same_columns(bounds, seed):
    rows = table(seed=seed)
    windows = windowed(rows)
    assert same_bytes(over_chunks(windows, cut(rows, bounds)), over_chunks(windows, [rows]))


@pytest.mark.parametrize("cut_at", range(1, 12))
def test_a_table_of_twelve_rows_is_cut_at_every_place(cut_at):
    rows = table(12, seed=4)
    windows = windowed(rows)
    whole = over_chunks(windows, [rows])
    for second in range(cut_at, 12):
        assert same_bytes(over_chunks(windows, cut(rows, [cut_at, second])), whole)


def test_lags_and_leads_are_those_of_pandas():
    rows = table(200, seed=3)
    windows = windowed(rows, before="lag(x, 2)", ahead="lead(x, 2)", mean="rolling_mean(x, 5)")
    made = over_chunks(windows, cut(rows, [7, 50, 51, 120])).to_pandas()
    groups = rows.to_pandas().groupby("home", dropna=False)["x"]
    pd.testing.assert_series_equal(made["before"], groups.shift(2), check_names=False)
    pd.testing.assert_series_equal(made["ahead"], groups.shift(-2), check_names=False)
    mean = groups.transform(lambda x: x.rolling(5, min_periods=1).mean())
    pd.testing.assert_series_equal(made["mean"], mean, check_names=False)


def chunks_order(windows: Windowed, chunks: Sequence[pa.Table]) -> bool:
    return reduce(ChunkOrder.then, [order_of_chunk(windows, chunk) for chunk in chunks]).in_order


def test_rows_in_order_are_known_to_be_so_whatever_the_chunks():
    rows = table()
    windows = windowed(rows)
    assert chunks_order(windows, cut(rows, [10, 30, 30]))
    assert not chunks_order(windows, cut(rows, [10, 30])[::-1])
    by_home = rows.sort_by([("home", "ascending"), ("t", "ascending")])
    assert chunks_order(windows, cut(by_home, [10, 30]))
    assert not chunks_order(windowed(rows, group=None), cut(by_home, [10, 30]))


def test_a_row_without_an_order_is_no_disorder():
    rows = table()
    moments = rows["t"].to_pylist()
    moments[20] = None
    rows = rows.set_column(1, "t", pa.array(moments, pa.timestamp("ns")))
    windows = windowed(rows)
    assert chunks_order(windows, cut(rows, [20, 21]))
    made = over_chunks(windows, cut(rows, [20, 21]))
    assert made["before"][20].as_py() is None
    assert same_bytes(made, over_chunks(windows, [rows]))


def test_rows_in_disorder_get_what_they_would_in_order():
    rows = table(seed=8).append_column("row", pa.array(range(60)))
    windows = windowed(rows)
    # Rows of one moment keep the table's order, so each gets a moment of its own.
    rows = rows.set_column(1, "t", pa.array(np.arange(60) * 1800 * 10**9).cast(pa.timestamp("ns")))
    shuffled = rows.take(pa.array(np.random.default_rng(1).permutation(60)))
    chunks = cut(shuffled, [11, 40])
    parts, left = evaluate_together(windows, [c.select(windows.looked_at) for c in chunks])
    made = pa.concat_tables(
        [with_columns(windows, chunk, part) for chunk, part in zip(chunks, parts, strict=True)]
    )
    assert same_bytes(made.sort_by("row"), over_chunks(windows, [rows]))
    assert left.sort_by("t").equals(tail(windows, None, rows).sort_by("t"))
