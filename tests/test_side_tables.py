"""Tables that leave with a model, and the columns that they are made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_bundle import model, pandas_frame

from lepton_dask.artifacts.bundle import load, save_bundle
from lepton_dask.artifacts.frames import InputColumn
from lepton_dask.artifacts.replay import Drop, PythonStep, Rename, leading_to
from lepton_dask.artifacts.side_table import SideTable
from lepton_dask.data.columns import (
    Column,
    MomentColumn,
    NumberColumn,
    TextColumn,
    concatenated,
    taken,
)
from lepton_dask.errors import UserError

COLUMNS = (
    InputColumn("seats", "integer"),
    InputColumn("maker", "text"),
    InputColumn("built", "timestamp", zone="UTC"),
)
ROWS: dict[str, Column] = {
    "seats": NumberColumn(np.array([180.0, 0.0]), np.array([False, True])),
    "maker": TextColumn(np.array([1, -1], np.int32), ("Élan", "BOEING")),
    "built": MomentColumn(np.array(["2004-01-02", "NaT"], "datetime64[ns]"), "UTC"),
}


def values(column: Column) -> list[object]:
    if isinstance(column, TextColumn):
        return [None if code < 0 else column.levels[code] for code in column.codes]
    return [
        None if missing else value
        for value, missing in zip(column.values.tolist(), column.missing, strict=True)
    ]


def test_a_table_that_travels_comes_back_as_it_was(tmp_path: Path) -> None:
    table = SideTable("planes", COLUMNS, ROWS)
    save_bundle(tmp_path, model(tables=(table,)))
    [loaded] = load(tmp_path).tables
    assert (loaded.name, loaded.columns) == ("planes", COLUMNS)
    assert loaded.rows is not None
    for name, column in ROWS.items():
        assert values(loaded.rows[name]) == values(column)
    assert loaded.rows["built"].zone == "UTC"


def test_a_table_that_was_changed_is_refused_like_the_rest_of_a_bundle(tmp_path: Path) -> None:
    save_bundle(tmp_path, model(tables=(SideTable("planes", COLUMNS, ROWS),)))
    (tmp_path / "tables" / "planes.npz").write_bytes(b"other")
    with pytest.raises(Exception, match=r"planes\.npz: the file is not the one that was written"):
        load(tmp_path)


def test_a_table_that_does_not_travel_is_asked_for_by_name(tmp_path: Path) -> None:
    save_bundle(tmp_path, model(tables=(SideTable("planes", COLUMNS, None),)))
    asking = load(tmp_path)
    with pytest.raises(UserError, match="planes: the model joins the table 'planes'"):
        asking.predict(pandas_frame())
    given = {"seats": [180], "maker": ["BOEING"], "built": [None]}
    with pytest.raises(UserError, match="plans: the model asks for no such table; did you mean"):
        asking.predict(pandas_frame(), {"planes": given, "plans": given})
    unread = {**given, "seats": ["many"]}
    with pytest.raises(UserError, match="planes: row 0: 'seats': 'many' cannot be read as integer"):
        asking.predict(pandas_frame(), {"planes": unread})
    assert asking.predict(pandas_frame(), {"planes": given}).tolist() == (
        replace(asking, tables=()).predict(pandas_frame()).tolist()
    )


def test_only_what_leads_to_the_needed_columns_is_played_again() -> None:
    steps = (
        Rename({"a": "b", "x": "y"}),
        PythonStep("f:g", (InputColumn("made", "number"),), ("b", "y", "label")),
        Rename({"label": "target"}),
    )
    led = leading_to(steps, frozenset({"b"}), "target")
    assert led.steps == (Rename({"a": "b"}),)
    assert led.start == {"a"}
    led = leading_to(steps, frozenset({"made"}), "target")
    assert led.steps == (Rename({"a": "b", "x": "y"}), steps[1])
    assert led.start == {"a", "x"}
    assert leading_to((Drop(("z",)),), frozenset({"b"}), None).start == {"b"}


@pytest.mark.parametrize("name", list(ROWS))
def test_rows_are_taken_and_put_behind_each_other(name: str) -> None:
    column = ROWS[name]
    picked = taken(column, np.array([1, 0, -1, 0]))
    first, second = values(column)
    assert values(picked) == [second, first, None, first]
    both = concatenated([picked, column])
    assert values(both) == [second, first, None, first, first, second]
    nobody = taken(column, np.empty(0, np.int64))
    assert len(nobody) == 0
    assert values(taken(nobody, np.array([-1, -1]))) == [None, None]


def test_texts_of_different_levels_get_one_list_of_them() -> None:
    both = concatenated(
        [
            TextColumn(np.array([0, -1], np.int32), ("a",)),
            TextColumn(np.array([1, 0], np.int32), ("a", "b")),
        ]
    )
    assert values(both) == ["a", None, "b", "a"]
    assert both.levels == ("a", "b")
