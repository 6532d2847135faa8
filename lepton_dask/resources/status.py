"""What the scheduler says of its priorities: one JSON-able document for every way to see it.

The page at /lepton, the metrics at /lepton/metrics and `lepton cluster status` show this document
and nothing else. Seconds are seconds, and a share is in slots: threads of workers.
"""

from __future__ import annotations

from typing import Literal, TypedDict


class WorkerStatus(TypedDict):
    """A worker, its slots, and how many of each class it may run at once."""

    address: str
    slots: int
    running: int
    lanes: dict[str, int]
    acknowledged: bool
    """Whether the worker has said that it works by these lanes."""


class ClassStatus(TypedDict):
    """A class of the configuration, what it has and how long its tasks wait."""

    weight: float
    reserve: float
    minimum: float
    maximum: float
    demand: int
    """Slots that it could use: what runs and what waits."""
    share: float
    """Slots that it is allocated now."""
    used: float
    """Slots that it used, an average of the last two seconds or so."""
    running: int
    waiting: int
    done: int
    latency_p50_s: float | None
    latency_p99_s: float | None


class RunStatus(TypedDict):
    """A run as it told of itself. `losses` has at most some hundred points, the last among them."""

    name: str
    step: str
    verb: str
    state: str
    passes: float | None
    losses: list[float]


class RunReport(RunStatus):
    """What a run tells; `id` is its own, and a state of `finished` ends it."""

    id: str


class Impossible(TypedDict):
    """A task that no worker can ever run: what it asks for, and the most that one has."""

    key: str
    asks: str
    most: str


class Status(TypedDict):
    """`mode` is `priorities` where shares cannot be kept, and `reason` then says why.

    `page` says why there is no page, and is None where there is one. `faults` counts the errors
    inside each hook, `hook_seconds` is the time spent in all of them.
    """

    mode: Literal["shares", "priorities"]
    reason: str | None
    dask: str
    uptime_s: float
    slots: int
    workers: list[WorkerStatus]
    classes: dict[str, ClassStatus]
    runs: list[RunStatus]
    impossible: list[Impossible]
    faults: dict[str, int]
    hook_seconds: float
    page: str | None
