"""A YAML file with positions: what it holds, and where a mistake in it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lepton_dask.config.compose import compose
from lepton_dask.config.mistakes import in_order
from lepton_dask.config.nodes import (
    Data,
    Entry,
    MappingNode,
    Mark,
    Node,
    ScalarNode,
    Source,
    child,
    descend,
    plain,
)
from lepton_dask.config.offsets import mark_in
from lepton_dask.config.secrets import redact
from lepton_dask.errors import DocumentPath, Mistake, Place, UserError

MAX_BYTES = 1_000_000


@dataclass(frozen=True, eq=False)
class Document:
    """A file's top mapping. `secrets` maps values of the environment to the references that they
    came through; messages show the reference."""

    root: MappingNode
    secrets: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Document:
        """The file at `path`, its references not resolved.

        Raises UserError, with every mistake placed, for a file that is not safe, valid YAML with a
        mapping at the top.
        """
        written = read_mapping(path)
        if written.mistakes:
            raise UserError(written.mistakes)
        return cls(written.root)

    @property
    def file(self) -> str:
        """The file's name, as the user gave it."""
        return self.root.mark.source.file

    @property
    def data(self) -> dict[str, Data]:
        """The values alone; sequences as tuples."""
        return {key: plain(entry.value) for key, entry in self.root.entries.items()}

    def node(self, path: DocumentPath) -> Node | None:
        return descend(self.root, path)

    def place(self, path: DocumentPath, at_key: bool = False) -> Place:
        """Where the value at `path` stands, or its key; of the nearest ancestor, where the file
        does not hold the path itself: its key, if it has one."""
        node: Node = self.root
        key: Mark | None = None
        for step in path:
            below = child(node, step)
            if below is None:
                is_value = isinstance(node, ScalarNode) or key is None
                return (node.mark if is_value or key is None else key).place
            entry = _entry(node, step)
            node, key = below, entry.key if entry else None
        return (key if at_key and key is not None else node.mark).place

    def locate(self, mistake: Mistake) -> Mistake:
        """`mistake` with its place, and no value of the environment in its text. The place of one
        in a text value is the character in it."""
        return replace(
            mistake,
            found=redact(mistake.found, self.secrets),
            fix=redact(mistake.fix, self.secrets),
            place=mistake.place or self._place_of(mistake),
        )

    def placed(self, said: Iterable[Mistake], found: Iterable[Mistake]) -> list[Mistake]:
        """All mistakes, in the file's order. Of what was `found` in a value that could not even be
        read, nothing: that it could not has been `said`."""
        new = (mistake for mistake in found if not self._is_broken(mistake.path))
        return in_order(map(self.locate, (*said, *new)), self.file)

    def _is_broken(self, path: DocumentPath) -> bool:
        node = self.node(path)
        return isinstance(node, ScalarNode) and node.broken

    def _place_of(self, mistake: Mistake) -> Place:
        node = self.node(mistake.path)
        if mistake.offset is None or not isinstance(node, ScalarNode):
            return self.place(mistake.path, mistake.at_key)
        return mark_in(node, mistake.offset).place


def _entry(node: Node, step: str | int) -> Entry | None:
    if isinstance(node, MappingNode) and isinstance(step, str):
        return node.entries.get(step)
    return None


@dataclass(frozen=True)
class Written:
    """A file, or several of which one extends the next, and what is wrong without hiding the rest.

    `text` is that of the first file.
    """

    root: MappingNode
    text: str
    mistakes: tuple[Mistake, ...]
    extends: bool = False


def read_mapping(path: Path) -> Written:
    """The mapping at the top of a file.

    Raises UserError for a file that cannot be read as a mapping at all.
    """
    text = read_text(path)
    composed = compose(Source(str(path), text))
    root = composed.root
    if isinstance(root, MappingNode):
        return Written(root, text, composed.mistakes)
    if root is None or (isinstance(root, ScalarNode) and root.value is None and not root.broken):
        mistake = _whole_file(path, "the file is empty", "write at least 'name:' and 'steps:'")
    else:
        found = "expected keys and values at the top"
        mistake = Mistake((), found, "start with 'name: ...'", place=root.mark.place)
    raise UserError([*composed.mistakes, mistake])


def read_text(path: Path) -> str:
    """A text file of at most MAX_BYTES bytes in UTF-8, without its byte-order mark.

    Raises UserError, placed in the file.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or "no file has such a name"
        mistake = _whole_file(path, f"cannot be read: {reason}", "check the path")
        raise UserError([mistake]) from error
    if len(content) > MAX_BYTES:
        found, fix = f"larger than {MAX_BYTES:,} bytes", "check that this is the file you mean"
        raise UserError([_whole_file(path, found, fix)])
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = Source(str(path), content[: error.start].decode("utf-8"))
        place = Mark(before, len(before.lines), len(before.lines[-1]) + 1).place
        found = f"not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}"
        raise UserError([Mistake((), found, "save the file as UTF-8", place=place)]) from error


def _whole_file(path: Path, found: str, fix: str) -> Mistake:
    return Mistake((), found, fix, place=Place(str(path), 1, 1))
