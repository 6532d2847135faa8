"""The steps between a model's first `read` and its `prepare`, played again on rows to predict.

A new kind of step is its own file, and its line in `_KINDS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from lepton_dask.artifacts.frames import ReadFrame
from lepton_dask.artifacts.replay.base import Names, Played, ReplayStep, Tables
from lepton_dask.artifacts.replay.derived import Derived, DerivedColumn, history_of
from lepton_dask.artifacts.replay.joined import Joined, JoinedColumn
from lepton_dask.artifacts.replay.names import Drop, Rename
from lepton_dask.artifacts.replay.python_step import PythonStep

__all__ = [
    "Derived",
    "DerivedColumn",
    "Drop",
    "Joined",
    "JoinedColumn",
    "Led",
    "Played",
    "PythonStep",
    "Rename",
    "ReplayStep",
    "Tables",
    "history_of",
    "leading_to",
    "play",
    "replay_from_json",
    "replay_to_json",
]

_KINDS: dict[str, type[ReplayStep]] = {
    "rename": Rename,
    "drop": Drop,
    "derive": Derived,
    "python": PythonStep,
    "join": Joined,
}


class Led(NamedTuple):
    """The steps that lead to some columns, and the columns that they start from."""

    steps: tuple[ReplayStep, ...]
    start: Names


def leading_to(steps: Sequence[ReplayStep], needed: Names, target: str | None) -> Led:
    """What of `steps` leads to the `needed` columns. The `target`, as it is called behind the last
    of them, is not there to be taken by a function that would get any column."""
    kept: list[ReplayStep] = []
    for step in reversed(steps):
        if target is not None:
            [target] = step.before(frozenset([target])) if isinstance(step, Rename) else [target]
        part = step.leading_to(needed)
        if part is None:
            continue
        kept.append(part)
        asked = needed
        needed = part.before(needed)
        if isinstance(part, PythonStep) and target is not None and target not in asked:
            needed -= {target}
    return Led(tuple(reversed(kept)), needed)


def play(steps: Sequence[ReplayStep], given: ReadFrame, tables: Tables) -> Played:
    """All of the steps, in order."""
    played = Played(given, tables)
    for step in steps:
        played = step.play(*played)
    return played


def replay_to_json(step: ReplayStep) -> dict[str, object]:
    verb = next(name for name, kind in _KINDS.items() if kind is type(step))
    return {"verb": verb, **_plain(step)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def replay_from_json(document: Mapping[str, Any]) -> ReplayStep:
    """The inverse of `replay_to_json`, after a trip through JSON."""
    return _KINDS[document["verb"]].from_json(document)
