"""Durations as users write them: `24h`, `30min`, `7d`.

Nothing but the standard library is imported here: a model reads its windows' durations.
"""

from __future__ import annotations

import re

DAY_NS = 86_400 * 10**9

_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": DAY_NS,
    "w": 7 * DAY_NS,
}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ns|us|ms|s|min|m|h|d|w)")
_MOST_NS = 2**62
"""146 years: half of what nanoseconds can count."""


def duration_ns(text: str) -> int:
    """A duration in nanoseconds.

    Raises ValueError, with what is wrong.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not a duration such as '24h', '30min' or '7d'")
    whole, _, fraction = match[1].partition(".")
    unit: int = _UNITS_NS[match[2]]
    length = int(whole) * unit + int(fraction or 0) * unit // int(10 ** len(fraction))
    if length >= _MOST_NS:
        raise ValueError(f"'{text}' is more than a century")
    return length
