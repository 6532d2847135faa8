"""`--set steps.model.train.penalty.l2=1e-3`: values that replace those in the file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lepton_dask.config.compose import MAX_DEPTH, compose
from lepton_dask.config.mistakes import OVERRIDE, suggestion
from lepton_dask.config.nodes import (
    Entry,
    MappingNode,
    Mark,
    Node,
    SequenceNode,
    Source,
    child,
    with_entry,
)
from lepton_dask.errors import Mistake, UserError

_KEY = re.compile(r'"([^"]*)"|([^."=\s][^."=]*)')


@dataclass(frozen=True)
class _Key:
    """One key of an override's path, and the column that it starts in."""

    name: str
    column: int


def override(
    root: MappingNode, overrides: Iterable[str]
) -> tuple[MappingNode, tuple[Mistake, ...]]:
    """`root` with each `path=value` put in, in their order, and what is wrong with them.

    The value is read as a file's value would be: `1e-3` is a number, `"1e-3"` a text, `[a, b]` a
    list. Keys that hold dots are quoted: `vars."a.b"=1`. A key that is not in the file is added,
    and is checked like any other; a step must be there.
    """
    mistakes: list[Mistake] = []
    for text in overrides:
        source = Source(OVERRIDE, text)
        try:
            keys, start = _path(source)
            value = _value(source, start)
            root = _put(root, keys, value, source)
        except UserError as error:
            mistakes.extend(error.mistakes)
    return root, tuple(mistakes)


def _refuse(source: Source, column: int, found: str, fix: str) -> UserError:
    return UserError([Mistake((), found, fix, place=Mark(source, 1, column).place)])


def _path(source: Source) -> tuple[list[_Key], int]:
    """The keys before the equals sign, and the index of the value after it."""
    usage = "write it as steps.model.train.penalty.l2=1e-3"
    text = source.text
    keys: list[_Key] = []
    position = 0
    while True:
        match = _KEY.match(text, position)
        if match is None:
            raise _refuse(source, position + 1, "expected a key", usage)
        keys.append(_Key(match[1] if match[1] is not None else match[2].rstrip(), position + 1))
        position = match.end()
        separator = text[position : position + 1]
        if separator == "=":
            return keys, position + 1
        if separator != ".":
            found = "there is no '=' after the path" if not separator else "expected '.' or '='"
            raise _refuse(source, position + 1, found, usage)
        position += 1


def _value(source: Source, start: int) -> Node:
    if not source.text[start:].strip():
        found = "there is no value after '='"
        raise _refuse(source, start + 1, found, 'write null for nothing, "" for an empty text')
    if len(source.lines) > 1:
        raise _refuse(source, start + 1, "a value of several lines", "write it in one line")
    composed = compose(source, start)
    if composed.mistakes:
        raise UserError(composed.mistakes)
    if composed.root is None:
        raise _refuse(source, start + 1, "there is no value after '='", "put a # in quotes")
    return composed.root


def _put(root: MappingNode, keys: list[_Key], value: Node, source: Source) -> MappingNode:
    """`root` with `value` at the path that `keys` spell."""
    if len(keys) > MAX_DEPTH:
        raise _refuse(source, 1, f"more than {MAX_DEPTH} levels deep", "nest less")
    if len(keys) > 2 and keys[0].name == "steps":
        _check_step(root, keys[1], source)
    return _put_in_mapping(root, keys, value, source)


def _check_step(root: MappingNode, key: _Key, source: Source) -> None:
    steps = child(root, "steps")
    names = list(steps.entries) if isinstance(steps, MappingNode) else []
    if key.name not in names:
        fix = suggestion(key.name, names, "the steps are")
        raise _refuse(source, key.column, f"unknown step '{key.name}'", fix)


def _put_below(node: Node, keys: list[_Key], value: Node, source: Source) -> Node:
    if not keys:
        return value
    if isinstance(node, MappingNode):
        return _put_in_mapping(node, keys, value, source)
    if isinstance(node, SequenceNode):
        return _put_in_sequence(node, keys, value, source)
    first = keys[0]
    if node.value is None:
        return _put_in_mapping(MappingNode({}, node.mark), keys, value, source)
    found = f"'{first.name}' cannot be set below a single value"
    raise _refuse(source, first.column, found, "set the whole value: {key: value}")


def _put_in_mapping(
    node: MappingNode, keys: list[_Key], value: Node, source: Source
) -> MappingNode:
    first, rest = keys[0], keys[1:]
    mark = Mark(source, 1, first.column)
    entry = node.entries.get(first.name, Entry(mark, MappingNode({}, mark)))
    below = _put_below(entry.value, rest, value, source)
    return with_entry(node, first.name, Entry(entry.key if rest else mark, below))


def _put_in_sequence(
    node: SequenceNode, keys: list[_Key], value: Node, source: Source
) -> SequenceNode:
    first = keys[0]
    index = int(first.name) if first.name.isdecimal() and len(first.name) < 9 else -1
    if not 0 <= index < len(node.items):
        found = f"'{first.name}' is not a position in a list of {len(node.items)}"
        raise _refuse(source, first.column, found, "positions count from 0")
    items = list(node.items)
    items[index] = _put_below(items[index], keys[1:], value, source)
    return SequenceNode(tuple(items), node.mark)
