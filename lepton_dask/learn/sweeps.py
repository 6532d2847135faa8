"""The way from the learn room to the cluster: shards of a design matrix, and passes over them.

Of this package's learn rooms only this module knows `distributed`; the others see futures as
opaque values that `Dispatch` makes and gathers.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from dask.delayed import Delayed
from distributed import Client, Future, KilledWorker, futures_of, wait

from lepton_dask.errors import ClusterError, RunError
from lepton_dask.learn.blas import pin_blas
from lepton_dask.learn.inference import Information
from lepton_dask.learn.information import block_information
from lepton_dask.learn.kernels import column_sums, linear_predictor, sweep_block
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.optimizers.base import Query
from lepton_dask.learn.kernels.sums import ChunkSums, ColumnSums
from lepton_dask.learn.tallies import Predicted
from lepton_dask.matrix import Block, DesignMatrix, Floats, Layout

POLL_S = 0.5
"""How often a wait looks whether it should go on."""

Shard = tuple[Block, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Dispatch:
    """How one step submits tasks and waits for them.

    Priority, resources and retries are attached at submission: annotations made while a graph is
    built are lost by Dask's optimisers. `check` is called in every wait and raises to end it: when
    the run was asked to stop, or when no worker has been there for too long (Dask itself would wait
    for ever).
    """

    client: Client
    label: str = "learn"
    priority: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    retries: int = 0
    check: Callable[[], None] = lambda: None
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
        if not futures:
            return []
        repeated = [[argument] * len(futures) for argument in arguments]
        mapped = self.client.map(
            function, futures, *repeated, key=self._keys(name, len(futures)), **self._terms()
        )
        return list(mapped)

    def starmap(
        self, name: str, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
    ) -> list[Future]:
        """One task for each tuple of arguments, all of them as one graph."""
        return self.named(self._keys(name, len(arguments)), function, arguments)

    def named(
        self,
        keys: Sequence[Any],
        function: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
    ) -> list[Future]:
        """The same under keys that the caller vouches for: no run may have used them before."""
        if not keys:
            return []
        columns = list(zip(*arguments, strict=True))
        return list(self.client.map(function, *columns, key=list(keys), **self._terms()))

    def compute(self, tasks: Sequence[Delayed]) -> list[Any]:
        """Small results of tasks, in order, by one graph."""
        return self.gather(self.client.compute(list(tasks), **self._terms()))

    def gather(self, futures: Sequence[Future]) -> list[Any]:
        """The results, in order. Raises what a task raised, in the error tree's words."""
        return list(self._await(self.client.gather(list(futures), asynchronous=True)))

    def wait(
        self, futures: Sequence[Future], progressed: Callable[[int], None] = lambda _: None
    ) -> None:
        """Returns when all are computed; `progressed` hears how many are, as it grows.

        Raises what a task raised, in the error tree's words, as soon as one did.
        """
        pending = list(futures)
        while pending:
            self.check()
            try:
                wait(pending, timeout=POLL_S, return_when="FIRST_COMPLETED")
            except TimeoutError:
                continue
            except CancelledError as error:
                raise translated(error) from error
            for future in pending:
                if future.done() and future.status != "finished":
                    cause = future.exception() if future.status == "error" else CancelledError()
                    raise translated(cause) from cause
            pending = [future for future in pending if not future.done()]
            progressed(len(futures) - len(pending))

    def _await(self, awaitable: Awaitable[T]) -> T:
        """The result, with a look at `check` while it is awaited.

        What is given up is not cancelled: that would orphan tasks inside distributed, which then
        print tracebacks of their own. It ends with its client.
        """

        async def result() -> T:
            return await awaitable

        running = asyncio.run_coroutine_threadsafe(result(), self.client.loop.asyncio_loop)
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


@dataclass(frozen=True)
class Shards:
    """A design matrix in the workers' memory, the chunks of one worker thread in one task's result.

    A pass then costs one task a thread, however many chunks there are. `futures[s]` holds the
    chunks `chunks[s]`, by number. Results are always taken apart by chunk and used in chunk order,
    so that nothing computed depends on which chunks lie together.
    """

    futures: tuple[Future, ...]
    chunks: tuple[tuple[int, ...], ...]
    layout: Layout
    features: tuple[str, ...]
    rows: int

    @classmethod
    def place(cls, dispatch: Dispatch, matrix: DesignMatrix) -> Shards:
        """Makes shards of a persisted matrix, where its chunks lie.

        The shards keep the chunks' lineage: what is lost with a worker is computed again. Let go
        of `matrix` afterwards, or the workers count the chunks' memory twice.
        """
        known = {future.key: future for future in futures_of(list(matrix.arrays))}
        blocks = [tuple(known[key] for key in keys) for keys in matrix.blocks()]
        dispatch.wait(list(known.values()))
        chunks, futures = [], []
        for address, numbers in _by_thread(dispatch.client, [block[0] for block in blocks]):
            held = [list(blocks[number]) for number in numbers]
            futures.append(dispatch.submit("shard", _make_shard, held, on=address))
            chunks.append(tuple(numbers))
        dispatch.wait(futures)
        return cls(tuple(futures), tuple(chunks), matrix.layout, matrix.features, matrix.rows)

    def in_order(self, results: Sequence[Sequence[T]]) -> list[T]:
        """One result a chunk, in chunk order, from the sequences that the shards' tasks gave."""
        return in_chunk_order(self.chunks, results)


@dataclass(frozen=True)
class Predictions:
    """Predictions on the workers: `groups[g]` yields one Predicted for each of `chunks[g]`.

    Whoever has predictions that no model of this room made (a column as a baseline, another
    model's) gives one task a chunk: `Predictions.of_chunks`.
    """

    groups: tuple[Future, ...]
    chunks: tuple[tuple[int, ...], ...]
    rows: int

    @classmethod
    def of_chunks(cls, tasks: Sequence[Future], rows: int) -> Predictions:
        """From tasks in chunk order that each yield a list of one Predicted."""
        return cls(tuple(tasks), tuple((number,) for number in range(len(tasks))), rows)


@dataclass(frozen=True)
class Sweeps:
    """Passes of one model over shards; every pass is one graph of one task a shard."""

    dispatch: Dispatch
    shards: Shards
    model: LinearModel

    def sums(self, query: Query) -> list[ChunkSums]:
        """The sums of each chunk that answer a query, in chunk order."""
        return self._by_chunk("pass", _sweep_shard, query)

    def column_sums(self) -> list[ColumnSums]:
        """What the start of training needs of each chunk, in chunk order."""
        return self._by_chunk("columns", _column_sums)

    def information(self, theta: Floats) -> list[Information]:
        """What standard errors at theta (M,) need of each chunk, in chunk order."""
        return self._by_chunk("information", _information, theta)

    def predict(self, theta: Floats) -> Predictions:
        """The model's predictions, left on the workers."""
        futures = self.dispatch.map(
            "predict", _predict_shard, self.shards.futures, self.model, theta
        )
        return Predictions(tuple(futures), self.shards.chunks, self.shards.rows)

    def _by_chunk(self, name: str, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """function(shard, model, *arguments), one result a chunk, in chunk order."""
        futures = self.dispatch.map(name, function, self.shards.futures, self.model, *arguments)
        return self.shards.in_order(self.dispatch.gather(futures))


def in_chunk_order(chunks: Sequence[Sequence[int]], results: Sequence[Sequence[T]]) -> list[T]:
    """Results grouped as `chunks` groups the chunks' numbers, as one list by number."""
    numbered = itertools.chain.from_iterable(
        zip(numbers, group, strict=True) for numbers, group in zip(chunks, results, strict=True)
    )
    return [result for _, result in sorted(numbered, key=lambda pair: pair[0])]


def _by_thread(client: Client, chunks: Sequence[Future]) -> list[tuple[str, list[int]]]:
    """The chunks' numbers in groups, a worker's address with each: one group a worker thread."""
    holders = client.who_has(list(chunks))
    threads = client.nthreads()
    on: dict[str, list[int]] = {}
    for number, chunk in enumerate(chunks):
        # A chunk whose worker has just gone is placed by the scheduler with the others of none.
        address = min(holders.get(chunk.key) or [""])
        on.setdefault(address, []).append(number)
    groups = []
    for address, numbers in sorted(on.items()):
        for part in np.array_split(numbers, min(len(numbers), threads.get(address, 1))):
            groups.append((address, [int(number) for number in part]))
    return groups


def _make_shard(chunks: Sequence[Sequence[Any]]) -> Shard:
    return tuple(Block(*arrays) for arrays in chunks)


def _sweep_shard(shard: Shard, model: LinearModel, query: Query) -> list[ChunkSums]:
    pin_blas()
    return [
        sweep_block(
            block,
            model,
            query.theta,
            curvature=query.curvature,
            smoothing=query.smoothing,
            rows=query.batch,
        )
        for block in shard
    ]


def _column_sums(shard: Shard, model: LinearModel) -> list[ColumnSums]:
    pin_blas()
    return [column_sums(block, model) for block in shard]


def _information(shard: Shard, model: LinearModel, theta: Floats) -> list[Information]:
    pin_blas()
    return [block_information(block, model, theta) for block in shard]


def _predict_shard(shard: Shard, model: LinearModel, theta: Floats) -> list[Predicted]:
    pin_blas()
    return [
        Predicted(
            block.target,
            model.loss.inverse_link(linear_predictor(block, model, theta)),
            block.weight,
        )
        for block in shard
    ]
