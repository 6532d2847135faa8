"""Some columns of a design matrix: what a training learns from that leaves others aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.learn.stored import Shard, StoredShard, make_shard, store_block
from lepton_dask.learn.sweeps import Shards
from lepton_dask.matrix import Block, Layout, Sparse


class Span(NamedTuple):
    """Sparse columns from `start` on, before `stop`: those of one text."""

    start: int
    stop: int


@dataclass(frozen=True)
class Chosen:
    """Dense and code columns by number, sparse ones in spans; each ascending."""

    dense: tuple[int, ...]
    codes: tuple[int, ...]
    sparse: tuple[Span, ...] = ()

    def of_layout(self, layout: Layout) -> Layout:
        levels = tuple(layout.levels[q] for q in self.codes)
        return Layout(len(self.dense), levels, sum(stop - start for start, stop in self.sparse))

    def of_block(self, block: Block) -> Block:
        sparse = None if block.sparse is None or not self.sparse else self._of_sparse(block.sparse)
        dense: Any = np.ascontiguousarray(block.dense[:, list(self.dense)])
        codes: Any = np.ascontiguousarray(block.codes[:, list(self.codes)])
        return block._replace(dense=dense, codes=codes, sparse=sparse)

    def _of_sparse(self, sparse: Sparse) -> Sparse:
        kept = np.zeros(len(sparse.columns), dtype=np.bool_)
        moved = np.zeros(len(sparse.columns), dtype=np.int32)
        first = 0
        for start, stop in self.sparse:
            inside = (sparse.columns >= start) & (sparse.columns < stop)
            kept |= inside
            moved[inside] = sparse.columns[inside] - start + first
            first += stop - start
        before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
        return Sparse(before[sparse.starts], moved[kept], sparse.values[kept])


def with_columns(
    dispatch: Dispatch, shards: Shards, chosen: Chosen, features: Sequence[str]
) -> Shards:
    """The shards with these columns alone, where the others lie; `features` name what their
    coefficients are of."""
    tasks = [(shard, chosen) for shard in shards.futures]
    futures = dispatch.starmap("columns", _of_shard, tasks, shards.workers)
    dispatch.wait(futures)
    return replace(
        shards,
        futures=tuple(futures),
        layout=chosen.of_layout(shards.layout),
        features=tuple(features),
    )


def _of_shard(shard: Shard, chosen: Chosen) -> Shard:
    if isinstance(shard, StoredShard):
        # A block is good until the next one is asked for: each goes to the disk before that.
        return make_shard([store_block(chosen.of_block(block)) for block in shard])
    return tuple(chosen.of_block(block) for block in shard)
