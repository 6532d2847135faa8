"""BLAS threads."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np  # noqa: F401 - only a library that is loaded can be limited
import threadpoolctl


@functools.cache
def pin_blas() -> None:
    """One BLAS thread for this process, from now on.

    A worker runs one kernel a thread; BLAS threads on top oversubscribe the cores, and how many
    there are decides how BLAS splits a sum, hence its last bits.
    """
    threadpoolctl.threadpool_limits(1, user_api="blas")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """The same while the block runs: for a user's own process, which gets its threads back."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _controller() -> threadpoolctl.ThreadpoolController:
    # Looking for the libraries takes milliseconds, more than a small fit.
    return threadpoolctl.ThreadpoolController()
