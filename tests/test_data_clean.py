"""Cleaning: columns dropped and renamed, rows dropped, duplicates across chunks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_dask.data.clean import Clean, clean_chunk, clean_schema, duplicate_columns
from lepton_dask.data.duplicates import bucket_of_keys, later_duplicates, without_rows
from lepton_dask.data.hashing import row_keys
from lepton_dask.data.types import ColumnType

AT = ("steps", "tidy", "clean")
SCHEMA = {name: ColumnType("number") for name in ("age", "capital-gain", "capital-loss", "income")}
TABLE = pa.table(
    {
        "age": [1.0, None, 3.0, None],
        "capital-gain": [None, 2.0, 3.0, None],
        "capital-loss": [1.0, 2.0, None, 4.0],
        "income": ["a", "b", "c", "d"],
    }
)


def mistakes(clean: Clean) -> list[str]:
    return [str(mistake) for mistake in clean_schema(clean, SCHEMA, AT)[1]]


def test_columns_are_dropped_by_name_and_expression_then_renamed():
    clean = Clean(drop=("^capital-.*$", "age"), rename={"income": "class"})
    assert list(clean_schema(clean, SCHEMA, AT)[0]) == ["class"]
    assert clean_chunk(clean, TABLE, np.arange(4)).table.column_names == ["class"]
    assert mistakes(clean) == []


@pytest.mark.parametrize(
    ("clean", "message"),
    [
        (Clean(drop=("aeg",)), "did you mean 'age'?"),
        (Clean(drop=("^x.*$",)), "drop[0]: '^x.*$' matches no column"),
        (Clean(drop=("^(x$",)), "not a regular expression"),
        (Clean(drop=("^.*$",)), "drops every column"),
        (Clean(rename={"incone": "y"}), "did you mean 'income'?"),
        (Clean(rename={"age": "income"}), "two columns would be called 'income'"),
        (Clean(rename={"age": "x", "income": "x"}), "two columns would be called 'x'"),
        (Clean(drop=("age",), rename={"age": "x"}), "it is dropped above"),
        (Clean(require=("aeg",)), "require[0]: unknown column 'aeg'; did you mean 'age'?"),
        (Clean(rename={"age": "x"}, drop_missing=("age",)), "it is renamed to 'x' above"),
        (Clean(drop=("age",), drop_duplicates=("age",)), "it is dropped above"),
    ],
)
def test_a_name_that_is_not_there_is_refused(clean: Clean, message: str):
    assert any(message in mistake for mistake in mistakes(clean))


def test_names_may_be_swapped():
    clean = Clean(rename={"age": "income", "income": "age"})
    assert mistakes(clean) == []
    assert clean_chunk(clean, TABLE, np.arange(4)).table["income"].to_pylist()[0] == 1.0


def test_rows_lost_are_counted_by_reason():
    clean = Clean(require=("age", "capital-gain"), drop_missing=("capital-loss",))
    cleaned = clean_chunk(clean, TABLE, np.array([10, 11, 12, 13]))
    assert cleaned.table.num_rows == 0
    assert cleaned.lost == {
        "required 'age' is missing": 2,
        "required 'capital-gain' is missing": 1,
        "a value is missing": 1,
    }


def test_rows_keep_their_numbers():
    cleaned = clean_chunk(Clean(drop_missing=("age",)), TABLE, np.array([10, 11, 12, 13]))
    assert cleaned.row_numbers.tolist() == [10, 12]
    assert cleaned.table["income"].to_pylist() == ["a", "c"]


def test_drop_missing_all_looks_at_every_column():
    assert clean_chunk(Clean(drop_missing="all"), TABLE, np.arange(4)).table.num_rows == 0


def without_duplicates(clean: Clean, chunks: list[pa.Table], buckets: int) -> pa.Table:
    keys = [row_keys(duplicate_columns(clean, chunk)) for chunk in chunks]
    found = [
        later_duplicates([bucket_of_keys(some, bucket, buckets) for some in keys])
        for bucket in range(buckets)
    ]
    left = [
        without_rows(chunk, np.arange(chunk.num_rows), [bucket[i] for bucket in found])[0]
        for i, chunk in enumerate(chunks)
    ]
    return pa.concat_tables(left)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([0.0, -0.0, 1.5, None]),
            st.sampled_from(["", "a", "missing", None]),
            st.sampled_from([0, 1, None]),
            st.sampled_from([True, False, None]),
        ),
        min_size=1,
        max_size=40,
    ),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    buckets=st.integers(1, 5),
    subset=st.sampled_from(["all", ("n", "s"), ("i",)]),
)
def test_the_first_of_equal_rows_stays_for_every_chunking(
    rows: list[tuple[object, ...]], cuts: list[int], buckets: int, subset: object
):
    schema = pa.schema({"n": pa.float64(), "s": pa.string(), "i": pa.int64(), "b": pa.bool_()})
    columns = list(zip(*rows, strict=True))
    table = pa.table([pa.array(c, t) for c, t in zip(columns, schema.types, strict=True)], schema)
    table = table.append_column("place", pa.array(range(len(rows))))
    clean = Clean(drop_duplicates=("n", "s", "i", "b") if subset == "all" else subset)
    borders = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    chunks = [table.slice(a, b - a) for a, b in pairwise(borders)]
    seen: dict[tuple[object, ...], int] = {}
    for place, row in enumerate(rows):
        seen.setdefault(tuple(row["nsib".index(name)] for name in clean.drop_duplicates), place)
    expected = sorted(seen.values())
    assert without_duplicates(clean, chunks, buckets)["place"].to_pylist() == expected


def test_all_columns_are_compared_where_all_is_said():
    table = pa.table({"a": [1, 1, 1], "b": ["x", "x", "y"]})
    left = without_duplicates(Clean(drop_duplicates="all"), [table], 3)
    assert left.to_pydict() == {"a": [1, 1], "b": ["x", "y"]}
