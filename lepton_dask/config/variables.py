"""References: `${vars.x}`, `${env.X}`, `${env.X:-default}`, and `$$` for a dollar.

A value that is one reference and nothing else takes what it refers to, type and all; within a text,
references are put in as text. A value from the environment is read as a YAML scalar where it stands
alone, so that `l2: "${env.L2}"` can be a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from lepton_dask.config.compose import MAX_DEPTH, MAX_NODES
from lepton_dask.config.nodes import (
    Entry,
    Extent,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    child,
    measure,
    with_entry,
)
from lepton_dask.config.scalars import RefusedScalar, read_scalar
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.suggest import nearest

MAX_TEXT = 100_000

_TOKEN = re.compile(r"\$\$|\$\{([^{}]*)\}|\$\{")
_ENVIRONMENT = re.compile(r"env\.([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_VARIABLE = re.compile(r"vars\.([^.]+(?:\.[^.]+)*)")


@dataclass(frozen=True)
class Resolved:
    """A tree without references. `secrets`: values of the environment by the reference to them."""

    root: MappingNode
    secrets: Mapping[str, str]
    mistakes: tuple[Mistake, ...]


def resolve(root: MappingNode, environment: Mapping[str, str]) -> Resolved:
    """`root` with every reference replaced; what cannot be is marked broken, and a mistake."""
    resolver = _Resolver(root, environment)
    entries = {
        key: Entry(entry.key, resolver.resolve(entry.value, (key,)))
        for key, entry in root.entries.items()
        if key != "vars"
    }
    if "vars" in root.entries:
        entries["vars"] = Entry(root.entries["vars"].key, resolver.variables())
    return Resolved(
        MappingNode(entries, root.mark), dict(resolver.secrets), tuple(resolver.mistakes)
    )


@dataclass
class _Resolver:
    root: MappingNode
    environment: Mapping[str, str]
    secrets: dict[str, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    _known: dict[str, Node] = field(default_factory=dict)
    _resolving: list[str] = field(default_factory=list)
    _extents: dict[int, Extent] = field(default_factory=dict)
    _depth: int = 0

    def variables(self) -> Node:
        """The `vars:` mapping, resolved. Those that nothing refers to are checked too."""
        node = self.root.entries["vars"].value
        if not isinstance(node, MappingNode):
            self.mistakes.append(Mistake(("vars",), "expected names and values", "x: 1"))
            return MappingNode({}, node.mark)
        for name, entry in node.entries.items():
            node = with_entry(node, name, Entry(entry.key, self._variable(name, entry.value)))
        return node

    def resolve(self, node: Node, path: DocumentPath) -> Node:
        if isinstance(node, MappingNode):
            return MappingNode(
                {
                    key: Entry(entry.key, self.resolve(entry.value, (*path, key)))
                    for key, entry in node.entries.items()
                },
                node.mark,
            )
        if isinstance(node, SequenceNode):
            items = (self.resolve(item, (*path, i)) for i, item in enumerate(node.items))
            return SequenceNode(tuple(items), node.mark)
        if node.broken or not isinstance(node.value, str) or "$" not in node.value:
            return node
        return self._resolve_text(node, node.value, path)

    def _resolve_text(self, node: ScalarNode, text: str, path: DocumentPath) -> Node:
        whole = _TOKEN.fullmatch(text)
        if whole is not None and whole[1] is not None:
            return self._refer(whole[1], node, path)
        parts: list[str] = []
        end, secret, broken = 0, False, False
        for token in _TOKEN.finditer(text):
            parts.append(text[end : token.start()])
            end = token.end()
            if token[0] == "$$":
                parts.append("$")
                continue
            value = self._refer(token[1], node, path)
            if not isinstance(value, ScalarNode) or value.value is None:
                if not (isinstance(value, ScalarNode) and value.broken):
                    self._complain(path, f"'{token[0]}' is no text", "refer to a text or a number")
                broken = True
                continue
            parts.append(_as_text(value))
            secret, broken = secret or value.secret, broken or value.broken
        value_text = "".join([*parts, text[end:]])
        if len(value_text) > MAX_TEXT:
            self._complain(path, f"a text of more than {MAX_TEXT:,} characters", "write less")
            broken = True
        if broken:
            return replace(node, broken=True)
        if secret:
            self.secrets[value_text] = text
        return replace(node, value=value_text, referred=value_text != text, secret=secret)

    def _refer(self, name: str | None, node: ScalarNode, path: DocumentPath) -> Node:
        """What `${name}` stands for, at the place of the reference where it is a scalar."""
        if name is None:
            self._complain(path, "'${' is not closed", "write ${vars.x}, or $${ for the text")
        elif match := _ENVIRONMENT.fullmatch(name):
            return self._refer_to_environment(match[1], match[2], node, path)
        elif match := _VARIABLE.fullmatch(name):
            return self._refer_to_variable(match[1], node, path)
        else:
            near = f"${{vars.{name}}}" if child(self.root, "vars") is not None else "${vars.x}"
            self._complain(path, f"unknown reference '${{{name}}}'", f"write {near} or ${{env.X}}")
        return replace(node, broken=True)

    def _refer_to_environment(
        self, name: str, default: str | None, node: ScalarNode, path: DocumentPath
    ) -> Node:
        text = self.environment.get(name, "")
        if text:
            self.secrets |= dict.fromkeys(_as_shown(text), f"${{env.{name}}}")
            return replace(node, value=_scalar(text), quoted=False, referred=True, secret=True)
        if default is not None:
            return replace(node, value=_scalar(default), quoted=False, referred=True)
        state = "is empty" if name in self.environment else "is not set"
        near = nearest(name, self.environment) if name not in self.environment else None
        hint = f"did you mean '${{env.{near}}}'? or " if near else ""
        fix = f"{hint}set it, or give a default: ${{env.{name}:-default}}"
        self._complain(path, f"the environment variable '{name}' {state}", fix)
        return replace(node, broken=True)

    def _refer_to_variable(self, name: str, node: ScalarNode, path: DocumentPath) -> Node:
        top, *below = name.split(".")
        if top in self._resolving:
            circle = " -> ".join([*self._resolving[self._resolving.index(top) :], top])
            self._complain(path, f"a variable refers to itself: {circle}", "break the circle")
            return replace(node, broken=True)
        if self._depth + len(path) > MAX_DEPTH:
            self._complain(path, f"variables more than {MAX_DEPTH} levels deep", "nest less")
            return replace(node, broken=True)
        variables = child(self.root, "vars")
        found = child(variables, top) if variables is not None else None
        self._depth += len(path)
        value = self._variable(top, found) if found is not None else None
        self._depth -= len(path)
        for key in below:
            value = child(value, key) if value is not None else None
        if value is None:
            names = list(variables.entries) if isinstance(variables, MappingNode) else []
            near = nearest(top, [other for other in names if other != top])
            fix = f"did you mean '${{vars.{near}}}'?" if near else f"add '{name}' under 'vars:'"
            self._complain(path, f"unknown variable '${{vars.{name}}}'", fix)
            return replace(node, broken=True)
        if isinstance(value, ScalarNode):
            return replace(value, mark=node.mark, written=node.written, referred=True)
        extent = measure(value, self._extents)
        if extent.size > MAX_NODES or extent.height + len(path) > MAX_DEPTH:
            self._complain(path, f"'${{vars.{name}}}' stands for too much", "write less")
            return replace(node, broken=True)
        return value

    def _variable(self, name: str, node: Node) -> Node:
        if name not in self._known:
            self._resolving.append(name)
            self._known[name] = self.resolve(node, ("vars", name))
            self._resolving.pop()
        return self._known[name]

    def _complain(self, path: DocumentPath, found: str, fix: str) -> None:
        self.mistakes.append(Mistake(path, found, fix))


def _scalar(text: str) -> str | int | float | bool | None:
    """A value of the environment, or a default. What a file would have to quote is text here."""
    try:
        return read_scalar(text)
    except RefusedScalar:
        return text


def _as_shown(text: str) -> Iterator[str]:
    """A value of the environment as it stands there; a number also as plans and messages put it:
    1e-3 would be told as 0.001."""
    yield text
    value = _scalar(text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield from (str(value), f"{value:g}", f"{value:.15g}", f"{value:,.15g}")


def _as_text(node: ScalarNode) -> str:
    if isinstance(node.value, bool):
        return str(node.value).lower()
    return str(node.value)
