"""What a scheduler says of its priorities."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from distributed import Client

from lepton_dask.cluster import reach
from lepton_dask.config.load import load_config
from lepton_dask.errors import ClusterError, RunError
from lepton_dask.resources.install import is_installed
from lepton_dask.resources.status import Status
from lepton_dask.run.kept_cluster import kept_cluster

ANSWER_S = 5.0


def status_of(scheduler: str | None, on: Path | None = None) -> Status:
    """The status of the scheduler at an address, or of the cluster that `start` keeps up.

    `on` is for the certificates that an address may need. Raises ClusterError where nothing
    answers or no cluster is up, RunError where no priorities are installed.
    """
    address = scheduler or _kept_address()
    with reach(load_config(on), address, ANSWER_S) as client:
        status = ask(client)
    if status is None:
        raise RunError(
            f"the scheduler at {address} has no priorities installed",
            fix="lepton_dask.resources.install(client) installs them",
        )
    return status


def _kept_address() -> str:
    found = kept_cluster()
    if found is None:
        raise ClusterError(
            "no cluster is up; `lepton cluster start` starts one, --scheduler asks another"
        )
    return found.address


def ask(client: Client) -> Status | None:
    """None where the scheduler has no priorities."""
    if not is_installed(client, ANSWER_S):
        return None
    answer = client.sync(client.scheduler.lepton_status, callback_timeout=ANSWER_S)
    return cast("Status", answer)
