"""A round of the hierarchical linear model costs the same however many rows there are.

1,000 groups, 5 columns, 10^4 to 10^7 rows, made and summed a piece at a time. The sums are made
once; a round is the work on all groups and the next prior.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.harness import Bar, Row
from benchmarks.meta_tables import Table
from lepton_dask.learn.meta.base import GroupedRows, Setting
from lepton_dask.learn.meta.hierarchical_linear import HierarchicalLinear
from lepton_dask.learn.meta.statistics import GroupStatistics

GROUPS = 1000
COLUMNS = 5
ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
PIECE = 1_000_000
ROUNDS = 20
BAR = 1.5


def rounds_by_rows(scale: float = 1.0) -> Table:
    """Seconds of a round and of the sums, by rows; `scale` takes a share of the rows.

    Rounds are timed in turn, and the shortest are compared: what slows the machine slows all.
    """
    setting = Setting(
        tuple(f"x{j}" for j in range(COLUMNS)),
        "squared",
        np.ones(1 + COLUMNS, dtype=np.bool_),
        (10,),
    )
    each = [max(1, round(scale * rows / GROUPS)) for rows in ROWS]
    sums = [_sums(setting, rows) for rows in each]
    seconds = _rounds(setting, [held for _, held in sums])
    title = "hierarchical_linear, seconds a round by rows"
    found = [
        Row(title, f"{rows * GROUPS:,} rows", own, {"seconds of the sums, once": spent})
        for rows, own, (spent, _) in zip(each, seconds, sums, strict=True)
    ]
    least = [min(own) for own in seconds]
    bar = Bar(
        "seconds a round, most / least of 10^4 to 10^7 rows", max(least) / min(least), "<=", BAR
    )
    return Table(title, tuple(found), (bar,))


def _sums(setting: Setting, each: int) -> tuple[float, GroupStatistics]:
    """The sums over `each` rows of every group, and how long they took without making the rows."""
    algorithm, parts, seconds = HierarchicalLinear(), [], 0.0
    for piece in _pieces(each):
        start = time.perf_counter()
        parts.append(algorithm.keep(setting, piece))
        seconds += time.perf_counter() - start
    start = time.perf_counter()
    held = GroupStatistics.merged([part for part in parts if isinstance(part, GroupStatistics)])
    return seconds + time.perf_counter() - start, held


def _pieces(each: int) -> Iterator[GroupedRows]:
    drawn = np.random.default_rng(0)
    w = drawn.normal(size=(GROUPS, 1 + COLUMNS))
    names = tuple(f"group {t:04d}" for t in range(GROUPS))
    most = PIECE // GROUPS
    for first in range(0, each, most):
        count = min(most, each - first)
        owner = np.repeat(np.arange(GROUPS), count)
        x = drawn.normal(size=(len(owner), COLUMNS))
        y = w[owner, 0] + np.einsum("nd,nd->n", x, w[owner, 1:]) + drawn.normal(size=len(owner))
        starts = count * np.arange(GROUPS + 1, dtype=np.int64)
        yield GroupedRows(x, y, np.ones(len(owner)), starts, names)


def _rounds(setting: Setting, held: Sequence[GroupStatistics]) -> list[tuple[float, ...]]:
    """Of each of the held in turn, round by round."""
    algorithm = HierarchicalLinear()
    priors = [algorithm.start(setting, 0)] * len(held)
    seconds: list[list[float]] = [[] for _ in held]
    for number in range(ROUNDS):
        for place, own in enumerate(held):
            start = time.perf_counter()
            message = algorithm.work(setting, priors[place], own, number)
            priors[place] = algorithm.combine(setting, priors[place], [message])
            seconds[place].append(time.perf_counter() - start)
    return [tuple(each) for each in seconds]
