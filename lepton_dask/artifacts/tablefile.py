"""Tables into files, chunk by chunk, in the format that the file's name says."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from lepton_dask.artifacts.commit import replacing
from lepton_dask.errors import Mistake, UserError

FORMATS = (".csv", ".parquet", ".jsonl")


def check_format(path: Path) -> None:
    """Raises UserError where a file's name says no format that can be written."""
    if path.suffix not in FORMATS:
        found = f"'{path.name}' says no format that can be written"
        raise UserError([Mistake((), found, f"end its name with {', '.join(FORMATS)}")])


class TableWriter:
    """Writes tables of one schema behind each other; the file appears whole, or not at all.

    CSV follows what `read` takes for missing: an empty unquoted field; an empty text is quoted.
    """

    def __init__(self, path: Path) -> None:
        check_format(path)
        self._path = path
        self._stack = ExitStack()
        self._write: Callable[[pa.Table], object] | None = None

    def __enter__(self) -> TableWriter:
        self._stream = self._stack.enter_context(replacing(self._path))
        return self

    def write(self, table: pa.Table) -> None:
        if self._write is None:
            self._write = self._opened(table.schema)
        self._write(table)

    def _opened(self, schema: pa.Schema) -> Callable[[pa.Table], object]:
        if self._path.suffix == ".jsonl":
            return lambda table: _write_lines(self._stream, table)
        if self._path.suffix == ".parquet":
            parquet = pa.parquet.ParquetWriter(
                self._stream, schema, compression="zstd", write_page_checksum=True
            )
            self._stack.enter_context(parquet)
            write: Callable[[pa.Table], object] = parquet.write_table
        else:
            write = self._stack.enter_context(pa.csv.CSVWriter(self._stream, schema)).write
        return write

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


def _write_lines(stream: IO[bytes], table: pa.Table) -> None:
    for row in table.to_pylist():
        stream.write(json.dumps(row, default=str, ensure_ascii=False).encode() + b"\n")
