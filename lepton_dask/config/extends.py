"""`extends: other.yaml`: a file on top of another one."""

from __future__ import annotations

from pathlib import Path

from lepton_dask.config.document import Written, read_mapping
from lepton_dask.config.nodes import ScalarNode, child, merge_mappings, without
from lepton_dask.errors import Mistake, UserError

MAX_FILES = 10


def read_extended(path: Path) -> Written:
    """The mapping of a file, on top of those that it extends.

    Mappings merge, lists replace; a value keeps its place in the file that it came from. The other
    file's path is taken from the folder of the file that names it.

    Raises UserError for a file that cannot be read as a mapping at all.
    """
    return _read(path, ())


def _read(path: Path, above: tuple[Path, ...]) -> Written:
    written = read_mapping(path)
    other = child(written.root, "extends")
    if other is None:
        return written
    root = without(written.root, "extends")

    def refused(found: str, fix: str) -> Written:
        mistake = Mistake(("extends",), found, fix, place=other.mark.place)
        return Written(root, written.text, (*written.mistakes, mistake))

    if not isinstance(other, ScalarNode) or not isinstance(other.value, str) or not other.value:
        return refused("expected the name of one file", "extends: other.yaml")
    chain = (*above, path.resolve())
    base_path = path.parent / other.value
    if base_path.resolve() in chain:
        return refused(f"'{other.value}' extends this file in turn", "break the circle")
    if len(chain) > MAX_FILES:
        return refused(f"more than {MAX_FILES} files that extend one another", "use fewer")
    if not base_path.is_file():
        return refused(f"there is no file '{base_path}'", "name it from this file's folder")
    try:
        base = _read(base_path, chain)
    except UserError as error:
        raise UserError([*written.mistakes, *error.mistakes]) from error
    merged = merge_mappings(base.root, root)
    return Written(merged, written.text, (*written.mistakes, *base.mistakes), extends=True)
