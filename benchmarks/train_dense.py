"""Dense logistic regression to a sub-optimality of 1e-6: iid 1M x 50 and AR(0.9) 500k x 100, C = 1.

The clock starts with the data on the workers (ours, dask-ml) or in memory (the others). Every arm
trains with the loosest tolerance of a ladder that reaches 1e-6 on this very data, found before
anything is timed; tolerances are those of the largest partial derivative of the mean objective,
which is what all of them stop by.
"""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.arms import Contender, opened
from benchmarks.harness import Bench, Case
from benchmarks.optimum import Optimum
from benchmarks.problems import Problem

WORKERS, MEMORY = "workers", "memory"

OURS = Contender("ours", "benchmarks.ours", (), WORKERS)
DASK_ML = Contender(
    "dask-ml lbfgs", "benchmarks.peers.dask_ml_lbfgs", ("dask-ml",), WORKERS, "lbfgs"
)
SKLEARN = {
    solver: Contender(
        f"scikit-learn {solver}",
        "benchmarks.peers.scikit_learn",
        ("scikit-learn",),
        MEMORY,
        solver,
    )
    for solver in ("lbfgs", "newton-cg", "newton-cholesky")
}
GLUM = {
    solver: Contender(
        f"glum {solver}", "benchmarks.peers.glum_tabmat", ("glum", "tabmat"), MEMORY, solver
    )
    for solver in ("lbfgs", "irls-ls")
}


def run(bench: Bench) -> None:
    iid = Problem("iid", bench.rows(1_000_000), 50)
    with ExitStack() as stack:
        case = _case(
            bench,
            stack,
            iid,
            (OURS, SKLEARN["lbfgs"], DASK_ML, *list(SKLEARN.values())[1:], *GLUM.values()),
        )
        measured = bench.measure(case)
    bench.bar(
        "iid: scikit-learn lbfgs / ours", measured.ratio("scikit-learn lbfgs", "ours"), ">=", 5
    )
    bench.bar("iid: dask-ml lbfgs / ours", measured.ratio("dask-ml lbfgs", "ours"), ">=", 12)
    corr = Problem("corr", bench.rows(500_000), 100)
    with ExitStack() as stack:
        case = _case(
            bench, stack, corr, (OURS, SKLEARN["newton-cholesky"], DASK_ML, SKLEARN["lbfgs"])
        )
        measured = bench.measure(case)
    bench.bar(
        "corr: scikit-learn newton-cholesky / ours",
        measured.ratio("scikit-learn newton-cholesky", "ours"),
        ">=",
        2.3,
    )
    bench.bar("corr: dask-ml lbfgs / ours", measured.ratio("dask-ml lbfgs", "ours"), ">=", 18)


def _case(
    bench: Bench, stack: ExitStack, problem: Problem, contenders: tuple[Contender, ...]
) -> Case:
    l2 = 1.0 / problem.rows
    optimum = Optimum(problem, l2)
    arms = opened(bench, stack, contenders, problem, l2, optimum.suboptimality)
    return Case(str(problem), arms, optimum.agree, warm=0)
