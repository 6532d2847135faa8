"""Starting a cluster that outlives the shell it was started from, and ending it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lepton_dask.config.load import load_config
from lepton_dask.errors import ClusterError, RunError
from lepton_dask.run.kept_cluster import KeptCluster, kept_cluster, refuse_a_second, state_folder
from lepton_dask.run.serve import startable

COMMAND = "from lepton_dask.cli import main; main()"
POLL_S = 0.1
START_S = 60.0
"""For a cluster's processes to be there, beside the configuration's limit for its workers."""
STOP_S = 30.0
"""For a cluster to end by itself, whose workers get a second for what they are in the middle of."""


def start(on: Path | None) -> KeptCluster:
    """Starts a process that keeps the configuration's cluster up, and returns once it is.

    What it says goes to `cluster.log` in the state folder. Raises UserError for what is wrong with
    the configuration, RunError where a cluster is up already or its process ended, ClusterError
    where it is not up in time.
    """
    loaded = load_config(on)
    startable(loaded)
    refuse_a_second()
    log = state_folder() / "cluster.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as stream:
        process = _started(on, stream.fileno())
    deadline = time.monotonic() + START_S + loaded.config.worker_timeout_s
    try:
        return _once_up(process, log, deadline)
    except BaseException:
        process.terminate()
        raise


def _started(on: Path | None, log: int) -> subprocess.Popen[bytes]:
    """In a session of its own: the terminal's signals and its end do not reach it."""
    words = ["cluster", "start", "--foreground", *(["--on", str(on)] if on else [])]
    return subprocess.Popen(
        [sys.executable, "-P", "-c", COMMAND, *words],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _once_up(process: subprocess.Popen[bytes], log: Path, deadline: float) -> KeptCluster:
    while process.poll() is None:
        with suppress(RunError):  # that it is being started is why we wait
            found = kept_cluster()
            if found is not None and found.pid == process.pid:
                return found
        if time.monotonic() > deadline:
            raise ClusterError(f"the cluster is not up in time; {log} has what it said")
        time.sleep(POLL_S)
    said = log.read_text(errors="replace").strip().splitlines()
    last = said[-1].removeprefix("lepton: ") if said else f"exit code {process.returncode}"
    raise RunError(f"the cluster could not be started: {last}", fix=f"{log} has all it said")


def stop() -> KeptCluster | None:
    """Ends the cluster that is up and returns what it was; None where none is."""
    found = kept_cluster()
    if found is None:
        return None
    _send(found.pid, signal.SIGTERM)
    if not _within(STOP_S, lambda: kept_cluster() is None):
        _send(found.pid, signal.SIGKILL)  # its workers end with it
        _within(STOP_S, lambda: kept_cluster() is None)
    return found


def _send(pid: int, signal_number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal_number)


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
