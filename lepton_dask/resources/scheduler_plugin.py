"""The scheduler's half: identifies tasks, keeps the ledger, and lets those ahead that are owed it.

Policy is in `ledger`, `identify` and `lanes`, which know no Dask; here is what hears the scheduler
and, in `enact`, what changes it. An error in a hook is counted and goes no further; after FAULTS of
them the plugin keeps to plain priorities.

Travels by value to schedulers without this package: the standard library and distributed alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from time import monotonic, perf_counter
from typing import Any, Literal, TypeVar, cast

import distributed
from distributed import Scheduler, SchedulerPlugin
from tornado.ioloop import PeriodicCallback

from lepton_dask.resources.classes import Classes, ClassShare, ImportanceLevel
from lepton_dask.resources.enact import Enactor
from lepton_dask.resources.fitness import unfit
from lepton_dask.resources.identify import BY_NAME, Declared, Rules, declared, higher
from lepton_dask.resources.lanes import HELLO, LANES_SET, lanes, restricted
from lepton_dask.resources.ledger import SENT, Ledger, quantile
from lepton_dask.resources.records import Record
from lepton_dask.resources.seen import attach
from lepton_dask.resources.status import ClassStatus, RunReport, Status

TICK_MS = 500.0
FAULTS = 5
"""Errors of one hook after which the plugin does no more than set priorities."""
OLD_CHECKED = 500
"""Waiting tasks whose age and deadline a tick looks at, the longest waiting first."""

Hook = TypeVar("Hook", bound=Callable[..., Any])

logger = logging.getLogger("lepton_dask.resources")


def guarded(hook: Hook) -> Hook:
    """Times a hook, and keeps its errors from the scheduler."""

    @wraps(hook)
    def guard(self: Priorities, *arguments: Any, **named: Any) -> Any:
        began = perf_counter()
        try:
            return hook(self, *arguments, **named)
        except Exception:
            self.fault(hook.__name__)
            return None
        finally:
            self.hook_seconds += perf_counter() - began

    return cast("Hook", guard)


class Priorities(SchedulerPlugin):  # type: ignore[misc]  # distributed has no types
    """Classes of work on this scheduler."""

    name = "lepton-priorities"

    def __init__(self, classes: Classes, rules: Rules, burst: int = 1) -> None:
        self.ledger = Ledger(classes)
        self.rules = rules
        self.burst = burst
        self.records: dict[Any, Record] = {}
        self.runs: dict[str, RunReport] = {}
        self.faults: dict[str, int] = {}
        self.reason: str | None = None
        self.hook_seconds = 0.0
        self._parents: dict[frozenset[Any], Any] = {}
        self._due = False
        self._restricted = restricted(classes)

    @property
    def classes(self) -> Classes:
        return self.ledger.classes

    async def start(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._began = monotonic()
        self.reason = unfit(scheduler)
        if self.reason:
            logger.warning("priorities without shares: %s", self.reason)
        self._enact = Enactor(scheduler, self.records)
        self._handlers = {
            "lepton_status": self.status,
            "lepton_report": self.report,
            "lepton_client": self.client,
            "lepton_ready": self.ready,
            "lepton_suspend": self.suspend,
        }
        scheduler.handlers.update(self._handlers)
        # Always: a message that nobody takes ends the connection to its worker.
        scheduler.stream_handlers[HELLO] = self.hello
        scheduler.stream_handlers[LANES_SET] = self.lanes_set
        if self.reason is None:
            self._update_graph = scheduler.stream_handlers["update-graph"]
            scheduler.stream_handlers["update-graph"] = self._submitted
        for key, ts in scheduler.tasks.items():
            self._enter(key, ts, "", None)
        self._attached = attach(scheduler, self.status)
        self._ticking = PeriodicCallback(self.tick, TICK_MS)
        self._ticking.start()

    async def close(self) -> None:
        self._ticking.stop()

    @property
    def mode(self) -> Literal["shares", "priorities"]:
        return "priorities" if self.reason else "shares"

    # What the scheduler tells

    async def _submitted(self, *arguments: Any, **named: Any) -> None:
        """Takes a graph as the scheduler does, and notes whose child it is."""
        keys, parent = named.get("keys"), named.get("submitting_task")
        if parent is not None and keys is not None:
            self._parents[frozenset(keys)] = parent
        await self._update_graph(*arguments, **named)
        if parent is not None and keys is not None:
            self._parents.pop(frozenset(keys), None)
        self._wanted_again(keys or (), named.get("annotations"), named.get("user_priority", 0))

    @guarded
    def update_graph(
        self, scheduler: Scheduler, *, client: str, tasks: list[Any], keys: set[Any], **_more: Any
    ) -> None:
        parent = self.records.get(self._parents.get(frozenset(keys))) if self._parents else None
        highest: list[Record] = []
        for key in tasks:
            if key not in self.records:
                record = self._enter(key, scheduler.tasks[key], client, parent)
                if record.name in self._restricted or record.name == "high":
                    highest.append(record)
        self._inherit_to_ancestors(highest)
        self._act_soon()

    @guarded
    def _wanted_again(self, keys: Iterable[Any], annotations: Any, dask_priority: Any) -> None:
        """A known key keeps the class of its first submission, unless another one is higher: Dask
        alone keeps the first priority."""
        number = dask_priority if isinstance(dask_priority, int | float) else 0
        said = declared(annotations, None, number, monotonic())
        if said is None:
            return
        name = said.name(monotonic())
        raised: list[Record] = []
        for key in keys:
            record, ts = self.records.get(key), self._scheduler.tasks.get(key)
            waits = ts is not None and ts.state not in ("memory", "erred", "forgotten")
            if record is not None and waits and higher(record.name, name) != record.name:
                self._reclass(record, ts, name)
                raised.append(record)
        self._inherit_to_ancestors(raised)
        self._act_soon()

    @guarded
    def transition(self, key: Any, start: str, finish: str, *_arguments: Any, **more: Any) -> None:
        record = self.records.get(key)
        if record is None:
            if finish == "waiting":
                self._enter(key, self._scheduler.tasks[key], "", None)
            return
        if start == finish:
            return
        self.ledger.moved(record.name, start, finish)
        if finish in ("queued", "no-worker"):
            record.ready_since = monotonic()
            if finish == "queued":
                self._enact.ready(record)
        elif start == SENT and finish == "memory":
            self._ran(record, more.get("startstops") or ())
        elif finish == "forgotten":
            self._end_ahead(record)
            del self.records[key]
        self._act_soon()

    @guarded
    def add_worker(self, scheduler: Scheduler, worker: str) -> None:  # noqa: ARG002
        self.ledger.slots = scheduler.total_nthreads
        self._act_soon()

    @guarded
    def remove_worker(self, scheduler: Scheduler, worker: str, **_more: Any) -> None:
        self._enact.forget_worker(worker)
        self.ledger.slots = scheduler.total_nthreads
        self._push_lanes()

    @guarded
    def hello(self, worker: str, slots: int) -> None:
        """A worker's plugin is there."""
        self.ledger.slots = self._scheduler.total_nthreads
        self._enact.greet(worker, slots)
        self._push_lanes()

    @guarded
    def lanes_set(self, worker: str, lanes: Mapping[str, int], serial: int) -> None:
        """A worker offers the lanes that it was told to."""
        self._enact.offered(worker, lanes, serial)

    @guarded
    def tick(self) -> None:
        self.ledger.slots = self._scheduler.total_nthreads
        self._age()
        if self.reason is None:
            self._push_lanes()
            self._enact.free_stranded()
            self._act()

    # What clients ask

    @guarded
    def status(self) -> Status:
        now = monotonic()
        shares = self.ledger.shares()
        classes: dict[str, ClassStatus] = {}
        for each in self.classes:
            account = self.ledger.accounts[each.name]
            classes[each.name] = {
                "weight": float(each.weight),
                "reserve": float(each.reserve),
                "minimum": float(each.minimum),
                "maximum": float(each.maximum),
                "demand": account.demand,
                "share": shares.get(each.name, 0.0),
                "used": self.ledger.used(each.name, now),
                "running": self._enact.running(each.name),
                "waiting": account.waiting + account.ready,
                "done": account.done,
                "latency_p50_s": quantile(account.latencies, 0.5),
                "latency_p99_s": quantile(account.latencies, 0.99),
            }
        return {
            "mode": self.mode,
            "reason": self.reason,
            "page": self._attached.page,
            "dask": distributed.__version__,
            "uptime_s": now - self._began,
            "slots": self.ledger.slots,
            "workers": self._enact.workers(),
            "classes": classes,
            "runs": list(self.runs.values()),
            "impossible": self._enact.impossible(),
            "faults": dict(self.faults),
            "hook_seconds": self.hook_seconds,
        }

    @guarded
    def report(self, run: RunReport) -> None:
        """What a run says of itself; one that is finished is forgotten."""
        if run.get("state") == "finished":
            self.runs.pop(run["id"], None)
        else:
            self.runs[run["id"]] = run

    @guarded
    def client(
        self,
        id: str,  # noqa: A002 - the message's word
        default: ImportanceLevel | None = None,
        prefixes: Mapping[str, ImportanceLevel] | None = None,
        classes: list[dict[str, Any]] | None = None,
    ) -> str:
        """A client's own rules; classes count for all."""
        if default is not None:
            self.rules.clients[id] = default
        self.rules.prefixes.update(prefixes or {})
        if classes is not None:
            self.ledger.classes = Classes(tuple(ClassShare(**each) for each in classes))
            self._restricted = restricted(self.classes)
            self._push_lanes()
        return self.mode

    @guarded
    def remove_client(self, scheduler: Scheduler, client: str) -> None:  # noqa: ARG002
        self.rules.clients.pop(client, None)

    async def ready(self, timeout_s: float) -> str:
        """Answers when all workers offer their lanes, or the time is up; tells the mode."""
        deadline = monotonic() + timeout_s
        while self.reason is None and not self._enact.all_offered() and monotonic() < deadline:
            await asyncio.sleep(0.005)
        return self.mode

    async def suspend(self) -> str:
        """Puts everything back; the workers' half may then be removed."""
        self._ticking.stop()
        self._attached()
        self.reason = self.reason or "uninstalled"
        scheduler = self._scheduler
        if hasattr(self, "_update_graph"):
            scheduler.stream_handlers["update-graph"] = self._update_graph
        self._enact.strip()
        await self._enact.withdraw()
        for name in self._handlers:
            scheduler.handlers.pop(name, None)
        scheduler.handlers["lepton_detach"] = self.detach
        return "OK"

    def detach(self) -> str:
        """The last step, when no worker has its half any more."""
        for name in (HELLO, LANES_SET):
            self._scheduler.stream_handlers.pop(name, None)
        self._scheduler.handlers.pop("lepton_detach", None)
        self._scheduler.remove_plugin(self.name)
        return "OK"

    def fault(self, hook: str) -> None:
        """Counts an error. Never raises."""
        self.faults[hook] = self.faults.get(hook, 0) + 1
        if self.faults[hook] == 1:
            logger.exception("lepton_dask: error in %s; the scheduler goes on", hook)
        if self.faults[hook] == FAULTS and self.reason is None:
            self.reason = f"{hook} failed {FAULTS} times"
            logger.warning("priorities without shares from here on: %s", self.reason)
            try:
                self._enact.strip()
            except Exception:
                logger.exception("lepton_dask: error while putting back")

    # What follows from it

    def _enter(self, key: Any, ts: Any, client: str, parent: Record | None) -> Record:
        """A task's record, its class, and what the class makes of its place."""
        now = monotonic()
        dask_priority = -ts.priority[0] if ts.priority else 0
        said = declared(ts.annotations, ts.resource_restrictions, dask_priority, now)
        if said is None:
            said = Declared(self.rules.find(str(key), client))
        name = said.name(now)
        if parent is not None:
            name = higher(name, parent.name)
        record = Record(key, name, said, now, ts.priority, ts.resource_restrictions)
        self.records[key] = record
        self.ledger.moved(name, "new", ts.state)
        self._enact.place(ts, record, self._holds_lane(name))
        return record

    def _holds_lane(self, name: str) -> bool:
        return self.reason is None and name in self._restricted

    def _inherit_to_ancestors(self, records: list[Record]) -> None:
        """What a task waits for must not wait behind lesser work."""
        for record in records:
            stack = list(self._scheduler.tasks[record.key].dependencies)
            while stack:
                ts = stack.pop()
                behind = self.records.get(ts.key)
                if behind is None or ts.state in ("memory", "erred", "forgotten"):
                    continue
                if higher(behind.name, record.name) == behind.name:
                    continue
                self._reclass(behind, ts, record.name)
                stack.extend(ts.dependencies)

    def _reclass(self, record: Record, ts: Any, name: str) -> None:
        self.ledger.reclassed(record.name, name, ts.state)
        self._end_ahead(record)
        record.name = name
        self._enact.place(ts, record, self._holds_lane(name))

    def _ran(self, record: Record, startstops: Any) -> None:
        now = monotonic()
        seconds = sum(s["stop"] - s["start"] for s in startstops if s["action"] == "compute")
        self._end_ahead(record)
        self.ledger.ran(record.name, seconds, now - record.since, now)

    def _end_ahead(self, record: Record) -> None:
        if record.ahead:
            record.ahead = False
            self.ledger.accounts[record.name].ahead -= 1

    def _age(self) -> None:
        """Tasks whose deadline came near, or that have waited long, rise."""
        now = monotonic()
        checked = 0
        for record in list(self.records.values()):
            ts = self._scheduler.tasks.get(record.key)
            if ts is None or ts.state in ("memory", "erred", "released"):
                continue
            checked += 1
            if checked > OLD_CHECKED:
                break
            name = record.said.name(now, now - record.since)
            if higher(name, record.name) != record.name:
                self._reclass(record, ts, name)

    def _act_soon(self) -> None:
        """Once the scheduler is through with what it does; once for any number of events."""
        if not self._due and self.reason is None:
            self._due = True
            asyncio.get_running_loop().call_soon(self._act_now)

    @guarded
    def _act_now(self) -> None:
        self._due = False
        self._act()

    def _act(self) -> None:
        self._enact.flush()
        for name in self.ledger.owed():
            record = self._enact.first_ready(name)
            account = self.ledger.accounts[name]
            if record is not None:
                record.ahead = True
                account.ahead += 1
                self._enact.let_ahead(record)
            elif self._enact.let_ahead_at_worker(name, BY_NAME[name].dask_priority):
                account.lag_s -= account.mean_s

    def _push_lanes(self) -> None:
        if self.reason is None:
            self._enact.push(lanes(self.classes, self._enact.greeted, self.burst))
