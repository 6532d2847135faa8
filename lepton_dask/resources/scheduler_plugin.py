"""The scheduler's half: hears the scheduler, its workers and its clients.

Which class a task has is `tasks`' to know, who is owed slots the `ledger`'s, and `enact` alone
changes the scheduler. An error in a hook is counted and goes no further; after some of them the
plugin keeps to plain priorities.

Travels by value to schedulers without this package: the standard library and distributed alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any, Literal

import distributed
from distributed import Scheduler, SchedulerPlugin
from tornado.ioloop import PeriodicCallback

from lepton_dask.resources.classes import Classes, ClassShare, ImportanceLevel
from lepton_dask.resources.fitness import unfit
from lepton_dask.resources.guard import Guard, guarded, logger
from lepton_dask.resources.identify import BY_NAME, Rules
from lepton_dask.resources.lanes import BURST, HELLO, INSTALLED, LANES_SET, lanes, restricted
from lepton_dask.resources.ledger import SENT, Ledger, quantile
from lepton_dask.resources.seen import attach
from lepton_dask.resources.status import ClassStatus, RunReport, Status
from lepton_dask.resources.tasks import Tasks

TICK_MS = 500.0
SOFT_S = 1.0
"""After the last critical task other threads give way for so long: a critical run is many graphs,
with its client's own work between them."""


class Priorities(SchedulerPlugin):  # type: ignore[misc]  # distributed has no types
    """Classes of work on this scheduler."""

    name = INSTALLED

    def __init__(self, classes: Classes, burst: int = 1) -> None:
        self.burst = burst
        self.guard = Guard()
        self.reason: str | None = None
        self.ledger = Ledger(classes)
        self.rules = Rules()
        self.runs: dict[str, RunReport] = {}
        self._parents: dict[frozenset[Any], Any] = {}
        self._is_due = False
        self._critical_at: float | None = None

    @property
    def classes(self) -> Classes:
        return self.ledger.classes

    @property
    def mode(self) -> Literal["shares", "priorities"]:
        return "priorities" if self.reason else "shares"

    async def start(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._began = monotonic()
        self.tasks = self.make_tasks(scheduler)
        self._enact = self.tasks.enact
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
        reason = unfit(scheduler)
        if reason:
            self.give_up(reason)
        else:
            self._update_graph = scheduler.stream_handlers["update-graph"]
            scheduler.stream_handlers["update-graph"] = self._submitted
        self.tasks.submitted(list(scheduler.tasks), "", None)
        self._attached = attach(scheduler, self.status)
        self._ticking = PeriodicCallback(self.tick, TICK_MS)
        self._ticking.start()
        scheduler.task_metadata[INSTALLED] = True

    def make_tasks(self, scheduler: Scheduler) -> Tasks:
        return Tasks(scheduler, self.ledger, self.rules, restricted(self.classes))

    async def close(self) -> None:
        self._ticking.stop()

    def give_up(self, reason: str) -> None:
        """Keeps to plain priorities from here on."""
        if self.reason is None:
            self.reason = reason
            logger.warning("priorities without shares: %s", reason)
            self.tasks.restricted = frozenset()
            self._enact.strip()

    # What the scheduler tells

    async def _submitted(self, *arguments: Any, **named: Any) -> None:
        """Takes a graph as the scheduler does, and notes what no hook is told: whose child it is,
        and what it says of keys that are known."""
        keys, parent = frozenset(named.get("keys") or ()), named.get("submitting_task")
        if parent is not None:
            self._parents[keys] = parent
        await self._update_graph(*arguments, **named)
        self._parents.pop(keys, None)
        self.submitted(keys, named.get("annotations"), named.get("user_priority", 0))

    @guarded
    def submitted(self, keys: frozenset[Any], annotations: Any, dask_priority: Any) -> None:
        number = dask_priority if isinstance(dask_priority, int | float) else 0
        self.tasks.wanted_again(keys, annotations, number)
        self._act_soon()

    @guarded
    def update_graph(
        self, scheduler: Scheduler, *, client: str, tasks: list[Any], keys: set[Any], **_more: Any
    ) -> None:
        self.ledger.slots = scheduler.total_nthreads
        parent = self._parents.get(frozenset(keys)) if self._parents else None
        self.tasks.submitted(tasks, client, parent)
        # Ahead of the tasks themselves, which go to the workers by the same way.
        self._soften()
        self._act_soon()

    @guarded
    def transition(self, key: Any, start: str, finish: str, *_arguments: Any, **more: Any) -> None:
        if start == finish:
            return
        startstops = more.get("startstops") or ()
        run_s = sum(each["stop"] - each["start"] for each in startstops if _is_compute(each))
        self.tasks.moved(key, start, finish, run_s)
        if start == SENT or finish in ("queued", "no-worker"):
            self._act_soon()

    # The names of arguments are the hooks' own, by which the scheduler gives them.
    @guarded
    def add_worker(self, scheduler: Scheduler, worker: str) -> None:  # noqa: ARG002
        self.ledger.slots = scheduler.total_nthreads

    @guarded
    def remove_worker(self, scheduler: Scheduler, worker: str, **_more: Any) -> None:
        self._enact.forget_worker(worker)
        self.ledger.slots = scheduler.total_nthreads
        self._push_lanes()

    @guarded
    def remove_client(self, scheduler: Scheduler, client: str) -> None:  # noqa: ARG002
        self.rules.clients.pop(client, None)

    @guarded
    def hello(self, worker: str, slots: int) -> None:
        """A worker's plugin is there."""
        self._enact.greet(worker, slots)
        self._push_lanes()

    @guarded
    def lanes_set(self, worker: str, lanes: Mapping[str, int], serial: int) -> None:
        """A worker offers the lanes that it was told to."""
        self._enact.offered(worker, lanes, serial)

    @guarded
    def tick(self) -> None:
        self.ledger.slots = self._scheduler.total_nthreads
        self.tasks.age()
        self._soften()
        if self.reason is None:
            self._push_lanes()
            self._enact.free_stranded()
            self._act_soon()

    # What follows from it

    def _act_soon(self) -> None:
        """Once the scheduler is through with what it does; once for any number of events."""
        if not self._is_due and self.reason is None:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._act_now)

    def _act_now(self) -> None:
        self._is_due = False
        self.act()

    @guarded
    def act(self) -> None:
        if self.reason is not None:
            return
        self._enact.flush()
        for name in self.ledger.owed():
            record = self._enact.first_ready(name)
            if record is not None:
                self.tasks.let_ahead(record)
            elif self._enact.let_ahead_at_worker(name, BY_NAME[name].dask_priority):
                self.ledger.paid(name)

    def _push_lanes(self) -> None:
        if self.reason is None:
            self._enact.push(lanes(self.classes, self._enact.greeted, self.burst))

    def _soften(self) -> None:
        """Other threads give way while there is critical work, and for SOFT_S afterwards."""
        now = monotonic()
        if self.reason is None and self.ledger.accounts[BURST].count:
            if self._critical_at is None:
                self._enact.soften(True)
            self._critical_at = now
        elif self._critical_at is not None and now - self._critical_at > SOFT_S:
            self._critical_at = None
            self._enact.soften(False)

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
            "faults": dict(self.guard.faults),
            "hook_seconds": self.guard.seconds,
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
        """A client's own default; prefixes and classes count for all."""
        if default is not None:
            self.rules.clients[id] = default
        self.rules.prefixes.update(prefixes or {})
        if classes is not None:
            self.ledger.reweigh(Classes(tuple(ClassShare(**each) for each in classes)))
            if self.reason is None:
                self.tasks.restricted = restricted(self.classes)
            self._push_lanes()
        return self.mode

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
        scheduler = self._scheduler
        scheduler.task_metadata.pop(INSTALLED, None)
        if hasattr(self, "_update_graph"):
            scheduler.stream_handlers["update-graph"] = self._update_graph
        self.give_up("uninstalled")
        self._enact.soften(False)
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


def _is_compute(startstop: Mapping[str, Any]) -> bool:
    return bool(startstop["action"] == "compute")
