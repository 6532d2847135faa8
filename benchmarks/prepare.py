"""The census files, 1.6 M rows x 42 columns, 731 MB of CSV, to a design matrix.

Ours: read, profile, impute medians, scale, encode, by `lepton_dask.run` of a pipeline on a running
cluster of two one-thread workers; the start of the cluster is told beside it. Against pyarrow's
parser (which only parses), Polars eager with to_dummies, pandas with scikit-learn's
ColumnTransformer. The files are in the system's cache: a warm run comes first, and is the one whose
answers are compared before any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.aside import Aside
from benchmarks.census import COLUMNS, Census, census
from benchmarks.harness import Arm, Bench, Case, Run, quotient
from benchmarks.machine import PeakMemory, missing

OURS = "ours"
PYARROW, POLARS, PANDAS = "pyarrow read_csv", "Polars eager, to_dummies", "pandas + scikit-learn"
PEERS = {
    PYARROW: ("PyArrow", ("pyarrow",)),
    POLARS: ("Polars", ("polars",)),
    PANDAS: ("Pandas", ("pandas", "scikit-learn")),
}
MEGABYTE = 1_000_000


def run(bench: Bench) -> None:
    files = census(bench.scale)
    with Aside(make_pipelines) as ours:
        bench.say(f"the cluster took {ours.call('start_seconds'):.2f} s to start (not counted)")
        arms = [Arm(OURS, lambda: _ours(ours, files))]
        arms += [_peer(name, kind, packages, files) for name, (kind, packages) in PEERS.items()]
        measured = bench.measure(Case(f"{files.rows:,} rows x {COLUMNS}", arms, _agree))
    ratio = measured.ratio
    bench.bar("ours / pyarrow read_csv", ratio(OURS, PYARROW), "<=", 2.0)
    bench.bar("Polars / ours", ratio(POLARS, OURS), ">=", 1.5)
    bench.bar("pandas + scikit-learn / ours", ratio(PANDAS, OURS), ">=", 8)
    share = measured.value(OURS, "a worker's share of the matrix, MB")
    allowed = None if share is None else 1.5 * share + 400
    peak = measured.value(OURS, "peak of a worker, MB")
    bench.bar("peak of a worker / (1.5 x its share + 400 MB)", quotient(peak, allowed), "<=", 1.0)


def make_pipelines() -> Any:
    from benchmarks.ours_pipelines import Pipelines

    return Pipelines()


def _ours(ours: Aside, files: Census) -> Run:
    ours.call("trim")
    with PeakMemory(ours.call("pids")) as peak:
        prepared = ours.call("prepare", files)
    values = {
        "peak of a worker, MB": peak.largest / MEGABYTE,
        "a worker's share of the matrix, MB": prepared.matrix_bytes / 2 / MEGABYTE,
        "cluster start, s": ours.call("start_seconds"),
    }
    return Run(prepared.seconds, (prepared.rows, prepared.facts), values)


def _peer(name: str, kind: str, packages: tuple[str, ...], files: Census) -> Arm:
    absent = missing(*packages)
    if absent is not None:
        return Arm(name, missing=absent)

    def run() -> Run:
        # A process for each run: none begins with the memory that the last one left.
        with Aside(make_peer, kind) as aside:
            aside.ready()
            with PeakMemory([aside.pid]) as peak:
                prepared = aside.call("prepare", files.train)
        values = {"peak, MB": peak.largest / MEGABYTE}
        return Run(prepared.seconds, (prepared.rows, prepared.facts), values)

    return Arm(name, run)


def make_peer(kind: str) -> Any:
    """With its library imported: that is not on the clock."""
    from benchmarks.peers import tables

    return tables.ready(kind)


def _agree(answers: Mapping[str, Any]) -> dict[str, str | None]:
    """Every design against ours: rows, columns, positives, level counts, squares of numbers."""
    rows, facts = answers[OURS]
    verdicts: dict[str, str | None] = {}
    for name, (its_rows, its) in answers.items():
        verdicts[name] = None
        if its_rows != rows:
            verdicts[name] = f"it has {its_rows:,} rows, ours {rows:,}"
        elif its is not None:
            verdicts[name] = _differs(its, facts)
    return verdicts


def _differs(its: Any, ours: Any) -> str | None:
    if (its.features, its.positives) != (ours.features, ours.positives):
        found = f"{its.features} columns and {its.positives:,} positives"
        return f"it has {found}, ours {ours.features} and {ours.positives:,}"
    if not np.array_equal(its.counts, ours.counts):
        return "its levels have other counts than ours"
    if not np.allclose(its.squares, ours.squares, rtol=1e-6):
        return f"its scaled numbers differ from ours: {its.squares} and {ours.squares}"
    return None
