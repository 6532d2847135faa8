"""`extends: other.yaml`: a file on top of another one."""

from __future__ import annotations

from pathlib import Path

from lepton_dask.config.document import read_mapping
from lepton_dask.config.nodes import MappingNode, Node, ScalarNode, child, merge_mappings, without
from lepton_dask.errors import Mistake, UserError


def read_extended(path: Path) -> tuple[MappingNode, tuple[Mistake, ...]]:
    """The mapping of a file, on top of those that it extends, and what is wrong with them.

    Mappings merge, lists replace; a value keeps its place in the file that it came from. The other
    file's path is taken from the folder of the file that names it.
    """
    return _read(path, ())


def _read(path: Path, above: tuple[Path, ...]) -> tuple[MappingNode, tuple[Mistake, ...]]:
    root, mistakes = read_mapping(path)
    other = child(root, "extends")
    if other is None:
        return root, mistakes
    if not isinstance(other, ScalarNode) or not isinstance(other.value, str) or not other.value:
        found, fix = "expected the name of one file", "extends: other.yaml"
        return without(root, "extends"), (*mistakes, _mistake(other, found, fix))
    chain = (*above, path.resolve())
    other_path = path.parent / other.value
    if other_path.resolve() in chain:
        found, fix = f"'{other.value}' extends this file in turn", "break the circle"
        return without(root, "extends"), (*mistakes, _mistake(other, found, fix))
    if not other_path.is_file():
        found, fix = f"there is no file '{other_path}'", "name it from this file's folder"
        return without(root, "extends"), (*mistakes, _mistake(other, found, fix))
    try:
        base, base_mistakes = _read(other_path, chain)
    except UserError as error:
        raise UserError([*mistakes, *error.mistakes]) from error
    return merge_mappings(base, without(root, "extends")), (*mistakes, *base_mistakes)


def _mistake(node: Node, found: str, fix: str) -> Mistake:
    return Mistake(("extends",), found, fix, place=node.mark.place)
