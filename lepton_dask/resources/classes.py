"""Priority classes: from importance, urgency and waiting to an order and a share.

A level is a word or a number from 1 to 9. What a task's level is, and so its class, is set by the
higher of its importance and its urgency: what is urgent cannot wait for what is important, nor the
reverse. Waiting lifts it. No clock is read here: whoever asks says what time it is.

This module imports the standard library alone, and keeps nothing that a pickle cannot hold: it
travels by value to schedulers that do not have this package.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

ImportanceLevel = Literal["low", "normal", "high", "critical"]
Level = ImportanceLevel | int

LEVELS: dict[ImportanceLevel, int] = {"low": 2, "normal": 5, "high": 7, "critical": 9}
"""Each word on the scale of 1 to 9; the numbers between belong to the class below."""

LOWEST, HIGHEST = 1, 9

CRITICAL_SLACK_S = 1.0
"""With no more slack than this a deadline is as urgent as can be."""

SLACK_RATIO = 4.0
"""A level up for each time that the slack shrinks by this: 1 s is 9, 16 s 7, 4 min 5, 4 h 2."""

AGEING_S = 60.0
"""Seconds of waiting that are worth a level."""

HIGHEST_AGED = 8.0
"""Waiting alone leads no further than this: the critical class is not for what is merely old."""


@dataclass(frozen=True)
class PriorityClass:
    """A class, and the Dask priority of its tasks (higher goes first; 0 is Dask's default)."""

    name: ImportanceLevel
    dask_priority: int


PRIORITY_CLASSES = (
    PriorityClass("critical", 20),
    PriorityClass("high", 10),
    PriorityClass("normal", 0),
    PriorityClass("low", -10),
)


def classify(
    importance: Level,
    urgency: Level | None = None,
    *,
    slack_s: float | None = None,
    waited_s: float = 0.0,
) -> PriorityClass:
    """The class of a task: the highest whose level the task reaches.

    The task's level is max(b, min(b + waited_s / AGEING_S, HIGHEST_AGED)) with b of `base_level`.
    Raises ValueError for what is no level.

    >>> classify("normal", urgency=8).name
    'high'
    >>> classify("low", slack_s=0.5).name
    'critical'
    >>> classify("low", waited_s=3600).name
    'high'
    """
    base = base_level(importance, urgency, slack_s)
    level = max(base, min(aged(base, waited_s), HIGHEST_AGED))
    return next(
        (each for each in PRIORITY_CLASSES if level >= LEVELS[each.name]), PRIORITY_CLASSES[-1]
    )


def class_below(one: PriorityClass) -> PriorityClass:
    """The next lower class; below the lowest there is none, and it stays.

    >>> class_below(classify("critical")).name, class_below(classify("low")).name
    ('high', 'low')
    """
    place = PRIORITY_CLASSES.index(one)
    return PRIORITY_CLASSES[min(place + 1, len(PRIORITY_CLASSES) - 1)]


def base_level(
    importance: Level, urgency: Level | None = None, slack_s: float | None = None
) -> float:
    """The highest of importance, urgency and what the slack makes of a deadline; 1 to 9.

    Raises ValueError for what is no level.
    """
    levels: list[float] = [level_number(importance)]
    if urgency is not None:
        levels.append(level_number(urgency))
    if slack_s is not None:
        levels.append(deadline_level(slack_s))
    return max(levels)


def level_number(level: Level) -> int:
    """A level on the scale of 1 to 9. Raises ValueError for another number or word."""
    if isinstance(level, int) and LOWEST <= level <= HIGHEST:
        return int(level)
    if isinstance(level, str) and level in LEVELS:
        return LEVELS[level]
    raise ValueError(f"{level!r} is no level; write {', '.join(LEVELS)} or 1 to 9")


def slack(deadline: float, now: float, work_s: float = 0.0) -> float:
    """Seconds that a task could still wait and be done by its deadline: deadline - now - work.

    `deadline` and `now` are on one clock. Negative once it is too late. Source: the laxity of
    Dertouzos and Mok, "Multiprocessor online scheduling of hard-real-time tasks" (1989).
    """
    return deadline - now - work_s


def deadline_level(slack_s: float) -> float:
    """How urgent a slack is: 9 - log(slack_s / CRITICAL_SLACK_S) / log(SLACK_RATIO), within 1 to 9.

    It grows as time passes, at any slack's own pace: from minutes to seconds as from hours to
    minutes, so that no horizon has to be set. Raises ValueError for not-a-number.
    """
    if math.isnan(slack_s):
        raise ValueError("a slack that is not a number")
    if slack_s <= CRITICAL_SLACK_S:
        return float(HIGHEST)
    shrinkings = math.log(slack_s / CRITICAL_SLACK_S) / math.log(SLACK_RATIO)
    return max(float(LOWEST), HIGHEST - shrinkings)


def aged(level: float, waited_s: float) -> float:
    """The order among those who wait, highest first: level + waited_s / AGEING_S.

    All age alike, so of two tasks the same one stays ahead, and what waits is overtaken by nothing
    that comes more than (9 - level) AGEING_S seconds after it: none waits for ever. Source:
    Jackson, "Some problems in queueing with dynamic priorities" (1960).
    """
    return level + max(0.0, waited_s) / AGEING_S


def rises_after_s(level: float, waited_s: float) -> float | None:
    """How long a task of that level has waited in all when waiting next lifts it into a higher
    class; None if it never will.

    >>> rises_after_s(2, 0), rises_after_s(2, 180), rises_after_s(2, 300)
    (180.0, 300.0, None)
    """
    reached = aged(level, waited_s)
    ahead = [each for each in LEVELS.values() if reached < each <= HIGHEST_AGED]
    return (min(ahead) - level) * AGEING_S if ahead else None


@dataclass(frozen=True)
class ClassShare:
    """What a class may have of a cluster, in fractions of its capacity.

    `weight` sets its share among those who want more; `reserve` is held for it, and lent while it
    is not used; `minimum` is its least share while it has work; `maximum` is the most it may have.
    Raises ValueError for figures out of range, and for a reserve or minimum above the maximum.
    """

    name: str
    weight: float | Fraction = 1
    reserve: float | Fraction = 0
    minimum: float | Fraction = 0
    maximum: float | Fraction = 1

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise ValueError(f"weight {self.weight} is not above 0 and finite")
        for what, share in (("reserve", self.reserve), ("minimum", self.minimum)):
            if not 0 <= share <= 1:
                raise ValueError(f"{what} {share} is not within 0 to 1")
        if not 0 < self.maximum <= 1:
            raise ValueError(f"maximum {self.maximum} is not above 0 and at most 1")
        for what, share in (("reserve", self.reserve), ("minimum", self.minimum)):
            if share > self.maximum:
                raise ValueError(
                    f"{what} {share} is above maximum {self.maximum}; "
                    f"lower the {what} or raise the maximum"
                )

    @property
    def guaranteed(self) -> float | Fraction:
        """The share that it gets before any other class gets more than its own guarantee."""
        return max(self.reserve, self.minimum)


@dataclass(frozen=True)
class Classes:
    """The classes of a cluster, the highest first.

    Raises ValueError where a name is there twice, or where the guarantees (of each class the larger
    of reserve and minimum) add up to more than 1, so that they could not all be kept.
    """

    shares: tuple[ClassShare, ...]
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    weights: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """The weights times a common denominator."""
    scale: int = field(init=False, repr=False, compare=False)
    """The common denominator of guarantees and maxima."""
    guarantees: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """Guarantees times `scale`."""
    maxima: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """Maxima times `scale`."""

    def __post_init__(self) -> None:
        names = tuple(share.name for share in self.shares)
        if len(set(names)) < len(names):
            raise ValueError(f"a class is there twice among {', '.join(names)}")
        guarantees = [exact(share.guaranteed) for share in self.shares]
        if sum(guarantees) > 1:
            each = ", ".join(f"{s.name} {s.guaranteed}" for s in self.shares if s.guaranteed)
            raise ValueError(
                f"reserves and minima add up to {float(sum(guarantees)):.4g} ({each}); "
                "they may add up to 1"
            )
        maxima = [exact(share.maximum) for share in self.shares]
        weights, _ = over_common_denominator(exact(share.weight) for share in self.shares)
        shares, scale = over_common_denominator([*guarantees, *maxima])
        # A frozen record: what allocating needs is worked out once, not each time.
        put = object.__setattr__
        put(self, "names", names)
        put(self, "weights", tuple(weights))
        put(self, "scale", scale)
        put(self, "guarantees", tuple(shares[: len(names)]))
        put(self, "maxima", tuple(shares[len(names) :]))

    def __iter__(self) -> Iterator[ClassShare]:
        return iter(self.shares)

    def with_shares(self, shares: Iterable[ClassShare]) -> Classes:
        """These classes, with the shares of some replaced. Raises ValueError as the class does,
        and for a name that is not there."""
        by_name = {share.name: share for share in shares}
        unknown = by_name.keys() - set(self.names)
        if unknown:
            raise ValueError(f"no class {', '.join(sorted(unknown))}; there are {self.names}")
        return Classes(tuple(by_name.get(share.name, share) for share in self.shares))


def exact(number: float | Fraction) -> Fraction:
    """A number as the decimal that it is written as: 0.05 is 1/20, not the float next to it."""
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)


def over_common_denominator(numbers: Iterable[Fraction]) -> tuple[list[int], int]:
    """Numerators over the least common denominator, and that denominator."""
    fractions = list(numbers)
    denominator = math.lcm(*(number.denominator for number in fractions))
    numerators = [number.numerator * (denominator // number.denominator) for number in fractions]
    return numerators, denominator


DEFAULT_CLASSES = Classes(
    (
        ClassShare("critical", weight=8, reserve=0.25),
        ClassShare("high", weight=4),
        ClassShare("normal", weight=2),
        ClassShare("low", weight=1, minimum=0.05),
    )
)
"""What a cluster does whose configuration says nothing of priorities."""
