"""Logistic regression on 10 dense and 30 categorical columns of 749 levels, 1.6 M rows, as codes.

Ours on codes, glum on a tabmat split matrix, scikit-learn on scipy.sparse one-hot columns; l2 as
C = 1. All must come within 1e-6 of the optimum, which is that of glum with a tight tolerance. For
information: there is no bar.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from benchmarks.arms import Contender, make_trainer, opened
from benchmarks.aside import Aside
from benchmarks.harness import Bench, Case
from benchmarks.machine import missing
from benchmarks.optimum import NEAR, objective
from benchmarks.problems import CENSUS_LEVELS, Problem

CONTENDERS = (
    Contender("ours", "benchmarks.ours", (), "workers"),
    Contender(
        "glum lbfgs on tabmat",
        "benchmarks.peers.glum_tabmat",
        ("glum", "tabmat"),
        "memory",
        "lbfgs",
    ),
    Contender(
        "glum irls-ls on tabmat",
        "benchmarks.peers.glum_tabmat",
        ("glum", "tabmat"),
        "memory",
        "irls-ls",
    ),
    Contender(
        "scikit-learn lbfgs on scipy.sparse",
        "benchmarks.peers.scikit_learn",
        ("scikit-learn",),
        "memory",
        "lbfgs",
    ),
)
TIGHT = 1e-9
"""The tolerance of the search for the optimum."""


def run(bench: Bench) -> None:
    problem = Problem("wide", bench.rows(1_600_000, 10_000), 10, CENSUS_LEVELS)
    l2 = 1.0 / problem.rows
    rows = problem.whole()

    def value(theta: Any) -> float:
        return objective(rows, theta, l2, problem.levels)

    best = value(_tight(problem, l2))

    def suboptimality(theta: Any) -> float:
        return (value(theta) - best) / best

    def agree(answers: Any) -> dict[str, str | None]:
        gaps = {name: suboptimality(theta) for name, theta in answers.items()}
        return {
            name: None if gap <= NEAR else f"its objective is {gap:.2g} above the best"
            for name, gap in gaps.items()
        }

    with ExitStack() as stack:
        arms = opened(bench, stack, CONTENDERS, problem, l2, suboptimality)
        bench.measure(Case(str(problem), arms, agree, warm=0))


def _tight(problem: Problem, l2: float) -> Any:
    """The optimum: by another library than ours, where one is there."""
    if missing("glum", "tabmat") is None:
        with Aside(make_trainer, "benchmarks.peers.glum_tabmat", problem, l2) as aside:
            return aside.call("fit", TIGHT, "irls-ls").theta
    with Aside(make_trainer, "benchmarks.ours", problem, l2) as aside:
        return aside.call("fit", TIGHT).theta
