"""Failures while a run works: what it survives, and how it fails where it cannot."""

from __future__ import annotations

import json
import os
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from processes import are_gone, lepton_process

from lepton_dask.artifacts.run_folder import list_runs
from lepton_dask.cluster import Session, connect
from lepton_dask.config.cluster import ClusterConfig, LocalCluster
from lepton_dask.config.load import LoadedConfig
from lepton_dask.errors import RunError
from lepton_dask.run.outcome import RunOutcome
from lepton_dask.run.pipeline import load_and_plan, run_planned

pytestmark = pytest.mark.cluster

PIPELINE = """
name: faulty
steps:
  rows: {read: {path: rows.csv}}
  marked: {derive: {python: "MODULE:mark", outputs: {z: number}}, retries: RETRIES}
  out: {write: {path: out.csv}}
"""

FAILS = """
def mark(frame):
    attempt(frame)
    if attempts() <= 1:
        raise ValueError("no luck")
    return frame.assign(z=1.0)
"""

DIES = """
def mark(frame):
    attempt(frame)
    if attempts() <= DEATHS:
        os.kill(os.getpid(), signal.SIGKILL)
    return frame.assign(z=1.0)
"""

ATTEMPTS = """
import os, pathlib, signal

LOG = pathlib.Path(__file__).with_suffix(".log")

def attempt(frame):
    with LOG.open("a") as log:
        log.write(f"{os.getpid()}\\n")

def attempts():
    return len(LOG.read_text().splitlines())
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Session]:
    """Two workers of its own, which come back when they die."""
    local = LocalCluster(workers=2, threads_per_worker=1, memory_per_worker="1GiB")
    config = ClusterConfig(cluster=local, dashboard="127.0.0.1:0", worker_timeout_s=60)
    with connect(LoadedConfig(config, None, Path())) as session:
        yield session


class Faulty:
    """A run of one chunk through a function of the user's that keeps a log of its calls."""

    def __init__(self, folder: Path, module: str, function: str, retries: int) -> None:
        self.folder, self.module = folder, module
        (folder / "rows.csv").write_text("x\n1\n2\n3\n")
        (folder / f"{module}.py").write_text(textwrap.dedent(ATTEMPTS + function))
        self.path = folder / "faulty.yaml"
        text = PIPELINE.replace("MODULE", module).replace("RETRIES", str(retries))
        self.path.write_text(text)

    def run(self, address: str) -> RunOutcome:
        planned = load_and_plan(self.path)
        return run_planned(planned, scheduler=address, runs=self.folder / "runs")

    @property
    def pids(self) -> list[int]:
        """The process of each attempt."""
        return [int(pid) for pid in (self.folder / f"{self.module}.log").read_text().split()]

    @property
    def error(self) -> dict[str, object]:
        """error.json of the one run, which is marked as failed."""
        [run] = list_runs(self.folder / "runs")
        assert (run.state, run.exit_code) == ("failed", 1)
        assert not (self.folder / "runs" / "latest").exists()
        return dict(json.loads((run.folder / "error.json").read_text()))


@pytest.fixture
def faulty(tmp_path: Path) -> Callable[[str, int], Faulty]:
    """Makes a run around a function; each in a module of its own, as workers keep modules."""
    return lambda function, retries: Faulty(tmp_path, tmp_path.name, function, retries)


def test_a_function_that_fails_is_named_with_step_and_file(
    scheduler: str, faulty: Callable[[str, int], Faulty]
) -> None:
    run = faulty(FAILS, 0)
    with pytest.raises(RunError) as failed:
        run.run(scheduler)
    what = f"'{run.module}:mark' failed: ValueError: no luck"
    assert str(failed.value) == f"step 'marked', rows.csv: {what}"
    assert len(run.pids) == 1
    error = run.error
    assert (error["kind"], error["step"], error["file"]) == ("RunError", "marked", "rows.csv")


def test_retries_are_attempts_after_the_first(
    scheduler: str, faulty: Callable[[str, int], Faulty]
) -> None:
    run = faulty(FAILS, 1)
    outcome = run.run(scheduler)
    assert len(run.pids) == 2
    assert pd.read_csv(outcome.folder / "out.csv").z.tolist() == [1, 1, 1]


def test_a_worker_that_dies_under_a_task_is_no_failure(
    cluster: Session, faulty: Callable[[str, int], Faulty]
) -> None:
    run = faulty(DIES.replace("DEATHS", "1"), 0)
    outcome = run.run(cluster.address)
    first, second = run.pids
    assert first != second
    assert first not in cluster.client.run(os.getpid).values()
    assert pd.read_csv(outcome.folder / "out.csv").z.tolist() == [1, 1, 1]


def test_a_task_that_takes_every_worker_down_fails_the_run(
    cluster: Session, faulty: Callable[[str, int], Faulty]
) -> None:
    run = faulty(DIES.replace("DEATHS", "100"), 0)
    with pytest.raises(RunError, match="took down every worker that tried it") as failed:
        run.run(cluster.address)
    assert len(set(run.pids)) == 4
    assert failed.value.step == "marked"
    assert "memory" in str(run.error["fix"])


SIDE_BY_SIDE = """
name: side
steps:
  rows: {read: {path: rows.csv}}
  naps: {from: rows, derive: {python: "side:nap", outputs: {z: number}}}
  fails: {from: rows, derive: {python: "side:fail", outputs: {z: number}}}
  first: {from: naps, write: {path: first.csv}}
  second: {from: fails, write: {path: second.csv}}
"""

SIDE = """
import pathlib, time

NAPPING = pathlib.Path(__file__).with_name("napping")

def nap(frame):
    NAPPING.touch()
    time.sleep(600)

def fail(frame):
    while not NAPPING.exists():
        time.sleep(0.05)
    raise ValueError("no luck")
"""


def test_a_step_that_fails_stops_those_beside_it_and_exits_with_1(tmp_path: Path) -> None:
    """Python cannot end a thread, so the worker in whose thread a function works on has to go."""
    (tmp_path / "rows.csv").write_text("x\n1\n")
    (tmp_path / "side.py").write_text(SIDE)
    (tmp_path / "side.yaml").write_text(SIDE_BY_SIDE)
    (tmp_path / "here.yaml").write_text(
        "cluster: {kind: local, workers: 2, memory_per_worker: 1GiB}\n"
    )
    with lepton_process(tmp_path, "run", "side.yaml", "--on", "here.yaml") as command:
        command.saw("fails: derive")
        family = command.family()
        began = time.monotonic()
        assert command.exit_code() == 1
        assert time.monotonic() - began < 30
        assert (tmp_path / "napping").exists()
        assert "Traceback" not in command.stderr
        assert command.stderr.splitlines()[-1] == (
            "lepton: step 'fails', rows.csv: 'side:fail' failed: ValueError: no luck"
        )
        assert are_gone(family)
        assert list(command.scratch.iterdir()) == []
    [run] = list_runs(tmp_path / "runs")
    assert (run.state, run.exit_code) == ("failed", 1)
    assert json.loads((run.folder / "error.json").read_text())["step"] == "fails"
