"""The space of a search against the fields of its step: each value is built as the field's own."""

from __future__ import annotations

from collections.abc import Iterator

from lepton_dask.config.explain import build
from lepton_dask.config.nodes import (
    Entry,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    child,
    descend,
    without,
)
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.learn.train import Train

UNSEARCHED = frozenset({"search", "goal", "inference"})
"""Fields that say when and how there is an end, and what is written then."""


def searched_mistakes(node: Node, path: DocumentPath) -> list[Mistake]:
    """What the fields of a `train` node, at `path`, do not take of the values that its search is to
    try: unknown fields, and values of another type or beyond a limit."""
    space = descend(node, ("search", "space"))
    if not isinstance(node, MappingNode) or not isinstance(space, MappingNode):
        return []
    plain_step = without(node, "search")
    mistakes: list[Mistake] = []
    for name, entry in space.entries.items():
        at = (*path, "search", "space", name)
        if name.partition(".")[0] in UNSEARCHED:
            found = f"'{name}' is not to be searched"
            mistakes.append(Mistake(at, found, "leave it out", at_key=True))
            continue
        field = tuple(name.split("."))
        for where, value in _values(entry):
            if _is_secret(value):
                found = "comes from the environment, which is never written, and trials are"
                mistakes.append(Mistake((*at, *where), found, "write it out"))
                continue
            step = _with_value(plain_step, field, Entry(entry.key, value))
            found_here: list[Mistake] = []
            build(Train, step, path, found_here)
            mistakes += [_moved(each, (*path, *field), at, where) for each in found_here]
    return _each_once(mistakes)


def _values(entry: Entry) -> Iterator[tuple[DocumentPath, Node]]:
    """The choices, or a range's ends, each with where it stands below the field's entry."""
    for kind in ("choices", "range", "log"):
        values = child(entry.value, kind)
        number = 0
        while values is not None and (value := child(values, number)) is not None:
            yield (kind, number), value
            number += 1


def _is_secret(node: Node) -> bool:
    """Whether any of the value is from the environment."""
    if isinstance(node, ScalarNode):
        return node.secret
    if isinstance(node, SequenceNode):
        return any(map(_is_secret, node.items))
    return any(_is_secret(entry.value) for entry in node.entries.values())


def _with_value(node: MappingNode, field: DocumentPath, entry: Entry) -> MappingNode:
    """The step with a value at a dotted field; what stands in the way is replaced."""
    key, *below = field
    assert isinstance(key, str)
    if below:
        old = child(node, key)
        inner = old if isinstance(old, MappingNode) else MappingNode({}, entry.key)
        entry = Entry(entry.key, _with_value(inner, tuple(below), entry))
    return MappingNode({**node.entries, key: entry}, node.mark)


def _moved(mistake: Mistake, field: DocumentPath, at: DocumentPath, where: DocumentPath) -> Mistake:
    """A mistake of the step with the value in it, as one of the space: below the value, or of the
    field's name."""
    path = mistake.path
    if path[: len(field)] == field and not mistake.at_key:
        return Mistake((*at, *where, *path[len(field) :]), mistake.found, mistake.fix)
    if path[: len(field)] == field and len(path) > len(field):
        return Mistake((*at, *where, *path[len(field) :]), mistake.found, mistake.fix, at_key=True)
    if mistake.found == "unknown key":
        name = ".".join(map(str, path[len(at) - 3 :]))  # below the step, which the space is in
        found = f"the step has no field '{name}'"
        return Mistake(at, found, mistake.fix, at_key=True)
    return Mistake(at, mistake.found, mistake.fix, at_key=True)


def _each_once(mistakes: list[Mistake]) -> list[Mistake]:
    return list({(each.path, each.found): each for each in mistakes}.values())
