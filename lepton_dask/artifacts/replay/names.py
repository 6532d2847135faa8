"""Columns that get other names, or go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lepton_dask.artifacts.frames import ReadFrame
from lepton_dask.artifacts.replay.base import Names, Played, ReplayStep, Tables


@dataclass(frozen=True)
class Rename(ReplayStep):
    """Columns under new names: old to new."""

    names: Mapping[str, str]

    def play(self, given: ReadFrame, tables: Tables) -> Played:
        renamed = given._replace(
            columns={self.names.get(name, name): each for name, each in given.columns.items()},
            kinds={self.names.get(name, name): kind for name, kind in given.kinds.items()},
        )
        return Played(renamed, tables)

    def leading_to(self, needed: Names) -> Rename | None:
        names = {old: new for old, new in self.names.items() if new in needed}
        return Rename(names) if names else None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Rename:
        return cls(document["names"])

    def before(self, needed: Names) -> Names:
        old = {new: name for name, new in self.names.items()}
        return frozenset(old.get(name, name) for name in needed)


@dataclass(frozen=True)
class Drop(ReplayStep):
    """Columns that go; those that are not there were not needed."""

    names: tuple[str, ...]

    def play(self, given: ReadFrame, tables: Tables) -> Played:
        kept = [name for name in given.columns if name not in self.names]
        left = given._replace(
            columns={name: given.columns[name] for name in kept},
            kinds={name: given.kinds[name] for name in kept},
        )
        return Played(left, tables)

    def leading_to(self, needed: Names) -> Drop:  # noqa: ARG002 - a later column may take the name
        return self

    def before(self, needed: Names) -> Names:
        return needed

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Drop:
        return cls(tuple(document["names"]))
