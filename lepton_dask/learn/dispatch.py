"""Submitting tasks and waiting for them: the one way from a step to the cluster."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
from dask.delayed import Delayed
from distributed import Client, Future, KilledWorker
from distributed.client import _wait

from lepton_dask.errors import ClusterError, RunError
from lepton_dask.learn.direct import Answer, DirectWay, Question

POLL_S = 0.5
"""How often a wait looks whether it should go on."""
PROGRESS_S = 0.1
"""How often it looks how many tasks are done: to be woken by each costs the driver, which shares
the machine with the workers of a local cluster, a look at all that are not."""

T = TypeVar("T")


class Asked(NamedTuple):
    """Tasks that look at results where they lie: `futures[g]` at those of the `numbers[g]`."""

    futures: tuple[Future, ...]
    numbers: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Dispatch:
    """How one step submits tasks and waits for them.

    Priority, resources and retries are attached at submission: annotations made while a graph is
    built are lost by Dask's optimisers. `check` is called in every wait and raises to end it: when
    the run was asked to stop, or when no worker has been there for too long (Dask itself would wait
    for ever). `direct` is there on a cluster of the run's own.
    """

    client: Client
    label: str = "learn"
    priority: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    retries: int = 0
    check: Callable[[], None] = lambda: None
    direct: DirectWay | None = None
    _numbers: Iterable[int] = field(default_factory=itertools.count, repr=False)
    _token: str = field(default_factory=lambda: uuid.uuid4().hex[:12], repr=False)

    def submit(
        self, name: str, function: Callable[..., Any], *arguments: Any, on: str | None = None
    ) -> Future:
        """One task, on worker `on` if that is possible; arguments may hold futures."""
        return self.client.submit(
            function,
            *arguments,
            key=self._keys(name, 1)[0],
            workers=on,
            allow_other_workers=on is not None,
            **self._terms(),
        )

    def map(
        self, name: str, function: Callable[..., Any], futures: Sequence[Future], *arguments: Any
    ) -> list[Future]:
        """One task for each future, function(future, *arguments), all of them as one graph."""
        return self.starmap(name, function, [(future, *arguments) for future in futures])

    def starmap(
        self,
        name: str,
        function: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        on: Sequence[str] = (),
    ) -> list[Future]:
        """One task for each tuple of arguments, all of them as one graph.

        On one of the workers `on`, if that is possible. Dask goes by where a task's input lies only
        among named workers: without names it takes tasks of few large inputs, such as passes over
        two shards, for the beginning of a graph, and runs them wherever a slot is free. Beside
        another run the workers exchanged their shards for that, 180 MB each.
        """
        return self.named(self._keys(name, len(arguments)), function, arguments, on)

    def named(
        self,
        keys: Sequence[Any],
        function: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        on: Sequence[str] = (),
    ) -> list[Future]:
        """The same under keys that the caller vouches for: no run may have used them before."""
        if not keys:
            return []
        columns = list(zip(*arguments, strict=True))
        mapped = self.client.map(
            function,
            *columns,
            key=list(keys),
            workers=sorted(set(on)) or None,
            allow_other_workers=bool(on),
            **self._terms(),
        )
        return list(mapped)

    def begin(self, tasks: Sequence[Delayed]) -> list[Future]:
        """Tasks that Dask's collections are made of, as one graph; their results stay."""
        return list(self.client.compute(list(tasks), **self._terms()))

    def compute(self, tasks: Sequence[Delayed]) -> list[Any]:
        """Small results of tasks, in order, by one graph."""
        return self.gather(self.begin(tasks))

    def gather(self, futures: Sequence[Future]) -> list[Any]:
        """The results, in order. Raises what a task raised, in the error tree's words."""
        return list(self._await(self.client.gather(list(futures), asynchronous=True)))

    def where_they_lie(
        self,
        name: str,
        function: Callable[..., Any],
        futures: Sequence[Future],
        *arguments: Sequence[Any],
    ) -> list[Any]:
        """The few bytes function(result, arguments[0][i], ...) of each finished future i, by one
        task a worker thread, which moves nothing."""
        return self.answers(self.ask_where_they_lie(name, function, futures, *arguments))

    def ask_where_they_lie(
        self,
        name: str,
        function: Callable[..., Any],
        futures: Sequence[Future],
        *arguments: Sequence[Any],
    ) -> Asked:
        """The same without waiting: `answers` has the results. Hold the futures until then."""
        groups = grouped_by_thread(self.client, futures) if futures else []
        asked = [
            self.submit(
                name,
                _each,
                function,
                [futures[number] for number in numbers],
                [[argument[number] for argument in arguments] for number in numbers],
                on=address,
            )
            for address, numbers in groups
        ]
        return Asked(tuple(asked), tuple(tuple(numbers) for _, numbers in groups))

    def answers(self, asked: Asked) -> list[Any]:
        """In the futures' order."""
        return in_chunk_order(asked.numbers, self.gather(asked.futures))

    def begin_directly(self, questions: Sequence[Question]) -> Callable[[], list[Answer | None]]:
        """Asks idle workers without the scheduler; what is returned waits for the answers, None for
        each that has to be a task. All have to where there is no direct way, and where a step asks
        for resources, which only the scheduler gives."""
        begun = None
        if self.direct is not None and not self.resources:
            begun = self.direct.begin(questions, self.check)
        return begun or (lambda: [None] * len(questions))

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Calls a function that returns at once, on the client's loop."""
        loop = self.client.loop
        loop.add_callback(loop.call_later, seconds, function)

    def wait(
        self, futures: Sequence[Future], progressed: Callable[[int], None] = lambda _: None
    ) -> None:
        """Returns when all are computed; `progressed` hears how many are, as it grows.

        Raises what a task raised, in the error tree's words, as soon as one did.
        """
        if not futures:
            return
        # By Dask's coroutine: its public `wait` raises at a time-out, and what it raised holds the
        # futures, and so their results, until the next garbage collection.
        running = self._on_loop(_wait(list(futures)))
        told = 0
        try:
            while not running.done():
                self.check()
                with suppress(TimeoutError, CancelledError):  # of this wait, not of a task
                    running.result(timeout=PROGRESS_S)
                told = self._look(futures, told, progressed)
            self._look(futures, told, progressed)
        finally:
            running.cancel()

    def _look(self, futures: Sequence[Future], told: int, progressed: Callable[[int], None]) -> int:
        """Tells how many are done if they are more than `told`; raises what one of them raised."""
        done = [future for future in futures if future.done()]
        for future in done:
            if future.status != "finished":
                cause = future.exception() if future.status == "error" else CancelledError()
                raise translated(cause) from cause
        if len(done) > told:
            progressed(len(done))
        return len(done)

    def _on_loop(self, awaitable: Awaitable[T]) -> concurrent.futures.Future[T]:
        async def result() -> T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(result(), self.client.loop.asyncio_loop)

    def _await(self, awaitable: Awaitable[T]) -> T:
        """The result, with a look at `check` while it is awaited.

        What is given up is not cancelled: that would orphan tasks inside distributed, which then
        print tracebacks of their own. It ends with its client.
        """
        running = self._on_loop(awaitable)
        try:
            while True:
                self.check()
                try:
                    return running.result(timeout=POLL_S)
                except TimeoutError:
                    if running.done():
                        raise
        except (CancelledError, KilledWorker, MemoryError) as error:
            raise translated(error) from error

    def _terms(self) -> dict[str, Any]:
        return {
            "priority": self.priority,
            "resources": dict(self.resources) or None,
            "retries": self.retries,
        }

    def _keys(self, name: str, count: int) -> list[str]:
        # A known key is never computed again and keeps its first priority: so always a fresh one.
        number = next(iter(self._numbers))
        return [f"{self.label}.{name}-{self._token}-{number}-{i}" for i in range(count)]


def active_client() -> Client | None:
    """The client that Dask's collections would be computed with, if there is one."""
    try:
        return Client.current()
    except ValueError:
        return None


def translated(error: BaseException) -> BaseException:
    """The error tree's word for how a task ended; a bug, or a LeptonError, stays what it is."""
    if isinstance(error, KilledWorker):
        return RunError(
            f"a task took down every worker that tried it ({error.allowed_failures + 1})",
            fix="most often it ran out of memory: give memory_per_worker more",
        )
    if isinstance(error, MemoryError):
        return RunError("a worker ran out of memory", fix="give memory_per_worker more")
    if isinstance(error, CancelledError):
        return ClusterError("the cluster dropped the tasks of this run; try again")
    return error


def _each(
    function: Callable[..., Any], results: Sequence[Any], arguments: Sequence[Sequence[Any]]
) -> list[Any]:
    return [function(result, *others) for result, others in zip(results, arguments, strict=True)]


def in_chunk_order(chunks: Sequence[Sequence[int]], results: Sequence[Sequence[T]]) -> list[T]:
    """Results grouped as `chunks` groups the chunks' numbers, as one list by number."""
    numbered = itertools.chain.from_iterable(
        zip(numbers, group, strict=True) for numbers, group in zip(chunks, results, strict=True)
    )
    return [result for _, result in sorted(numbered, key=lambda pair: pair[0])]


def grouped_by_thread(client: Client, chunks: Sequence[Future]) -> list[tuple[str, list[int]]]:
    """The chunks' numbers in groups, a worker's address with each: one group a worker thread."""
    holders = client.who_has(list(chunks))
    threads = client.nthreads()
    on: dict[str, list[int]] = {}
    for number, chunk in enumerate(chunks):
        # A chunk whose worker has just gone is placed by the scheduler with the others of none.
        # Of several that hold it, one with few others.
        held_by = holders.get(chunk.key) or [""]
        address = min(held_by, key=lambda each: (len(on.get(each, ())), each))
        on.setdefault(address, []).append(number)
    groups = []
    for address, numbers in sorted(on.items()):
        for part in np.array_split(numbers, min(len(numbers), threads.get(address, 1))):
            groups.append((address, [int(number) for number in part]))
    return groups
