"""Memory that a worker has freed and still holds, given back to the system before Dask minds.

Arrow's pool and the C library keep what was freed for the next request, and Dask counts it as the
worker's. One with a limit of 400 MB stood at 378, 121 of them free, and was paused for good: there
was nothing left to spill, and what waited in its queue waited for ever.

Travels by value: the standard library and what Dask itself needs.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys

from distributed import Worker

RELIEVED_FROM = 0.6
"""Of a worker's memory limit: from a little more on Dask spills, and then pauses it."""

EVERY_MS = 250.0
"""As often as Dask looks where it looks most often."""


def relieve(worker: Worker) -> bool:
    """Gives back what is free where a worker takes much of its memory; tells whether it did."""
    limit = worker.memory_manager.memory_limit
    if not limit or worker.monitor.get_process_memory() <= RELIEVED_FROM * limit:
        return False
    give_back()
    return True


def give_back() -> None:
    """Returns freed memory to the system; takes some milliseconds."""
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    name = ctypes.util.find_library("c")
    trim = None if name is None else getattr(ctypes.CDLL(name), "malloc_trim", None)
    if trim is not None:  # the C library is GNU's
        trim(0)
