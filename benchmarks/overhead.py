"""What an iteration costs above its kernel, against a bare round trip of two empty tasks.

The three are measured in turn within one run, at 16 and at 256 chunks: an iteration as the training
loop asks for it, the time the slower worker spends in the kernel on the same chunks (told by the
worker), and the round trip. The bar is on the median of the differences over the median round trip.
"""

from __future__ import annotations

import statistics

import numpy as np

from benchmarks.arms import make_trainer
from benchmarks.aside import Aside
from benchmarks.harness import Arm, Bench, Case, Run
from benchmarks.problems import Problem

COLUMNS = 50
TURNS = 60
BAR = 1.3


def run(bench: Bench) -> None:
    for chunks in (16, 256):
        problem = Problem("iid", bench.rows(500_000, 256 * 16), COLUMNS, chunks=chunks)
        theta = np.zeros(COLUMNS + 1)
        with Aside(make_trainer, "benchmarks.ours", problem, 1.0 / problem.rows) as aside:
            arms = [
                Arm("iteration", lambda: _iteration(aside, theta)),  # noqa: B023 - run at once
                Arm("kernel", lambda: Run(aside.call("kernel", theta))),  # noqa: B023 - run at once
                Arm("round trip", lambda: Run(aside.call("round_trip"))),
            ]
            case = Case(f"{chunks} chunks", arms, _agree, warm=5)
            measured = bench.measure(case, repeats=max(bench.repeats, TURNS))
        above = [
            whole - kernel
            for whole, kernel in zip(
                measured.rows["iteration"].seconds, measured.rows["kernel"].seconds, strict=True
            )
        ]
        trip = measured.median("round trip")
        value = statistics.median(above) / trip if above and trip else None
        bench.bar(f"{chunks} chunks: (iteration - kernel) / round trip", value, "<=", BAR)


def _iteration(aside: Aside, theta: np.ndarray) -> Run:
    seconds, value = aside.call("iteration", theta)
    return Run(seconds, value)


def _agree(answers):
    """At theta = 0 the mean logistic loss is log 2."""
    gap = abs(answers["iteration"] - np.log(2))
    return {"iteration": None if gap < 1e-12 else f"its loss at 0 is off by {gap:.2g}"}
