"""Seconds a pass per million rows, at 1, 2, 4 and 8 million rows of 20 columns, iid.

A pass is an iteration as the training loop asks for it: cluster, kernel and sums. Chunks hold
62,500 rows each, so their number grows with the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

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
PACE = "seconds per million rows"


def run(bench: Bench) -> None:
    with ExitStack() as stack:
        arms = [_arm(bench, stack, millions) for millions in MILLIONS]
        case = Case("iterations", arms, _agree, warm=3)
        measured = bench.measure(case, repeats=max(bench.repeats, TURNS))
    paces = [measured.value(arm.name, PACE) for arm in arms]
    known = [pace for pace in paces if pace is not None]
    value = max(known) / min(known) if len(known) == len(arms) else None
    bench.bar("seconds a pass per million rows, most / least", value, "<=", BAR)


def _arm(bench: Bench, stack: ExitStack, millions: int) -> Arm:
    """Rows on a cluster of their own."""
    rows = bench.rows(millions * 1_000_000, 4000)
    problem = Problem("iid", rows, COLUMNS, chunks=millions * (1_000_000 // CHUNK_ROWS))
    aside = stack.enter_context(Aside(make_trainer, "benchmarks.ours", problem, 1.0 / rows))

    def iteration() -> Run:
        seconds, value = aside.call("iteration", np.zeros(COLUMNS + 1))
        return Run(seconds, value, {PACE: seconds / rows * 1e6})

    return Arm(f"{millions}M rows", iteration)


def _agree(answers: Mapping[str, Any]) -> dict[str, str | None]:
    """At theta = 0 the mean logistic loss is log 2."""
    gaps = {name: abs(value - np.log(2)) for name, value in answers.items()}
    return {
        name: None if gap < 1e-12 else f"its loss at 0 is off by {gap:.2g}"
        for name, gap in gaps.items()
    }
