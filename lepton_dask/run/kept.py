"""Values of the environment where a run would have to write them down.

Elsewhere a value is taken out of everything that is written. But a model cannot predict without
the names and texts that it was trained with, and a file is called what it is called.
"""

from __future__ import annotations

from collections.abc import Iterator

from lepton_dask.config.document import Document
from lepton_dask.config.nodes import MappingNode, Node, ScalarNode, SequenceNode
from lepton_dask.data.path_text import base_pattern
from lepton_dask.errors import DocumentPath, Mistake

NOT_KEPT = ("path", "rows")
"""What a model forgets of its `read`: it says nothing of the files to predict for."""

KEPT_VERBS = ("read", "join", "clean", "derive", "prepare")


def kept_secrets(document: Document) -> list[Mistake]:
    """A mistake for every value of the environment that a run could not keep to itself."""
    return [
        Mistake(path, f"comes from the environment, and {where} would show it", "write it out")
        for path, node in _scalars(document.root, ())
        if node.secret and (where := _kept_in(path)) is not None
    ]


def kept_patterns(document: Document) -> dict[str, tuple[str, ...]]:
    """For each `read` step the base names with captures in its paths: by them a model takes the
    captures of the files that it predicts for. None that the environment has a part in."""
    patterns: dict[str, list[str]] = {}
    for path, node in _scalars(document.root, ()):
        match path, node.value:
            case ("steps", str() as step, "read", "path", *_), str() as text:
                # What is written shows which part of a path came from where.
                pattern = base_pattern(node.written if node.secret else text)
                if pattern is not None and not (node.secret and "$" in pattern):
                    patterns.setdefault(step, []).append(pattern)
    return {step: tuple(dict.fromkeys(each)) for step, each in patterns.items()}


def _kept_in(path: DocumentPath) -> str | None:
    match path:
        case ("steps", _, "write", "path"):
            return "the file's name"
        case ("steps", _, "read", key, *_) if key in NOT_KEPT:
            return None
        case ("steps", _, verb, *_) if verb in KEPT_VERBS:
            return "the model"
    return None


def _scalars(node: Node, path: DocumentPath) -> Iterator[tuple[DocumentPath, ScalarNode]]:
    match node:
        case ScalarNode():
            yield path, node
        case SequenceNode(items=items):
            for i, item in enumerate(items):
                yield from _scalars(item, (*path, i))
        case MappingNode(entries=entries):
            for key, entry in entries.items():
                yield from _scalars(entry.value, (*path, key))
