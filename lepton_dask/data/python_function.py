"""A function of the user's own on each chunk: `python: package.module:function`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from lepton_dask.data.arrow_types import UnsupportedType, declared_format, declared_type
from lepton_dask.data.chunks import RowNumbers
from lepton_dask.data.convert import convert
from lepton_dask.data.declared import DeclaredType
from lepton_dask.data.derive import Derive
from lepton_dask.data.tables import to_frame
from lepton_dask.data.types import described
from lepton_dask.errors import DocumentPath, Mistake, RunError, UserError
from lepton_dask.suggest import did_you_mean

ChunkFunction = Callable[[pd.DataFrame], pd.DataFrame]


def load_function(derive: Derive, folder: Path, at: DocumentPath) -> ChunkFunction:
    """The function that `python:` names, imported as Python would from the project's folder.

    Raises UserError where the module or the function is not there, or the module fails.
    """
    reference = derive.python or ""
    module_name, _, function_name = reference.partition(":")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
    where = (*at, "python")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        fix = f"looked in {folder} and where Python looks"
        found = f"there is no module '{error.name}'"
        raise UserError([Mistake(where, found, fix)]) from error
    except Exception as error:  # whatever the user's module does when it is imported
        found = f"module '{module_name}' fails when it is imported: {_first_line(error)}"
        raise UserError([Mistake(where, found)]) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        own = [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]
        found = f"module '{module_name}' has no function '{function_name}'"
        raise UserError([Mistake(where, found, did_you_mean(function_name, own))])
    loaded: ChunkFunction = function
    return loaded


def derive_chunk(
    derive: Derive, function: ChunkFunction, table: pa.Table, row_numbers: RowNumbers
) -> pa.Table:
    """A chunk with the new columns behind the old ones.

    NaN and infinities in a new column are missing. Raises RunError where the function fails or does
    not return what it should.
    """
    name = derive.python or ""
    frame = to_frame(table, row_numbers)
    try:
        returned = function(frame)
    except Exception as error:  # whatever the user's function does
        raise RunError(f"'{name}' failed: {_first_line(error)}") from error
    _check_rows(name, returned, row_numbers)
    for output, declared in derive.outputs.items():
        if output not in returned.columns:
            raise RunError(
                f"'{name}' returned no column '{output}'",
                fix=did_you_mean(output, [str(column) for column in returned.columns]),
            )
        column = _converted(name, output, returned[output], declared)
        table = table.append_column(output, column)
    return table


def _check_rows(name: str, returned: object, row_numbers: RowNumbers) -> None:
    if not isinstance(returned, pd.DataFrame):
        raise RunError(f"'{name}' returned {type(returned).__name__}, not a DataFrame")
    rows = len(row_numbers)
    if len(returned) != rows:
        raise RunError(f"'{name}' was given {rows:,} rows and returned {len(returned):,}")
    index = returned.index
    if not (index.equals(pd.RangeIndex(rows)) or np.array_equal(index.to_numpy(), row_numbers)):
        raise RunError(
            f"'{name}' returned the rows in another order", fix="keep the index that it was given"
        )


def _converted(
    name: str, output: str, values: pd.Series[Any], declared: DeclaredType
) -> pa.ChunkedArray:
    wanted = declared_type(declared)
    try:
        found = pa.Table.from_pandas(values.to_frame("v"), preserve_index=False)["v"]
        array, bad = convert(found, wanted, declared_format(declared))
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnsupportedType) as error:
        raise RunError(
            f"'{name}' returned a column '{output}' that is not {described(wanted)}: "
            f"{_first_line(error)}"
        ) from error
    unfit = [int(i) for i in bad if not _is_not_finite(found[int(i)].as_py())]
    if unfit:
        raise RunError(
            f"'{name}' returned {found[unfit[0]].as_py()!r} in column '{output}', "
            f"which is not {described(wanted)}"
        )
    return pa.chunked_array([array])


def _is_not_finite(value: object) -> bool:
    return isinstance(value, float) and not np.isfinite(value)


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
