"""How near the kernel comes to reading memory: 1M x 200 float64, two threads of one process.

The kernel's loss and gradient, against np.sum and a compiled sum over the same memory by the same
two threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.aside import Aside
from benchmarks.harness import Arm, Bench, Case, Run
from benchmarks.machine import missing
from benchmarks.problems import Problem

COLUMNS = 200
TURNS = 9
BAR = 0.8


def run(bench: Bench) -> None:
    problem = Problem("iid", bench.rows(1_000_000), COLUMNS)
    random = np.random.default_rng(1)
    theta = random.standard_normal(COLUMNS + 1) / np.sqrt(COLUMNS)
    absent = missing("numba")
    with Aside(make_kernel, problem) as aside:
        arms = [
            Arm("kernel", lambda: _run(aside, problem, "sweep", theta)),
            Arm("np.sum", lambda: _run(aside, problem, "total", "np.sum")),
            Arm("compiled sum", missing=absent)
            if absent
            else Arm("compiled sum", lambda: _run(aside, problem, "total", "compiled")),
        ]
        checks = aside.call("by_numpy", theta)
        case = Case(str(problem), arms, lambda answers: _agree(answers, checks), warm=2)
        measured = bench.measure(case, repeats=max(bench.repeats, TURNS))
    sums = [measured.value(arm, "GB/s") for arm in ("np.sum", "compiled sum")]
    fastest = max((each for each in sums if each is not None), default=None)
    kernel = measured.value("kernel", "GB/s")
    value = kernel / fastest if kernel and fastest else None
    bench.bar("kernel's bytes a second / the faster sum's", value, ">=", BAR)


def make_kernel(problem: Problem) -> Any:
    from benchmarks.ours import Kernel

    return Kernel(problem)


def _run(aside: Aside, problem: Problem, method: str, given: Any) -> Run:
    seconds, answer = aside.call(method, given)
    return Run(seconds, answer, {"GB/s": problem.bytes / seconds / 1e9})


def _agree(answers: Any, checks: tuple[float, float]) -> dict[str, str | None]:
    """The loss and the sum, both by plain numpy in the same process."""
    expected = {"kernel": checks[0], "np.sum": checks[1], "compiled sum": checks[1]}
    return {
        name: None
        if math.isclose(answer, expected[name], rel_tol=1e-9, abs_tol=1e-3)
        else f"it is {answer!r}, numpy's {expected[name]!r}"
        for name, answer in answers.items()
    }
