"""Each task on the scheduler with its class: what it said, what it inherits, how it rises.

Travels by value: the standard library and distributed alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from itertools import count
from time import monotonic
from typing import Any

from distributed import Scheduler

from lepton_dask.resources.classes import ImportanceLevel
from lepton_dask.resources.enact import Enactor
from lepton_dask.resources.identify import LOWEST, Declared, Rules, declared, higher
from lepton_dask.resources.ledger import SENT, Ledger
from lepton_dask.resources.records import Record

OVER = ("memory", "erred", "forgotten")
"""The states of a task that will not run, unless it is lost."""


class Tasks:
    """The tasks of one scheduler. `restricted` are the classes all whose tasks hold a lane; none
    where shares cannot be kept."""

    def __init__(
        self, scheduler: Scheduler, ledger: Ledger, rules: Rules, restricted: frozenset[str]
    ) -> None:
        self.records: dict[Any, Record] = {}
        self.restricted = restricted
        self.enact = Enactor(scheduler, self.records)
        self._scheduler = scheduler
        self._ledger = ledger
        self._rules = rules
        self._waiting: dict[Any, Record] = {}
        self._with_deadline: dict[Any, Record] = {}
        self._rising: list[tuple[float, int, Any]] = []
        """A heap of when waiting next makes a task's class higher, a serial, and its key."""
        self._serials = count()

    def submitted(self, keys: Iterable[Any], client: str, parent: Any) -> None:
        """A graph's tasks: those that are new get a class, and what they wait for has it too."""
        above = self.records.get(parent)
        new = [
            self._enter(key, self._scheduler.tasks[key], client, above)
            for key in keys
            if key not in self.records
        ]
        self._inherit(new)

    def wanted_again(
        self, keys: Iterable[Any], annotations: Mapping[str, Any] | None, dask_priority: float
    ) -> None:
        """A known key keeps the class of its first submission, unless another one is higher: Dask
        alone keeps the first priority."""
        now = monotonic()
        said = declared(annotations, None, dask_priority, now)
        if said is None:
            return
        raised = []
        for key in keys:
            record, ts = self.records.get(key), self._scheduler.tasks.get(key)
            if record is None or ts is None or ts.state in OVER:
                continue
            if self._rise(record, ts, said.name(now)):
                raised.append(record)
        self._inherit(raised)

    def moved(self, key: Any, start: str, finish: str, run_s: float) -> None:
        """A task went from one of the scheduler's states to another; `run_s` is how long it ran."""
        record = self.records.get(key)
        if record is None:
            if finish == "waiting":
                self._enter(key, self._scheduler.tasks[key], "", None)
            return
        now = monotonic()
        self._ledger.moved(record.name, start, finish, now)
        if finish == "queued":
            self.enact.ready(record)
        elif finish in OVER:
            if start == SENT and finish == "memory":
                self._ledger.ran(record.name, run_s, now - record.since, now)
            self._end(record, finish)
        elif start in OVER or start == "released":
            self._waits(record)

    def age(self) -> None:
        """Tasks whose deadline came near, or that have waited long, rise."""
        now = monotonic()
        raised = []
        for record in [*self._with_deadline.values(), *self._old_enough(now)]:
            ts = self._scheduler.tasks.get(record.key)
            if ts is not None and self._rise(record, ts, record.said.name(now, now - record.since)):
                raised.append(record)
        self._inherit(raised)

    def let_ahead(self, record: Record) -> None:
        """One that is queued goes before all others; counted until it has run."""
        record.ahead = True
        self._ledger.accounts[record.name].ahead += 1
        self.enact.let_ahead(record)

    def _enter(self, key: Any, ts: Any, client: str, parent: Record | None) -> Record:
        now = monotonic()
        dask_priority = -ts.priority[0] if ts.priority else 0
        said = declared(ts.annotations, ts.resource_restrictions, dask_priority, now)
        if said is None:
            said = Declared(self._rules.find(str(key), client))
        name = said.name(now)
        if parent is not None:
            name = higher(name, parent.name)
        record = Record(key, name, said, now, ts.priority, ts.resource_restrictions)
        self.records[key] = record
        self._waits(record)
        self._ledger.moved(name, "new", ts.state, now)
        self.enact.place(ts, record, name in self.restricted)
        return record

    def _waits(self, record: Record) -> None:
        self._waiting[record.key] = record
        if record.said.deadline is not None:
            self._with_deadline[record.key] = record
        self._will_rise(record, monotonic() - record.since)

    def _will_rise(self, record: Record, waited_s: float) -> None:
        after_s = record.said.rises_after_s(waited_s)
        if after_s is not None:
            heappush(self._rising, (record.since + after_s, next(self._serials), record.key))

    def _end(self, record: Record, finish: str) -> None:
        self._count_ahead_no_more(record)
        self._waiting.pop(record.key, None)
        self._with_deadline.pop(record.key, None)
        if finish == "forgotten":
            del self.records[record.key]
        else:
            # Were it lost and computed again, it would go by this.
            self.enact.settle(record, record.name in self.restricted)

    def _old_enough(self, now: float) -> list[Record]:
        """Those that wait, and have for as long as makes their class higher."""
        due = []
        while self._rising and self._rising[0][0] <= now:
            due.append(heappop(self._rising)[2])
        found = [self._waiting[key] for key in due if key in self._waiting]
        for record in found:
            self._will_rise(record, now - record.since)
        return found

    def _inherit(self, records: list[Record]) -> None:
        """What a task waits for must not wait behind lesser work."""
        for record in records:
            if record.name == LOWEST:
                continue
            stack = list(self._scheduler.tasks[record.key].dependencies)
            while stack:
                ts = stack.pop()
                behind = self.records.get(ts.key)
                if behind is None or ts.state in OVER:
                    continue
                if self._rise(behind, ts, record.name):
                    stack.extend(ts.dependencies)

    def _rise(self, record: Record, ts: Any, name: ImportanceLevel) -> bool:
        """Gives a task a class if that is higher than its own; tells whether it was."""
        if higher(record.name, name) == record.name:
            return False
        self._ledger.reclassed(record.name, name, ts.state, monotonic())
        self._count_ahead_no_more(record)
        record.name = name
        self.enact.place(ts, record, name in self.restricted)
        return True

    def _count_ahead_no_more(self, record: Record) -> None:
        if record.ahead:
            record.ahead = False
            self._ledger.accounts[record.name].ahead -= 1
