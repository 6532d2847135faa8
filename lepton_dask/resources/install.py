"""Priorities on a running cluster, in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import cloudpickle
from distributed import Client

import lepton_dask.resources
from lepton_dask.resources.classes import DEFAULT_CLASSES, Classes, ImportanceLevel
from lepton_dask.resources.identify import BY_NAME, Rules
from lepton_dask.resources.scheduler_plugin import Priorities
from lepton_dask.resources.worker_plugin import Lanes

BURST = 1
"""Critical tasks that a worker starts beyond its slots."""


class Installed:
    """Priorities that are at work on a client's cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def status(self) -> dict[str, Any]:
        """Classes with demand, share, use and latency; workers with lanes; runs; errors."""
        found: dict[str, Any] = self._client.sync(self._client.scheduler.lepton_status)
        return found

    def uninstall(self) -> None:
        """Puts everything back: tasks, workers and scheduler are as without it."""
        client = self._client
        # First nothing asks for a lane any more, then the workers forget what a lane is.
        client.sync(client.scheduler.lepton_suspend)
        client.unregister_worker_plugin(Lanes.name)
        client.run_on_scheduler(_detach)
        client.unregister_scheduler_plugin(Priorities.name)


def _detach(dask_scheduler: Any) -> None:
    plugin = dask_scheduler.plugins.get("lepton-priorities")
    if plugin is not None:
        plugin.detach()


def install(
    client: Client,
    *,
    classes: Classes | None = None,
    default: ImportanceLevel = "normal",
    prefixes: Mapping[str, ImportanceLevel] | None = None,
) -> Installed:
    """Has important work go first on the client's cluster.

    Neither its scheduler nor its workers need this package, or `--resources`. `classes` are their
    weights and shares (DEFAULT_CLASSES if nobody has said other); `default` is the class of what
    this client submits without saying, `prefixes` that of tasks whose keys start so. On a cluster
    that has it already, another install adds its client's rules. On a version of Dask that does not
    fit, tasks get their class's Dask priority and no more; `status()["reason"]` says why.

    Raises ValueError for a class that there is not.
    """
    for name in (default, *(prefixes or {}).values()):
        if name not in BY_NAME:
            raise ValueError(f"{name!r} is no class; there are {', '.join(BY_NAME)}")
    with _travelling():
        client.register_plugin(Priorities(classes or DEFAULT_CLASSES, Rules(), BURST))
        client.sync(
            client.scheduler.lepton_client,
            id=client.id,
            default=default,
            prefixes=dict(prefixes or {}),
            classes=_shares(classes),
        )
        client.register_plugin(Lanes(BURST))
    return Installed(client)


def _shares(classes: Classes | None) -> list[dict[str, float]] | None:
    """Classes as plain figures, which any scheduler can read."""
    if classes is None:
        return None
    return [
        {
            "name": each.name,
            "weight": float(each.weight),
            "reserve": float(each.reserve),
            "minimum": float(each.minimum),
            "maximum": float(each.maximum),
        }
        for each in classes
    ]


@contextmanager
def _travelling() -> Iterator[None]:
    """What is pickled in the body carries this package's code along."""
    if lepton_dask.resources.__name__ in cloudpickle.list_registry_pickle_by_value():
        yield
        return
    cloudpickle.register_pickle_by_value(lepton_dask.resources)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(lepton_dask.resources)
