"""What the figures were measured on, and how much memory processes took."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType

import psutil

PACKAGES = (
    "lepton_dask",
    "dask",
    "distributed",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "numba",
    "scikit-learn",
    "glum",
    "tabmat",
    "dask-ml",
    "polars",
)
SAMPLE_S = 0.02


def describe_machine() -> dict[str, object]:
    """Processor, cores and memory, as far as the system tells."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
    }


def versions() -> dict[str, str | None]:
    """Of Python and of every package that takes part; None for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def missing(*packages: str) -> str | None:
    """Those of the packages (distribution names) that are not installed, in words."""
    known = versions()
    absent = [package for package in packages if known[package] is None]
    return " and ".join(absent) or None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


class PeakMemory:
    """The peak resident set of processes while the block runs, in bytes, by process id.

    Sampled every 20 ms: a shorter peak may be missed.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self.bytes = dict.fromkeys(pids, 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def largest(self) -> int:
        return max(self.bytes.values(), default=0)

    def _watch(self) -> None:
        processes = [psutil.Process(pid) for pid in self.bytes if psutil.pid_exists(pid)]
        while True:
            for process in processes:
                try:
                    held = process.memory_info().rss
                except psutil.Error:
                    continue
                self.bytes[process.pid] = max(self.bytes[process.pid], held)
            if self._over.wait(SAMPLE_S):
                return
