"""Memory that a worker has freed and still holds, given back to the system before Dask minds.

Arrow's pool and the C library keep what was freed for the next request, and Dask counts it as the
worker's. One with a limit of 400 MB stood at 378, 121 of them free, and was paused for good: there
was nothing left to spill, and what waited in its queue waited for ever.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import pyarrow as pa
from distributed import Client, Worker, WorkerPlugin
from tornado.ioloop import PeriodicCallback

RELIEVED_FROM = 0.6
"""Of a worker's memory limit: from a little more on Dask spills, and then pauses it."""

FORGET_S = 2.0
"""For the scheduler to forget the plugin when a run ends."""

EVERY_MS = 250.0
"""As often as Dask looks."""


class Relief(WorkerPlugin):  # type: ignore[misc]  # distributed has no types
    """Looks how much memory its worker takes, and gives back what is free where that is much."""

    def __init__(self) -> None:
        self.name = f"lepton-relief-{uuid.uuid4().hex[:12]}"

    def setup(self, worker: Worker) -> None:
        self._looking = PeriodicCallback(lambda: relieve(worker), EVERY_MS)
        self._looking.start()

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - the contract's shape
        self._looking.stop()


@contextmanager
def relieved(client: Client) -> Iterator[None]:
    """Has each worker, also one that comes later, look after its memory while the body runs."""
    relief = Relief()
    client.register_plugin(relief)
    try:
        yield
    finally:
        if client.status == "running":
            forget = client.scheduler.unregister_worker_plugin
            # Not by the client's own method, which waits for ever for a scheduler that hangs.
            with suppress(TimeoutError, OSError):
                client.sync(forget, name=relief.name, callback_timeout=FORGET_S)


def relieve(worker: Worker) -> None:
    limit = worker.memory_manager.memory_limit
    if limit and worker.monitor.get_process_memory() > RELIEVED_FROM * limit:
        give_back()


def give_back() -> None:
    """Returns freed memory to the system; takes some milliseconds."""
    pa.default_memory_pool().release_unused()
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    """The C library's malloc_trim, where it is GNU's."""
    name = ctypes.util.find_library("c")
    return None if name is None else getattr(ctypes.CDLL(name), "malloc_trim", None)
