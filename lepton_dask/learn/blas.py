"""BLAS threads."""

from __future__ import annotations

import functools

import threadpoolctl


@functools.cache
def pin_blas() -> None:
    """One BLAS thread for this process, from now on.

    A worker runs one kernel a thread; BLAS threads on top oversubscribe the cores, and how many
    there are decides how BLAS splits a sum, hence its last bits.
    """
    threadpoolctl.threadpool_limits(1, user_api="blas")
