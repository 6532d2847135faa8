"""The plan: what a run would do, as plain data, made without touching a row."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class PlannedColumn:
    """A column after a step: what it is, what becomes of it, and why."""

    name: str
    type: str
    treatment: str
    reason: str


@dataclass(frozen=True)
class PlannedStep:
    """A step before it runs. Rows and bytes are expectations: None where nothing can be said.

    `fingerprint` identifies the step's work: it changes with the step, with anything above it, and
    with the size or the time of a file that is read or of a module that is called.
    """

    name: str
    verb: str
    inputs: tuple[str, ...]
    fingerprint: str
    chunks: int | None
    rows: int | None
    bytes: int | None
    priority_class: str
    why: tuple[str, ...]
    columns: tuple[PlannedColumn, ...]


@dataclass(frozen=True)
class Plan:
    """Steps in an order in which each comes after its inputs."""

    pipeline: str
    seed: int
    steps: tuple[PlannedStep, ...]

    def to_json(self) -> dict[str, object]:
        return asdict(self)
