"""The worker's half: lanes, and a burst for critical work.

A critical task that finds every slot taken starts at once all the same: for one step of the
worker's state machine there is one slot more, so that it takes its task that waits; the next one
that ends is not replaced. So the slots stay full, and as many as they were. It runs in threads of
its own, and while there is critical work the others give way to them, where the system allows it.

Travels by value to workers without this package: the standard library and distributed alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distributed import Worker, WorkerPlugin
from distributed.threadpoolexecutor import ThreadPoolExecutor
from distributed.worker_state_machine import UnpauseEvent
from tornado.ioloop import PeriodicCallback

from lepton_dask.resources.lanes import (
    BURST,
    HELLO,
    LANES_SET,
    MEMORY,
    PREFIX,
    RAISE,
    SET_LANES,
    SOFTEN,
    WORKER_PLUGIN,
    lane,
)
from lepton_dask.resources.relief import EVERY_MS, relieve
from lepton_dask.resources.softening import Softening

EXECUTOR = "lepton-burst"


class Lanes(WorkerPlugin):  # type: ignore[misc]  # distributed has no types
    """Offers the lanes that the scheduler names, and starts critical tasks in them at once; looks
    after its worker's memory.

    `burst` is how many tasks beyond its slots a worker runs at most. With `preempt`, tasks that may
    start again are asked to give way where no burst is left (`asked`, read by their threads).
    """

    name = WORKER_PLUGIN

    def __init__(self, burst: int = 1, preempt: bool = False) -> None:
        self.burst = burst
        self.preempt = preempt

    def setup(self, worker: Worker) -> None:
        self._worker = worker
        self._due = False
        self._memory: float | None = None
        self._softening = Softening()
        self.asked: set[Any] = set()
        worker.stream_handlers[SET_LANES] = self.set_lanes
        worker.stream_handlers[RAISE] = self.raise_task
        worker.stream_handlers[SOFTEN] = self.soften
        if self.burst:
            worker.executors[EXECUTOR] = ThreadPoolExecutor(
                self.burst + worker.state.nthreads, thread_name_prefix="lepton-burst"
            )
        self._looking = PeriodicCallback(self._look, EVERY_MS)
        self._looking.start()
        worker.batched_send({"op": HELLO, "slots": worker.state.nthreads})

    def teardown(self, worker: Worker) -> None:
        self._looking.stop()
        self._withdraw()
        self._softening.harden()
        for name in (SET_LANES, RAISE, SOFTEN):
            worker.stream_handlers.pop(name, None)
        pool = worker.executors.pop(EXECUTOR, None)
        if pool is not None:
            pool.shutdown(wait=False)

    def _look(self) -> None:
        relieve(self._worker)

    def set_lanes(self, lanes: Mapping[str, int], serial: int) -> None:
        """Offers these lanes and no others; tells the scheduler that it does."""
        state = self._worker.state
        for name, count in lanes.items():
            before = state.total_resources.get(name, 0)
            state.total_resources[name] = count
            state.available_resources[name] = (
                state.available_resources.get(name, 0) + count - before
            )
        if lanes:
            self._offer_memory()
        else:
            self._withdraw()
        # A worker wakes those who wait for a resource only when something else happens.
        self._wake()
        offer = {**lanes, **({MEMORY: self._memory} if self._memory and lanes else {})}
        self._worker.batched_send({"op": LANES_SET, "lanes": offer, "serial": serial})

    def _say(self, name: str, ts: Any) -> None:
        """Names a task's new state, and tells the worker's counter of states, which asserts."""
        before, ts.state = ts.state, name
        self._worker.state.task_counter.transitions({ts: before})

    def _offer_memory(self) -> None:
        """A worker that was started without `memory` among its resources offers its limit."""
        state = self._worker.state
        limit = self._worker.memory_manager.memory_limit
        if limit and MEMORY not in state.total_resources:
            self._memory = float(limit)
            state.total_resources[MEMORY] = state.available_resources[MEMORY] = self._memory

    def raise_task(
        self, priority: tuple[Any, ...], name: str, key: Any = None, dask_priority: int = 0
    ) -> None:
        """Lets a task that waits here go ahead: the one named, or the first of a class. One that
        runs already needs nothing."""
        state = self._worker.state
        if key is not None:
            found = state.tasks.get(key)
        else:
            waiting = (ts for ts in state.ready.sorted() if ts.priority[0] == -dask_priority)
            found = next(waiting, None)
        if found is None or found not in state.ready:
            return
        state.ready.discard(found)
        found.priority = tuple(priority) if key is not None else (priority[0], *found.priority[1:])
        if name == BURST and lane(name) in state.total_resources:
            found.resource_restrictions = {**(found.resource_restrictions or {}), lane(name): 1}
            found.annotations = self._in_own_threads(found.annotations)
            state.constrained.add(found)
            self._say("constrained", found)
            self._burst_soon()
        else:
            state.ready.add(found)

    def soften(self, soft: bool) -> None:
        """Has the threads of all tasks but critical ones give way, or no longer."""
        if soft and self.burst:
            # A private set of distributed's own pool: who is in it has no other name.
            self._softening.soften(self._worker.executors["default"]._threads)
        else:
            self._softening.harden()

    def transition(self, key: Any, start: str, finish: str, **_more: Any) -> None:
        if finish == "constrained" and start != "constrained":
            ts = self._worker.state.tasks[key]
            if lane(BURST) in ts.resource_restrictions:
                ts.annotations = self._in_own_threads(ts.annotations)
                self._burst_soon()
        elif start == "executing":
            self.asked.discard(key)
            if self._worker.state.constrained:
                self._burst_soon()

    def _in_own_threads(self, annotations: Mapping[str, Any] | None) -> dict[str, Any]:
        """A task that names its executor keeps it."""
        own = {"executor": EXECUTOR} if self.burst else {}
        return {**own, **(annotations or {})}

    def _burst_soon(self) -> None:
        """After the worker's own step is through; once for any number of tasks."""
        if (self.burst or self.preempt) and not self._due:
            self._due = True
            self._worker.loop.add_callback(self._burst)

    def _burst(self) -> None:
        self._due = False
        state = self._worker.state
        while (
            state.running
            and state.nthreads <= len(state.executing) < state.nthreads + self.burst
            and self._entitled() < state.nthreads
            and self._critical_is_next()
        ):
            slots, running = state.nthreads, len(state.executing)
            state.nthreads = running + 1
            try:
                self._wake()
            finally:
                state.nthreads = slots
            if len(state.executing) == running:
                break
        if self.preempt:
            self._ask()

    def _ask(self) -> None:
        """Asks as many tasks without a lane to give way as critical ones wait, newest first: they
        lose least."""
        state = self._worker.state
        waiting = sum(1 for ts in state.constrained if lane(BURST) in ts.resource_restrictions)
        others = [ts for ts in state.executing if not _holds_lane(ts)]
        others.sort(key=lambda ts: ts.start_time or 0.0, reverse=True)
        self.asked |= {ts.key for ts in others[: max(waiting - len(self.asked), 0)]}

    def _entitled(self) -> int:
        """Tasks running in a lane. A burst is at the cost of those without: where lanes fill all
        slots, critical work has its share, and one slot more for ever would be no burst."""
        return sum(1 for ts in self._worker.state.executing if _holds_lane(ts))

    def _critical_is_next(self) -> bool:
        """Whether the worker's next task is critical and has its lane."""
        state = self._worker.state
        if not state.constrained:
            return False
        first = state.constrained.peek()
        if lane(BURST) not in first.resource_restrictions:
            return False
        if state.ready and state.ready.peek().priority < first.priority:
            return False
        needs = first.resource_restrictions.items()
        return all(state.available_resources[name] >= amount for name, amount in needs)

    def _wake(self) -> None:
        if self._worker.state.running:
            self._worker.handle_stimulus(UnpauseEvent(stimulus_id="lepton-wake"))

    def _withdraw(self) -> None:
        """Takes the lanes away; who waits for one, or holds one, needs it no more."""
        state = self._worker.state
        for ts in list(state.tasks.values()):
            held = [name for name in ts.resource_restrictions or () if name.startswith(PREFIX)]
            if not held:
                continue
            kept = ts.resource_restrictions.items()
            ts.resource_restrictions = {r: n for r, n in kept if r not in held}
            if ts.state == "constrained" and not ts.resource_restrictions:
                state.constrained.discard(ts)
                state.ready.add(ts)
                self._say("ready", ts)
            if ts.annotations and ts.annotations.get("executor") == EXECUTOR:
                ts.annotations = {k: v for k, v in ts.annotations.items() if k != "executor"}
        for offered in (state.total_resources, state.available_resources):
            for name in [each for each in offered if each.startswith(PREFIX)]:
                del offered[name]
        if self._memory is not None and not self._wants_memory():
            del state.total_resources[MEMORY], state.available_resources[MEMORY]
            self._memory = None

    def _wants_memory(self) -> bool:
        return any(
            MEMORY in (ts.resource_restrictions or {}) for ts in self._worker.state.tasks.values()
        )


def _holds_lane(ts: Any) -> bool:
    return any(name.startswith(PREFIX) for name in ts.resource_restrictions or ())
