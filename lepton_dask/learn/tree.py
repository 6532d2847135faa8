"""Sums over chunks along one tree, whoever holds which chunks.

A floating-point sum depends on where its brackets stand. Here they stand as in a binary tree over
the chunks' numbers: node (level, place) adds up the chunks from place 2^level on, 2^level of them,
as the sum of its two halves. A shard adds up what of the tree is whole in it and brings that home,
log2(chunks) sums where its chunks are neighbours, instead of one for each chunk; what is left is
added here. The bits are those of the tree, wherever the chunks lie.

Errors grow with the logarithm of the number of chunks (Higham, Accuracy and Stability of Numerical
Algorithms, section 4.2, pairwise summation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

AT_ONCE_BYTES = 1 << 23
"""Sums of fewer bytes are added a level at a time: of 256 chunks that lie by turns on two workers,
one by one took 1.5 ms. Larger ones would be held twice for nothing."""

SumsT = TypeVar("SumsT", bound=tuple[Any, ...])
"""A NamedTuple of numbers, arrays, None where there is nothing to add, and what tells itself, by a
method `joined`, how it and what comes after it are one."""


class Node(NamedTuple):
    """Chunks place 2^level to (place + 1) 2^level - 1. A chunk is (0, its number)."""

    level: int
    place: int

    @property
    def first_chunk(self) -> int:
        return self.place << self.level

    @property
    def parent(self) -> Node:
        return Node(self.level + 1, self.place >> 1)

    @property
    def left(self) -> Node | None:
        """The other half of the parent, if it is the one before."""
        return Node(self.level, self.place - 1) if self.place & 1 else None


def whole_nodes(chunks: Sequence[int]) -> list[Node]:
    """The nodes that chunks, in ascending order, add up to."""
    nodes: list[Node] = []
    for chunk in chunks:
        node = Node(0, chunk)
        while nodes and nodes[-1] == node.left:
            nodes.pop()
            node = node.parent
        nodes.append(node)
    return nodes


def added_to_nodes(nodes: Iterable[tuple[Node, SumsT]]) -> list[SumsT]:
    """The sums of what nodes add up to, the nodes in ascending order of their first chunk.

    Holds no more than a sum for each level and each gap at a time.
    """
    stack: list[tuple[Node, SumsT]] = []
    for each in nodes:
        node, sums = each
        while stack and stack[-1][0] == node.left:
            node, sums = node.parent, _plus(stack.pop()[1], sums)
        stack.append((node, sums))
    return [sums for _, sums in stack]


def added(chunks: Iterable[SumsT]) -> SumsT:
    """The sum of the sums of all chunks 0, 1, 2, ... Raises ValueError where there is none."""
    return _root((Node(0, number), sums) for number, sums in enumerate(chunks))


def added_shards(chunks: Sequence[Sequence[int]], shards: Sequence[SumsT]) -> SumsT:
    """The same from each shard's `stacked` sums of its `whole_nodes`; `chunks[s]` are in shard s,
    each chunk in one."""
    plan = _plan(tuple(tuple(numbers) for numbers in chunks))
    return _like(shards[0], [plan.added(column) for column in zip(*shards, strict=True)])


@dataclass(frozen=True)
class _Plan:
    """Where the brackets stand: the rows of all shards' stacks, one after the other, then those of
    each level's sums. `levels` hold the rows of the left and right halves that a level adds up,
    `tops` the rows of what is left, the first chunks first."""

    levels: tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...]
    tops: tuple[int, ...]

    def added(self, column: Sequence[Any]) -> Any:
        """The sum of an entry of the sums, from each shard's stack of it."""
        if column[0] is None:
            return None
        rows: Any
        arrays = isinstance(column[0], np.ndarray)
        if arrays and sum(stack.nbytes for stack in column) < AT_ONCE_BYTES:
            rows = np.concatenate(column)
            for left, right in self.levels:
                rows = np.concatenate([rows, rows[left] + rows[right]])
        else:
            rows = [each for stack in column for each in stack]
            for left, right in self.levels:
                rows += [_added(rows[i], rows[k]) for i, k in zip(left, right, strict=True)]
        total = rows[self.tops[-1]]
        for top in self.tops[-2::-1]:
            total = _added(rows[top], total)
        return total.item() if isinstance(total, np.generic) else total


@lru_cache(maxsize=64)
def _plan(chunks: tuple[tuple[int, ...], ...]) -> _Plan:
    """Raises ValueError where there is no chunk."""
    delivered = [node for numbers in chunks for node in whole_nodes(numbers)]
    if not delivered:
        raise ValueError("no chunks to add up")
    rows = {node: row for row, node in enumerate(delivered)}
    levels, tops, count = [], [], len(delivered)
    for level in range(max(node.place.bit_length() + node.level for node in delivered) + 1):
        present = sorted(node for node in rows if node.level == level)
        pairs = [(node.left, node) for node in present if node.left in rows]
        for number, (_, right) in enumerate(pairs):
            rows[right.parent] = count + number
        count += len(pairs)
        halves = np.array([[rows[left], rows[right]] for left, right in pairs if left], np.intp)
        if pairs:
            levels.append((halves[:, 0], halves[:, 1]))
        paired = {node for pair in pairs for node in pair}
        tops += [node for node in present if node not in paired]
    ordered = sorted(tops, key=lambda node: node.first_chunk)
    return _Plan(tuple(levels), tuple(rows[node] for node in ordered))


def stacked(sums: Sequence[SumsT]) -> SumsT:
    """Sums as one, an axis more in front of each entry: one array for a message, not many."""
    return _like(sums[0], [_stacked(column) for column in zip(*sums, strict=True)])


def _stacked(column: Sequence[Any]) -> Any:
    if column[0] is None:
        return None
    return list(column) if hasattr(column[0], "joined") else np.stack(column)


def _root(nodes: Iterable[tuple[Node, SumsT]]) -> SumsT:
    """What is left when the number of chunks is no power of two is added from the last on."""
    tops = added_to_nodes(nodes)
    if not tops:
        raise ValueError("no chunks to add up")
    *others, root = tops
    for sums in reversed(others):
        root = _plus(sums, root)
    return root


def _plus(one: SumsT, other: SumsT) -> SumsT:
    return _like(one, [_added(a, b) for a, b in zip(one, other, strict=True)])


def _added(one: Any, other: Any) -> Any:
    if one is None:
        return None
    return one.joined(other) if hasattr(one, "joined") else one + other


def _like(sums: SumsT, entries: list[Any]) -> SumsT:
    return type(sums)(*entries)
