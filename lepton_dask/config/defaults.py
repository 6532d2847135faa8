"""What the top of a pipeline says for all its steps: `defaults:` by verb, `priority`, `resources`,
`retries`."""

from __future__ import annotations

from lepton_dask.component import ComponentList
from lepton_dask.config.explain import build
from lepton_dask.config.nodes import (
    Entry,
    MappingNode,
    Node,
    ScalarNode,
    child,
    merge_mappings,
    with_entry,
)
from lepton_dask.config.pipeline import SHARED_KEYS, VERBS, StepSettings
from lepton_dask.config.wording import expected, unknown_key
from lepton_dask.errors import Mistake


def spread(root: MappingNode) -> MappingNode:
    """`root` with what holds for every step written into each; a step's own values go first, and
    mappings merge."""
    steps = child(root, "steps")
    if not isinstance(steps, MappingNode):
        return root
    shared = {key: root.entries[key] for key in SHARED_KEYS if key in root.entries}
    defaults = child(root, "defaults")
    by_verb = defaults.entries if isinstance(defaults, MappingNode) else {}
    entries = {}
    for name, entry in steps.entries.items():
        value = entry.value
        if isinstance(value, MappingNode):
            own = {k: e for k, e in by_verb.items() if k in value.entries}
            base = _with_level(MappingNode({**shared, **own}, value.mark))
            value = merge_mappings(base, _with_level(value))
        entries[name] = Entry(entry.key, value)
    return with_entry(
        root, "steps", Entry(root.entries["steps"].key, MappingNode(entries, steps.mark))
    )


def _with_level(settings: MappingNode) -> MappingNode:
    """`priority: critical` as what it is short for, `priority: {importance: critical}`."""
    entry = settings.entries.get("priority")
    if entry is None or not isinstance(entry.value, ScalarNode) or entry.value.value is None:
        return settings
    level = entry.value
    priority = MappingNode({"importance": Entry(level.mark, level)}, level.mark)
    return with_entry(settings, "priority", Entry(entry.key, priority))


def check_defaults(root: MappingNode) -> list[Mistake]:
    """What is wrong with what holds for every step, whether or not a step has the verb."""
    mistakes: list[Mistake] = []
    shared = {key: root.entries[key] for key in SHARED_KEYS if key in root.entries}
    build(StepSettings, _with_level(MappingNode(shared, root.mark)), (), mistakes)
    defaults = child(root, "defaults")
    if defaults is None:
        return mistakes
    if not isinstance(defaults, MappingNode):
        return [*mistakes, expected(["a mapping of verbs"], defaults, ("defaults",))]
    for verb, entry in defaults.entries.items():
        if verb in VERBS and issubclass(VERBS[verb], ComponentList):
            found = f"'{verb}' is a list, of which nothing can hold for every step"
            mistakes.append(Mistake(("defaults", verb), found, "leave it out", at_key=True))
        elif verb in VERBS:
            mistakes += _check_verb(verb, entry.value)
        else:
            mistakes.append(unknown_key(("defaults", verb), VERBS))
    return mistakes


def _check_verb(verb: str, node: Node) -> list[Mistake]:
    """Keys that are missing here may stand in the steps."""
    found: list[Mistake] = []
    path = ("defaults", verb)
    build(VERBS[verb], node, path, found)
    return [m for m in found if not (m.found == "missing key" and m.path[:-1] == path)]
