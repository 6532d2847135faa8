"""The same pipeline gives the same bytes, whoever computes them and whoever dies meanwhile."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Scheduler
from processes import eventually

from lepton_dask.cluster import Session, connect
from lepton_dask.config.cluster import ClusterConfig, LocalCluster
from lepton_dask.config.load import LoadedConfig
from lepton_dask.events import Event, Iterated
from lepton_dask.plan.shapes import TableShape
from lepton_dask.run.pipeline import PlannedRun, load_and_plan, run_planned

pytestmark = pytest.mark.cluster

ROWS = 4000
CHUNK_BYTES = 36_000
ROW_GROUP_ROWS = 400
WORKERS = (4, 2, 1)
"""How many a cluster has, one after another: some of them leave."""
COMPLETE_LOG = {"distributed.admin.low-level-log-length": 1_000_000}

PIPELINE = """
name: trials
seed: 3
steps:
  trials: {{read: {{path: trials.{suffix}, missing_values: ["?"]}}}}
  parts: {{split: {{train: 0.7, validation: 0.1, test: 0.2, stratify: healed}}}}
  features: {{prepare: {{target: {{column: healed, positive: "yes"}}}}}}
  model: {{train: {{loss: logistic, penalty: {{l2: 1.0e-2}}, tolerance: 1.0e-9, max_passes: 40}}}}
"""

Solution = tuple[bytes, str]
"""coefficients.npy and the intercept as bundle.json has it."""


def trials(rows: int, seed: int) -> pd.DataFrame:
    """Numbers of very different size, so that every other order of a sum rounds differently."""
    rng = np.random.default_rng(seed)
    numbers = {f"x{i}": rng.normal(10.0**i, 3.0**i, rows) for i in range(4)}
    town = rng.choice(["Rome", "Oslo", "Lima, upper", "Bonn"], rows)
    score = (numbers["x0"] - 1) + 0.3 * (numbers["x1"] - 10) + (town == "Oslo")
    healed = np.where(rng.random(rows) < 1 / (1 + np.exp(-score)), "yes", "no")
    frame = pd.DataFrame({**numbers, "town": town, "healed": healed})
    frame.loc[rng.random(rows) < 0.1, "x2"] = np.nan
    frame.loc[rng.random(rows) < 0.1, "town"] = None
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same table as CSV and as Parquet, with a pipeline for each."""
    path = tmp_path_factory.mktemp("trials")
    frame = trials(ROWS, seed=11)
    frame.to_csv(path / "trials.csv", index=False)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, path / "trials.parquet", row_group_size=ROW_GROUP_ROWS)
    for suffix in ("csv", "parquet"):
        (path / f"{suffix}.yaml").write_text(PIPELINE.format(suffix=suffix))
    return path


@pytest.fixture
def plan(folder: Path, small_chunks: Callable[[int], None]) -> Callable[[str], PlannedRun]:
    """Plans the pipeline for a format, in at least eight chunks."""

    def planned(suffix: str) -> PlannedRun:
        small_chunks(CHUNK_BYTES)
        run = load_and_plan(folder / f"{suffix}.yaml")
        shape = run.planning.shapes["trials"]
        assert isinstance(shape, TableShape)
        assert len(shape.chunks) >= 8
        return run

    return planned


@contextmanager
def cluster(workers: int, threads: int) -> Iterator[Session]:
    local = LocalCluster(workers=workers, threads_per_worker=threads, memory_per_worker="1GiB")
    config = ClusterConfig(cluster=local, dashboard="127.0.0.1:0")
    with connect(LoadedConfig(config, None, Path())) as session:
        assert list(session.client.nthreads().values()) == [threads] * workers
        yield session


def shrink(session: Session, workers: int) -> None:
    """Lets workers go until so many are left."""
    session.client.cluster.scale(workers)
    eventually(lambda: len(session.client.nthreads()) == workers)


def solution(
    planned: PlannedRun, address: str, runs: Path, listener: Callable[[Event], None] = print
) -> Solution:
    outcome = run_planned(planned, scheduler=address, runs=runs, listeners=[listener])
    model = outcome.folder / "model"
    intercept = json.loads((model / "bundle.json").read_text())["intercept"]
    return (model / "coefficients.npy").read_bytes(), repr(intercept)


@pytest.fixture(scope="module")
def known() -> dict[str, Solution]:
    """The first solution found for each format."""
    return {}


@pytest.mark.parametrize("threads", [1, 2])
def test_coefficients_and_intercept_are_equal_to_the_byte(
    threads: int,
    plan: Callable[[str], PlannedRun],
    known: dict[str, Solution],
    tmp_path: Path,
) -> None:
    with cluster(WORKERS[0], threads) as session:
        for workers in WORKERS:
            shrink(session, workers)
            for suffix in ("csv", "parquet"):
                found = solution(plan(suffix), session.address, tmp_path)
                assert found == known.setdefault(suffix, found), (workers, suffix)


def test_other_chunks_give_other_bytes(
    plan: Callable[[str], PlannedRun],
    known: dict[str, Solution],
    scheduler: str,
    folder: Path,
    tmp_path: Path,
) -> None:
    """So the bytes above are equal because sums keep to the chunks, not because they are easy."""
    in_one_chunk = solution(load_and_plan(folder / "csv.yaml"), scheduler, tmp_path)
    in_many = solution(plan("csv"), scheduler, tmp_path)
    assert in_many == known.setdefault("csv", in_many)
    assert in_many != in_one_chunk
    assert float(in_many[1]) == pytest.approx(float(in_one_chunk[1]), rel=1e-5)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_worker_killed_while_training_changes_no_bit(
    suffix: str,
    plan: Callable[[str], PlannedRun],
    known: dict[str, Solution],
    tmp_path: Path,
) -> None:
    with dask.config.set(COMPLETE_LOG), cluster(2, 1) as session:
        pids = session.client.run(os.getpid)
        victim = min(pids)
        killed: list[int] = []

        def kill_once(event: Event) -> None:
            if isinstance(event, Iterated) and event.iteration == 3 and not killed:
                os.kill(pids[victim], signal.SIGKILL)
                killed.append(pids[victim])

        found = solution(plan(suffix), session.address, tmp_path, kill_once)
        assert killed == [pids[victim]]
        assert pids[victim] not in session.client.run(os.getpid).values()
        again = session.client.run_on_scheduler(computed_again)
        assert {"trials.parse", "features.design", "features.shard"} <= again
    assert found == known.setdefault(suffix, found)


def computed_again(dask_scheduler: Scheduler) -> set[str]:
    """Names of the tasks that were computed more than once."""
    computed = Counter(
        str(key)
        for key, start, finish, *_ in dask_scheduler.transition_log
        if (start, finish) == ("processing", "memory")
    )
    return {key.partition("-")[0] for key, times in computed.items() if times > 1}
