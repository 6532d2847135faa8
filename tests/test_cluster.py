"""Reaching a cluster, starting one, and losing it."""

from __future__ import annotations

import json
import re
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import distributed
import numpy as np
import pandas as pd
import psutil
import pytest
from processes import (
    Started,
    are_gone,
    eventually,
    lepton_process,
    stock_scheduler,
    stock_workers,
)

from lepton_dask import cluster
from lepton_dask.artifacts.run_folder import list_runs
from lepton_dask.cluster import connect
from lepton_dask.config.cluster import AddressCluster, ClusterConfig, LocalCluster
from lepton_dask.config.load import LoadedConfig
from lepton_dask.errors import ClusterError, Interrupted
from lepton_dask.events import Event, Iterated
from lepton_dask.run.pipeline import load_and_plan, run_planned

pytestmark = pytest.mark.cluster

LONG = """
name: long
steps:
  rows: {read: {path: rows.csv}}
  features: {prepare: {target: y}}
  model:
    train:
      loss: squared
      optimizer: {gradient_descent: {learning_rate: 1.0e-4}}
      max_passes: 100000
      tolerance: 0
"""


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that trains until something stops it."""
    folder = tmp_path_factory.mktemp("long")
    rng = np.random.default_rng(5)
    x = rng.normal(size=200)
    pd.DataFrame({"x": x, "y": 2 * x + 1}).to_csv(folder / "rows.csv", index=False)
    path = folder / "long.yaml"
    path.write_text(LONG)
    return path


@pytest.fixture(scope="module")
def lonely() -> Iterator[str]:
    """The address of a scheduler in this process, without workers."""
    with distributed.LocalCluster(
        n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as started:
        yield started.scheduler_address


def at(address: str, timeout_s: float) -> LoadedConfig:
    there = AddressCluster(kind="address", address=address)
    return LoadedConfig(ClusterConfig(cluster=there, worker_timeout_s=timeout_s), None, Path())


def local(dashboard: str = "127.0.0.1:0") -> LoadedConfig:
    here = LocalCluster(workers=1, memory_per_worker="1GiB")
    return LoadedConfig(ClusterConfig(cluster=here, dashboard=dashboard), None, Path())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def on_iteration(number: int, act: Callable[[], None]) -> Callable[[Event], None]:
    """A listener that acts when training has come so far."""

    def listener(event: Event) -> None:
        if isinstance(event, Iterated) and event.iteration == number:
            act()

    return listener


def test_an_address_without_a_scheduler_is_an_error_in_time() -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    began = time.monotonic()
    with pytest.raises(ClusterError, match=f"cannot connect to a scheduler at {address}"):
        connect(at(address, 1)).__enter__()
    assert time.monotonic() - began < 5


def test_an_address_without_a_scheduler_exits_with_4(long: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    address = f"tcp://127.0.0.1:{free_port()}"
    config.write_text(f"cluster: {{kind: address, address: '{address}'}}\nworker_timeout_s: 1\n")
    with lepton_process(tmp_path, "run", long, "--on", config) as command:
        assert command.exit_code() == 4
        assert f"lepton: cannot connect to a scheduler at {address}" in command.stderr
        assert re.search(r"\((\[Errno \d+\] Connection refused|no answer)\)", command.stderr)
        assert "Traceback" not in command.stderr
    [run] = list_runs(tmp_path / "runs")
    assert (run.state, run.exit_code) == ("failed", 4)


def test_a_scheduler_without_workers_is_an_error_in_time(lonely: str) -> None:
    began = time.monotonic()
    with pytest.raises(ClusterError, match=f"the scheduler at {lonely} has no worker after 1 s"):
        connect(at(lonely, 1)).__enter__()
    assert 1 <= time.monotonic() - began < 5


@pytest.mark.parametrize("has_scheduler", [True, False])
def test_waiting_for_a_cluster_can_be_stopped(
    lonely: str, has_scheduler: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "DIAL_S", 1.0)
    address = lonely if has_scheduler else f"tcp://127.0.0.1:{free_port()}"
    began = time.monotonic()

    def check() -> None:
        if time.monotonic() - began > 0.5:
            raise Interrupted(signal.SIGINT)

    with pytest.raises(Interrupted):
        connect(at(address, 600), check=check).__enter__()
    assert 0.5 < time.monotonic() - began < 5


def test_losing_every_worker_fails_the_run_in_time(lonely: str, long: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"cluster: {{kind: address, address: '{lonely}'}}\nworker_timeout_s: 2\n")
    planned = load_and_plan(long, on=config)
    lost: list[float] = []
    with stock_workers(tmp_path, lonely, 2) as workers:

        def lose_all() -> None:
            for worker in workers:
                worker.send(signal.SIGKILL)
            lost.append(time.monotonic())

        with pytest.raises(ClusterError, match="was lost: no worker for 2 s"):
            run_planned(planned, runs=tmp_path / "runs", listeners=[on_iteration(5, lose_all)])
        assert [worker.exit_code() for worker in workers] == [-signal.SIGKILL] * 2
    assert 2 <= time.monotonic() - lost[0] < 10
    [run] = list_runs(tmp_path / "runs")
    assert (run.state, run.exit_code) == ("failed", 4)
    error = json.loads((run.folder / "error.json").read_text())
    assert (error["kind"], error["exit_code"]) == ("ClusterError", 4)
    assert not (tmp_path / "runs" / "latest").exists()


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_scheduler_that_dies_or_hangs_fails_the_run_in_time(
    signal_number: signal.Signals, long: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    with (
        stock_scheduler(tmp_path) as (address, scheduler),
        stock_workers(tmp_path, address, 1),
    ):
        config.write_text(
            f"cluster: {{kind: address, address: '{address}'}}\nworker_timeout_s: 2\n"
        )
        with lepton_process(tmp_path, "run", long, "--on", config) as command:
            command.saw("iteration 10,")
            scheduler.send(signal_number)
            began = time.monotonic()
            assert command.exit_code() == 4
            assert time.monotonic() - began < 15
            assert "Traceback" not in command.stderr
            last = command.stderr.splitlines()[-1]
            assert re.match("lepton: .*(was lost|dropped the tasks)", last), last
    [run] = list_runs(tmp_path / "runs")
    assert (run.state, run.exit_code) == ("failed", 4)
    assert (run.folder / "error.json").is_file()


def listening(processes: list[psutil.Process]) -> set[str]:
    """The addresses that processes accept connections at."""
    return {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_a_local_cluster_listens_on_loopback_alone(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("cluster: {kind: local, workers: 2, memory_per_worker: 1GiB}\n")
    with lepton_process(tmp_path, "cluster", "start", "--foreground", "--on", config) as command:
        command.saw("run on it:")
        family = command.family()
        assert len(family) >= 3, family
        assert listening(family) == {"127.0.0.1"}
        dashboard = command.saw("dashboard:").split()[-1]
        assert dashboard.startswith("http://127.0.0.1:")


def test_a_dashboard_port_that_is_taken_is_another_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with connect(local(f"127.0.0.1:{port}")) as session:
            found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/status", session.dashboard)
            assert found is not None, session.dashboard
            assert int(found[1]) not in (0, port)
            with socket.create_connection(("127.0.0.1", int(found[1])), timeout=5):
                pass


def test_a_local_cluster_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(psutil.Process().children(recursive=True))
    with connect(local()) as session:
        session.client.submit(sum, [1, 2]).result()
        assert [path.name.startswith("lepton-") for path in tmp_path.iterdir()] == [True]
        began = set(psutil.Process().children(recursive=True)) - before
        workers = [process for process in began if "resource_tracker" not in str(process.cmdline())]
        assert workers
    assert are_gone(workers)
    assert list(tmp_path.iterdir()) == []


ADDRESS = re.compile(r"tcp://127\.0\.0\.1:\d+")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Started]:
    config = tmp_path / "config.yaml"
    config.write_text(
        "cluster: {kind: local, workers: 2, memory_per_worker: 1GiB}\ndashboard: 127.0.0.1:0\n"
    )
    with lepton_process(tmp_path, "cluster", "start", "--foreground", "--on", config) as command:
        yield command


SHORT = """
name: {name}
steps:
  rows: {{read: {{path: rows.csv}}}}
  features: {{prepare: {{target: y}}}}
  model: {{train: {{loss: squared, penalty: {{l2: {l2}}}}}}}
  scores: {{evaluate: {{metrics: [r2]}}}}
"""


def test_two_runs_share_a_cluster_that_stays_up_until_it_is_stopped(
    served: Started, long: Path, tmp_path: Path
) -> None:
    address = served.saw("scheduler:").split()[-1]
    assert ADDRESS.fullmatch(address)
    assert served.saw("dashboard:").split()[-1].startswith("http://127.0.0.1:")
    paths = [long.parent / f"{name}.yaml" for name in ("left", "right")]
    for path, l2 in zip(paths, ("0", "1"), strict=True):
        path.write_text(SHORT.format(name=path.stem, l2=l2))
    runs = [tmp_path / path.stem for path in paths]
    commands = [
        ("run", path, "--scheduler", address, "--output", output)
        for path, output in zip(paths, runs, strict=True)
    ]
    with (
        lepton_process(tmp_path / "a", *commands[0]) as left,
        lepton_process(tmp_path / "b", *commands[1]) as right,
    ):
        assert [left.exit_code(), right.exit_code()] == [0, 0]
        for command, output in zip((left, right), runs, strict=True):
            assert command.stdout.splitlines()[-1] == str(output)
    slopes = [float(np.load(output / "model" / "coefficients.npy")[0]) for output in runs]
    # The slope of a standardised x is 2 std(x); the penalty of 1 halves it.
    assert slopes[0] == pytest.approx(2 * slopes[1], rel=1e-4)
    family = served.family()
    served.send(signal.SIGTERM)
    assert served.exit_code() == 143
    assert "Traceback" not in served.stderr
    assert are_gone(family)
    assert list(served.scratch.iterdir()) == []


def test_ctrl_c_closes_a_shared_cluster(served: Started) -> None:
    served.saw("run on it:")
    family = served.family()
    served.send_group(signal.SIGINT)
    assert served.exit_code() == 130
    assert served.stderr == "lepton: stopped by SIGINT\n"
    assert are_gone(family)
    assert list(served.scratch.iterdir()) == []


def test_eventually_is_not_for_ever() -> None:
    with pytest.raises(AssertionError, match="not within"):
        eventually(lambda: False, timeout_s=0.1)
