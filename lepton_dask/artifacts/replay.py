"""The steps between a model's first `read` and its `prepare`, played again on rows to predict."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_dask.artifacts.frames import InputColumn, ReadFrame, read_frame
from lepton_dask.data.columns import Column, MomentColumn, TextColumn
from lepton_dask.errors import RunError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rename:
    """Columns under new names: old to new."""

    names: Mapping[str, str]

    def apply(self, given: ReadFrame) -> ReadFrame:
        return given._replace(
            columns={self.names.get(name, name): each for name, each in given.columns.items()},
            kinds={self.names.get(name, name): kind for name, kind in given.kinds.items()},
        )


@dataclass(frozen=True)
class Drop:
    """Columns that go; those that are not there were not needed."""

    names: tuple[str, ...]

    def apply(self, given: ReadFrame) -> ReadFrame:
        kept = [name for name in given.columns if name not in self.names]
        return given._replace(
            columns={name: given.columns[name] for name in kept},
            kinds={name: given.kinds[name] for name in kept},
        )


@dataclass(frozen=True)
class PythonStep:
    """`package.module:function`, called with the rows as a DataFrame of Arrow types, as it was in
    training; its `outputs` are added. The function must be importable, and pandas and pyarrow
    there."""

    function: str
    outputs: tuple[InputColumn, ...]

    def apply(self, given: ReadFrame) -> ReadFrame:
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
        return ReadFrame(
            columns={**given.columns, **made.columns},
            kinds={**given.kinds, **made.kinds},
            problems={**given.problems, **made.problems},
            rows=given.rows,
        )


ReplayStep = Rename | Drop | PythonStep


def replay_to_json(step: ReplayStep) -> dict[str, object]:
    verb = {Rename: "rename", Drop: "drop", PythonStep: "python"}[type(step)]
    return {"step": verb, **asdict(step)}


def replay_from_json(document: Mapping[str, Any]) -> ReplayStep:
    match document["step"]:
        case "rename":
            return Rename(document["names"])
        case "drop":
            return Drop(tuple(document["names"]))
        case "python":
            outputs = tuple(InputColumn(**output) for output in document["outputs"])
            return PythonStep(document["function"], outputs)
        case other:
            raise ValueError(f"unknown step {other!r}")


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
    for name, column in given.columns.items():
        zone = column.zone if isinstance(column, MomentColumn) else None
        wanted = arrow_types.get(given.kinds[name], pa.timestamp("ns", zone))
        arrays[name] = pa.array(_values(column), mask=column.missing).cast(wanted)
    frame: pd.DataFrame = pa.table(arrays).to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def _values(column: Column) -> np.ndarray[Any, np.dtype[Any]]:
    if isinstance(column, TextColumn):
        # The code -1 of a missing text picks the last.
        return np.array([*column.levels, ""], dtype=object)[column.codes]
    return column.values
