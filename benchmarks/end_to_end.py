"""The census files (1.6 M rows of CSV) to a trained logistic model, scored on the official test
file: ours by `lepton_dask.run` of one pipeline, pandas + scikit-learn, Polars + glum.

l2 as C = 1. scikit-learn and glum stop at their usual tolerance of 1e-4. What a training is worth
is its objective, the mean log loss on the training rows with the penalty, on the arm's own design:
all designs hold the same columns. Ours may be no worse than any by more than 1e-6.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from benchmarks.aside import Aside
from benchmarks.census import Census, census
from benchmarks.harness import Arm, Bench, Case, Run
from benchmarks.machine import PeakMemory, missing

TOLERANCE = 1e-4
WORSE = 1e-6
NEAR = 5e-3
"""How far above the best objective a peer's may be, at the tolerance that it stops at, and count as
the same model."""
AREA = 0.94
MEGABYTE = 1_000_000
OURS, PANDAS = "ours", "pandas + scikit-learn lbfgs"
GLUM = {solver: f"Polars + glum {solver}" for solver in ("lbfgs", "irls-ls")}


def run(bench: Bench) -> None:
    files = census(bench.scale)
    l2 = 1.0 / files.rows
    with Aside(make_pipelines) as ours:
        bench.say(f"the cluster took {ours.call('start_seconds'):.2f} s to start (not counted)")
        arms = [
            Arm(OURS, lambda: _ours(ours, files, l2)),
            _peer(PANDAS, "PandasScikitLearn", ("pandas", "scikit-learn"), files, l2),
        ]
        packages = ("polars", "glum", "tabmat", "scikit-learn")
        arms += [
            _peer(name, "PolarsGlum", packages, files, l2, solver) for solver, name in GLUM.items()
        ]
        ours.call("train_census", files, l2)  # peers have a new process each time: no warming them
        measured = bench.measure(Case(f"{files.rows:,} training rows", arms, _agree, warm=0))
    ratio, value = measured.ratio, measured.value
    bench.bar("pandas + scikit-learn / ours", ratio(PANDAS, OURS), ">=", 6)
    fastest = [each for each in (ratio(name, OURS) for name in GLUM.values()) if each is not None]
    bench.bar("Polars + glum (its faster solver) / ours", min(fastest, default=None), ">=", 4)
    theirs = [value(name, "objective") for name in (PANDAS, *GLUM.values())]
    best = min((each for each in theirs if each is not None), default=None)
    mine = value(OURS, "objective")
    above = None if best is None or mine is None else mine - best
    bench.bar("ours - the peers' best training objective", above, "<=", WORSE)
    bench.bar("test ROC AUC", value(OURS, "test ROC AUC"), ">=", AREA)


def make_pipelines() -> Any:
    from benchmarks.ours_pipelines import Pipelines

    return Pipelines()


def make_peer(kind: str) -> Any:
    return getattr(import_module("benchmarks.peers.end_to_end"), kind)()


def _ours(ours: Aside, files: Census, l2: float) -> Run:
    ours.call("trim")
    with PeakMemory(ours.call("pids")) as peak:
        trained = ours.call("train_census", files, l2)
    values = {
        "objective": trained.objective,
        "test ROC AUC": trained.scores["roc_auc"],
        "optimizer": trained.optimizer,
        "passes": trained.passes,
        **{f"{step}, s": seconds for step, seconds in trained.parts.items()},
        "peak of a worker, MB": peak.largest / MEGABYTE,
    }
    return Run(trained.seconds, (trained.objective, trained.scores["roc_auc"]), values)


def _peer(
    name: str, kind: str, packages: tuple[str, ...], files: Census, l2: float, *solver: str
) -> Arm:
    absent = missing(*packages)
    if absent is not None:
        return Arm(name, missing=absent)

    def run() -> Run:
        with Aside(make_peer, kind) as aside:
            aside.ready()
            with PeakMemory([aside.pid]) as peak:
                modelled = aside.call("model", files, l2, TOLERANCE, *solver)
        values = {
            "objective": modelled.objective,
            "test ROC AUC": modelled.roc_auc,
            "iterations": modelled.iterations,
            "preparing, s": modelled.prepare_seconds,
            "peak, MB": peak.largest / MEGABYTE,
        }
        return Run(modelled.seconds, (modelled.objective, modelled.roc_auc), values)

    return Arm(name, run)


def _agree(answers: Mapping[str, Any]) -> dict[str, str | None]:
    """Objectives near the best, and areas near ours: all have learnt the same model."""
    best = min(objective for objective, _ in answers.values())
    area = answers[OURS][1]
    verdicts: dict[str, str | None] = {}
    for name, (objective, its_area) in answers.items():
        verdicts[name] = None
        if objective > best * (1 + NEAR):
            verdicts[name] = f"its objective is {objective:.6f}, the best {best:.6f}"
        elif abs(its_area - area) > NEAR:
            verdicts[name] = f"its test ROC AUC is {its_area:.4f}, ours {area:.4f}"
    return verdicts
