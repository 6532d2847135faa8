"""What stands in a file and what should, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lepton_dask.config.mistakes import shown
from lepton_dask.config.nodes import MappingNode, Node, ScalarNode, SequenceNode
from lepton_dask.config.scalars import RefusedScalar, read_scalar
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.suggest import nearest

_YES = ("yes", "on", "y")
_NO = ("no", "off", "n")


def describe(node: Node) -> str:
    """What stands in the file; of the environment's values only the reference."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if node.secret:
        return f"the value of {shown(node.written)}"
    origin = f" (from {shown(node.written)})" if node.referred else ""
    if node.value is None:
        return f"nothing{origin}"
    if isinstance(node.value, bool):
        return f"{value_text(node)}{origin}"
    if isinstance(node.value, str):
        quotes = " (quotes make it text)" if is_quoted_number(node) else ""
        return f"the text {value_text(node)}{quotes}{origin}"
    return f"the number {value_text(node)}{origin}"


def value_text(node: ScalarNode) -> str:
    """A value by itself: numbers as they are written, text in quotes."""
    if node.secret:
        return shown(node.written)
    if isinstance(node.value, str):
        return shown(node.value)
    if node.value is None:
        return "nothing"
    return str(node.value).lower() if node.referred else node.written


def is_quoted_number(node: ScalarNode) -> bool:
    """Whether the text would be a number, or true or false, without its quotes."""
    if not node.quoted or node.secret or not isinstance(node.value, str):
        return False
    try:
        return not isinstance(read_scalar(node.value), str | None)
    except RefusedScalar:
        return False


def alternatives(words: Sequence[str]) -> str:
    """`a, b or c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} or {words[-1]}"


def expected(kinds: Iterable[str], node: Node, path: DocumentPath) -> Mistake:
    """The node is of none of the kinds ("text", "a number", "a list", ...)."""
    wanted = list(dict.fromkeys(kinds))
    if "a number" in wanted and "a whole number" in wanted:
        wanted.remove("a whole number")
    found = f"expected {alternatives(wanted) or 'another value'}, found {describe(node)}"
    if _is_cut_off(path, node):
        return Mistake(path, found, "inside {...} put a text that holds a comma in quotes")
    return Mistake(path, found, _fix(wanted, node))


def _is_cut_off(path: DocumentPath, node: Node) -> bool:
    """Whether a key without a value is what a comma left of a text: `{x: lag(kwh, 24)}` is the keys
    `x` and `24)`."""
    key = str(path[-1]) if path else ""
    is_empty = isinstance(node, ScalarNode) and node.value is None
    return is_empty and key.count(")") > key.count("(")


def _fix(wanted: Sequence[str], node: Node) -> str:
    if not isinstance(node, ScalarNode) or node.referred or node.value is None:
        return ""
    if "a list" in wanted and "text" not in wanted:
        return f"write [{node.written}]"
    if not isinstance(node.value, str):
        return f'write "{node.written}" for the text' if "text" in wanted else ""
    if is_quoted_number(node):
        return f"write {node.value} without the quotes"
    word = node.value.lower()
    if "true or false" in wanted and word in _YES + _NO:
        return "write true" if word in _YES else "write false"
    return ""


def unknown_name(node: ScalarNode, names: Sequence[str], path: DocumentPath) -> Mistake:
    """A text where only `names` may stand."""
    # What a secret is like would tell of it.
    near = None if node.secret else nearest(str(node.value), names)
    fix = f"did you mean '{near}'?" if near else f"write {alternatives(names)}"
    return Mistake(path, f"unknown {value_text(node)}", fix)


def unknown_key(path: DocumentPath, known: Iterable[str]) -> Mistake:
    """The key that ends `path` is none of `known`."""
    names = list(known)
    near = nearest(str(path[-1]), names)
    listed = f"the keys here are {', '.join(names)}"
    fix = f"did you mean '{near}'? {listed}" if near else listed
    return Mistake(path, "unknown key", fix, at_key=True)


def missing_key(path: DocumentPath, values: str = "") -> Mistake:
    """`path` ends with a key that must be there and is not."""
    fix = f"add '{path[-1]}:' ({values})" if values else f"add '{path[-1]}:'"
    return Mistake(path, "missing key", fix, at_key=True)
