"""Which class a task belongs to: declared, inherited, or by a rule.

Travels by value: the standard library alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lepton_dask.resources.classes import (
    PRIORITY_CLASSES,
    ImportanceLevel,
    Level,
    PriorityClass,
    base_level,
    classify,
    rises_after_s,
)
from lepton_dask.resources.lanes import PREFIX

ANNOTATION = "lepton"
BY_NAME: dict[str, PriorityClass] = {each.name: each for each in PRIORITY_CLASSES}
"""The highest first."""
LOWEST = PRIORITY_CLASSES[-1].name


@dataclass(frozen=True)
class Declared:
    """What a submission says of itself; `deadline` is on the scheduler's clock."""

    importance: Level = "normal"
    urgency: Level | None = None
    deadline: float | None = None

    def name(self, now: float, waited_s: float = 0.0) -> ImportanceLevel:
        slack_s = None if self.deadline is None else self.deadline - now
        return classify(self.importance, self.urgency, slack_s=slack_s, waited_s=waited_s).name

    def rises_after_s(self, waited_s: float) -> float | None:
        """How long it has waited in all when that next makes its class higher; None if never."""
        return rises_after_s(base_level(self.importance, self.urgency), waited_s)


@dataclass
class Rules:
    """For what does not say: a class by the start of the key, by the client, or the default."""

    default: ImportanceLevel = "normal"
    clients: dict[str, ImportanceLevel] = field(default_factory=dict)
    prefixes: dict[str, ImportanceLevel] = field(default_factory=dict)

    def find(self, key: str, client: str) -> ImportanceLevel:
        matching = [prefix for prefix in self.prefixes if key.startswith(prefix)]
        if matching:
            return self.prefixes[max(matching, key=len)]
        return self.clients.get(client, self.default)


def declared(
    annotations: Mapping[str, Any] | None,
    resources: Mapping[str, float] | None,
    dask_priority: float,
    now: float,
) -> Declared | None:
    """What a task says: by our annotation, by asking for a class's lane, or by a Dask priority
    other than Dask's default. None if nothing."""
    said = (annotations or {}).get(ANNOTATION)
    if isinstance(said, Mapping):
        after_s = said.get("deadline_s")
        return Declared(
            said.get("importance", "normal"),
            said.get("urgency"),
            None if after_s is None else now + after_s,
        )
    for each in PRIORITY_CLASSES:
        if PREFIX + each.name in (resources or {}):
            return Declared(each.name)
    if dask_priority < 0:
        return Declared("low")
    if dask_priority > 0:
        reached = (each.name for each in PRIORITY_CLASSES if dask_priority >= each.dask_priority)
        return Declared(next(reached))
    return None


def higher(one: ImportanceLevel, other: ImportanceLevel) -> ImportanceLevel:
    """The higher of two classes."""
    return one if BY_NAME[one].dask_priority >= BY_NAME[other].dask_priority else other
