"""Memory that a process has freed and still holds, given back to the system.

Arrow's pool and the C library keep what was freed for the next request. Dask counts it as the
worker's: one that had written two chunks of 40 MB to disk stood at 378 MB of its limit of 400 MB,
121 MB of them free, and was paused for good, since there was nothing left to spill.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import cache
from typing import Any

import pyarrow as pa


def give_back() -> None:
    """Returns freed memory to the system: some milliseconds, so it is for those who write to disk
    what memory does not hold."""
    pa.default_memory_pool().release_unused()
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    """The C library's malloc_trim, where it is GNU's."""
    name = ctypes.util.find_library("c")
    return None if name is None else getattr(ctypes.CDLL(name), "malloc_trim", None)
