"""Seconds a pass per million rows, at 1, 2, 4 and 8 million rows of 20 columns, iid.

A pass is an iteration as the training loop asks for it: cluster, kernel and sums. Chunks hold
62,500 rows each, so their number grows with the rows.
"""

from __future__ import annotations

import numpy as np

from benchmarks.arms import make_trainer
from benchmarks.aside import Aside
from benchmarks.harness import Arm, Bench, Case, Run
from benchmarks.problems import Problem

COLUMNS = 20
MILLIONS = (1, 2, 4, 8)
CHUNK_ROWS = 62_500
TURNS = 15
BAR = 1.25


def run(bench: Bench) -> None:
    theta = np.zeros(COLUMNS + 1)
    paces = []
    for millions in MILLIONS:
        rows = bench.rows(millions * 1_000_000, 4000)
        chunks = millions * (1_000_000 // CHUNK_ROWS)
        problem = Problem("iid", rows, COLUMNS, chunks=chunks)
        # One size after the other, not interleaved: all at once would not fit in memory.
        with Aside(make_trainer, "benchmarks.ours", problem, 1.0 / rows) as aside:

            def iteration(aside: Aside = aside, rows: int = rows) -> Run:
                seconds, value = aside.call("iteration", theta)
                return Run(seconds, value, {"seconds per million rows": seconds / rows * 1e6})

            case = Case(f"{millions} x 1M rows", [Arm("ours", iteration)], _agree, warm=3)
            measured = bench.measure(case, repeats=max(bench.repeats, TURNS))
        paces.append(measured.value("ours", "seconds per million rows"))
    known = [pace for pace in paces if pace is not None]
    value = max(known) / min(known) if len(known) == len(MILLIONS) else None
    bench.bar("seconds a pass per million rows, most / least", value, "<=", BAR)


def _agree(answers):  # type: ignore[no-untyped-def]
    """At theta = 0 the mean logistic loss is log 2."""
    gap = abs(answers["ours"] - np.log(2))
    return {"ours": None if gap < 1e-12 else f"its loss at 0 is off by {gap:.2g}"}
