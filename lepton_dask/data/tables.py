"""The rows of a chunk as they lie on a worker, and as a user's function takes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from lepton_dask.data.arrow_types import arrow_type
from lepton_dask.data.chunks import RowNumbers
from lepton_dask.data.quarantine import NOTHING, Quarantined
from lepton_dask.data.types import Schema


class Partition(NamedTuple):
    """Rows of one chunk: Arrow columns, and each row's number in its file.

    Text columns may be dictionary-encoded, as the reader made them: whoever looks at distinct texts
    alone takes `table`, everyone else `plain()`. `quarantined` is what the reading set aside.

    It is a tuple because Dask measures what is in one, and sends its buffers without a copy.
    """

    table: pa.Table
    row_numbers: RowNumbers
    quarantined: Quarantined = NOTHING

    def plain(self) -> tuple[pa.Table, RowNumbers]:
        """The columns without dictionaries, and the rows' numbers."""
        return plain_table(self.table), self.row_numbers


def plain_table(table: pa.Table) -> pa.Table:
    """A table whose texts are plain strings."""
    arrays = [
        pa.chunked_array([chunk.dictionary_decode() for chunk in column.chunks], pa.string())
        if pa.types.is_dictionary(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(arrays, names=table.column_names)


def empty_partition(schema: Schema) -> Partition:
    """No rows, in columns of a schema."""
    table = pa.table({name: pa.nulls(0, arrow_type(type_)) for name, type_ in schema.items()})
    return Partition(table, np.empty(0, np.int64))


def to_frame(table: pa.Table, row_numbers: RowNumbers) -> pd.DataFrame:
    """A pandas frame of Arrow columns without a copy, with the rows' numbers as index."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    frame.index = pd.Index(row_numbers, dtype=np.int64)
    return frame
