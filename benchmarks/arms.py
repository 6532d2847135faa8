"""Arms that train: a process for each library, and the loosest tolerance that is good enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from benchmarks.aside import Aside
from benchmarks.harness import Arm, Bench, Run, Value
from benchmarks.machine import missing
from benchmarks.optimum import NEAR
from benchmarks.problems import Problem

LADDER = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 1e-7, 1e-8)
"""Tolerances from loose to tight."""


@dataclass(frozen=True)
class Contender:
    """`module.Trainer(problem, l2)` with `fit(tolerance[, solver])`; `lies` says where the data is
    when the clock starts."""

    name: str
    module: str
    packages: tuple[str, ...]
    lies: str
    solver: str | None = None


def opened(
    bench: Bench,
    stack: ExitStack,
    contenders: Sequence[Contender],
    problem: Problem,
    l2: float,
    suboptimality: Callable[[Any], float],
) -> list[Arm]:
    """An arm for each contender; solvers of one library share its process and its data.

    A contender that cannot reach 1e-6 on any rung trains with the tightest, and the harness says
    so.
    """
    asides: dict[str, Aside] = {}
    arms = []
    for contender in contenders:
        absent = missing(*contender.packages)
        if absent is not None:
            arms.append(Arm(contender.name, missing=absent))
            continue
        if contender.module not in asides:
            asides[contender.module] = stack.enter_context(
                Aside(make_trainer, contender.module, problem, l2)
            )
        arms.append(_laddered(bench, contender, asides[contender.module], suboptimality))
    return arms


def make_trainer(module: str, problem: Problem, l2: float) -> Any:
    """Imported where it is used: this process stays free of what the arms import."""
    return import_module(module).Trainer(problem, l2)


def _laddered(
    bench: Bench, contender: Contender, aside: Aside, suboptimality: Callable[[Any], float]
) -> Arm:
    given = () if contender.solver is None else (contender.solver,)
    tolerance = LADDER[-1]
    for rung in LADDER:
        if suboptimality(aside.call("fit", rung, *given).theta) <= NEAR:
            tolerance = rung
            break
    bench.say(f"{contender.name}: the data lies in {contender.lies}, tolerance {tolerance:g}")

    def run() -> Run:
        fit = aside.call("fit", tolerance, *given)
        values: dict[str, Value] = {
            "data": contender.lies,
            "tolerance": tolerance,
            "suboptimality": suboptimality(fit.theta),
            "iterations": fit.iterations,
        }
        if hasattr(fit, "passes"):
            values |= {"passes": fit.passes, "optimizer": fit.optimizer}
        return Run(fit.seconds, fit.theta, values)

    return Arm(contender.name, run)
