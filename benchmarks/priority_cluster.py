"""A cluster of stock Dask processes, the work of the priority benchmark, and who saw it run.

Scheduler and workers are processes of their own, started fresh for every run: `dask scheduler` and
`dask worker`, without nannies, which can be killed one by one. What ran when is told by a scheduler
plugin from the workers' own clocks.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from distributed import Client, SchedulerPlugin

ROOT = Path(__file__).parent.parent
READY_S = 30.0
ALLOWED_FAILURES = "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"
DIGESTED = bytes(8 << 20)
ROWS = 100_000
"""Of a partition."""
TURNS = 11


class Recorder(SchedulerPlugin):
    """Keeps when tasks ran and where, and when workers came and went."""

    name = "benchmark-recorder"

    def __init__(self) -> None:
        self.ran: list[tuple[str, str, float, float]] = []
        self.changes: list[tuple[float, str, str]] = []

    async def start(self, scheduler: Any) -> None:
        scheduler.handlers["recorded"] = self.recorded

    def transition(
        self, key: Any, start: str, finish: str, *_: Any, startstops: Any = (), **more: Any
    ) -> None:
        if start == "processing" and finish == "memory":
            for each in startstops or ():
                if each["action"] == "compute":
                    where = more.get("worker", "")
                    self.ran.append((str(key), where, each["start"], each["stop"]))

    # The names of arguments are the hooks' own, by which the scheduler gives them.
    def add_worker(self, scheduler: Any, worker: str) -> None:  # noqa: ARG002
        self.changes.append((time.time(), "come", worker))

    def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:  # noqa: ARG002
        self.changes.append((time.time(), "gone", worker))

    def recorded(self) -> dict[str, Any]:
        return {"ran": self.ran, "changes": self.changes}


class Cluster:
    """A scheduler, workers of so many threads each, and a client; for `closing`.

    `reserved` gives the resource `bulk` to all slots but one.
    """

    def __init__(self, threads: Sequence[int], reserved: bool = False) -> None:
        self.slots = sum(threads)
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._file = Path(self._folder.name) / "scheduler.json"
        self._scheduler = self._start("scheduler", "--port", "0", "--no-dashboard", "--no-show")
        bulk = [*threads[:-1], threads[-1] - 1] if reserved else [0] * len(threads)
        self.workers = [self.add(n, own) for n, own in zip(threads, bulk, strict=True)]
        try:
            deadline = time.monotonic() + READY_S
            while not self._file.exists():
                if time.monotonic() > deadline:
                    raise TimeoutError("no scheduler")
                time.sleep(0.01)
            self.client = Client(scheduler_file=str(self._file), set_as_default=False)
            self.client.wait_for_workers(len(threads), timeout=READY_S)
            self.client.register_plugin(Recorder())
        except BaseException:
            self.close()
            raise

    def add(self, threads: int, bulk: int = 0) -> subprocess.Popen[bytes]:
        """Starts another worker, and does not wait for it."""
        given = ["--resources", f"bulk={bulk}"] if bulk else []
        sized = ("--nthreads", str(threads), "--memory-limit", "0")
        return self._start("worker", *sized, "--no-nanny", "--no-dashboard", *given)

    def recorded(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.sync(self.client.scheduler.recorded)
        return found

    def close(self) -> None:
        if hasattr(self, "client"):
            self.client.close()
        started = [*getattr(self, "workers", ()), self._scheduler]
        for process in started:
            process.kill()
        for process in started:
            process.wait()
        self._folder.cleanup()

    def _start(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        place = ["--local-directory", self._folder.name] if what == "worker" else []
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}"]
        return subprocess.Popen(
            [*command, "--scheduler-file", str(self._file), *place, *arguments],
            env={**os.environ, "PYTHONPATH": path, ALLOWED_FAILURES: "1000"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def slot_use(
    ran: Sequence[tuple[str, str, float, float]], slots: dict[str, int], begin: float, end: float
) -> float:
    """Seconds of tasks running over slots x wall, on each worker at most as many as its slots."""
    steps: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for _, worker, started, stopped in ran:
        start, stop = max(started, begin), min(stopped, end)
        if start < stop:
            steps[worker] += [(start, 1), (stop, -1)]
    used = 0.0
    for worker, changes in steps.items():
        running, since = 0, begin
        for at, by in sorted(changes):
            used += min(running, slots[worker]) * (at - since)
            running, since = running + by, at
    return used / (sum(slots.values()) * (end - begin))


def running(
    ran: Sequence[tuple[str, str, float, float]], slots: dict[str, int], begin: float, end: float
) -> float:
    """Seconds of tasks running over slots x wall, with all that run beyond the slots."""
    used = sum(max(0.0, min(stop, end) - max(start, begin)) for *_, start, stop in ran)
    return used / (sum(slots.values()) * (end - begin))


# The tasks. Each returns its number, so that what came back can be added up.


def rest(number: int, seconds: float, *_after: int) -> int:
    time.sleep(seconds)
    return number


def digest(number: int, size: float, *_after: int) -> int:
    """Burns CPU with the GIL released; `size` in bytes."""
    left = int(size)
    found = hashlib.sha256()
    while left > 0:
        found.update(memoryview(DIGESTED)[:left])
        left -= len(DIGESTED)
    return number + found.digest()[0] * 0


def spin(number: int, turns: float, *_after: int) -> int:
    """Burns CPU and holds the GIL."""
    total = 0
    for turn in range(int(turns)):
        total += turn & 1
    return number + total * 0


def logged(number: int, seconds: float, path: str) -> int:
    """Sleeps, and leaves a line for having run."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{number}\n".encode())
    finally:
        os.close(file)
    return rest(number, seconds)


def frame(number: int, rows: int) -> Any:
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(number)
    return pd.DataFrame({"k": random.integers(0, 50, rows), "x": random.integers(0, 100, rows)})


def worked(part: Any, times: float) -> Any:
    """A partition's own work: sorting and grouping, so many times."""
    for _ in range(max(1, round(times))):
        part = part.sort_values(["k", "x"], ignore_index=True)
        part = part.assign(x=part["x"] + part.groupby("k")["x"].transform("count") % 3)
    return part


def warm() -> None:
    """What a worker imports once."""
    import pandas as pd

    worked(pd.DataFrame({"k": [1, 2], "x": [1, 2]}), 1)


def speed(work: Callable[..., Any], size: float, processes: int) -> float:
    """So much of a size a second, while as many processes as a case has slots do the same: cores
    that are threads of one slow each other down. What else the machine does must not make tasks
    small, or bulk ends too soon: medians of turns, and the faster process."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        pool.map(time.sleep, [0.2] * processes, chunksize=1)
        return max(pool.starmap(_speed, [(work, size)] * processes, chunksize=1))


def _speed(work: Callable[..., Any], size: float) -> float:
    work(0, size)  # not timed: caches
    rates = []
    for _ in range(TURNS):
        began = time.perf_counter()
        work(0, size)
        rates.append(size / (time.perf_counter() - began))
    return statistics.median(rates)


def sorted_frame(number: int, times: float) -> Any:
    """A partition's work, from where its rows are made."""
    return worked(frame(number, ROWS), times)
