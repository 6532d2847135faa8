"""Threads that give way to others on the same cores, where the system allows it to be undone.

Travels by value: the standard library alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from threading import Thread

SOFT_NICE = 15
"""Added to a thread's niceness. It then weighs a 28th of others: the kernel's weights are 36 and
1024 (sched_prio_to_weight)."""


class Softening:
    """Threads that have been made to give way. May be asked again while they do."""

    def __init__(self) -> None:
        self._before: dict[int, int] = {}

    def soften(self, threads: Iterable[Thread]) -> None:
        if not may_harden():
            return
        for native in {thread.native_id for thread in threads} - self._before.keys():
            if native is None:
                continue
            with suppress(OSError):  # it has ended meanwhile
                before = os.getpriority(os.PRIO_PROCESS, native)
                os.setpriority(os.PRIO_PROCESS, native, before + SOFT_NICE)
                self._before[native] = before

    def harden(self) -> None:
        for native, before in self._before.items():
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, native, before)
        self._before.clear()


def may_harden() -> bool:
    """Whether this process may take back a niceness that it gave a thread. Only Linux has one a
    thread, and there only the privileged may."""
    if not sys.platform.startswith("linux"):
        return False
    import resource

    if os.geteuid() == 0:
        return True
    # The limit is 20 - niceness (setrlimit(2)).
    return resource.getrlimit(resource.RLIMIT_NICE)[0] >= 20
