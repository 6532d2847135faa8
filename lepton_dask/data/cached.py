"""Parsed chunks in local files, for tables that the workers' memory does not hold."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from lepton_dask.data.chunks import Chunk, ParsedChunk, RowNumbers
from lepton_dask.data.quarantine import Quarantined
from lepton_dask.data.read import Read
from lepton_dask.data.reading import conform_chunk, parse_chunk
from lepton_dask.data.tables import Partition
from lepton_dask.data.types import Schema


@dataclass(frozen=True)
class CachedPartition:
    """Stands for a `Partition` whose columns lie in an Arrow file on this machine.

    The file is mapped while it is looked at, so that a chunk takes memory as long as a task needs
    it. Where it is not (on another machine, or after its folder was cleared), the chunk is parsed
    again: what travels, and what Dask may spill, is a path and how to make the rows.
    """

    path: Path
    read: Read
    chunk: Chunk
    schema: Schema | None
    quarantined: Quarantined

    @property
    def table(self) -> pa.Table:
        return self.loaded().table

    @property
    def row_numbers(self) -> RowNumbers:
        return self.loaded().row_numbers

    def plain(self) -> tuple[pa.Table, RowNumbers]:
        return self.loaded().plain()

    def loaded(self) -> Partition:
        """The rows themselves."""
        try:
            with pa.memory_map(str(self.path)) as source:
                stored = pa.ipc.open_file(source).read_all()
        except (OSError, pa.ArrowInvalid):
            parsed = parse_chunk(self.read, self.chunk)
            if self.schema is not None:
                parsed = conform_chunk(self.read, parsed, self.schema)
            return Partition(parsed.table, parsed.row_numbers, self.quarantined)
        # The last column holds the rows' numbers, whatever the others are called.
        last = stored.num_columns - 1
        numbers = stored.column(last).to_numpy()
        return Partition(stored.remove_column(last), numbers, self.quarantined)


def cache(parsed: ParsedChunk, read: Read, schema: Schema | None, folder: Path) -> CachedPartition:
    """Writes a chunk into a file of its own; `schema` is what it was conformed to, if it was."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex}.arrow"
    numbers = pa.chunked_array([pa.array(parsed.row_numbers)])
    names = [*parsed.table.column_names, "row"]
    stored = pa.table([*parsed.table.columns, numbers], names=names).combine_chunks()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, stored.schema) as writer:
        writer.write_table(stored)
    return CachedPartition(path, read, parsed.chunk, schema, parsed.quarantined)
