"""A cluster that stays up, so that several runs can share it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from lepton_dask.cluster import connect, describe
from lepton_dask.config.cluster import AddressCluster
from lepton_dask.config.load import LoadedConfig, load_config
from lepton_dask.errors import Interrupted, Mistake, UserError
from lepton_dask.run.kept_cluster import KeptCluster, keeping
from lepton_dask.run.stop import stop_on_signals

POLL_S = 0.2


def serve(on: Path | None, announce: Callable[[str], None]) -> None:
    """Starts the configuration's cluster with its priorities; returns when it is told to stop.

    Raises UserError for a configuration of a cluster that is there already, RunError where another
    process keeps one up, ClusterError once it has lost its workers.
    """
    from lepton_dask.resources import install

    loaded = load_config(on)
    startable(loaded)
    with (
        stop_on_signals() as stop,
        keeping() as tell,
        connect(loaded, check=stop.check) as session,
    ):
        install(session.client, classes=loaded.config.classes)
        cluster = KeptCluster(session.address, session.dashboard, os.getpid())
        tell(cluster)
        announce(f"cluster:    {describe(session)}")
        for line in told(cluster):
            announce(line)
        try:
            while True:
                stop.check()
                session.check()
                time.sleep(POLL_S)
        except Interrupted:
            announce("closing the cluster")
            # Being told to stop is how this verb ends well; the exit code says by which signal.
            raise


def told(cluster: KeptCluster) -> list[str]:
    """What to know of a cluster that is up, a line each."""
    lines = [f"scheduler:  {cluster.address}"]
    if cluster.dashboard:
        lines += [f"dashboard:  {cluster.dashboard}", f"priorities: {cluster.page}"]
    return [*lines, f"run on it:  lepton run PIPELINE --scheduler {cluster.address}"]


def startable(loaded: LoadedConfig) -> None:
    """Raises UserError for a configuration of a cluster that is there already."""
    cluster = loaded.config.cluster
    if isinstance(cluster, AddressCluster):
        found = f"there is nothing to start: this is the scheduler at {cluster.address}"
        fix = f"`lepton cluster status --scheduler {cluster.address}` looks at it"
        mistake = Mistake(("cluster", "kind"), found, fix)
        assert loaded.document is not None  # without a file there is no address
        raise UserError([loaded.document.locate(mistake)])
