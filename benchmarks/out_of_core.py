"""Training with a third of the memory that the matrix needs: 4 M rows x 100 float64, 3.2 GB.

The same pipeline over the same Parquet files twice, by `lepton_dask.run`: on workers with memory
for all, and on workers that together are limited to a third of the matrix's size (at small scales
no less than what Python itself needs, and then the limit's share of the matrix is told). It must
finish, lose no worker, and come to the same coefficients. The pass rate (matrix bytes x passes /
seconds of training) is told beside the rate at which the disk reads the files, its cache emptied.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.aside import ArmFailed, Aside
from benchmarks.harness import Arm, Bench, Case, Run
from benchmarks.problems import Problem

COLUMNS = 100
FILES = 16
LEAST_BYTES = 400_000_000
"""A worker's own libraries take most of this."""
SAME = 1e-10
IN_MEMORY, LIMITED = "memory for all", "a third of the matrix"


def run(bench: Bench) -> None:
    problem = Problem("iid", bench.rows(4_000_000, 16_000), COLUMNS, chunks=FILES)
    limit = max(LEAST_BYTES, problem.bytes // 3 // 2)
    share = 2 * limit / problem.bytes
    bench.say(f"matrix {problem.bytes / 1e9:.2f} GB; workers limited to {share:.2f} of it")
    paths = written(problem)
    disk = read_rate(paths)
    with Aside(make_pipelines) as free, Aside(make_pipelines, f"{limit // 10**6}MB") as limited:
        arms = [
            Arm(IN_MEMORY, lambda: _run(free, problem, paths, disk)),
            Arm(LIMITED, lambda: _run(limited, problem, paths, disk)),
        ]
        differences = Differences()
        measured = bench.measure(Case(str(problem), arms, differences.agree, warm=0))
    finished = 1 if measured.median(LIMITED) else 0
    bench.bar("finishes with the same coefficients", finished, ">=", 1)
    bench.bar("largest difference of a coefficient", differences.largest, "<=", SAME)
    bench.bar("workers lost", measured.value(LIMITED, "workers lost"), "<=", 0)
    bench.bar("memory limit / matrix", share, "<=", 0.34)


def make_pipelines(memory: str | None = None) -> Any:
    from benchmarks.ours_pipelines import Pipelines

    return Pipelines(memory)


def written(problem: Problem) -> list[Path]:
    """The problem's chunks as Parquet files, made once; numbers do not compress, so plain."""
    import pyarrow as pa
    from pyarrow import parquet

    folder = Path(tempfile.gettempdir()) / "lepton-benchmarks" / f"{problem.kind}-{problem.rows}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"part_{number:02}.parquet" for number in range(problem.chunks)]
    for number, path in enumerate(paths):
        if path.exists():
            continue
        chunk = problem.chunk(number)
        columns = {f"x{j}": chunk.dense[:, j] for j in range(problem.columns)}
        table = pa.table(columns | {"y": chunk.target.astype(np.int64)})
        part = path.with_suffix(".part")
        parquet.write_table(
            table, part, compression="none", use_dictionary=False, row_group_size=1 << 16
        )
        part.replace(path)
    return paths


def read_rate(paths: list[Path]) -> float:
    """Bytes a second of reading the files in turn, after the system was told to forget them."""
    total = 0
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    began = time.perf_counter()
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(1 << 24):
                total += len(piece)
    return total / (time.perf_counter() - began)


def _run(aside: Aside, problem: Problem, paths: list[Path], disk: float) -> Run:
    before = aside.call("lost_workers")
    try:
        trained = aside.call("train_numbers", paths, 1.0 / problem.rows)
    except ArmFailed as error:
        return Run(math.nan, str(error).strip().splitlines()[-1])
    rate = problem.bytes * trained.passes / trained.train_seconds
    values = {
        "optimizer": trained.optimizer,
        "passes": trained.passes,
        "training, s": trained.train_seconds,
        "pass rate, MB/s": rate / 1e6,
        "disk, MB/s": disk / 1e6,
        "workers lost": aside.call("lost_workers") - before,
    }
    return Run(trained.seconds, trained.theta, values)


class Differences:
    """Compares coefficients, and keeps the largest difference that it has seen."""

    def __init__(self) -> None:
        self.largest: float | None = None

    def agree(self, answers: Mapping[str, Any]) -> dict[str, str | None]:
        failed = {name: theta for name, theta in answers.items() if isinstance(theta, str)}
        if failed:
            return {name: f"it did not finish: {why}" for name, why in failed.items()}
        apart = float(np.max(np.abs(answers[LIMITED] - answers[IN_MEMORY])))
        self.largest = max(apart, self.largest or 0.0)
        wrong = None if apart <= SAME else f"its coefficients are {apart:.2g} apart"
        return {IN_MEMORY: None, LIMITED: wrong}
