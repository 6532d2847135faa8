"""New columns by a function of the user's own."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lepton_dask.data.declared import Timestamp
from lepton_dask.data.derive import Derive, check_derive
from lepton_dask.data.python_function import derive_chunk, load_function
from lepton_dask.data.types import ColumnType
from lepton_dask.errors import RunError, UserError

AT = ("steps", "ratios", "derive")
TABLE = pa.table({"a": [1, 2, None], "s": ["x", "y", "z"]})
NUMBERS = np.array([5, 6, 9])


def derived(function: Callable[[pd.DataFrame], object], **outputs: object) -> pa.Table:
    derive = Derive.model_validate({"python": "my.features:add", "outputs": outputs})
    return derive_chunk(derive, function, TABLE, NUMBERS)  # type: ignore[arg-type]  # on purpose


def failure(function: Callable[[pd.DataFrame], object], **outputs: object) -> str:
    with pytest.raises(RunError) as error:
        derived(function, **outputs)
    return str(error.value)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_declared_columns_follow_the_old_ones():
    table = derived(lambda f: f.assign(double=f["a"] * 2, more=1), double="number")
    assert table.column_names == ["a", "s", "double"]
    assert table["double"].to_pylist() == [2.0, 4.0, None]
    assert table["double"].type == pa.float64()


def test_the_function_sees_row_numbers_as_the_index():
    table = derived(lambda f: pd.DataFrame({"n": f.index}, index=f.index), n="integer")
    assert table["n"].to_pylist() == [5, 6, 9]


def test_plain_numpy_columns_are_taken_and_nan_is_missing():
    table = derived(lambda _: pd.DataFrame({"n": np.array([1.0, np.nan, np.inf])}), n="number")
    assert table["n"].to_pylist() == [1.0, None, None]


def test_text_is_read_by_a_declared_format():
    table = derived(
        lambda _: pd.DataFrame({"t": ["2013", "2014", "2015"]}), t=Timestamp(timestamp="%Y")
    )
    assert [moment.year for moment in table["t"].to_pylist()] == [2013, 2014, 2015]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda f: f["nope"], "'my.features:add' failed: KeyError: 'nope'"),
        (lambda _: None, "returned NoneType, not a DataFrame"),
        (lambda f: f.head(2), "was given 3 rows and returned 2"),
        (lambda f: f.assign(n=1)[::-1], "returned the rows in another order"),
        (lambda f: f.assign(m=1), "returned no column 'n'"),
        (lambda f: f.assign(n="x"), "returned 'x' in column 'n', which is not an integer"),
        (lambda f: f.assign(n=1.5), "returned 1.5 in column 'n', which is not an integer"),
        (lambda f: f.assign(n=[[1], [2], [3]]), "column 'n' that is not an integer"),
    ],
)
def test_what_the_function_does_wrong_is_said_in_one_line(
    function: Callable[[pd.DataFrame], object], message: str
):
    assert message in failure(function, n="integer")


def test_outputs_must_be_declared_and_new():
    schema = {"a": ColumnType("integer")}
    _, after, mistakes = check_derive(
        Derive(python="m:f", outputs={"a": "number", "b": "text"}), schema, AT
    )
    assert after["b"] == ColumnType("text")
    (mistake,) = mistakes
    assert str(mistake).startswith("a: there is a column 'a' already; give the new one another")
    assert "are not declared" in str(check_derive(Derive(python="m:f"), schema, AT).mistakes[0])


def test_a_function_is_imported_from_the_project(project: Path):
    (project / "features_of_mine.py").write_text("def add_ratio(frame):\n    return frame\n")
    derive = Derive(python="features_of_mine:add_ratio", outputs={"n": "number"})
    assert load_function(derive, project, AT)("same") == "same"  # type: ignore[arg-type]  # any


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no_such_module:f", "python: there is no module 'no_such_module'"),
        ("broken_module:f", "'broken_module' fails when it is imported: ZeroDivisionError"),
        ("good_module:add_ratoi", "has no function 'add_ratoi'; did you mean 'add_ratio'?"),
    ],
)
def test_what_cannot_be_imported_is_refused(project: Path, reference: str, message: str):
    (project / "broken_module.py").write_text("1 / 0\n")
    (project / "good_module.py").write_text("def add_ratio(frame):\n    return frame\n")
    with pytest.raises(UserError, match=re.escape(message)):
        load_function(Derive(python=reference), project, AT)


def test_an_unknown_order_is_told_once_and_not_again_for_each_window():
    columns = {"before": "lag(a, 1)", "hour_before": "lag(a, '1h')"}
    derive = Derive(columns=columns, order="nothing")
    schema = {"a": ColumnType("integer")}
    (mistake,) = check_derive(derive, schema, AT).mistakes
    assert mistake.path == (*AT, "order")
    assert "unknown column 'nothing'" in mistake.found
