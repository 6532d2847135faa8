"""`lepton cluster start`, `status` and `stop`: a cluster that stays up, and what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from conftest import Exit, Lepton
from distributed import Client
from processes import LEPTON, are_gone, eventually, stock_scheduler
from showing import showing
from statuses import busy

import lepton_dask.resources
from lepton_dask.cli.cluster import status_tables
from lepton_dask.errors import RunError
from lepton_dask.resources.status import Status
from lepton_dask.run.kept_cluster import KeptCluster, keeping, kept_cluster, state_folder
from lepton_dask.run.serve import serve

CONFIG = """\
cluster: {kind: local, workers: 1, memory_per_worker: 1GiB}
dashboard: 127.0.0.1:0
priorities:
  critical: {weight: 5, reserve: 0.5}
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "lepton"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def shell(*words: object) -> Exit:
    """The command in a shell of its own that ends with it."""
    done = subprocess.run(
        [LEPTON, *map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )
    return Exit(done.returncode, done.stdout, done.stderr)


@contextmanager
def started(config: Path) -> Iterator[Exit]:
    try:
        yield shell("cluster", "start", "--on", config)
    finally:
        shell("cluster", "stop")


@pytest.mark.cluster
def test_it_outlives_its_shell_serves_runs_and_is_gone_when_stopped(config: Path, state: Path):
    with started(config) as start:
        assert (start.code, start.stderr) == (0, "")
        told = dict(line.split(": ", 1) for line in start.stdout.splitlines())
        kept = json.loads((state / "cluster.json").read_text())
        assert told["scheduler"].strip() == kept["address"]
        assert told["priorities"].strip() == kept["dashboard"].removesuffix("/status") + "/lepton"
        family = psutil.Process(kept["pid"]).children(recursive=True)
        with Client(kept["address"]) as client:
            assert client.submit(sum, [1, 2]).result() == 3
        status = shell("cluster", "status", "--json")
        classes = json.loads(status.stdout)["classes"]
        assert (status.code, classes["critical"]["weight"]) == (0, 5)
        again = shell("cluster", "start", "--on", config)
        assert again.code == 1
        assert again.stderr.startswith(f"lepton: a cluster is running already at {kept['address']}")
        stop = shell("cluster", "stop")
        assert stop == Exit(0, f"stopped the cluster at {kept['address']}\n", "")
        assert are_gone(family)
    assert not (state / "cluster.json").exists()


@pytest.mark.cluster
def test_what_a_killed_one_has_left_is_noticed(config: Path, state: Path):
    with started(config):
        kept = kept_cluster()
        assert kept is not None
        family = psutil.Process(kept.pid).children(recursive=True)
        os.kill(kept.pid, signal.SIGKILL)
        eventually(lambda: kept_cluster() is None)
        assert (state / "cluster.json").exists()
        assert shell("cluster", "stop") == Exit(0, "", "no cluster is up\n")
        assert are_gone(family, timeout_s=30)
    with started(config) as start:
        assert start.code == 0


@pytest.mark.cluster
def test_in_the_foreground_it_installs_the_classes_of_the_configuration(
    config: Path, monkeypatch: pytest.MonkeyPatch
):
    installed, said = [], []

    def install(client: Client, *, classes: object) -> None:
        installed.append((client.status, {c.name: c.weight for c in classes}))

    def announce(line: str) -> None:
        said.append(line)
        if line.startswith("run on it"):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(lepton_dask.resources, "install", install, raising=False)
    with pytest.raises(Exception, match="SIGINT"):
        serve(config, announce)
    [(status, weights)] = installed
    assert (status, weights["critical"], weights["low"]) == ("running", 5, 1)
    assert [line.partition(":")[0] for line in said] == [
        "cluster",
        "scheduler",
        "dashboard",
        "priorities",
        "run on it",
        "closing the cluster",
    ]
    assert kept_cluster() is None


def test_without_a_cluster_stop_says_so_and_that_is_no_failure(lepton: Lepton):
    assert lepton("cluster", "stop") == Exit(0, "", "no cluster is up\n")


def test_without_a_cluster_status_says_what_to_do(lepton: Lepton):
    done = lepton("cluster", "status")
    assert (done.code, done.stdout) == (4, "")
    assert done.stderr == (
        "lepton: no cluster is up; `lepton cluster start` starts one, --scheduler asks another\n"
    )


def test_status_of_an_address_where_nothing_answers_is_one_line(lepton: Lepton):
    done = lepton("cluster", "status", "--scheduler", "tcp://127.0.0.1:1", "--json")
    assert done.code == 4
    assert done.stderr.startswith("lepton: cannot connect to a scheduler at tcp://127.0.0.1:1")
    assert done.stderr.count("\n") == 1
    assert json.loads(done.stdout)["exit_code"] == 4


@pytest.mark.cluster
def test_status_of_a_scheduler_without_priorities_says_how_to_install_them(
    tmp_path: Path, lepton: Lepton
):
    with stock_scheduler(tmp_path) as (address, _):
        done = lepton("cluster", "status", "--scheduler", address)
    assert done.code == 1
    assert done.stderr == (
        f"lepton: the scheduler at {address} has no priorities installed; "
        "lepton_dask.resources.install(client) installs them\n"
    )


@pytest.mark.cluster
def test_status_shows_the_scheduler_s_figures_as_a_table_and_as_json(
    tmp_path: Path, lepton: Lepton
):
    with showing(tmp_path) as client:
        address = client.scheduler.address
        document = json.loads(lepton("cluster", "status", "--scheduler", address, "--json").stdout)
        table = lepton("cluster", "status", "--scheduler", address)
    assert set(document) == set(Status.__annotations__)
    assert document["classes"]["low"]["share"] == 2.5
    assert (table.code, table.stderr) == (0, "")
    [low] = [line.split() for line in table.stdout.splitlines() if line.startswith(" low")]
    assert low[2:5] == ["2.50", "3.00", "3"]


def test_without_runs_there_is_no_table_of_them():
    status = busy()
    assert len(list(status_tables(status))) == 2
    status["runs"] = []
    assert len(list(status_tables(status))) == 1


def test_a_configuration_of_a_cluster_that_is_there_has_nothing_to_start(
    config: Path, lepton: Lepton
):
    config.write_text("cluster: {kind: address, address: tcp://127.0.0.1:8786}\n")
    done = lepton("cluster", "start", "--on", config)
    assert done.code == 2
    assert "there is nothing to start: this is the scheduler at tcp://127.0.0.1:8786" in done.stderr


@pytest.mark.cluster
def test_a_cluster_that_cannot_start_says_why_in_one_line(config: Path, lepton: Lepton):
    config.write_text("cluster: {kind: local, workers: 1}\ndashboard: 203.0.113.1:0\n")
    done = lepton("cluster", "start", "--on", config)
    assert done.code == 1
    assert done.stderr.startswith("lepton: the cluster could not be started: ")
    assert done.stderr.count("\n") == 1


# --- the file ------------------------------------------------------------------------------------

UP = KeptCluster("tcp://127.0.0.1:8786", "http://127.0.0.1:8787/status", 1)


def test_the_file_is_there_while_the_cluster_is():
    assert kept_cluster() is None
    with keeping() as tell:
        tell(UP)
        assert kept_cluster() == UP
    assert kept_cluster() is None


def test_only_one_is_kept_up():
    with keeping() as tell:
        tell(UP)
        with pytest.raises(RunError, match=r"running already at tcp://127.0.0.1:8786"), keeping():
            pass
        assert kept_cluster() == UP


def test_one_that_is_being_started_is_told_from_none():
    with keeping(), pytest.raises(RunError, match="being started"):
        kept_cluster()


def test_the_state_folder_is_the_desktop_s():
    assert state_folder({"XDG_STATE_HOME": "/there"}) == Path("/there/lepton")
    assert state_folder({}) == Path.home() / ".local/state/lepton"


def test_the_page_lies_beside_the_dashboard_s_others():
    assert UP.page == "http://127.0.0.1:8787/lepton"
    assert KeptCluster("tcp://127.0.0.1:8786", "", 1).page == ""
