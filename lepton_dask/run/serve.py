"""A cluster that stays up, so that several runs can share it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from lepton_dask.cluster import connect, describe
from lepton_dask.config.load import load_config
from lepton_dask.errors import Interrupted
from lepton_dask.run.stop import stop_on_signals

POLL_S = 0.2


def serve(on: Path | None, announce: Callable[[str], None]) -> None:
    """Starts (or reaches) the configuration's cluster and returns when it is told to stop.

    Raises ClusterError once it has lost its workers.
    """
    loaded = load_config(on)
    with stop_on_signals() as stop, connect(loaded, check=stop.check) as session:
        announce(f"cluster:   {describe(session)}")
        announce(f"dashboard: {session.dashboard}")
        announce(f"scheduler: {session.address}")
        announce(f"run on it: lepton run PIPELINE --scheduler {session.address}")
        try:
            while True:
                stop.check()
                session.check()
                time.sleep(POLL_S)
        except Interrupted:
            announce("closing the cluster")
            # Being told to stop is how this verb ends well; the exit code says by which signal.
            raise
