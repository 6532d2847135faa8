"""What a derive step holds on to while it runs; its columns are tested in test_derived_steps."""

from __future__ import annotations

import gc

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from lazy_dispatch import LazyDispatch, Task

from lepton_dask.data.expressions.check import check
from lepton_dask.data.read import Read
from lepton_dask.data.tables import Partition
from lepton_dask.data.types import ColumnType
from lepton_dask.run.deriving import evaluate_columns
from lepton_dask.run.values import Origin, PartTable, TableValue
from lepton_dask.run.work import Work

SCHEMA = {"t": ColumnType("integer"), "x": ColumnType("number")}
PARTS = ("train", "validation", "test")


def chunk(order: list[int]) -> Partition:
    rows = pa.table({"t": pa.array(order), "x": pa.array([float(t) for t in order])})
    return Partition(rows, np.arange(len(order)))


@pytest.mark.parametrize("in_order", [True, False])
def test_what_windows_take_is_held_until_they_have_looked(
    in_order: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lepton_dask.run.deriving.most_bytes_at_once", lambda _: float("inf"))
    dispatch = LazyDispatch()
    work = Work("lags", ("steps", "lags", "derive"), 0, dispatch, emit=lambda _: None)
    first, second = ([1, 2, 3], [4, 5]) if in_order else ([2, 1, 3], [5, 4])
    orders = [[10 * i + t for t in part] for i in range(len(PARTS)) for part in (first, second)]
    chunks = [Task(chunk, [order]) for order in orders]
    parts = {
        name: PartTable(tuple(chunks[2 * i : 2 * i + 2]), (), (3, 2), SCHEMA)
        for i, name in enumerate(PARTS)
    }
    table = TableValue(parts, SCHEMA, Origin(Read(path="x.csv"), SCHEMA))
    lag = check("lag(x, 2)", SCHEMA, windows="backward", order=SCHEMA["t"])
    evaluated = evaluate_columns(work, {"lag": lag}, table, "t", None, at=())
    gc.collect()
    last = evaluated.history.result()
    assert last["t"].to_pylist() == [orders[-1][-2], orders[-1][-1]]
    for part in evaluated.table.parts.values():
        lags = {}
        for each in part.partitions:
            made = each.result().table
            lags |= dict(zip(made["t"].to_pylist(), made["lag"].to_pylist(), strict=True))
        ordered = [lags[t] for t in sorted(lags)]
        assert pd.isna(ordered[:2]).all()
        assert ordered[2:] == [float(t) for t in sorted(lags)[:-2]]
