"""Nodes to components, and why not, in the words of the file.

Pydantic decides whether a value is right; but its errors speak of its own types and come once for
each member of a union. So where it refuses, the component's annotations are walked beside the nodes
for mistakes of shape (unknown and missing keys, another type, an unknown name), of the member of a
union that the value most resembles; and its errors are kept for what shape does not show (ranges,
lengths, the components' own checks).
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lepton_dask.component import Component, ComponentList
from lepton_dask.config.nodes import MappingNode, Node, ScalarNode, SequenceNode, child, plain
from lepton_dask.config.wording import (
    alternatives,
    expected,
    missing_key,
    unknown_key,
    unknown_name,
    value_text,
)
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.suggest import nearest

C = TypeVar("C", bound=BaseModel)

_SHAPE_ERRORS = re.compile(
    r"missing|extra_forbidden|literal_error|none_required|union_tag_\w+|\w+_type|is_instance_of"
)
"""Pydantic's error types that a walk of the annotations explains better."""

_LIMITS = {
    "greater_than": ("must be greater than {:g}", "gt"),
    "greater_than_equal": ("must be at least {:g}", "ge"),
    "less_than": ("must be less than {:g}", "lt"),
    "less_than_equal": ("must be at most {:g}", "le"),
    "too_short": ("must hold at least {} of them", "min_length"),
    "too_long": ("must hold at most {} of them", "max_length"),
    "string_too_short": ("is shorter than {} character(s)", "min_length"),
    "string_too_long": ("is longer than {} character(s)", "max_length"),
    "string_pattern_mismatch": ("must match {}", "pattern"),
}
"""Pydantic's error types for a limit: the words, and the limit's name in the error's context."""


def build(component: type[C], node: Node, path: DocumentPath, mistakes: list[Mistake]) -> C | None:
    """The component that `node`, at `path` of the document, spells; or None and why not, added to
    `mistakes`."""
    try:
        return component.model_validate(plain(node))
    except ValidationError as error:
        mistakes.extend(_mistakes(component, node, path, error.errors(include_url=False)))
        return None


def _mistakes(
    component: type[BaseModel], node: Node, path: DocumentPath, errors: list[ErrorDetails]
) -> list[Mistake]:
    told = [_told(error, node, path) for error in errors]
    own = [said for said in told if not said.of_shape]
    mistakes = list({said.mistake.path: said.mistake for said in own}.values())
    mistakes += [
        mistake
        for mistake in _explain(component, node, path)
        # A component may accept another shape than its annotations say: pydantic must agree.
        if any(_related(mistake.path, said.path) for said in told)
        and not any(mistake.path[: len(said.path)] == said.path for said in own)
    ]
    for said in told:
        if not any(_related(mistake.path, said.path) for mistake in mistakes):
            mistakes.append(said.mistake)
    return mistakes


@dataclass(frozen=True)
class _Told:
    """An error of pydantic: the node that it is about, and how a user would be told."""

    path: DocumentPath
    mistake: Mistake
    of_shape: bool


def _related(one: DocumentPath, other: DocumentPath) -> bool:
    """Whether one is a part of the other, or the same."""
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _explain(annotation: Any, node: Node, path: DocumentPath) -> list[Mistake]:
    """Why `node` has not the shape of `annotation`; nothing if it has."""
    members = list(_members(annotation))
    if isinstance(node, ScalarNode):
        return _explain_scalar(members, node, path)
    suited = [member for member in members if _takes(member, node)]
    if not suited:
        return [expected(_kinds(members), node, path)]
    if len(suited) > 1 and isinstance(node, MappingNode):
        tagged = _explain_tagged(suited, node, path)
        if tagged is not None:
            return tagged
    return min((_explain_collection(m, node, path) for m in suited), key=_unlikeness)


def _unlikeness(mistakes: list[Mistake]) -> tuple[int, int]:
    near = sum(mistake.fix.startswith("did you mean") for mistake in mistakes)
    return (len(mistakes), -near)


def _explain_scalar(members: list[Any], node: ScalarNode, path: DocumentPath) -> list[Mistake]:
    choices = [choice for m in members if get_origin(m) is Literal for choice in get_args(m)]
    if any(_takes(m, node) for m in members) or node.value in choices:
        return []
    names = [str(choice) for choice in choices]
    only_names = all(get_origin(m) is Literal or m is type(None) for m in members)
    if isinstance(node.value, str) and (only_names or nearest(node.value, names)):
        return [unknown_name(node, names, path)]
    return [expected(_kinds(members), node, path)]


def _explain_collection(
    annotation: Any, node: MappingNode | SequenceNode, path: DocumentPath
) -> list[Mistake]:
    """`annotation` is a tuple and `node` a sequence, or a component or a dict and a mapping."""
    if isinstance(node, SequenceNode):
        inner = _item_types(annotation, len(node.items))
        # Items beyond the end of a tuple of fixed length: its length is what is wrong.
        items = zip(inner, node.items, strict=False)
        return [m for i, (kind, item) in enumerate(items) for m in _explain(kind, item, (*path, i))]
    if _is_component(annotation):
        return _explain_component(annotation, node, path)
    key_type, value_type = get_args(annotation)
    names = [str(choice) for choice in get_args(key_type)]
    mistakes: list[Mistake] = []
    for key, entry in node.entries.items():
        if names and key not in names:
            mistakes.append(unknown_key((*path, key), names))
        else:
            mistakes += _explain(value_type, entry.value, (*path, key))
    return mistakes


def _item_types(annotation: Any, count: int) -> list[Any]:
    inner = get_args(annotation)
    if get_origin(annotation) is list or inner[-1] is ...:
        return [inner[0]] * count
    return list(inner)


def _explain_component(
    component: type[Component], node: MappingNode, path: DocumentPath
) -> list[Mistake]:
    fields = {field.alias or name: field for name, field in component.model_fields.items()}
    unknown = [key for key in node.entries if key not in fields]
    misspelt = {nearest(key, fields) for key in unknown}
    mistakes = [unknown_key((*path, key), fields) for key in unknown]
    for name, field in fields.items():
        if name in node.entries:
            mistakes += _explain(field.annotation, node.entries[name].value, (*path, name))
        elif field.is_required() and name not in misspelt:
            kinds = alternatives(_kinds(list(_members(field.annotation))))
            mistakes.append(missing_key((*path, name), kinds))
    return mistakes


def _explain_tagged(
    suited: list[Any], node: MappingNode, path: DocumentPath
) -> list[Mistake] | None:
    """Where every member of a union is a component with the same key of literals (`kind`), that
    key decides; None where the union has no such key."""
    tags = [_tag(member) if _is_component(member) else None for member in suited]
    name = tags[0][0] if tags[0] else None
    if name is None or any(tag is None or tag[0] != name for tag in tags):
        return None
    members = {choice: m for m, tag in zip(suited, tags, strict=True) if tag for choice in tag[1]}
    value = node.entries.get(name)
    if value is None:
        return [missing_key((*path, name), f"one of {', '.join(members)}")]
    chosen = members.get(str(plain(value.value)))
    if chosen is None:
        return _explain(Literal[tuple(members)], value.value, (*path, name))
    return _explain_component(chosen, node, path)


def _tag(component: type[Component]) -> tuple[str, tuple[str, ...]] | None:
    """The first key of a component that takes literals alone, with the literals."""
    for name, field in component.model_fields.items():
        if get_origin(field.annotation) is Literal:
            return field.alias or name, tuple(str(c) for c in get_args(field.annotation))
    return None


def _members(annotation: Any) -> Iterator[Any]:
    """The members of a union, or the annotation itself, without `Annotated`; the tuple that a list
    of components is."""
    origin = get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, ComponentList):
        yield annotation.model_fields["root"].annotation
    elif origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _is_component(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Component)


def _takes(annotation: Any, node: Node) -> bool:
    """Whether the node is of the annotation's kind, whatever is in it."""
    if isinstance(node, MappingNode):
        return _is_component(annotation) or get_origin(annotation) is dict
    if isinstance(node, SequenceNode):
        return get_origin(annotation) in (tuple, list)
    if annotation is float:
        return type(node.value) in (int, float)
    return annotation in (str, int, bool, type(None)) and type(node.value) is annotation


def _kinds(members: Sequence[Any]) -> list[str]:
    return [kind for member in members if (kind := _kind(member))]


def _kind(annotation: Any) -> str:
    """What a person would call the annotation's values."""
    scalars = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    if annotation in scalars:
        return scalars[annotation]
    origin = get_origin(annotation)
    if origin is Literal:
        names = [str(choice) for choice in get_args(annotation)]
        return f"one of {', '.join(names)}" if len(names) > 1 else f"'{names[0]}'"
    if origin in (tuple, list):
        return "a list"
    if _is_component(annotation):
        keys = ", ".join(field.alias or name for name, field in annotation.model_fields.items())
        return f"a mapping (keys: {keys})"
    return "a mapping" if origin is dict else ""


def _told(error: ErrorDetails, top: Node, path: DocumentPath) -> _Told:
    node = top
    # Pydantic's location also names members of unions, which the file does not hold.
    for key in error["loc"]:
        below = child(node, key)
        if below is not None:
            node, path = below, (*path, key)
    of_shape = _SHAPE_ERRORS.fullmatch(error["type"]) is not None
    # A key is unknown to one member of a union, and another may have it: it is the mapping's error.
    about = path[:-1] if error["type"] == "extra_forbidden" else path
    return _Told(about, _in_words(error, node, path), of_shape)


def _in_words(error: ErrorDetails, node: Node, path: DocumentPath) -> Mistake:
    """The components' own checks may say `found; fix`."""
    kind, limits = error["type"], error.get("ctx", {})
    found = f", found {value_text(node)}" if isinstance(node, ScalarNode) else ""
    if kind in _LIMITS:
        words, name = _LIMITS[kind]
        return Mistake(path, f"{words.format(limits[name])}{found}")
    if kind == "extra_forbidden":
        return Mistake(path, "unknown key", "leave it out", at_key=True)
    if kind == "missing":
        return missing_key((*path, str(error["loc"][-1])))
    if kind == "literal_error" and isinstance(node, ScalarNode):
        return unknown_name(node, re.findall(r"'([^']*)'", limits["expected"]), path)
    message = str(limits["error"]) if kind == "value_error" else error["msg"]
    what, _, fix = message.replace("Input should be", "must be").partition("; ")
    return Mistake(path, what, fix)
