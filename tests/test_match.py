"""Rows looked up by their keys: the model's numpy and the cluster's Arrow against pandas' merge."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_dask.artifacts.frames import ReadFrame
from lepton_dask.artifacts.replay import Joined, JoinedColumn, Tables
from lepton_dask.data.arrow import to_columns
from lepton_dask.data.columns import MomentColumn, NumberColumn, TextColumn
from lepton_dask.data.join import Join
from lepton_dask.data.lookup import duplicate_rows, join_chunk, make_lookup, needed_columns
from lepton_dask.data.match import first_duplicate, index_keys, positions
from lepton_dask.errors import UserError

DAY = dt.datetime(2024, 3, 31, 1, 30)
VALUES: dict[str, tuple[pa.DataType, pa.DataType, list[Any]]] = {
    "text": (pa.string(), pa.string(), ["", "a", "A", "ä", "NA"]),
    "integer": (pa.int64(), pa.int64(), [0, 1, -1, 2**53 - 1]),
    "number": (pa.float64(), pa.float64(), [0.0, -0.0, 0.1, 1e300]),
    "mixed": (pa.int64(), pa.float64(), [0, 1, 7]),
    "boolean": (pa.bool_(), pa.bool_(), [True, False]),
    "date": (pa.date32(), pa.date32(), [DAY.date(), dt.date(1900, 1, 1)]),
    "naive": (pa.timestamp("ns"), pa.timestamp("ns"), [DAY, DAY + dt.timedelta(hours=1)]),
    "zoned": (
        pa.timestamp("ns", "America/New_York"),
        pa.timestamp("ns", "UTC"),
        [DAY.replace(tzinfo=dt.UTC), (DAY + dt.timedelta(hours=1)).replace(tzinfo=dt.UTC)],
    ),
}
"""For each kind of key: its type on either side, and a few values that may be equal."""


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Table, pa.Table]:
    """Two tables with keys of one or several kinds and holes; each key of the second once."""
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=3))
    row = st.tuples(*(st.none() | st.sampled_from(VALUES[kind][2]) for kind in kinds))
    left = draw(st.lists(row, max_size=12))
    right = draw(st.lists(row, max_size=8, unique_by=lambda keys: keys if None not in keys else id))
    arrays = [
        {
            f"k{i}": pa.array([keys[i] for keys in rows], VALUES[kind][side])
            for i, kind in enumerate(kinds)
        }
        for side, rows in enumerate((left, right))
    ]
    count = len(right)
    arrays[1] |= {
        "seats": pa.array([None if i == 1 else i for i in range(count)], pa.int64()),
        "maker": pa.array([None if i == 2 else f"m{i % 3}" for i in range(count)], pa.string()),
        "flag": pa.array([i % 2 == 0 for i in range(count)], pa.bool_()),
        "share": pa.array([i / 7 for i in range(count)], pa.float64()),
        "built": pa.array([DAY.date() + dt.timedelta(i) for i in range(count)], pa.date32()),
        "seen": pa.array([DAY.replace(tzinfo=dt.UTC)] * count, pa.timestamp("ns", "UTC")),
    }
    return pa.table(arrays[0]), pa.table(arrays[1])


def join_of(left: pa.Table, how: str = "left") -> Join:
    table = {"with": "other", "on": tuple(left.column_names), "how": how}
    return Join.model_validate((table,))


def merged(left: pa.Table, right: pa.Table, how: str) -> pa.Table:
    """The oracle: pandas' merge, without the keys that pandas matches although they are missing."""
    keys = left.column_names
    frames = [
        pa.table({name: table[name] for name in table.column_names}).to_pandas(
            types_mapper=pd.ArrowDtype
        )
        for table in (left, right)
    ]
    for name in keys:
        if isinstance(left[name].type, pa.TimestampType) and left[name].type.tz:
            frames[0][name] = frames[0][name].dt.tz_convert("UTC")
        if left[name].type != right[name].type and pa.types.is_integer(left[name].type):
            frames[0][name] = frames[0][name].astype(pd.ArrowDtype(pa.float64()))
    # As Python values: pandas' merge on several Arrow columns is young, on objects it is old.
    objects = [frame.astype(object).where(frame.notna(), None) for frame in frames]
    complete = objects[1].dropna(subset=keys)
    found = objects[0].merge(complete, on=keys, how=how)
    arrays = {name: pa.array(found[name], right[name].type, from_pandas=True)
              for name in right.column_names if name not in keys}  # fmt: skip
    return pa.table(arrays)


@given(tables())
@settings(max_examples=100, deadline=None)
def test_every_row_finds_what_pandas_merge_finds(pair: tuple[pa.Table, pa.Table]) -> None:
    left, right = pair
    for how in ("left", "inner"):
        join = join_of(left, how)
        lookup = make_lookup(join.root[0], needed_columns(join.root[0], right))
        joined = join_chunk(join, [lookup], left, np.arange(left.num_rows))
        expected = merged(left, right, how)
        assert joined.table.select(expected.column_names).to_pydict() == expected.to_pydict()
    assert joined.came == (left.num_rows,)
    assert joined.table.num_rows == left.num_rows - joined.unmatched[0] == len(joined.row_numbers)


@given(tables())
@settings(max_examples=100, deadline=None)
def test_a_model_finds_the_same_rows_as_the_cluster(pair: tuple[pa.Table, pa.Table]) -> None:
    left, right = pair
    join = join_of(left)
    lookup = make_lookup(join.root[0], right)
    cluster = join_chunk(join, [lookup], left, np.arange(left.num_rows)).table
    brought = [name for name in right.column_names if name not in left.column_names]
    step = Joined(
        "other",
        join.root[0].keys,
        tuple(JoinedColumn(name, name, "number") for name in brought),
        "inner",
    )
    beside: Tables = {"other": to_columns(right)}
    kinds = dict.fromkeys(left.column_names, "number")
    given_rows = ReadFrame(to_columns(left), kinds, {}, left.num_rows)
    played = step.play(given_rows, beside).frame
    expected = to_columns(cluster)
    for name in brought:
        one, other = played.columns[name], expected[name]
        assert type(one) is type(other)
        assert one.missing.tolist() == other.missing.tolist()
        present = ~one.missing
        if isinstance(one, TextColumn):
            assert isinstance(other, TextColumn)
            texts = [[c.levels[code] for code in c.codes[present]] for c in (one, other)]
            assert texts[0] == texts[1]
        else:
            assert isinstance(one, NumberColumn | MomentColumn)
            assert isinstance(other, NumberColumn | MomentColumn)
            assert np.array_equal(one.values[present], other.values[present])
    matched = positions(step.index(beside), [played.columns[name] for name in left.column_names])
    assert sorted(played.problems) == np.flatnonzero(matched < 0).tolist()
    assert set(played.problems.values()) <= {"no match in 'other'"}


def test_a_key_that_stands_twice_is_found_and_a_missing_one_is_no_duplicate() -> None:
    table = pa.table({"a": ["x", None, "y", None, "x", "x"], "b": [1, 1, 2, 1, 2, 1]})
    keys = list(to_columns(table).values())
    rows = first_duplicate(index_keys(keys), keys)
    assert rows is not None
    assert rows.tolist() == [0, 5]
    unique = [key for name, key in to_columns(table.slice(0, 5)).items()]
    assert first_duplicate(index_keys(unique), unique) is None
    join = join_of(pa.table({"a": ["x"]}))
    assert duplicate_rows(join.root[0], make_lookup(join.root[0], table)) is not None


def test_a_model_refuses_a_table_whose_keys_are_not_unique() -> None:
    step = Joined("other", {"a": "a"}, (), "left")
    with pytest.raises(UserError, match="other: the keys 'a' are not unique: rows 0, 2"):
        step.index({"other": to_columns(pa.table({"a": ["x", "y", "x"]}))})


def test_a_model_takes_only_the_columns_that_it_needs_and_no_table_where_it_needs_none() -> None:
    columns = (JoinedColumn("year", "built", "integer"), JoinedColumn("seats", "seats", "integer"))
    step = Joined("planes", {"tail": "tailnum"}, columns, "left")
    needed = frozenset({"seats", "x"})
    part = step.leading_to(needed)
    assert part is not None
    assert part.columns == columns[1:]
    assert part.before(needed) == {"x", "tail"}
    assert step.leading_to(frozenset({"x", "tail"})) is None
