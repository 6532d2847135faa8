"""From YAML text to nodes, safely.

ruamel.yaml scans and parses; its events are put together here, without recursion, because its own
constructors make objects, run out of stack on deep input, expand aliases without bound and keep one
of two equal keys. What is refused, and why:

- explicit tags (`!!python/...` makes objects; others change a type out of sight);
- keys that are there twice, keys that are not text, merge keys (YAML 1.1);
- more than MAX_DEPTH levels, aliases inside what they name, more than MAX_NODES values once
  aliases are expanded (ten levels of ten aliases are 10^10 values).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from lepton_dask.config.nodes import (
    Entry,
    MappingNode,
    Mark,
    Node,
    ScalarNode,
    SequenceNode,
    Source,
)
from lepton_dask.config.scalars import RefusedScalar, read_scalar
from lepton_dask.errors import DocumentPath, Mistake, UserError

MAX_DEPTH = 64
MAX_NODES = 100_000

_YAML_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Composed:
    """The top node (None: nothing but comments), and what is wrong without hiding the rest."""

    root: Node | None
    mistakes: tuple[Mistake, ...]


def compose(source: Source, start: int = 0) -> Composed:
    """The document in a source. What stands before `start`, in its first line, is skipped.

    Raises UserError, with all that was found so far, for what is not YAML, too deep or too large.
    """
    composer = _Composer(source)
    # Spaces in place of what is skipped keep the columns right.
    text = " " * start + source.text[start:]
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            composer.take(event)
    except MarkedYAMLError as error:
        place = composer.mark(error.problem_mark).place
        composer.stop(Mistake((), *_syntax(error, source), place=place))
    except (YAMLError, ValueError, OverflowError) as error:
        position = getattr(error, "position", 0)
        composer.stop(
            Mistake(
                (),
                "not valid YAML: a character that cannot stand in a text file",
                "remove it, or write it as an escape in double quotes",
                place=source.mark_at(position).place,
            )
        )
    return Composed(composer.root, tuple(composer.mistakes))


@dataclass(frozen=True)
class _Built:
    """A finished node, its values once aliases are expanded, and its levels."""

    node: Node
    size: int
    height: int


@dataclass
class _Open:
    """A collection whose end has not come yet."""

    mark: Mark
    anchor: str | None
    is_mapping: bool
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    key: tuple[str, Mark] | None = None
    drops_value: bool = False
    size: int = 1
    height: int = 0

    @property
    def wants_key(self) -> bool:
        return self.is_mapping and self.key is None and not self.drops_value

    @property
    def step(self) -> tuple[str | int, ...]:
        if not self.is_mapping:
            return (len(self.items),)
        return (self.key[0],) if self.key else ()


class _Composer:
    """Events in, a tree out; a stack of open collections instead of recursion."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.root: Node | None = None
        self.mistakes: list[Mistake] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, _Built] = {}
        self._documents = 0

    def mark(self, mark: object) -> Mark:
        line, column = getattr(mark, "line", 0), getattr(mark, "column", 0)
        return Mark(self.source, line + 1, column + 1)

    def stop(self, mistake: Mistake) -> NoReturn:
        raise UserError([*self.mistakes, mistake])

    def take(self, event: Event) -> None:
        mark = self.mark(event.start_mark)
        match event:
            case DocumentStartEvent():
                self._start_document(event, mark)
            case ScalarEvent():
                self._take_scalar(event, mark)
            case AliasEvent():
                self._take_alias(event, mark)
            case SequenceStartEvent() | MappingStartEvent():
                self._start_collection(event, mark)
            case SequenceEndEvent() | MappingEndEvent():
                self._end_collection()

    def _start_document(self, event: DocumentStartEvent, mark: Mark) -> None:
        self._documents += 1
        if self._documents > 1:
            self._give_up(mark, "a second document starts here", "keep one document to a file")
        if event.version not in (None, (1, 2)):
            self._complain(mark, "only YAML 1.2 is read", "remove the %YAML directive")

    def _take_scalar(self, event: ScalarEvent, mark: Mark) -> None:
        text, quoted = event.value, event.style is not None
        top = self._open[-1] if self._open else None
        if top is not None and top.wants_key:
            self._check_tag(event.tag, mark)
            self._take_key(top, text, quoted, mark)
            return
        if text == "" and not quoted and top is not None and top.key is not None:
            mark = top.key[1]  # an empty value has no place of its own; its key has
        broken = self._check_tag(event.tag, mark)
        value = text
        if not quoted and not broken:
            try:
                value = read_scalar(text)
            except RefusedScalar as refused:
                self._complain(mark, refused.found, refused.fix)
                broken = True
        node = ScalarNode(value, mark, text, quoted=quoted, broken=broken)
        self._finish(_Built(node, size=1, height=0), event.anchor, mark)

    def _take_key(self, top: _Open, text: str, quoted: bool, mark: Mark) -> None:
        refused = _refused_key(text, quoted)
        if refused is not None:
            self._complain(mark, *refused)
            top.drops_value = True
            return
        top.key = (text, mark)
        if text in top.entries:
            first = top.entries[text].key.line
            self._complain(mark, f"there twice (first in line {first})", "keep one of them")

    def _take_alias(self, event: AliasEvent, mark: Mark) -> None:
        name = event.anchor
        if any(level.anchor == name for level in self._open):
            self._give_up(
                mark, f"the alias '*{name}' stands inside what it names", "break the loop"
            )
        built = self._anchors.get(name)
        if built is None:
            self._complain(mark, f"nothing is anchored as '&{name}'", "put a text with * in quotes")
            broken = ScalarNode(None, mark, f"*{name}", broken=True)
            built = _Built(broken, size=1, height=0)
        if len(self._open) + built.height > MAX_DEPTH:
            self._stop_too_deep(mark)
        if self._open and self._open[-1].wants_key:
            self._complain(mark, "an alias cannot be a key", "write the key out")
        self._finish(built, None, mark)

    def _start_collection(self, event: SequenceStartEvent | MappingStartEvent, mark: Mark) -> None:
        if len(self._open) >= MAX_DEPTH:
            self._stop_too_deep(mark)
        if self._open and self._open[-1].wants_key:
            self._complain(mark, "a key must be text", "write the key as one word, or quote it")
        self._check_tag(event.tag, mark)
        self._open.append(_Open(mark, event.anchor, isinstance(event, MappingStartEvent)))

    def _end_collection(self) -> None:
        done = self._open.pop()
        node: Node = (
            MappingNode(done.entries, done.mark)
            if done.is_mapping
            else SequenceNode(tuple(done.items), done.mark)
        )
        self._finish(_Built(node, done.size, done.height + 1), done.anchor, done.mark)

    def _finish(self, built: _Built, anchor: str | None, mark: Mark) -> None:
        """A node is complete: it goes to the collection that it stands in."""
        if anchor is not None:
            self._anchors[anchor] = built
        if not self._open:
            self.root = built.node
            return
        top = self._open[-1]
        top.size += built.size
        top.height = max(top.height, built.height)
        if top.size > MAX_NODES:
            self._give_up(
                mark,
                f"more than {MAX_NODES:,} values once aliases are expanded",
                "write less, or use fewer aliases",
            )
        if not top.is_mapping:
            top.items.append(built.node)
        elif top.key is None:  # a key that was refused, then its value
            top.drops_value = not top.drops_value
        else:
            name, key_mark = top.key
            top.entries.setdefault(name, Entry(key_mark, built.node))
            top.key = None

    def _check_tag(self, tag: str | None, mark: Mark) -> bool:
        """Whether there is a tag; there must be none."""
        if tag is None:
            return False
        shown = f"!!{tag.removeprefix(_YAML_TAG)}" if tag.startswith(_YAML_TAG) else tag
        self._complain(mark, f"the tag '{shown}' is refused", "remove it; no file makes objects")
        return True

    def _stop_too_deep(self, mark: Mark) -> NoReturn:
        self._give_up(mark, f"more than {MAX_DEPTH} levels deep", "nest less")

    def _complain(self, mark: Mark, found: str, fix: str) -> None:
        self.mistakes.append(self._mistake(mark, found, fix))

    def _give_up(self, mark: Mark, found: str, fix: str) -> NoReturn:
        self.stop(self._mistake(mark, found, fix))

    def _mistake(self, mark: Mark, found: str, fix: str) -> Mistake:
        path: DocumentPath = tuple(key for level in self._open for key in level.step)
        return Mistake(path, found, fix, place=mark.place)


def _refused_key(text: str, quoted: bool) -> tuple[str, str] | None:
    if text == "<<" and not quoted:
        return "merge keys ('<<') are not YAML 1.2", "use 'defaults:' or 'extends:'"
    if text == "":
        return "a key is empty", "give it a name"
    if "${" in text:
        return f"a key cannot be a reference: '{text}'", "write the key out"
    return None


def _syntax(error: MarkedYAMLError, source: Source) -> tuple[str, str]:
    """What a syntax error found, and what to do where that can be guessed."""
    problem = str(error.problem or "it cannot be parsed")
    found = f"not valid YAML: {problem}"
    line = error.problem_mark.line if error.problem_mark is not None else 0
    if error.context_mark is not None and error.context_mark.line != line:
        context = re.sub(r"^while \w+ ", "", error.context or "something")
        found += f" (in {context} that starts in line {error.context_mark.line + 1})"
    text = source.lines[line] if line < len(source.lines) else ""
    if "'\\t'" in problem:
        return found, "indent with spaces, not tabs"
    if "${" in text:
        return found, 'inside {...} and [...], put a reference in quotes: "${vars.x}"'
    if "mapping values are not allowed" in problem:
        return found, "put a text that holds ': ' in quotes, and check the indentation"
    if "cannot start any token" in problem:
        return found, "put the text in quotes"
    return found, "check the brackets, quotes and indentation before this place"
