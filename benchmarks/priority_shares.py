"""What classes get: a minimum under a flood, a mix of all four, and that mix while workers die."""

from __future__ import annotations

import math
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from distributed import Client, as_completed

from benchmarks.harness import Arm, Bench, Case, Run
from benchmarks.priority_cluster import Cluster, logged, rest
from lepton_dask.resources import install, priority
from lepton_dask.resources.allocate import allocate
from lepton_dask.resources.classes import DEFAULT_CLASSES, Classes, ClassShare

THREADS = (2, 2)
FLOOD_S, FLOOD_TASK_S = 30.0, 0.05
BINDING = DEFAULT_CLASSES.with_shares([ClassShare("low", weight=0.1, minimum=0.05)])
"""By weight low would get 1/81."""
MIXED, MIXED_S = 1000, 0.02
KILLED_S = 5.0
"""Between changes."""
KILLED_TASKS = 1500
"""Of each class: 30 s of work, so that some workers are killed while it lasts."""
RIGHT_S = 2.0
POLL_S = 0.1
RETRIES = 1000
"""And as many workers may die under a task (`Cluster`): Dask counts these apart."""
WAIT_S = 240.0


def flood(bench: Bench) -> None:
    """Low work under critical work that fills every slot."""
    seconds = max(2.0, FLOOD_S * bench.scale)
    for name, classes in (("default classes", DEFAULT_CLASSES), ("minimum binds", BINDING)):
        wanted = float(allocate(classes, {"critical": 10**6, "low": 10**6}, 1000)["low"]) / 1000
        arm = Arm("low among critical", lambda c=classes, w=wanted: _flood(c, w, seconds))
        title = f"flood, {name}, {seconds:g} s"
        measured = bench.measure(Case(title, [arm], _nothing_wrong, warm=0), repeats=1)
        off = measured.value(arm.name, "off")
        bench.bar(f"flood, {name}: low's share, points off", off and 100 * off, "<=", 2.0)


def mix(bench: Bench) -> None:
    """Tasks of each of the four classes, mixed."""
    count = max(25, round(MIXED * bench.scale))
    arm = Arm("mix", lambda: _mix(count))
    measured = bench.measure(Case(f"{count} of each class", [arm], _whole, warm=0), repeats=1)
    for what, bar in (("lost", 0), ("run twice", 0), ("workers closed", 0)):
        bench.bar(f"mix: {what}", measured.value("mix", what), "<=", bar)
    bench.bar("mix: hook seconds / makespan", measured.value("mix", "hooks"), "<=", 0.03)


def kills(bench: Bench) -> None:
    """The mix, and every few seconds a worker is killed and another started."""
    count = max(300, round(KILLED_TASKS * bench.scale))
    every = KILLED_S if bench.scale >= 1 else 2.5
    arm = Arm("kills", lambda: _kills(count, every))
    title = f"{count} of each class, workers killed and added every {every:g} s"
    measured = bench.measure(Case(title, [arm], _whole, warm=0), repeats=1)
    bench.bar("kills: lost", measured.value("kills", "lost"), "<=", 0)
    late = measured.value("kills", "slowest right, s")
    bench.bar("kills: shares right after, s", late, "<=", RIGHT_S)


def _flood(classes: Classes, wanted: float, seconds: float) -> Run:
    with _installed(classes) as (cluster, _):
        count = math.ceil(1.2 * cluster.slots * (seconds + 2) / FLOOD_TASK_S)
        held = []
        for name in ("low", "critical"):
            with priority(name):
                every = [FLOOD_TASK_S] * count
                held.append(cluster.client.map(rest, range(count), every, key=name, pure=False))
        time.sleep(2.0)
        begin = time.time()
        time.sleep(seconds)
        ran = cluster.recorded()["ran"]
    spent: Counter[str] = Counter()
    for key, _, start, stop in ran:
        spent[key.split("-")[0].strip("('\"")] += max(
            0.0, min(stop, begin + seconds) - max(start, begin)
        )
    share = spent["low"] / (spent["low"] + spent["critical"])
    values = {"share": share, "allocation": wanted, "off": abs(share - wanted)}
    return Run(seconds, True, values)


def _mix(count: int) -> Run:
    with _installed(DEFAULT_CLASSES) as (cluster, installed), _log() as log:
        began = time.time()
        found = sum(cluster.client.gather(_submitted(cluster.client, count, log)))
        seconds = time.time() - began
        status = installed.status()
        gone = sum(1 for _, what, _ in cluster.recorded()["changes"] if what == "gone")
        runs = _runs(log)
    values = {
        "lost": 4 * count - len(runs),
        "run twice": sum(1 for n in runs.values() if n > 1),
        "workers closed": gone,
        "hooks": status["hook_seconds"] / seconds,
        "faults": sum(status["faults"].values()),
        "at best, s": 4 * count * MIXED_S / cluster.slots,
    }
    return Run(seconds, found == sum(range(4 * count)), values)


def _kills(count: int, every: float) -> Run:
    with _installed(DEFAULT_CLASSES) as (cluster, installed), _log() as log:
        began = time.time()
        collected = Collected(cluster.client, _submitted(cluster.client, count, log))
        killed: list[float] = []
        polls: list[tuple[float, dict[str, Any]]] = []
        due = began + every
        while collected.is_alive():
            if time.time() > began + WAIT_S:
                raise TimeoutError("tasks of the mix are not done")
            if time.time() >= due:
                cluster.workers[len(killed)].kill()
                cluster.workers.append(cluster.add(THREADS[0]))
                killed.append(time.time())
                due += every
            polls.append((time.time(), installed.status()))
            time.sleep(POLL_S)
        seconds = time.time() - began
        recorded, runs = cluster.recorded(), _runs(log)
        faults = installed.status()["faults"]
    come = [at for at, what, _ in recorded["changes"] if what == "come" and at > began]
    looks = [(at, _right(at, status, recorded["changes"])) for at, status in polls]
    values = {
        "lost": 4 * count - len(runs),
        "run again": sum(n - 1 for n in runs.values()),
        "killed": len(killed),
        "added": len(come),
        "slowest right, s": slowest(sorted([*killed, *come]), looks),
        "faults": sum(faults.values()),
    }
    return Run(seconds, collected.total == sum(range(4 * count)), values)


class Collected(threading.Thread):
    """Takes results as they come, and lets their tasks go: what a killed worker had in memory would
    all be worked out again."""

    def __init__(self, client: Client, futures: list[Any]) -> None:
        super().__init__(daemon=True)
        self.total = 0
        self._done = as_completed(futures, loop=client.loop, with_results=True)
        futures.clear()
        self.start()

    def run(self) -> None:
        for _, result in self._done:
            self.total += result


def slowest(changes: list[float], looks: list[tuple[float, bool]]) -> float:
    """From a change to the first look after which shares are right until the next change, at worst.

    `looks` are times, and whether the shares were right.
    """
    worst = 0.0
    for change, following in pairwise([*changes, math.inf]):
        seen = [(at, right) for at, right in looks if change < at <= following]
        wrong = [at for at, right in seen if not right]
        if wrong:
            later = [at for at, _ in seen if at > wrong[-1]]
            worst = max(worst, (later[0] if later else wrong[-1]) - change)
    return worst


def _right(at: float, status: dict[str, Any], registered: list[tuple[float, str, str]]) -> bool:
    """Whether the slots are those of the workers that are there, and the shares what `allocate`
    gives: they add up to all slots, or to the demand where that is less."""
    there = sum({"come": 1, "gone": -1}[what] for when, what, _ in registered if when < at)
    demands = {name: each["demand"] for name, each in status["classes"].items()}
    shares = {name: each["share"] for name, each in status["classes"].items()}
    slots = (len(THREADS) + there) * THREADS[0]
    wanted = allocate(DEFAULT_CLASSES, demands, slots)
    return (
        abs(sum(shares.values()) - min(sum(demands.values()), slots)) < 1e-6
        and all(abs(float(wanted[name]) - share) < 1e-6 for name, share in shares.items())
        and status["slots"] == slots
    )


def _submitted(client: Any, count: int, log: str) -> list[Any]:
    """Tasks of each class in turn, 25 at a time."""
    futures: list[Any] = []
    for first in range(0, count, 25):
        for turn, name in enumerate(DEFAULT_CLASSES.names):
            numbers = range(turn * count + first, turn * count + min(first + 25, count))
            every = [[MIXED_S] * len(numbers), [log] * len(numbers)]
            with priority(name):
                options = {"key": f"{name}-{first}", "pure": False, "retries": RETRIES}
                futures += client.map(logged, numbers, *every, **options)
    return futures


@contextmanager
def _installed(classes: Classes) -> Iterator[tuple[Cluster, Any]]:
    with closing(Cluster(THREADS)) as cluster:
        yield cluster, install(cluster.client, classes=classes)


@contextmanager
def _log() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder) / "log")


def _runs(log: str) -> Counter[str]:
    return Counter(Path(log).read_text().splitlines())


def _nothing_wrong(answers: Any) -> dict[str, str | None]:
    return dict.fromkeys(answers)


def _whole(answers: Any) -> dict[str, str | None]:
    return {name: None if whole else "results are missing" for name, whole in answers.items()}
