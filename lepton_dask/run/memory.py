"""How much of a worker's memory one thing may take."""

from __future__ import annotations

from collections.abc import Collection

from lepton_dask.data.content import SourceFile
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.matrix import Layout

SHARE = 0.25
"""Of the smallest worker's memory: what is held whole on one worker, beside its chunks, may take
this much."""

MATRIX_GROWTH = 1.5
BASE_BYTES = 400e6
"""What a worker takes at most while its share of a design matrix is made: MATRIX_GROWTH times that
share, and BASE_BYTES."""

SPILLS_AT = 0.7
"""Of its memory: where Dask has a worker write its results to disk, in its own way."""


COMPILER_BYTES = 100e6
COMPILER_SHARE = 0.1
"""A compiler and what it compiled take so much of a worker. Up to this share of its memory they may
lie beside the chunks that it prepares; else they wait until training needs them."""

TABLE_SHARE = 0.4
"""Of all workers' memory: a table whose parsed chunks are planned to take more goes to local files.
The rest is for the design matrix, which takes about as much again, and for the tasks."""

UNPACKED = 4
"""Bytes of text or of Arrow columns for a byte of a compressed file; text tables take 3 to 30."""


def most_bytes_at_once(dispatch: Dispatch) -> float:
    """The bytes that one worker may hold whole; infinite where no worker has a limit."""
    return SHARE * min(_limits(dispatch), default=float("inf"))


def matrix_fits(dispatch: Dispatch, rows: int, layout: Layout) -> bool:
    """Whether a design matrix of so many rows, in all of its parts, may stay in memory.

    Where not, its chunks go to the workers' disks (learn/stored.py), and a pass costs what reading
    them costs.
    """
    limits = _limits(dispatch)
    if not limits:
        return True
    most = max(0.0, SPILLS_AT * min(limits) - BASE_BYTES) / MATRIX_GROWTH
    return rows * layout.row_bytes <= most * len(limits)


def has_room_for_a_compiler(dispatch: Dispatch) -> bool:
    """Whether each worker may hold a compiler before it has to."""
    return COMPILER_SHARE * min(_limits(dispatch), default=float("inf")) >= COMPILER_BYTES


def is_too_large(dispatch: Dispatch, files: Collection[SourceFile]) -> bool:
    """Whether the parsed chunks of files are planned to take more than the workers may hold of
    them; never where a worker has no limit."""
    limits = _limits(dispatch)
    planned = sum(_planned_bytes(file) for file in files)
    return planned > TABLE_SHARE * sum(limits, start=0.0 if limits else float("inf"))


def _planned_bytes(file: SourceFile) -> int:
    """Text takes about as much as Arrow columns: digits more, repeated words much less."""
    packed = file.compression is not None or file.format == "parquet"
    return file.size_bytes * (UNPACKED if packed else 1)


def _limits(dispatch: Dispatch) -> list[float]:
    workers = dispatch.client.scheduler_info(n_workers=-1)["workers"].values()
    return [float(worker["memory_limit"]) for worker in workers if worker["memory_limit"]]
