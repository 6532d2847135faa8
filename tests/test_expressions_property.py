"""Arrow on chunks and numpy in the bundle give the same for any expression and any data."""

from __future__ import annotations

import pyarrow as pa
import pytest
from expression_trees import SCHEMA, expressions, same, tables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lepton_dask.data.arrow import to_columns
from lepton_dask.data.arrow_types import arrow_type
from lepton_dask.data.expressions import on_arrow, on_numpy
from lepton_dask.data.expressions.check import check
from lepton_dask.data.expressions.ordering import Ordering
from lepton_dask.data.types import ColumnType

KINDS = ("number", "text", "boolean", "date", "naive", "zoned")
MANY = settings(
    max_examples=80,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def both_agree(text: str, table: pa.Table, ordering: Ordering | None = None) -> None:
    checked = check(text, SCHEMA, windows="backward", order=ColumnType("timestamp"))
    by_arrow = on_arrow.evaluate(checked, table, ordering)
    assert by_arrow.type == arrow_type(checked.type)
    by_numpy = on_numpy.evaluate(checked, to_columns(table), table.num_rows, ordering)
    same(to_columns(pa.table({"": by_arrow}))[""], by_numpy)


@pytest.mark.parametrize("kind", KINDS)
@MANY
@given(data=st.data())
def test_both_evaluators_agree(kind: str, data: st.DataObject) -> None:
    both_agree(data.draw(expressions(kind)), data.draw(tables()))


@pytest.mark.parametrize("kind", ["number", "text", "boolean", "date"])
@MANY
@given(data=st.data())
def test_both_evaluators_agree_on_windows(kind: str, data: st.DataObject) -> None:
    table = data.draw(tables())
    columns = to_columns(table)
    group = data.draw(st.sampled_from([None, "s", "n", "d"]))
    ordering = Ordering.of(columns["t"], columns[group] if group else None)
    both_agree(data.draw(expressions(kind, windows=True)), table, ordering)
