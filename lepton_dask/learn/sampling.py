"""A fixed subset of a chunk's rows, for fits that are only to start others well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lepton_dask.matrix import Block, Layout, Sparse

MOST_BYTES = 64e6
"""Of a sample: it travels to one worker, which holds it beside its chunks."""


def sample_share(wanted: int, rows: int, layout: Layout) -> float:
    """Of `rows` rows, how many a sample of `wanted` has: all of those, or as many as MOST_BYTES
    hold (without what texts were hashed to)."""
    return min(1.0, min(wanted, MOST_BYTES / layout.row_bytes) / max(1, rows))


def sample(block: Block, chunk: int, share: float) -> Block:
    """About `share` of a chunk's rows: one from each run of 1 / share rows, at a place that is
    random, so that no period of the table's shows, and that the chunk's number decides."""
    n, step = len(block.target), 1.0 / share
    starts = np.arange(0.0, n, step)
    places = starts + np.random.default_rng(chunk).random(len(starts)) * step
    return rows_of(block, places[places < n].astype(np.int64))


def rows_of(block: Block, rows: NDArray[np.int64]) -> Block:
    """The block's rows of these numbers."""
    sparse = None if block.sparse is None else _rows(block.sparse, rows)
    return Block(
        block.dense[rows], block.codes[rows], block.target[rows], block.weight[rows], sparse
    )


def concatenated(blocks: Sequence[Block]) -> Block:
    """The rows of all blocks as one block."""
    return Block(
        np.concatenate([block.dense for block in blocks]),
        np.concatenate([block.codes for block in blocks]),
        np.concatenate([block.target for block in blocks]),
        np.concatenate([block.weight for block in blocks]),
        _joined([block.sparse for block in blocks]),
    )


def _rows(sparse: Sparse, rows: NDArray[np.int64]) -> Sparse:
    counts = np.diff(sparse.starts)[rows]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    places = np.arange(starts[-1]) + np.repeat(sparse.starts[rows] - starts[:-1], counts)
    return Sparse(starts, sparse.columns[places], sparse.values[places])


def _joined(parts: Sequence[Sparse | None]) -> Sparse | None:
    present = [part for part in parts if part is not None]
    if not present:
        return None
    counts = np.concatenate([np.diff(part.starts) for part in present])
    return Sparse(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([part.columns for part in present]),
        np.concatenate([part.values for part in present]),
    )
