"""What won before on data of a similar profile: where the next search begins.

A plain JSON file, an entry for each search that ended, the latest last. Entries may be edited or
deleted by hand.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lepton_dask.learn.search.domains import Value
from lepton_dask.learn.search.space import Point, Space

NEAREST = 3
"""Winners that begin a search: more of them and what is far away delays what is sampled."""

MOST_ENTRIES = 500

PRIORS = frozenset({"penalty.l1", "penalty.l2"})

SAME = 0.03
"""Two winners whose values lie closer than this, as a share of each range, are one."""


@dataclass(frozen=True)
class DataProfile:
    """What a table is like: rows and coefficients, the share of these that are levels of categories
    or hashed texts, the share of values that are missing, and for classes the share of the rarest
    (0 where the target is a number)."""

    loss: str
    rows: int
    features: int
    categories: float
    missing: float
    rarest: float

    def distance(self, other: DataProfile) -> float:
        """Euclidean, in decades for what is counted; another loss is further than anything else."""
        decades = math.hypot(
            math.log10(max(1, self.rows) / max(1, other.rows)),
            math.log10(max(1, self.features) / max(1, other.features)),
        )
        shares = math.hypot(
            self.categories - other.categories,
            self.missing - other.missing,
            self.rarest - other.rarest,
        )
        return math.hypot(decades, shares) + (0.0 if self.loss == other.loss else 10.0)


@dataclass(frozen=True)
class Entry:
    """The winner of a search."""

    finished: str
    pipeline: str
    profile: DataProfile
    metric: str
    value: float
    winner: Mapping[str, Value]


def read_portfolio(text: str) -> tuple[Entry, ...]:
    """The entries of a portfolio's file. Raises ValueError for a text that is none."""
    try:
        document = json.loads(text)
        return tuple(_entry(each) for each in document["searches"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it lacks {error}") from None


def write_portfolio(entries: Sequence[Entry]) -> str:
    """The file's text; of too many entries the oldest are left out."""
    document = {"searches": [asdict(each) for each in entries[-MOST_ENTRIES:]]}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def load_portfolio(path: Path) -> tuple[Entry, ...]:
    """The entries in a file, none where there is none yet. Raises ValueError as `read_portfolio`
    does, OSError where it cannot be read."""
    return read_portfolio(path.read_text(encoding="utf-8")) if path.exists() else ()


def starts(
    entries: Sequence[Entry], profile: DataProfile, space: Space, seed: int
) -> tuple[Point, ...]:
    """The first points of a search: the winners on the nearest profiles that lie in its space, each
    once, the nearest first. Fields that an entry did not search are as sampled."""
    ranked = sorted(entries, key=lambda entry: profile.distance(entry.profile))
    points: list[Point] = []
    for entry in ranked:
        point = space.completed(carried(entry, profile.rows, space), seed, len(points))
        if point is not None and not any(_alike(space, point, other) for other in points):
            points.append(point)
        if len(points) == NEAREST:
            break
    return tuple(points)


def carried(entry: Entry, rows: int, space: Space) -> Point:
    """An entry's winner on a table of so many rows.

    A penalty is a prior: it weighs against the sum of the losses, and here stands beside their
    mean. So the same prior is l rows_then / rows_now, kept within its range.
    """
    domains = {each.name: each.domain for each in space.dimensions}
    point = dict(entry.winner)
    for name, value in point.items():
        domain = domains.get(name)
        if name in PRIORS and isinstance(value, float) and domain is not None:
            moved = value * entry.profile.rows / max(1, rows)
            inside = domain.choices is None and domain.has(value)
            point[name] = min(max(moved, domain.low), domain.high) if inside else value
    return point


def _alike(space: Space, one: Point, other: Point) -> bool:
    """Whether two points would try nearly the same."""
    for dimension in space.dimensions:
        domain, a, b = dimension.domain, one[dimension.name], other[dimension.name]
        if domain.choices is not None:
            if a != b:
                return False
            continue
        low, high = domain.low, domain.high
        x, y = float(a), float(b)  # type: ignore[arg-type]
        if domain.log is not None:
            low, high, x, y = map(math.log, (low, high, x, y))
        if abs(x - y) > SAME * (high - low):
            return False
    return True


def _entry(document: Mapping[str, Any]) -> Entry:
    fields = {
        **document,
        "winner": frozen_point(document["winner"]),
        "profile": DataProfile(**document["profile"]),
    }
    return Entry(**fields)


def frozen_point(document: Mapping[str, Any]) -> Point:
    """A point out of JSON."""
    return {name: frozen(value) for name, value in document.items()}


def frozen(value: Any) -> Value:
    """A value out of JSON, lists as the tuples that components hold."""
    if isinstance(value, list):
        return tuple(frozen(each) for each in value)
    if isinstance(value, dict):
        return {key: frozen(each) for key, each in value.items()}
    kept: Value = value
    return kept
