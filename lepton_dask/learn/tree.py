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
from typing import Any, NamedTuple, TypeVar

import numpy as np

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
    nodes = [
        (node, _of_stack(stack, i))
        for numbers, stack in zip(chunks, shards, strict=True)
        for i, node in enumerate(whole_nodes(numbers))
    ]
    return _root(sorted(nodes, key=lambda each: each[0].first_chunk))


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


def _of_stack(stack: SumsT, i: int) -> SumsT:
    entries = [None if column is None else column[i] for column in stack]
    return _like(stack, [e.item() if isinstance(e, np.generic) else e for e in entries])


def _like(sums: SumsT, entries: list[Any]) -> SumsT:
    return type(sums)(*entries)
