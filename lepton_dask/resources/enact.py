"""The one place that changes the scheduler: priorities, restrictions, and what workers are told.

Inside the scheduler's own transitions nothing may start others: what needs a transition is put
down, and done by `flush`. Every change is looked at again then, since a task may have gone on
meanwhile: one that is at a worker is never recalled, for it might run there, and would run twice.

Travels by value: the standard library and distributed alone.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping
from itertools import count, islice
from typing import Any

from distributed import Scheduler

from lepton_dask.resources.identify import BY_NAME
from lepton_dask.resources.lanes import MEMORY, PREFIX, RAISE, SET_LANES, SOFTEN, lane
from lepton_dask.resources.records import Record
from lepton_dask.resources.status import Impossible, WorkerStatus

AHEAD = -(max(each.dask_priority for each in BY_NAME.values()) + 1)
"""First in a task's priority (the lowest goes first): before every class."""
LOOKED_AT = 200
"""Tasks of a worker that are looked at for one to let ahead."""
ACKNOWLEDGED_S = 5.0
"""For workers to say that they have withdrawn their lanes."""
TOLD = 20
"""Tasks that wait for what nobody offers, at most so many are told."""
STIMULUS = "lepton-priorities"


class Enactor:
    """Enacts on one scheduler."""

    def __init__(self, scheduler: Scheduler, records: Mapping[Any, Record]) -> None:
        self.greeted: dict[str, int] = {}
        """The slots of each worker whose plugin is there."""
        self._scheduler = scheduler
        self._records = records
        self._pending: dict[Any, tuple[str, str]] = {}
        self._ready: dict[str, list[tuple[Any, int, Any]]] = {name: [] for name in BY_NAME}
        self._serials = count(1)
        self._sent: dict[str, tuple[int, dict[str, int]]] = {}
        self._offered: dict[str, tuple[int, dict[str, int]]] = {}
        self._soft = False
        self._lent_memory: set[str] = set()
        """Workers that offer their memory because of us."""

    # Tasks

    def place(self, ts: Any, record: Record, holds_lane: bool) -> None:
        """Gives a task the priority of its class, and its lane."""
        if not ts.priority:
            return
        before = ts.priority
        ts.priority = (-BY_NAME[record.name].dask_priority, *ts.priority[1:])
        gets_lane = holds_lane and self._is_offered(lane(record.name)) and not ts.actor
        if ts.state == "processing":
            if ts.priority != before:
                self._raise(ts, record.name)
            return
        if gets_lane:
            ts.resource_restrictions = {**(ts.resource_restrictions or {}), lane(record.name): 1}
        if ts.state == "queued":
            self._scheduler.queued.discard(ts)
            self._scheduler.queued.add(ts)
            self.ready(record)
            if gets_lane:
                self._pending[ts.key] = ("queued", "released")
        elif ts.state == "no-worker" and gets_lane:
            self._pending[ts.key] = ("no-worker", "processing")

    def settle(self, record: Record, holds_lane: bool) -> None:
        """Takes back what let a task ahead, when it has run."""
        ts = self._scheduler.tasks[record.key]
        if ts.priority and ts.priority[0] == AHEAD:
            ts.resource_restrictions = _without_lanes(ts.resource_restrictions)
            self.place(ts, record, holds_lane)

    def ready(self, record: Record) -> None:
        """A task waits in the scheduler's queue."""
        ts = self._scheduler.tasks[record.key]
        heapq.heappush(self._ready[record.name], (ts.priority, next(self._serials), record.key))

    def first_ready(self, name: str) -> Record | None:
        """The first task of a class in the scheduler's queue."""
        heap = self._ready[name]
        while heap:
            key = heap[0][2]
            ts, record = self._scheduler.tasks.get(key), self._records.get(key)
            queued = ts is not None and ts.state == "queued"
            if queued and record is not None and record.name == name and not record.ahead:
                return record
            heapq.heappop(heap)
        return None

    def let_ahead(self, record: Record) -> None:
        """Sends a task that is queued to a worker, where it goes before all that waits there."""
        ts = self._scheduler.tasks[record.key]
        ts.priority = (AHEAD, *ts.priority[1:])
        held = lane(record.name)
        if self._is_offered(held):
            ts.resource_restrictions = {**(ts.resource_restrictions or {}), held: 1}
        self._scheduler.transitions({record.key: "released"}, STIMULUS)

    def let_ahead_at_worker(self, name: str, dask_priority: int) -> bool:
        """Has the worker with most tasks of a class let its first waiting one ahead. Only the
        worker knows which of them wait."""
        best, most = None, 0
        for address in self.greeted:
            ws = self._scheduler.workers.get(address)
            if ws is None:
                continue
            found = sum(
                1
                for ts in islice(ws.processing, LOOKED_AT)
                if (record := self._records.get(ts.key)) is not None and record.name == name
            )
            if found > most:
                best, most = address, found
        if best is None:
            return False
        message = {"name": name, "priority": (AHEAD,), "dask_priority": dask_priority}
        self._scheduler.worker_send(best, {"op": RAISE, **message})
        return True

    def flush(self) -> None:
        """Does the transitions that were put down, of tasks that are still where they were."""
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        tasks = self._scheduler.tasks
        due = {
            key: finish
            for key, (start, finish) in pending.items()
            if key in tasks and tasks[key].state == start
        }
        self._scheduler.transitions(due, STIMULUS)

    def free_stranded(self) -> None:
        """Takes the lane from tasks that find it at no worker that they may go to."""
        for ts in list(self._scheduler.unrunnable):
            held = [name for name in ts.resource_restrictions or () if name.startswith(PREFIX)]
            if not held or self._scheduler.valid_workers(ts):
                continue
            before = ts.resource_restrictions
            ts.resource_restrictions = _without_lanes(before)
            valid = self._scheduler.valid_workers(ts)
            if self._scheduler.running and (valid is None or valid):
                self._pending[ts.key] = ("no-worker", "processing")
            else:
                ts.resource_restrictions = before
        self.flush()

    def strip(self) -> None:
        """Gives every task that has not run the priority and restrictions that it came with."""
        for key, record in list(self._records.items()):
            ts = self._scheduler.tasks.get(key)
            if ts is None:
                continue
            ts.resource_restrictions = _without_lanes(ts.resource_restrictions)
            if ts.state == "processing":
                continue
            ts.priority = record.priority or ts.priority
            if ts.state == "queued":
                self._scheduler.queued.discard(ts)
                self._scheduler.queued.add(ts)
            elif ts.state == "no-worker":
                self._pending[key] = ("no-worker", "processing")
        self.flush()
        self._scheduler.stimulus_queue_slots_maybe_opened(stimulus_id=STIMULUS)

    # Workers

    def greet(self, worker: str, slots: int) -> None:
        self.greeted[worker] = slots
        self._scheduler.worker_send(worker, {"op": SOFTEN, "soft": self._soft})
        self._sent.pop(worker, None)

    def soften(self, soft: bool) -> None:
        """Has the workers' threads give way to critical work, or no longer."""
        self._soft = soft
        for worker in self.greeted:
            self._scheduler.worker_send(worker, {"op": SOFTEN, "soft": soft})

    def forget_worker(self, worker: str) -> None:
        for known in (self.greeted, self._sent, self._offered):
            known.pop(worker, None)
        self._lent_memory.discard(worker)

    def push(self, lanes: Mapping[str, Mapping[str, int]]) -> None:
        """Tells workers what to offer, where that is new to them."""
        for worker, wanted in lanes.items():
            ws = self._scheduler.workers.get(worker)
            if ws is None:
                continue
            # Below what it has, a worker's count turns negative, and those who wait there strand.
            offer = {name: max(n, self._held(ws, name, n)) for name, n in wanted.items()}
            if self._sent.get(worker, (0, {}))[1] == offer:
                continue
            serial = next(self._serials)
            self._sent[worker] = (serial, offer)
            message = {"op": SET_LANES, "lanes": offer, "serial": serial}
            self._scheduler.worker_send(worker, message)

    def offered(self, worker: str, lanes: Mapping[str, int], serial: int) -> None:
        """A worker's answer: from now on tasks may be placed by its lanes."""
        ws = self._scheduler.workers.get(worker)
        if ws is None:
            return
        told = {name: amount for name, amount in lanes.items() if name.startswith(PREFIX)}
        self._offered[worker] = (serial, told)
        if MEMORY in lanes:
            self._lent_memory.add(worker)
        for name, amount in lanes.items():
            # Not by add_resources, which forgets what is in use.
            ws.resources[name] = amount
            ws.used_resources.setdefault(name, 0)
            self._scheduler.resources.setdefault(name, {})[worker] = amount
        due = self._scheduler.bulk_schedule_unrunnable_after_adding_worker(ws)
        self._scheduler.transitions(due, STIMULUS)

    def all_offered(self) -> bool:
        """Whether every worker has its half of this, and offers what it was told to."""
        return all(
            self._offered.get(worker) == self._sent.get(worker, ())
            for worker in self._scheduler.workers
        )

    async def withdraw(self) -> None:
        """Has all workers take their lanes back, and waits until they have."""
        serials = {}
        for worker in self.greeted:
            serials[worker] = next(self._serials)
            message = {"op": SET_LANES, "lanes": {}, "serial": serials[worker]}
            self._scheduler.worker_send(worker, message)
        deadline = asyncio.get_running_loop().time() + ACKNOWLEDGED_S
        while asyncio.get_running_loop().time() < deadline:
            if all(
                worker not in self._scheduler.workers
                or self._offered.get(worker, (0, {}))[0] >= serial
                for worker, serial in serials.items()
            ):
                break
            await asyncio.sleep(0.01)
        for address, ws in self._scheduler.workers.items():
            ours = [each for each in ws.resources if each.startswith(PREFIX)]
            if address in self._lent_memory and not self._uses_memory(ws):
                ours.append(MEMORY)
            for name in ours:
                del ws.resources[name]
                ws.used_resources.pop(name, None)
                self._scheduler.resources[name].pop(address, None)
        for name in [each for each, of in self._scheduler.resources.items() if not of]:
            del self._scheduler.resources[name]

    @staticmethod
    def _uses_memory(ws: Any) -> bool:
        return any(MEMORY in (ts.resource_restrictions or {}) for ts in ws.processing)

    # What is told

    def running(self, name: str) -> int:
        """Tasks of a class that run, as of the workers' last heartbeats."""
        return sum(
            1
            for ws in self._scheduler.workers.values()
            for ts in ws.executing
            if (record := self._records.get(ts.key)) is not None and record.name == name
        )

    def workers(self) -> list[WorkerStatus]:
        return [
            {
                "address": address,
                "slots": ws.nthreads,
                "running": len(ws.executing),
                "lanes": {n: int(a) for n, a in ws.resources.items() if n.startswith(PREFIX)},
                "acknowledged": self._offered.get(address) == self._sent.get(address, ()),
            }
            for address, ws in self._scheduler.workers.items()
        ]

    def impossible(self) -> list[Impossible]:
        """Tasks that ask for more of a resource than any worker has."""
        found: list[Impossible] = []
        for ts in self._scheduler.unrunnable:
            for name, needed in (ts.resource_restrictions or {}).items():
                most = max(self._scheduler.resources.get(name, {}).values(), default=0)
                if needed > most:
                    asks = f"{name} {needed:,.15g}"
                    found.append({"key": str(ts.key), "asks": asks, "most": f"{most:,.15g}"})
            if len(found) >= TOLD:
                break
        return found

    def _is_offered(self, name: str) -> bool:
        return any(self._scheduler.resources.get(name, {}).values())

    @staticmethod
    def _held(ws: Any, name: str, wanted: int) -> int:
        """The lanes that tasks at a worker hold, if it offers more than is wanted."""
        if ws.resources.get(name, 0) <= wanted:
            return 0
        return sum(1 for ts in ws.processing if name in (ts.resource_restrictions or {}))

    def _raise(self, ts: Any, name: str) -> None:
        address = ts.processing_on.address
        if address in self.greeted:
            message = {"name": name, "priority": ts.priority, "key": ts.key}
            self._scheduler.worker_send(address, {"op": RAISE, **message})


def _without_lanes(resources: Mapping[str, float] | None) -> dict[str, float] | None:
    if not resources:
        return None if resources is None else {}
    return {name: n for name, n in resources.items() if not name.startswith(PREFIX)}
