"""Who gets how much of a cluster: guarantees first, then weighted max-min fairness.

One resource, classes i with weight w_i, demand d_i, capacity C:

    x_i = clamp(lambda w_i, f_i, u_i)    f_i = min(u_i, max(reserve_i, minimum_i) C)
    sum_i x_i = min(C, sum_i u_i)        u_i = min(d_i, maximum_i C)

One water level lambda rises for all (progressive filling); a class whose guarantee lies above it
has the guarantee, one that wants or may have no more stops. What a class does not use of its
guarantee the others have, until it asks for it. Demand caps only: to ask for more than one can use
brings nothing (`tests/test_allocate.py` tries).

Sources: Bertsekas and Gallager, Data Networks (1992), 6.5.2; with floors and caps as in Hadoop's
fair scheduler. Several resources: Ghodsi et al., "Dominant Resource Fairness" (NSDI 2011).

All in exact integers: no sum is off by a rounding error, and it is fast. The standard library
alone: this module travels by value to schedulers that do not have this package.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from lepton_dask.resources.classes import Classes, exact, over_common_denominator

Amount = float | Fraction
"""Of a resource. A float stands for the decimal number that it prints as."""

_NONE = Fraction()


def allocate(
    classes: Classes, demands: Mapping[str, Amount], capacity: Amount
) -> dict[str, Fraction]:
    """The share of each class, in the unit of `capacity`; a class without a demand has none.

    Sums are exact: min(capacity, what may be used). Raises ValueError for a negative amount and for
    a demand of no class.
    """
    _check(classes, demands, capacity)
    amounts = [exact(demands.get(name, 0)) for name in classes.names]
    numerators, denominator = over_common_denominator([*amounts, exact(capacity)])
    *wanted, total = numerators
    scale = classes.scale
    caps = [min(d * scale, m * total) for d, m in zip(wanted, classes.maxima, strict=True)]
    filled, parts = _fill(classes, caps, total)
    unit = parts * scale * denominator
    return {name: Fraction(x, unit) for name, x in zip(classes.names, filled, strict=True)}


def allocate_units(
    classes: Classes,
    demands: Mapping[str, int],
    capacity: int,
    owed: Mapping[str, float] | None = None,
) -> dict[str, int]:
    """The same in whole units, such as slots: each share of `allocate` rounded down or up.

    Largest remainders are rounded up, the higher class first among equal ones, so that the sum is
    min(capacity, what may be used). A maximum is at least one unit, or its class would never run.
    `owed` are the units that a class has had too few of until now (negative: too many), which count
    as if its remainder were larger; so shares of less than a unit are kept over time. Raises
    ValueError as `allocate`.
    """
    _check(classes, demands, capacity)
    wanted = [demands.get(name, 0) for name in classes.names]
    scale = classes.scale
    at_most = [max(1, maximum * capacity // scale) for maximum in classes.maxima]
    caps = [min(d, most) * scale for d, most in zip(wanted, at_most, strict=True)]
    filled, parts = _fill(classes, caps, capacity)
    unit = parts * scale
    whole = [x // unit for x in filled]
    left = sum(filled) // unit - sum(whole)
    if left:
        due = owed or {}
        ranked = sorted(
            (-due.get(name, 0) - x % unit / unit, -(x % unit), i)
            for i, (name, x) in enumerate(zip(classes.names, filled, strict=True))
            if x % unit
        )
        for _, _, i in ranked[:left]:
            whole[i] += 1
    return dict(zip(classes.names, whole, strict=True))


def _check(classes: Classes, demands: Mapping[str, Amount], capacity: Amount) -> None:
    if not demands.keys() <= set(classes.names):
        unknown = ", ".join(sorted(demands.keys() - set(classes.names)))
        raise ValueError(f"no class {unknown}; there are {', '.join(classes.names)}")
    if capacity < 0 or min(demands.values(), default=0) < 0:
        raise ValueError("a negative demand or capacity")


def _fill(classes: Classes, caps: list[int], capacity: int) -> tuple[list[int], int]:
    """What `water_level` makes of the classes; amounts over their scale, `capacity` whole."""
    floors = [guarantee * capacity for guarantee in classes.guarantees]
    total = min(capacity * classes.scale, sum(caps))
    return water_level(classes.weights, floors, caps, total)


def water_level(
    weights: Sequence[int], floors: Sequence[int], caps: Sequence[int], total: int
) -> tuple[list[int], int]:
    """x_i = clamp(lambda w_i, floor_i, cap_i) with sum x_i = total: numerators, one denominator.

    A floor above its cap counts as the cap. Needs sum of floors <= total <= sum of caps, and
    w_i > 0 where floor_i < cap_i. The level is guessed from those who are free. If all clamped to
    it add up to too much, those below their floors are below them at the true, lower level as well,
    and are settled there; else those above their caps. Each round settles one at least. (CSS
    Flexible Box Layout 9.7 does the same.)
    """
    filled = list(caps)
    free = [i for i, cap in enumerate(caps) if floors[i] < cap]
    rest = total - sum(cap for i, cap in enumerate(caps) if floors[i] >= cap)
    weight = sum(weights[i] for i in free)
    while free:
        low = [i for i in free if rest * weights[i] < floors[i] * weight]
        high = [i for i in free if rest * weights[i] > caps[i] * weight]
        too_much = sum(floors[i] * weight - rest * weights[i] for i in low)
        too_little = sum(rest * weights[i] - caps[i] * weight for i in high)
        settled: set[int] = set()
        if too_much >= too_little:
            settled.update(low)
            for i in low:
                filled[i] = floors[i]
        if too_little >= too_much:
            settled.update(high)
        if not settled:
            break
        free = [i for i in free if i not in settled]
        rest -= sum(filled[i] for i in settled)
        weight = sum(weights[i] for i in free)
    # Those who are settled over the same denominator as those who are free.
    denominator = weight or 1
    filled = [x * denominator for x in filled]
    for i in free:
        filled[i] = rest * weights[i]
    return filled, denominator


@dataclass(frozen=True)
class TaskDemand:
    """Tasks of a class that all need the same `amounts`, by resource."""

    tasks: int
    amounts: Mapping[str, Amount]


def allocate_tasks(
    classes: Classes, demands: Mapping[str, TaskDemand], capacity: Mapping[str, Amount]
) -> dict[str, int]:
    """How many tasks of each class run where tasks need several resources: dominant resource
    fairness, task by task.

    The dominant share of a class is the largest part that it has of any resource,
    s_i = max_r k_i a_ir / C_r for k_i tasks of amounts a_ir. The guarantees are filled first, in
    whole tasks; then the class with the lowest s_i / w_i gets its next task (the higher class, if
    several are lowest), until it has all its tasks, its maximum, or its next one does not fit. That
    stops no other class. A maximum is at least one task.

    Raises ValueError for a negative amount, a demand of no class, and a resource that `capacity`
    does not have.

    >>> from lepton_dask.resources.classes import Classes, ClassShare
    >>> users = Classes((ClassShare("a"), ClassShare("b")))
    >>> wanted = {
    ...     "a": TaskDemand(100, {"cpu": 1, "GB": 4}),
    ...     "b": TaskDemand(100, {"cpu": 3, "GB": 1}),
    ... }
    >>> allocate_tasks(users, wanted, {"cpu": 9, "GB": 18})
    {'a': 3, 'b': 2}
    """
    _check(
        classes,
        {name: each.tasks for name, each in demands.items()},
        min(capacity.values(), default=0),
    )
    nothing = TaskDemand(0, {})
    ordered = [demands.get(name, nothing) for name in classes.names]
    free = {resource: exact(amount) for resource, amount in capacity.items()}
    needs = [_needs(each.amounts, free) for each in ordered]
    dominant = [_dominant_share(need, free) for need in needs]
    caps, granted = [], []
    for share, demand, need, s in zip(classes, ordered, needs, dominant, strict=True):
        caps.append(min(demand.tasks, max(1, exact(share.maximum) // s) if s else demand.tasks))
        granted.append(min(caps[-1], exact(share.guaranteed) // s if s else demand.tasks))
        for resource, amount in need.items():
            free[resource] -= granted[-1] * amount
    # Fractions compare slowly: the same order in integers.
    steps, _ = over_common_denominator(
        s / exact(share.weight) for s, share in zip(dominant, classes, strict=True)
    )
    lowest = [(k * step, i) for i, (k, step) in enumerate(zip(granted, steps, strict=True))]
    heapq.heapify(lowest)
    while lowest:
        level, i = heapq.heappop(lowest)
        need = needs[i]
        if granted[i] < caps[i] and all(amount <= free[r] for r, amount in need.items()):
            granted[i] += 1
            for resource, amount in need.items():
                free[resource] -= amount
            heapq.heappush(lowest, (level + steps[i], i))
    return dict(zip(classes.names, granted, strict=True))


def _needs(amounts: Mapping[str, Amount], capacity: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """What a task takes, of the resources that it takes any of."""
    needs = {resource: exact(amount) for resource, amount in amounts.items() if amount}
    for resource, amount in needs.items():
        if resource not in capacity:
            raise ValueError(f"no capacity of '{resource}'; there is {', '.join(capacity)}")
        if amount < 0:
            raise ValueError(f"a task that needs {amount} of '{resource}'")
    return needs


def _dominant_share(need: Mapping[str, Fraction], capacity: Mapping[str, Fraction]) -> Fraction:
    """The largest part of a resource that a task takes; more than all of one that has nothing."""
    return max((a / capacity[r] if capacity[r] else a + 1 for r, a in need.items()), default=_NONE)
