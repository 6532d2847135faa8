"""Exact removal of duplicate rows across chunks, the first in the order of the rows kept.

Keys are dealt into buckets by their own bits, so that comparing all rows with all rows falls
into tasks that hold one bucket each:

    row_keys          a chunk   (N, 2) keys                                     (in hashing.py)
    bucket_of_keys    a chunk   the positions and keys that fall into one bucket
    later_duplicates  a bucket  of all chunks in order: the positions, by chunk, that repeat a row
    without_rows      a chunk   the rows that are left
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lepton_dask.data.chunks import RowNumbers
from lepton_dask.data.mixing import Hashes

Positions = NDArray[np.int64]


class BucketOfKeys(NamedTuple):
    """Positions of rows in their chunk, ascending, and their keys."""

    positions: Positions
    keys: Hashes


def bucket_of_keys(keys: Hashes, bucket: int, buckets: int) -> BucketOfKeys:
    """What of a chunk's keys falls into one of the buckets."""
    positions = np.flatnonzero(keys[:, 0] % np.uint64(buckets) == bucket)
    return BucketOfKeys(positions, keys[positions])


def later_duplicates(chunks: Sequence[BucketOfKeys]) -> tuple[Positions, ...]:
    """For every chunk the positions of the rows whose key a row before has, in the chunks' order.

    The chunks are those of one part, and stand in the order of the table.
    """
    keys = np.concatenate([chunk.keys for chunk in chunks])
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # stable: equal keys stay in the table's order
    ordered = keys[order]
    repeats = np.zeros(len(keys), bool)
    repeats[order[1:]] = (ordered[1:] == ordered[:-1]).all(axis=1)
    borders = np.cumsum([len(chunk.positions) for chunk in chunks])[:-1]
    return tuple(
        chunk.positions[repeated]
        for chunk, repeated in zip(chunks, np.split(repeats, borders), strict=True)
    )


def without_rows(
    table: pa.Table, row_numbers: RowNumbers, positions: Iterable[Positions]
) -> tuple[pa.Table, RowNumbers]:
    """A chunk without the rows at the given positions (one array a bucket)."""
    keep = np.ones(table.num_rows, bool)
    for some in positions:
        keep[some] = False
    return table.filter(pa.array(keep)), row_numbers[keep]
