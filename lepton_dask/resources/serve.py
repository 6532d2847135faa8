"""Tasks that are served whole or wait: the most important first, as long as something is left.

The article's program walks the tasks as they come, looks at no priority, and stops at the first
that does not fit. The standard library alone, as all that is pure here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from lepton_dask.resources.allocate import water_level
from lepton_dask.resources.classes import Level, level_number, over_common_denominator


@dataclass(frozen=True)
class Task:
    """A task's name, its priority, and how much of one resource it needs; at least 0."""

    name: str
    priority: Level
    requirement: Fraction


@dataclass(frozen=True)
class Decision:
    """Whether a task is served, and what decided it.

    `turn` counts from 1; `free` is what was left when it came. `share` is what would be the task's
    if it could be given a part (`proportional_shares`).
    """

    task: Task
    is_served: bool
    turn: int
    free: Fraction
    share: Fraction

    @property
    def allocated(self) -> Fraction:
        return self.task.requirement if self.is_served else Fraction()


def serve(tasks: Sequence[Task], total: Fraction) -> list[Decision]:
    """A decision for each task, in the order of `tasks`.

    Turns go by priority, the highest first, and among equals by the order of `tasks`. A task that
    does not fit into what is left waits, and stops none behind it.
    """
    shares = proportional_shares(tasks, total)
    by_priority = sorted(range(len(tasks)), key=lambda i: -level_number(tasks[i].priority))
    decisions: dict[int, Decision] = {}
    free = total
    for turn, i in enumerate(by_priority, start=1):
        fits = tasks[i].requirement <= free
        decisions[i] = Decision(tasks[i], fits, turn, free, shares[i])
        free -= decisions[i].allocated
    return [decisions[i] for i in range(len(tasks))]


def proportional_shares(tasks: Sequence[Task], total: Fraction) -> list[Fraction]:
    """R_i = min(r_i, lambda P_i r_i) with sum R_i = min(R, sum r_i): in proportion to priority
    times requirement, capped by the requirement.

    P_i is 1 to 9, R is `total`. The article's section 4.3 as it can hold:
    docs/decisions/0012-shares-in-proportion-to-priority.md.
    """
    amounts, denominator = over_common_denominator([*(t.requirement for t in tasks), total])
    *caps, capacity = amounts
    weights = [level_number(t.priority) * cap for t, cap in zip(tasks, caps, strict=True)]
    filled, parts = water_level(weights, [0] * len(caps), caps, min(capacity, sum(caps)))
    return [Fraction(x, parts * denominator) for x in filled]
