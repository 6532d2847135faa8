"""Between Arrow tables and the pandas partitions of a Dask DataFrame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from lepton_dask.data.arrow_types import arrow_type
from lepton_dask.data.chunks import RowNumbers
from lepton_dask.data.types import Schema


def to_frame(table: pa.Table, row_numbers: RowNumbers) -> pd.DataFrame:
    """A partition: Arrow columns without a copy, and the rows' numbers in their file as index."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    frame.index = pd.Index(row_numbers, dtype=np.int64)
    return frame


def to_table(frame: pd.DataFrame) -> tuple[pa.Table, RowNumbers]:
    """The Arrow columns of a partition, without a copy, and the rows' numbers in their file."""
    arrays = [pa.chunked_array(pa.array(frame[name].array)) for name in frame.columns]
    table = pa.table(arrays, names=[str(name) for name in frame.columns])
    return table, frame.index.to_numpy(dtype=np.int64)


def empty_frame(schema: Schema) -> pd.DataFrame:
    """A partition without rows: Dask's `meta`."""
    table = pa.table({name: pa.nulls(0, arrow_type(type_)) for name, type_ in schema.items()})
    return to_frame(table, np.empty(0, np.int64))
