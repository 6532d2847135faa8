"""What expressions give, by hand and by pandas; Arrow and numpy are both asked."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from expression_trees import same, table_of

from lepton_dask.data.arrow import known_type, to_columns
from lepton_dask.data.arrow_types import arrow_type
from lepton_dask.data.expressions import on_arrow, on_numpy
from lepton_dask.data.expressions.check import check

TABLE = pa.table(
    {
        "n": pa.array([1, -7, None, 4]),
        "x": pa.array([0.5, -1.5, None, 2.5]),
        "s": pa.array(["ab", None, "B c", " x "]),
        "p": pa.array([True, False, None, True]),
        "q": pa.array([None, None, None, False]),
        "d": pa.array([date(2020, 2, 29), date(1969, 12, 31), None, date(2021, 1, 1)]),
        "t": pa.array([1_583_020_799 * 10**9 + 5, 0, None, -1], pa.timestamp("ns")),
        "z": pa.array([1_583_020_799 * 10**9, 0, None, 1_593_600_000 * 10**9]).cast(
            pa.timestamp("ns", "America/New_York")
        ),
    }
)


def values(text: str, table: pa.Table = TABLE) -> list[object]:
    """By Arrow, and the same by numpy."""
    schema = {name: known_type(table.schema.field(name).type) for name in table.column_names}
    checked = check(text, schema)
    array = on_arrow.evaluate(checked, table)
    assert array.type == arrow_type(checked.type)
    by_numpy = on_numpy.evaluate(checked, to_columns(table), table.num_rows)
    same(to_columns(pa.table({"": array}))[""], by_numpy)
    return array.to_pylist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Arithmetic.
        ("n + 1", [2, -6, None, 5]),
        ("n / 2", [0.5, -3.5, None, 2.0]),
        ("n % 3", [1, -1, None, 1]),
        ("n / 0", [None] * 4),
        ("n % 0", [None] * 4),
        ("-x", [-0.5, 1.5, None, -2.5]),
        ("1e308 * 10 * n", [None] * 4),
        ("9007199254740991 + n", [None, 2**53 - 8, None, None]),
        ("n * 1.5", [1.5, -10.5, None, 6.0]),
        # Functions of numbers.
        ("round(x)", [1, -2, None, 3]),
        ("round(0.49999999999999994)", [0] * 4),
        ("round(x * 1.11, 1)", [0.6, -1.7, None, 2.8]),
        ("round(n * 11, -1)", [10, -80, None, 40]),
        ("round(x * 1e15, 5)", [0.5e15, -1.5e15, None, 2.5e15]),
        ("ceil(x)", [1, -1, None, 3]),
        ("floor(x)", [0, -2, None, 2]),
        ("abs(n)", [1, 7, None, 4]),
        ("sign(x)", [1, -1, None, 1]),
        ("sqrt(n)", [1.0, None, None, 2.0]),
        ("ln(n - 1)", [None, None, None, np.log(3)]),
        ("power(n, 2)", [1.0, 49.0, None, 16.0]),
        ("exp(n * 1000)", [None, 0.0, None, None]),
        ("least(n, x)", [0.5, -7.0, None, 2.5]),
        ("greatest(n, null, 2)", [2, 2, 2, 4]),
        (
            "least(d, '2000-01-01')",
            [date(2000, 1, 1), date(1969, 12, 31), date(2000, 1, 1), date(2000, 1, 1)],
        ),
        # SQL's null logic.
        ("p and q", [None, False, None, False]),
        ("p or q", [True, None, None, True]),
        ("not p", [False, True, None, False]),
        ("n = 1", [True, False, None, False]),
        ("n <> 1", [False, True, None, True]),
        ("n is null", [False, False, True, False]),
        ("n is not null", [True, True, False, True]),
        ("p is true", [True, False, False, True]),
        ("p is not false", [True, False, True, True]),
        ("n in (1, 4)", [True, False, None, True]),
        ("n in (1, null)", [True, None, None, None]),
        ("n not in (1, null)", [False, None, None, None]),
        ("s in ('ab', null)", [True, None, None, None]),
        ("n between -7 and 1", [True, True, None, False]),
        ("n between x and 9", [True, False, None, True]),
        ("n not between 2 and x + 100", [True, True, None, False]),
        ("false and q", [False] * 4),
        ("coalesce(n, x, 0)", [1.0, -7.0, 0.0, 4.0]),
        ("nullif(n, 4)", [1, -7, None, None]),
        ("nullif(s, 'ab')", [None, None, "B c", " x "]),
        # Case.
        ("case when n > 0 then 'up' when n < 0 then 'down' end", ["up", "down", None, "up"]),
        ("case when p then n else x end", [1.0, -1.5, None, 4.0]),
        ("case n when 1 then s when -7 then 'seven' else '?' end", ["ab", "seven", "?", "?"]),
        ("case s when 'ab' then 1 else 0 end", [1, 0, 0, 0]),
        ("case d when '2020-02-29' then 'leap' end", ["leap", None, None, None]),
        # Text.
        ("s || '-' || s", ["ab-ab", None, "B c-B c", " x - x "]),
        ("upper(s)", ["AB", None, "B C", " X "]),
        ("lower(trim(s)) = 'x'", [False, None, False, True]),
        ("length(s)", [2, None, 3, 3]),
        ("starts_with(s, 'a')", [True, None, False, False]),
        ("ends_with(s, 'c')", [False, None, True, False]),
        ("contains(s, ' ')", [False, None, True, True]),
        ("replace(s, ' ', '')", ["ab", None, "Bc", "x"]),
        ("substring(s, 2)", ["b", None, " c", "x "]),
        ("substring(s, 1, 1)", ["a", None, "B", " "]),
        ("substring(s, 0, 2)", ["a", None, "B", " "]),
        ("substring(s, 2, -1)", ["", None, "", ""]),
        ("s < 'a'", [False, None, True, True]),
        ("s >= s", [True, None, True, True]),
        # Dates and moments.
        ("d > '2020-01-01'", [True, False, None, True]),
        ("t >= '2020-02-29T23:59:59.000000005'", [True, False, None, False]),
        ("z = '2020-02-29T18:59:59'", [True, False, None, False]),
        ("z = '2020-02-29T23:59:59Z'", [True, False, None, False]),
        ("z = '2020-03-01 00:59:59+01:00'", [True, False, None, False]),
        ("year(d) * 10000 + month(d) * 100 + day(d)", [20200229, 19691231, None, 20210101]),
        ("day_of_year(d)", [60, 365, None, 1]),
        ("quarter(d)", [1, 4, None, 1]),
        ("weekday(d)", [5, 2, None, 4]),
        ("hour(t) * 10000 + minute(t) * 100 + second(t)", [235959, 0, None, 235959]),
        ("hour(z)", [18, 19, None, 6]),
        ("hour(local(z, 'Asia/Kolkata'))", [5, 5, None, 16]),
        ("date(z)", [date(2020, 2, 29), date(1969, 12, 31), None, date(2020, 7, 1)]),
        ("date(t)", [date(2020, 2, 29), date(1970, 1, 1), None, date(1969, 12, 31)]),
        ("date(local(z, 'UTC')) = date(t)", [True, True, None, False]),
        # Constants.
        ("1", [1] * 4),
        ("'it''s'", ["it's"] * 4),
        ("true", [True] * 4),
    ],
)
def test_an_expression_gives_what_a_reader_expects(text: str, expected: list[object]) -> None:
    assert values(text) == expected


def test_date_parts_in_a_zone_are_those_of_pandas() -> None:
    table = table_of(200, seed=4)
    moments = table["w"].to_pandas()
    same_names = ("year", "quarter", "month", "day", "hour", "minute", "second", "day_of_year")
    names = {**{name: name for name in same_names}, "weekday": "day_of_week"}
    for name, of_pandas in names.items():
        expected = getattr(moments.dt, of_pandas)
        assert values(f"{name}(w)", table) == [None if pd.isna(e) else e for e in expected]


def test_an_empty_table_has_empty_results() -> None:
    for text in ("n + 1", "s || 'x'", "upper(s)", "d > '2020-01-01'", "local(z, 'UTC')", "s = s"):
        assert values(text, TABLE.slice(0, 0)) == []


def test_text_may_come_as_a_dictionary_or_all_missing() -> None:
    table = pa.table(
        {
            "s": TABLE["s"].combine_chunks().dictionary_encode(),
            "large": TABLE["s"].cast(pa.large_string()),
            "none": pa.nulls(4),
        }
    )
    assert values("s || large", table) == ["abab", None, "B cB c", " x  x "]
    assert values("none = 'a' or s = 'ab'", table) == [True, None, None, None]
    assert values("coalesce(none, s)", table) == ["ab", None, "B c", " x "]


def test_what_is_not_finite_in_a_table_is_missing() -> None:
    table = pa.table({"x": [1.0, float("nan"), float("inf"), None]})
    assert values("x is null", table) == [False, True, True, True]
    assert values("x", table) == [1.0, None, None, None]


def test_integers_beyond_a_floats_reach_are_rounded() -> None:
    table = pa.table({"n": [2**60 + 1, 2**63 - 1, -(2**63)]})
    assert values("n", table) == [2**60, 2**63 - 1, -(2**63)]
    assert values("n > 0", table) == [True, True, False]


def test_an_integer_written_out_beyond_a_floats_reach_is_rounded() -> None:
    assert values("n < 9007199254740993") == [True, True, None, True]
    assert values("coalesce(n, 9007199254740993)") == [1, -7, 2**53, 4]
    assert values("x in (0.5, 9223372036854775807)") == [True, False, None, False]


def test_evaluating_by_numpy_needs_numpy_alone() -> None:
    code = """
import sys
absent = ("pyarrow", "pandas", "pydantic", "dask", "distributed", "sqlglot")
sys.modules.update(dict.fromkeys(absent))
import numpy as np
from lepton_dask.data.columns import NumberColumn
from lepton_dask.data.expressions.check import check
from lepton_dask.data.expressions.on_numpy import evaluate
from lepton_dask.data.expressions.ordering import Ordering
from lepton_dask.data.types import ColumnType
n = NumberColumn(np.arange(3.0), np.zeros(3, dtype=bool))
integer = ColumnType("integer")
checked = check("lag(n, 1) + 1", {"n": integer}, windows="backward", order=integer)
print(evaluate(checked, {"n": n}, 3, Ordering.of(n, None)).values[1:])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[1. 2.]\n"
