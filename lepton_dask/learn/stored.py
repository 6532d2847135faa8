"""Chunks of a design matrix that do not fit in memory: written once, read by every pass.

They are read with plain reads into a buffer that every pass uses again: the pages of a memory map
would count as the worker's memory and have Dask pause it. While a chunk is worked on the system is
asked for the next one, which then waits in pages that are nobody's.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lepton_dask.matrix import Block, Sparse
from lepton_dask.scratch import ScratchFile, refused_in_words, travels_by_name

ALIGNMENT = 64
"""Of each array in a file and in a buffer, in bytes: a cache line."""

Buffer = NDArray[np.uint8]


class _Array(NamedTuple):
    """Where a file holds an array."""

    offset: int
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class StoredBlock:
    """A Block in a scratch file: its arrays one after the other, each at a multiple of
    ALIGNMENT. `size` is the file's, in bytes."""

    file: ScratchFile
    arrays: tuple[_Array, ...]
    size: int

    @property
    def rows(self) -> int:
        return self.arrays[Block._fields.index("target")].shape[0]

    def ask_ahead(self) -> None:
        """Has the system begin to read the file, where it takes such a wish. Nobody waits."""
        if not hasattr(os, "posix_fadvise"):
            return
        with refused_in_words(self.file.path), self.file.path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, self.size, os.POSIX_FADV_WILLNEED)

    def read(self, buffer: Buffer | None = None) -> Block:
        """The block; dense, codes and sparse lie in `buffer`, if one of `size` bytes is given,
        until it is used for another."""
        if buffer is None:
            buffer = new_buffer(self.size)
        into = buffer[: self.size].data
        with refused_in_words(self.file.path), self.file.path.open("rb", buffering=0) as file:
            while into.nbytes:
                count = file.readinto(into)
                if not count:
                    raise OSError(f"{self.file.path.name} is shorter than it was written")
                into = into[count:]
        dense, codes, target, weight, *sparse = (_view(buffer, each) for each in self.arrays)
        # Predictions keep these two beyond the buffer's next use.
        return Block(
            dense, codes, target.copy(), weight.copy(), Sparse(*sparse) if sparse else None
        )


def store_block(block: Block) -> StoredBlock:
    """Writes a block into a scratch file of the worker whose task this is.

    Raises RunError where the disk is full.
    """
    file = ScratchFile.new(".block")
    columns = [block.dense, block.codes, block.target, block.weight, *(block.sparse or ())]
    arrays, offset = [], 0
    with refused_in_words(file.path), file.path.open("wb", buffering=0) as to:
        for column in map(np.ascontiguousarray, columns):
            arrays.append(_Array(offset, column.dtype.str, column.shape))
            _write(to, column.reshape(-1).view(np.uint8))
            padding = -column.nbytes % ALIGNMENT
            _write(to, np.zeros(padding, np.uint8))
            offset += column.nbytes + padding
    return StoredBlock(file, tuple(arrays), offset)


def _write(to: Any, values: Buffer) -> None:
    left = values.data
    while left.nbytes:
        left = left[to.write(left) :]


def new_buffer(size: int) -> Buffer:
    """Uninitialised bytes, the first at a multiple of ALIGNMENT."""
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + size]


def _view(buffer: Buffer, array: _Array) -> NDArray[Any]:
    dtype = np.dtype(array.dtype)
    count = int(np.prod(array.shape, dtype=np.int64))
    flat = buffer[array.offset : array.offset + count * dtype.itemsize].view(dtype)
    return flat.reshape(array.shape)


@dataclass(frozen=True, eq=False)
class StoredShard:
    """The chunks of one worker thread, on disk; to go through it is to read them, in order, each
    asked for while its predecessor is worked on.

    A block is good until the next one is asked for. The buffer, of the largest chunk's size, stays
    with the shard from pass to pass; passes side by side have one each. It is one and not two that
    take turns: of a worker of 533 MB the second took what was left until Dask pauses it.
    """

    blocks: tuple[StoredBlock, ...]
    _idle: deque[Buffer] = field(default_factory=deque, repr=False)

    def __len__(self) -> int:
        return len(self.blocks)

    def __iter__(self) -> Iterator[Block]:
        buffer = self._buffer()
        for number, stored in enumerate(self.blocks, start=1):
            block = stored.read(buffer)
            if number < len(self.blocks):
                self.blocks[number].ask_ahead()
            yield block
            del block
        self._idle.append(buffer)

    def __reduce__(self) -> tuple[type[StoredShard], tuple[tuple[StoredBlock, ...]]]:
        return StoredShard, (self.blocks,)

    def _buffer(self) -> Buffer:
        try:
            return self._idle.pop()
        except IndexError:
            return new_buffer(max((block.size for block in self.blocks), default=0))


travels_by_name(StoredBlock)
travels_by_name(StoredShard)

Shard = tuple[Block, ...] | StoredShard
"""The chunks of one worker thread, in their order."""


class HasBlock(Protocol):
    """What a preparing task yields: the block, beside what else it found."""

    @property
    def block(self) -> Block | StoredBlock: ...


def make_shard(chunks: Sequence[Block | StoredBlock | HasBlock]) -> Shard:
    """Of chunks that are all in memory, or all on disk."""
    blocks = [c if isinstance(c, Block | StoredBlock) else c.block for c in chunks]
    stored = tuple(block for block in blocks if isinstance(block, StoredBlock))
    if stored:
        return StoredShard(stored)
    return tuple(block for block in blocks if isinstance(block, Block))
