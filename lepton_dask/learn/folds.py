"""Folds of the training rows: which rows a fit leaves out, to be scored on them.

A row's fold is drawn from the seed, its chunk's number and its place there, as the random split
draws parts: so it is the same for any number of workers, and for whatever columns are learnt from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.stored import Shard
from lepton_dask.matrix import Block

Numbers = NDArray[np.int8]
"""(n,): the fold of each row of a chunk."""


@dataclass(frozen=True)
class Fold:
    """The fold with this `number` of `of`: with `held_out` its rows alone, else all others."""

    number: int
    of: int
    seed: int
    held_out: bool = False

    def rows(self, chunk: int, rows: int) -> NDArray[np.bool_]:
        """(n,): which rows of a chunk these are."""
        mine = fold_numbers(self.seed, chunk, rows, self.of) == self.number
        return np.asarray(mine if self.held_out else ~mine)

    def of_block(self, block: Block, chunk: int) -> Block:
        """The block with no weight on the rows that are not these."""
        rows = self.rows(chunk, len(block.target))
        return block._replace(weight=np.where(rows, block.weight, 0.0))


@dataclass(frozen=True)
class FoldedShard:
    """A shard's blocks, with no weight on the rows outside a fold."""

    shard: Shard
    chunks: Sequence[int]
    fold: Fold

    def __len__(self) -> int:
        return len(self.shard)

    def __iter__(self) -> Iterator[Block]:
        for chunk, block in zip(self.chunks, self.shard, strict=True):
            yield self.fold.of_block(block, chunk)


def in_fold(
    shard: Shard, chunks: Sequence[int], fold: Fold, function: Callable[..., Any], *arguments: Any
) -> Any:
    """function(shard, chunks, *arguments) over a fold's rows."""
    return function(FoldedShard(shard, chunks, fold), chunks, *arguments)


@lru_cache(maxsize=1024)
def fold_numbers(seed: int, chunk: int, rows: int, of: int) -> Numbers:
    """The fold of each of a chunk's rows. Kept from pass to pass, a byte a row."""
    drawn = np.random.default_rng([seed, chunk]).integers(of, size=rows, dtype=np.int8)
    drawn.flags.writeable = False
    return drawn
