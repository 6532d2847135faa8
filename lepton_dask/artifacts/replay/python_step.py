"""A function of the user's own, called again."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_dask.artifacts.frames import InputColumn, ReadFrame, read_frame
from lepton_dask.artifacts.replay.base import Names, Played, ReplayStep, Tables
from lepton_dask.data.columns import Column, TextColumn
from lepton_dask.errors import RunError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PythonStep(ReplayStep):
    """`package.module:function`, called with the rows as a DataFrame of Arrow types, as it was in
    training; its `outputs` are added. It may look at any column, so it gets all that it `takes`.
    The function must be importable, and pandas and pyarrow there."""

    function: str
    outputs: tuple[InputColumn, ...]
    takes: tuple[str, ...] = ()

    def play(self, given: ReadFrame, tables: Tables) -> Played:
        module, _, name = self.function.partition(":")
        try:
            function = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise RunError(
                f"the model calls {self.function}, which is not here ({error})",
                fix="put the module on Python's path",
            ) from error
        made = read_frame(function(_arrow_frame(given)), self.outputs)
        if made.rows != given.rows:
            raise RunError(f"{self.function} made {made.rows} rows of {given.rows}")
        behind = ReadFrame(
            columns={**given.columns, **made.columns},
            kinds={**given.kinds, **made.kinds},
            problems={**given.problems, **made.problems},
            rows=given.rows,
        )
        return Played(behind, tables)

    def leading_to(self, needed: Names) -> PythonStep | None:
        return None if needed.isdisjoint(output.name for output in self.outputs) else self

    def before(self, needed: Names) -> Names:
        return (needed - {output.name for output in self.outputs}) | frozenset(self.takes)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> PythonStep:
        outputs = tuple(InputColumn(**output) for output in document["outputs"])
        return cls(document["function"], outputs, tuple(document.get("takes", ())))


def _arrow_frame(given: ReadFrame) -> pd.DataFrame:
    # Here and not above: a model without such a step predicts with numpy alone.
    import pandas as pd
    import pyarrow as pa

    arrow_types = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "text": pa.string(),
        "date": pa.date32(),
    }
    arrays = {}
    for name, type_ in given.schema.items():
        column = given.columns[name]
        wanted = arrow_types.get(type_.kind, pa.timestamp("ns", type_.zone))
        arrays[name] = pa.array(_values(column), mask=column.missing).cast(wanted)
    frame: pd.DataFrame = pa.table(arrays).to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def _values(column: Column) -> np.ndarray[Any, np.dtype[Any]]:
    if isinstance(column, TextColumn):
        # The code -1 of a missing text picks the last.
        return np.array([*column.levels, ""], dtype=object)[column.codes]
    return column.values
