"""Priorities on a running cluster, in one line."""

from __future__ import annotations

from collections.abc import Mapping

import cloudpickle
from distributed import Client

import lepton_dask.resources
from lepton_dask.resources.classes import DEFAULT_CLASSES, Classes, ImportanceLevel
from lepton_dask.resources.identify import BY_NAME
from lepton_dask.resources.lanes import INSTALLED
from lepton_dask.resources.scheduler_plugin import Priorities
from lepton_dask.resources.status import Status
from lepton_dask.resources.worker_plugin import Lanes

BURST = 1
"""Critical tasks that a worker starts beyond its slots."""

READY_S = 5.0
"""For the workers to offer their lanes; one that is slower is used when it does."""


class Installed:
    """Priorities that are at work on a client's cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def status(self) -> Status:
        """Classes with demand, share, use and latency; workers with lanes; runs; errors."""
        found: Status = self._client.sync(self._client.scheduler.lepton_status)
        return found

    def uninstall(self) -> None:
        """Puts everything back: tasks, workers and scheduler are as without it."""
        client = self._client
        # First nothing asks for a lane any more, then the workers forget what a lane is, and only
        # then may the scheduler forget what they say.
        client.sync(client.scheduler.lepton_suspend)
        client.unregister_worker_plugin(Lanes.name)
        client.sync(client.scheduler.lepton_detach)


def install(
    client: Client,
    *,
    classes: Classes | None = None,
    default: ImportanceLevel = "normal",
    prefixes: Mapping[str, ImportanceLevel] | None = None,
    preempt: bool = False,
) -> Installed:
    """Has important work go first on the client's cluster.

    Neither its scheduler nor its workers need this package, or `--resources`. `classes` are their
    weights and shares (DEFAULT_CLASSES for those that are not named); `default` is the class of
    what this client submits without saying, `prefixes` that of any task whose key starts so.
    `preempt` has tasks that call `give_way` end and start again for critical work. On a cluster
    that has it already, another install sets what it names, and leaves `preempt` as it is. On a
    version of Dask that does not fit, tasks get their class's Dask priority and no more;
    `status()["reason"]` says why.

    Raises ValueError for a class that there is not, and for shares that cannot all be kept.
    """
    for name in (default, *(prefixes or {}).values()):
        if name not in BY_NAME:
            raise ValueError(f"{name!r} is no class; there are {', '.join(BY_NAME)}")
    is_new = not is_installed(client)
    if is_new:
        client.sync(_register, client, Priorities(DEFAULT_CLASSES, BURST))
    client.sync(
        client.scheduler.lepton_client,
        id=client.id,
        default=default,
        prefixes=dict(prefixes or {}),
        classes=_shares(classes),
    )
    if is_new:
        client.sync(_register, client, Lanes(BURST, preempt=preempt))
        client.sync(client.scheduler.lepton_ready, timeout_s=READY_S)
    return Installed(client)


def is_installed(client: Client, timeout_s: float = READY_S) -> bool:
    """Whether the client's cluster has priorities."""
    ask = client.scheduler.get_metadata
    return bool(client.sync(ask, keys=[INSTALLED], default=False, callback_timeout=timeout_s))


async def _register(client: Client, plugin: Priorities | Lanes) -> None:
    """Sends a plugin together with its code. Not by `Client.register_plugin`, which pickles by
    reference what it can, and the cluster need not have the package."""
    register = (
        client.scheduler.register_scheduler_plugin
        if isinstance(plugin, Priorities)
        else client.scheduler.register_worker_plugin
    )
    await register(plugin=_with_its_code(plugin), name=plugin.name, idempotent=True)


def _shares(classes: Classes | None) -> list[dict[str, float | str]] | None:
    """Classes as plain figures, which any scheduler can read; those that are not named as they are
    by default."""
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
        for each in DEFAULT_CLASSES.with_shares(classes)
    ]


def _with_its_code(plugin: Priorities | Lanes) -> bytes:
    cloudpickle.register_pickle_by_value(lepton_dask.resources)
    try:
        return bytes(cloudpickle.dumps(plugin))
    finally:
        cloudpickle.unregister_pickle_by_value(lepton_dask.resources)
