"""Critical tasks among bulk that fills the cluster: their latency, and what it costs the bulk.

At least 500 critical tasks a case come at seeded random times (Poisson, open loop: nobody waits
for the one before), the same in every arm, while bulk waits for every slot. A latency is from the
scheduled time of arrival to the result at the client. Every 25th critical task depends on one that
was submitted as bulk just before it. Arms: no bulk at all; Dask without priorities; Dask's
priority; a static reservation (a worker resource keeps bulk off one slot, and Dask's priority);
the plugin, and, where bulk sleeps, the plugin without each of three of its parts.

Every arm finishes the same work. `bulk lost` is 1 - (plain Dask's seconds until all work is done /
the arm's); `bulk alone` is the same up to the last bulk task, which plain Dask runs before all
critical work, so that the critical work's own time is in it. Slot use is seconds of tasks running
over slots x wall, at most 1 a slot, from the first arrival to the last; `running / slots` is the
same without that limit: what is above 1 is bursts beyond the slots, and bulk that sleeps gains by
them what it would lose on a cluster whose slots are its cores. Ratios are between runs of
one turn. Where bulk ends before the last arrival, some critical tasks met free slots: the case says
nothing then, and a bar tells. Then the shares under a flood, a mix of classes, that mix with
workers killed, and two pipelines that share a cluster.

Nothing waits for the three minutes after which ageing lifts low work above normal: that arm shows
that ageing costs nothing here, and no more.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import dask
import psutil

import lepton_dask.resources.install
from benchmarks.harness import Arm, Bench, Case, Measured, Run
from benchmarks.priority_cluster import (
    ROWS,
    Cluster,
    digest,
    frame,
    rest,
    running,
    slot_use,
    sorted_frame,
    speed,
    spin,
    warm,
    worked,
)
from benchmarks.priority_pipelines import pipelines
from benchmarks.priority_shares import flood, kills, mix
from lepton_dask.resources import priority
from lepton_dask.resources.lanes import restricted
from lepton_dask.resources.scheduler_plugin import Priorities
from lepton_dask.resources.tasks import Tasks

SEED = 5
CRITICAL = 500
RATE = 40.0
"""Arrivals a second."""
CRITICAL_S, BURNING_S, BULK_S = 0.02, 0.015, 0.25
"""Of a task; critical ones are shorter where they burn the processor of two one-thread workers,
whose slots would have a queue of them without any bulk. Fewer would take the case too long."""
BACKLOG, BURNING_BACKLOG = 1.2, 0.95
"""All work over what the slots do while critical tasks arrive: bulk waits until the last. Where it
sleeps bursts do 1.16 of that; where it burns the processor, client and scheduler, who need some of
it as well, make it last longer."""
QUIET = 0.15
"""Of the processor in use before a case is sized; above it somebody else works."""
LEAD_S = 0.5
"""Bulk comes so much before the first arrival."""
BEHIND = 25
"""Every so many-th critical task depends on one submitted as bulk."""
WAIT_S = 60.0

UNLOADED, PLAIN, DASK, STATIC, PLUGIN = (
    "unloaded",
    "Dask, no priority",
    "Dask priority",
    "static reservation",
    "priorities",
)


class NotInherited(Tasks):
    def _inherit(self, records: Any) -> None:
        pass


class NeverAged(Tasks):
    def age(self) -> None:
        pass


class WithoutInheritance(Priorities):
    def make_tasks(self, scheduler: Any) -> Tasks:
        return NotInherited(scheduler, self.ledger, self.rules, restricted(self.classes))


class WithoutAgeing(Priorities):
    def make_tasks(self, scheduler: Any) -> Tasks:
        return NeverAged(scheduler, self.ledger, self.rules, restricted(self.classes))


WITHOUT: Mapping[str, Mapping[str, Any]] = {
    "without burst": {"BURST": 0},
    "without inheritance": {"Priorities": WithoutInheritance},
    "without ageing": {"Priorities": WithoutAgeing},
}
INSTALL = sys.modules["lepton_dask.resources.install"]


@dataclass
class Load:
    """What a case runs: tasks of `work(number, size)`, or bulk as a DataFrame."""

    name: str
    threads: tuple[int, ...]
    work: Callable[..., int]
    critical_size: float
    bulk_size: float
    criticals: int
    critical_s: float = BURNING_S
    backlog: float = BURNING_BACKLOG
    as_frame: bool = False
    last: dict[str, Run] = field(default_factory=dict)
    """The run of each arm in this turn, that later ones are compared with."""

    @property
    def arrivals(self) -> list[float]:
        source = random.Random(SEED)
        at, found = 0.0, []
        for _ in range(self.criticals):
            at += source.expovariate(RATE)
            found.append(at)
        return found

    @property
    def bulk(self) -> int:
        slots = sum(self.threads)
        until = LEAD_S + self.backlog * self.arrivals[-1]
        seconds = slots * until - self.criticals * self.critical_s
        return max(2 * slots, math.ceil(seconds / BULK_S))


def run(bench: Bench) -> None:
    for load in loads(bench):
        judged(bench, load, compared(bench, load))
    flood(bench)
    mix(bench)
    kills(bench)
    pipelines(bench)


def loads(bench: Bench) -> Iterator[Load]:
    """The cases, each sized when its turn has come."""
    count = max(20, round(CRITICAL * bench.scale))
    yield Load("sleeping", (2, 2), rest, CRITICAL_S, BULK_S, count, CRITICAL_S, BACKLOG)
    bytes_s = _sized(bench, digest, 1 << 26)
    released = (digest, BURNING_S * bytes_s)
    yield Load("CPU, GIL released", (1, 1), *released, BULK_S * bytes_s, count)
    turns_s = _sized(bench, spin, 1_000_000)
    yield Load("CPU, GIL held", (1, 1), spin, BURNING_S * turns_s, BULK_S * turns_s, count)
    released = (digest, BURNING_S * _sized(bench, digest, 1 << 26))
    times_s = _sized(bench, sorted_frame, 5)
    yield Load("DataFrame", (1, 1), *released, BULK_S * times_s, count, as_frame=True)


def _sized(bench: Bench, work: Callable[..., Any], size: float) -> float:
    """So much of it a second. Work that others do meanwhile makes tasks small: it is told."""
    busy = psutil.cpu_percent(1.0) / 100
    if busy > QUIET:
        bench.say(f"{busy:.0%} of the processor is in others' use: no time to measure")
    return speed(work, size, processes=2)


def compared(bench: Bench, load: Load) -> Measured:
    sleeps = load.work is rest
    names = [UNLOADED, PLAIN, DASK, STATIC, PLUGIN, *(WITHOUT if sleeps else ())]
    arms = [Arm(name, lambda name=name: measured(load, name)) for name in names]
    title = f"{load.name}: {load.criticals} critical, {load.bulk} bulk"
    return bench.measure(Case(title, arms, lambda answers: agree(load, answers), warm=0))


def judged(bench: Bench, load: Load, found: Measured) -> None:
    lasts = found.value(PLUGIN, "bulk outlasts arrivals, s")
    bench.bar(f"{load.name}: bulk outlasts arrivals, s", lasts, ">=", 0.0)
    if lasts is None or lasts < 0:  # critical tasks met free slots: no other figure counts
        found = Measured([])
    p50 = found.ratio(PLUGIN, UNLOADED)
    lost = found.value(PLUGIN, "bulk lost")
    if load.name == "sleeping":
        bench.bar("sleeping: p50 / unloaded", p50, "<=", 1.2)
        p99 = found.value(PLUGIN, "p99 / unloaded")
        bench.bar("sleeping: p99 / unloaded", p99, "<=", 3.0)
        bench.bar("sleeping: slot use", found.value(PLUGIN, "slot use"), ">=", 0.97)
        bench.bar("sleeping: bulk lost", lost, "<=", 0.05)
    elif load.name == "CPU, GIL released":
        own = found.value(PLUGIN, "critical's share") or 0.0
        bench.bar(f"{load.name}: p50 / unloaded", p50, "<=", 2.5)
        bench.bar(f"{load.name}: bulk lost", lost, "<=", own + 0.05)
        alone = found.value(PLUGIN, "bulk alone")
        bench.bar(f"{load.name}: bulk alone lost", alone, "<=", own + 0.05)


def agree(load: Load, answers: Mapping[str, Any]) -> dict[str, str | None]:
    """Whether all work came back in every arm."""
    wrong = {}
    expected = answers[PLAIN]
    for name, (critical, bulk) in answers.items():
        whole = critical == sum(range(load.criticals))
        same = name == UNLOADED or bulk == expected[1]
        wrong[name] = None if whole and same else f"work is missing: {critical}, {bulk}"
    return wrong


def measured(load: Load, arm: str) -> Run:
    """One run of an arm; unloaded and plain Dask come first, for the others' ratios."""
    with closing(Cluster(load.threads, reserved=arm == STATIC)) as cluster:
        cluster.client.run(warm)
        if arm in (PLUGIN, *WITHOUT):
            with patch.dict(vars(INSTALL), WITHOUT.get(arm, {})):
                lepton_dask.resources.install(cluster.client)
        made = _driven(load, arm, cluster)
    load.last[arm] = made
    return made


def _driven(load: Load, arm: str, cluster: Cluster) -> Run:
    client = cluster.client
    slots = client.nthreads()
    began = time.time()
    bulk = [] if arm == UNLOADED else _bulk(load, arm, client)
    if bulk:
        time.sleep(LEAD_S)
    first, arrivals = time.time(), load.arrivals
    ends: dict[int, float] = {}
    done = threading.Event()

    def ended(number: int) -> Callable[[Any], None]:
        def note(_future: Any) -> None:
            ends[number] = time.time()
            if len(ends) == load.criticals:
                done.set()

        return note

    futures = []
    for number, at in enumerate(arrivals):
        time.sleep(max(0.0, first + at - time.time()))
        future = _critical(load, arm, client, number)
        future.add_done_callback(ended(number))
        futures.append(future)
    if not done.wait(WAIT_S):
        raise TimeoutError(f"{load.criticals - len(ends)} critical tasks are not done")
    critical = sum(client.gather(futures))
    answer = _gathered(load, client, bulk)
    finished = time.time()
    ran = cluster.recorded()["ran"]
    latencies = sorted(ends[number] - first - at for number, at in enumerate(arrivals))
    p50, p99 = statistics.median(latencies), _p99(latencies)
    single = sorted(ends[n] - first - at for n, at in enumerate(arrivals) if not _is_behind(n))
    values: dict[str, float] = {"p99, s": p99, "p99 without those behind, s": _p99(single)}
    if arm != UNLOADED:
        values["p99 / unloaded"] = p99 / float(load.last[UNLOADED].values["p99, s"])
        needed = load.criticals * load.critical_s / sum(load.threads)
        used = slot_use(ran, slots, first, first + arrivals[-1])
        others = ("critical", "behind")
        of_bulk = max(stop for key, _, _, stop in ran if not key.startswith(others))
        own = sum(stop - start for key, _, start, stop in ran if key.startswith("critical"))
        seconds = {"all work, s": finished - began, "all bulk, s": of_bulk - began}
        plain = load.last[PLAIN].values if arm != PLAIN else seconds
        values |= {
            "slot use": used,
            "bulk outlasts arrivals, s": of_bulk - first - arrivals[-1],
            "running / slots": running(ran, slots, first, first + arrivals[-1]),
            "bulk lost": 1 - plain["all work, s"] / seconds["all work, s"],
            "bulk alone": 1 - plain["all bulk, s"] / seconds["all bulk, s"],
            "critical's share": needed / arrivals[-1],
            "mean critical task, s": own / load.criticals,
            **seconds,
        }
    return Run(p50, (critical, answer), values)


def _declared(arm: str, critical: bool) -> AbstractContextManager[Any]:
    """How a submission says what it is, in each arm."""
    if arm in (DASK, STATIC) and critical:
        return dask.annotate(priority=10)
    if arm == STATIC:
        return dask.annotate(resources={"bulk": 1})
    if arm in (PLUGIN, *WITHOUT):
        return priority("critical" if critical else "low")
    return nullcontext()


def _bulk(load: Load, arm: str, client: Any) -> list[Any]:
    with _declared(arm, critical=False):
        if load.as_frame:
            return [client.compute(_frame(load.bulk, load.bulk_size))]
        numbers = range(load.bulk)
        return client.map(load.work, numbers, [load.bulk_size] * load.bulk, key="bulk", pure=False)


def _critical(load: Load, arm: str, client: Any, number: int) -> Any:
    behind = []
    size = load.critical_size
    if _is_behind(number):
        with _declared(arm, critical=False):
            behind = [client.submit(load.work, number, size, key=f"behind-{number}")]
    with _declared(arm, critical=True):
        return client.submit(load.work, number, size, *behind, key=f"critical-{number}")


def _is_behind(number: int) -> bool:
    return number % BEHIND == BEHIND - 1


def _p99(ranked: Sequence[float]) -> float:
    return ranked[int(0.99 * len(ranked))]


def _gathered(load: Load, client: Any, bulk: list[Any]) -> int:
    results = client.gather(bulk)
    return int(results[0]["x"].sum()) if load.as_frame and bulk else sum(results)


def _frame(partitions: int, times: float) -> Any:
    """A graph of two tasks a partition and a tree of sums."""
    import dask.dataframe as dd

    parts = dd.from_map(frame, range(partitions), rows=ROWS, meta=frame(0, 1))
    return parts.map_partitions(worked, times, meta=frame(0, 1)).groupby("k").sum()
