"""The `steps:` mapping, step by step: one verb each, what it takes, what it may use."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lepton_dask.config.explain import build
from lepton_dask.config.nodes import MappingNode, Node, ScalarNode, SequenceNode, child, without
from lepton_dask.config.pipeline import SHARED_KEYS, VERBS, StepSettings, Verb
from lepton_dask.config.searched import searched_mistakes
from lepton_dask.config.wording import alternatives, expected, unknown_key
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.learn.train import Train
from lepton_dask.parts import PARTS, Part
from lepton_dask.suggest import nearest

_NAME = re.compile(r"\w[\w -]*")
_KEYS = (*VERBS, "from", *SHARED_KEYS)


@dataclass(frozen=True)
class Input:
    """A step that another one takes, or one part of it. `path` is where the file says so."""

    step: str
    part: Part | None
    path: DocumentPath

    def __str__(self) -> str:
        return f"{self.step}.{self.part}" if self.part else self.step


@dataclass(frozen=True)
class Draft:
    """What could be made of a step, so that its neighbours can be checked all the same.

    `verb` and `action` are None where they are wrong; `named` is None where there is no `from:`.
    `joined` are the tables that a join names, in order.
    """

    name: str
    verb: str | None
    action: Verb | None
    named: tuple[Input, ...] | None
    settings: StepSettings | None
    joined: tuple[Input, ...] = ()

    @property
    def path(self) -> DocumentPath:
        return ("steps", self.name)

    @property
    def verb_path(self) -> DocumentPath:
        return (*self.path, self.verb) if self.verb else self.path


def read_steps(root: MappingNode, mistakes: list[Mistake]) -> tuple[Draft, ...]:
    """The steps in the file's order; what is wrong with each is added to `mistakes`."""
    steps = child(root, "steps")
    if steps is None:
        mistakes.append(Mistake(("steps",), "missing key", "add the steps of the pipeline", True))
    elif not isinstance(steps, MappingNode):
        mistakes.append(expected(["a mapping of names to steps"], steps, ("steps",)))
    elif not steps.entries:
        mistakes.append(Mistake(("steps",), "there are no steps", "add at least a read step", True))
    else:
        return tuple(_read_step(n, e.value, mistakes) for n, e in steps.entries.items())
    return ()


def _read_step(name: str, node: Node, mistakes: list[Mistake]) -> Draft:
    path = ("steps", name)
    if not _NAME.fullmatch(name):
        found, fix = "not a step's name", "use letters, digits, '_', '-' and spaces"
        mistakes.append(Mistake(path, found, fix, at_key=True))
    if not isinstance(node, MappingNode):
        mistakes.append(expected([f"a mapping with a verb ({', '.join(VERBS)})"], node, path))
        return Draft(name, None, None, None, None)
    verb = _verb(node, path, mistakes)
    action = None
    if verb in VERBS and verb in node.entries:
        action = build(VERBS[verb], node.entries[verb].value, (*path, verb), mistakes)
        if isinstance(action, Train) and action.search is not None:
            mistakes += searched_mistakes(node.entries[verb].value, (*path, verb))
    source = child(node, "from")
    named = _named(source, (*path, "from"), mistakes) if source is not None else None
    others = [key for key in node.entries if key not in SHARED_KEYS]
    settings = build(StepSettings, without(node, *others), path, mistakes)
    joined = _joined(node, (*path, "join"), mistakes) if verb == "join" else ()
    return Draft(name, verb, action, named, settings, joined)


def _verb(node: MappingNode, path: DocumentPath, mistakes: list[Mistake]) -> str | None:
    """The step's one verb; where it is misspelt, the one that is meant."""
    verbs = [key for key in node.entries if key in VERBS]
    unknown = [key for key in node.entries if key not in _KEYS]
    for verb in verbs[1:]:
        found, fix = f"a second verb beside '{verbs[0]}'", "make it a step of its own"
        mistakes.append(Mistake((*path, verb), found, fix, at_key=True))
    if verbs or not unknown:
        if not verbs:
            fix = f"add one of {', '.join(VERBS)}"
            mistakes.append(Mistake(path, "the step has no verb", fix, at_key=True))
        mistakes.extend(unknown_key((*path, key), _KEYS) for key in unknown)
        return verbs[0] if verbs else None
    meant = next((key for key in unknown if nearest(key, VERBS)), unknown[0])
    near = nearest(meant, VERBS)
    fix = f"did you mean '{near}'?" if near else f"the verbs are {', '.join(VERBS)}"
    mistakes.append(Mistake((*path, meant), "unknown verb", fix, at_key=True))
    mistakes.extend(unknown_key((*path, key), _KEYS) for key in unknown if key != meant)
    return near


def _named(node: Node, path: DocumentPath, mistakes: list[Mistake]) -> tuple[Input, ...]:
    """The inputs that `from:` names; what is no name is left out."""
    if isinstance(node, SequenceNode):
        if not node.items:
            mistakes.append(Mistake(path, "names no step", "name one, or leave 'from' out"))
        named = [_input(item, (*path, i), mistakes) for i, item in enumerate(node.items)]
    else:
        named = [_input(node, path, mistakes)]
    inputs = [source for source in named if source is not None]
    for i, source in enumerate(inputs):
        if any(str(source) == str(other) for other in inputs[:i]):
            mistakes.append(Mistake(source.path, f"'{source}' is named twice", "name it once"))
    return tuple({str(source): source for source in inputs}.values())


def _joined(step: MappingNode, path: DocumentPath, mistakes: list[Mistake]) -> tuple[Input, ...]:
    """The inputs that a join's tables name; what has no name has been told as a mistake of the
    verb's. One table may be joined twice, by different keys."""
    tables = child(step, "join")
    items = tables.items if isinstance(tables, SequenceNode) else ()
    named = [(child(item, "with"), (*path, i, "with")) for i, item in enumerate(items)]
    inputs = [
        _input(node, at, mistakes)
        for node, at in named
        if isinstance(node, ScalarNode) and isinstance(node.value, str)
    ]
    return tuple(source for source in inputs if source is not None)


def _input(node: Node, path: DocumentPath, mistakes: list[Mistake]) -> Input | None:
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
        mistakes.append(expected(["a step's name"], node, path))
        return None
    step, dot, part = node.value.partition(".")
    if not dot:
        return Input(step, None, path)
    for known in PARTS:
        if part == known:
            return Input(step, known, path)
    near = nearest(part, PARTS)
    fix = f"did you mean '{step}.{near}'?" if near else f"the parts are {alternatives(PARTS)}"
    mistakes.append(Mistake(path, f"unknown part '{part}'", fix))
    return Input(step, None, path)
