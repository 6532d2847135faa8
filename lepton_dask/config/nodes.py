"""A YAML document as a tree of nodes that know where they stand.

The tree is immutable: references, overrides, defaults and `extends` each make a new one. Its depth
is bounded (compose.MAX_DEPTH), so that what follows may recurse.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from lepton_dask.config.scalars import Scalar
from lepton_dask.errors import DocumentPath, Place

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")

Data = Scalar | dict[str, "Data"] | tuple["Data", ...]
"""What a document holds, without positions."""


@dataclass(frozen=True, eq=False)
class Source:
    """A text that nodes come from: a file under the name the user gave it, or `--set`."""

    file: str
    text: str

    @cached_property
    def lines(self) -> tuple[str, ...]:
        return tuple(_LINE_BREAK.split(self.text))

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        """Where each line starts in the text."""
        return (0, *(found.end() for found in _LINE_BREAK.finditer(self.text)))

    def index(self, mark: Mark) -> int:
        """The character of the text that a mark stands at."""
        return self._starts[mark.line - 1] + mark.column - 1

    def mark_at(self, index: int) -> Mark:
        """The line and column of a character of the text."""
        line = bisect_right(self._starts, index)
        return Mark(self, line, index - self._starts[line - 1] + 1)


@dataclass(frozen=True, eq=False)
class Mark:
    """A position in a source, counted from 1."""

    source: Source
    line: int
    column: int

    @property
    def place(self) -> Place:
        lines = self.source.lines
        text = lines[self.line - 1] if self.line <= len(lines) else ""
        return Place(self.source.file, self.line, self.column, text)


@dataclass(frozen=True, eq=False)
class ScalarNode:
    """One value.

    `written` is what stands in the file: a reference, where the value came through one. `secret`
    values came from the environment, and only what is `written` may be shown. `broken` ones have
    already been complained of.
    """

    value: Scalar
    mark: Mark
    written: str
    quoted: bool = False
    referred: bool = False
    secret: bool = False
    broken: bool = False


@dataclass(frozen=True, eq=False)
class SequenceNode:
    items: tuple[Node, ...]
    mark: Mark


@dataclass(frozen=True, eq=False)
class Entry:
    """A key's position, and the value."""

    key: Mark
    value: Node


@dataclass(frozen=True, eq=False)
class MappingNode:
    entries: Mapping[str, Entry]
    mark: Mark


Node = ScalarNode | SequenceNode | MappingNode


def plain(node: Node) -> Data:
    """The values alone; sequences as tuples, because components are frozen."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return tuple(plain(item) for item in node.items)
    return {key: plain(entry.value) for key, entry in node.entries.items()}


def child(node: Node, key: str | int) -> Node | None:
    """The value at a key of a mapping or an index of a sequence; None where there is none."""
    if isinstance(node, MappingNode) and isinstance(key, str):
        entry = node.entries.get(key)
        return entry.value if entry else None
    if isinstance(node, SequenceNode) and isinstance(key, int) and 0 <= key < len(node.items):
        return node.items[key]
    return None


def descend(node: Node, path: DocumentPath) -> Node | None:
    """The node at `path` below `node`."""
    current: Node | None = node
    for key in path:
        if current is None:
            return None
        current = child(current, key)
    return current


def with_entry(node: MappingNode, key: str, entry: Entry) -> MappingNode:
    """`node` with `key` replaced, or added at the end."""
    return MappingNode({**node.entries, key: entry}, node.mark)


def without(node: MappingNode, *keys: str) -> MappingNode:
    return MappingNode({k: e for k, e in node.entries.items() if k not in keys}, node.mark)


class Extent(NamedTuple):
    """Values in a tree, each as often as it is reached, and levels."""

    size: int
    height: int


def measure(node: Node, known: dict[int, Extent]) -> Extent:
    """The extent of a tree whose nodes may share subtrees: each is measured once. `known` holds
    extents by the identity of nodes that the caller keeps alive."""
    if isinstance(node, ScalarNode):
        return Extent(1, 0)
    if id(node) not in known:
        below = (
            node.items
            if isinstance(node, SequenceNode)
            else tuple(entry.value for entry in node.entries.values())
        )
        extents = [measure(item, known) for item in below]
        size = 1 + sum(extent.size for extent in extents)
        known[id(node)] = Extent(size, 1 + max((e.height for e in extents), default=0))
    return known[id(node)]


_ONE_OF_MANY = frozenset({"optimizer"})
"""Mappings of one key that names a choice: another choice replaces it, it does not join it."""


def merge(base: Node, top: Node, key: str = "") -> Node:
    """`top` over `base`: mappings merge key by key, everything else is replaced. `key` is the key
    that both stand at."""
    if not (isinstance(base, MappingNode) and isinstance(top, MappingNode)):
        return top
    if key in _ONE_OF_MANY and base.entries.keys() != top.entries.keys():
        return top
    return merge_mappings(base, top)


def merge_mappings(base: MappingNode, top: MappingNode) -> MappingNode:
    """The keys of `base` in their order, then those that only `top` has."""
    entries = dict(base.entries)
    for name, entry in top.entries.items():
        below = entries.get(name)
        value = merge(below.value, entry.value, name) if below else entry.value
        entries[name] = Entry(entry.key, value)
    return MappingNode(entries, top.mark)
