"""The space of a search: its points, and the training that a point stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy as np
from pydantic import ValidationError

from lepton_dask.learn.search.domains import Domain, Value
from lepton_dask.learn.train import Train

Point = dict[str, Value]
"""A value for each searched field, by its dotted name."""

MOST_CORNERS = 256


@dataclass(frozen=True)
class Dimension:
    """One searched field. `whole` ones take whole numbers alone."""

    name: str
    domain: Domain
    whole: bool

    @property
    def corners(self) -> tuple[Value, ...]:
        """Every choice, or both ends."""
        if self.domain.choices is not None:
            return self.domain.choices
        return self.domain.at(0.0, self.whole), self.domain.at(1.0, self.whole)


@dataclass(frozen=True)
class Space:
    """The searched fields, in the file's order."""

    dimensions: tuple[Dimension, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.dimensions)

    def sampled(self, seed: int, trial: int) -> Point:
        """The point of a trial's number: whatever came before, it is the same.

        u_j = frac(shift_j + the radical inverse of the trial's number in the j-th prime base): the
        Halton sequence (1960), shifted at random (Cranley, Patterson, 1976). Any first points of it
        fill each dimension evenly, where so few drawn one by one at random leave gaps.
        """
        d = len(self.dimensions)
        shift = np.random.default_rng([seed, d]).random(d)
        units = [
            (start + _radical_inverse(trial, base)) % 1.0
            for start, base in zip(shift.tolist(), _primes(d), strict=True)
        ]
        return {
            each.name: each.domain.at(unit, each.whole)
            for each, unit in zip(self.dimensions, units, strict=True)
        }

    def completed(self, known: Mapping[str, Value], seed: int, trial: int) -> Point | None:
        """A point with these values and the others as sampled; None where one of them is outside
        the space, or none is in it."""
        by_name = {each.name: each.domain for each in self.dimensions}
        if not known or not known.keys() <= by_name.keys():
            return None
        if not all(by_name[name].has(value) for name, value in known.items()):
            return None
        return {**self.sampled(seed, trial), **known}


def space_of(train: Train) -> Space:
    """The space that a step searches; its domains have been checked."""
    assert train.search is not None
    return Space(
        tuple(
            Dimension(name, domain, _is_whole(train, name, domain))
            for name, domain in train.search.space.items()
        )
    )


def with_point(train: Train, point: Mapping[str, Value]) -> Train:
    """The training at a point of its search. Raises ValidationError where the fields do not take
    the values."""
    data = train.model_dump(by_alias=True, exclude_unset=True, exclude={"search"})
    for name, value in point.items():
        _put(data, name.split("."), value)
    return Train.model_validate(data)


def corners(space: Space) -> Iterator[Point]:
    """The space's corners: choices and ends of ranges in all combinations, up to MOST_CORNERS."""
    values = product(*(each.corners for each in space.dimensions))
    for combination in islice(values, MOST_CORNERS):
        yield dict(zip(space.names, combination, strict=True))


def _put(data: dict[str, Any], keys: list[str], value: Value) -> None:
    """Sets a value below a mapping; what stands in the way and is no mapping is replaced."""
    *above, last = keys
    for key in above:
        below = data.get(key)
        data[key] = dict(below) if isinstance(below, Mapping) else {}
        data = data[key]
    data[last] = value


def _is_whole(train: Train, name: str, domain: Domain) -> bool:
    """Whether a range is one of whole numbers: the field takes no other."""
    if domain.choices is not None:
        return False
    between = domain.low + 0.6180339887 * (domain.high - domain.low)
    try:
        with_point(train, {name: between})
    except ValidationError:
        return True
    return False


def _radical_inverse(number: int, base: int) -> float:
    """The digits of a number behind the point, the last first: 6 = 110 in base 2 is 0.011."""
    inverse, weight = 0.0, 1.0 / base
    while number:
        number, digit = divmod(number, base)
        inverse += digit * weight
        weight /= base
    return inverse


def _primes(count: int) -> list[int]:
    """The first primes."""
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found
