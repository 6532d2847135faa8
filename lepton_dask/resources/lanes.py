"""What scheduler and workers say to each other, and how many lanes a worker gives a class.

A lane is a worker resource: a task that holds one is placed by it, and waits at its worker ahead of
those of a lower class. This module travels by value: the standard library alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from lepton_dask.resources.classes import Classes

PREFIX = "lepton-"
WORKER_PLUGIN = "lepton-lanes"
INSTALLED = "lepton-priorities"
"""The scheduler's plugin, and what its metadata have where it is: Dask's own way to ask, without a
message that a scheduler without it would complain of."""
HELLO = "lepton-hello"
"""Worker to scheduler: its plugin is there; lanes may be sent."""
SET_LANES = "lepton-set-lanes"
"""Scheduler to worker: offer these lanes."""
LANES_SET = "lepton-lanes-set"
"""Worker to scheduler: it offers them."""
RAISE = "lepton-raise"
"""Scheduler to worker: what waits there goes ahead."""
MEMORY = "memory"
"""The resource of a worker's memory, in bytes."""
SOFTEN = "lepton-soften"
"""Scheduler to worker: other tasks give way to critical ones, or need not any more."""
BURST = "critical"
"""The class whose tasks start at once, in a slot of their own if all others are taken."""


def lane(name: str) -> str:
    """The worker resource of a class."""
    return PREFIX + name


def restricted(classes: Classes) -> frozenset[str]:
    """Classes all whose tasks hold a lane: the one that bursts, and those with a maximum. The
    others are never restricted, but for the single tasks that are let ahead."""
    return frozenset(each.name for each in classes if each.name == BURST or each.maximum < 1)


def lanes(classes: Classes, slots: Mapping[str, int], burst: int) -> dict[str, dict[str, int]]:
    """The lanes of each worker, by worker and class.

    A class without a maximum has one a slot, and the class that bursts `burst` more. One with a
    maximum has that part of all slots, rounded down, but one at least; they are dealt to the
    workers in turn, most slots first.
    """
    dealt: dict[str, dict[str, int]] = {worker: {} for worker in slots}
    for each in classes:
        if each.maximum < 1:
            for worker, count in _deal(slots, _most(float(each.maximum), slots)).items():
                dealt[worker][lane(each.name)] = count
        else:
            extra = burst if each.name == BURST else 0
            for worker, count in slots.items():
                dealt[worker][lane(each.name)] = count + extra
    return dealt


def _most(maximum: float, slots: Mapping[str, int]) -> int:
    return max(1, math.floor(maximum * sum(slots.values()) + 1e-9))


def _deal(slots: Mapping[str, int], count: int) -> dict[str, int]:
    """`count` lanes over the workers, to each in turn that has a slot left."""
    dealt = dict.fromkeys(slots, 0)
    while count > 0 and any(dealt[worker] < slots[worker] for worker in slots):
        for worker in sorted(slots, key=lambda each: (-slots[each], each)):
            if count > 0 and dealt[worker] < slots[worker]:
                dealt[worker] += 1
                count -= 1
    return dealt
