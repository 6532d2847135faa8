"""Shards of a design matrix on the workers, and passes over them.

Of this package's learn rooms only this module, dispatch.py and direct.py know `distributed`; the
others see futures as opaque values that `Dispatch` makes and gathers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from distributed import Future, futures_of

from lepton_dask.learn.direct import Answer, Pace, Question
from lepton_dask.learn.dispatch import Dispatch, grouped_by_thread
from lepton_dask.learn.folds import Fold, in_fold
from lepton_dask.learn.inference import Information
from lepton_dask.learn.information import block_information
from lepton_dask.learn.kernels import column_sums
from lepton_dask.learn.kernels.sums import ChunkSums, ColumnSums
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.optimizers.base import Query
from lepton_dask.learn.sampling import sample_share
from lepton_dask.learn.shard_tasks import (
    predict_shard,
    sample_shard,
    shard_answer,
    shard_sums,
    with_sample,
)
from lepton_dask.learn.stored import make_shard
from lepton_dask.learn.tree import added_shards
from lepton_dask.matrix import Block, DesignMatrix, Floats, Layout

IDLE_S = 1.0
"""After how long without another pass the last one's results are let go."""

T = TypeVar("T")


@dataclass(frozen=True)
class Shards:
    """A design matrix on the workers, the chunks of one worker thread in one task's result.

    A pass then costs one task a thread, however many chunks there are. `futures[s]` holds the
    chunks `chunks[s]`, by ascending number; it was made on `workers[s]`. What is summed over chunks
    is summed along one tree (tree.py), and other results are taken apart by chunk and used in chunk
    order, so that nothing computed depends on which chunks lie together.
    """

    futures: tuple[Future, ...]
    chunks: tuple[tuple[int, ...], ...]
    layout: Layout
    features: tuple[str, ...]
    rows: int
    workers: tuple[str, ...]
    """Others hold the shards of those that are lost."""

    @classmethod
    def of_blocks(
        cls,
        dispatch: Dispatch,
        blocks: Sequence[Future],
        layout: Layout,
        features: tuple[str, ...],
        rows: int,
    ) -> Shards:
        """Makes shards where the blocks lie: tasks in chunk order that each yield a Block or a
        StoredBlock, or what has one as its `block`; all in memory, or all on disk.

        The shards keep the tasks' lineage: what is lost with a worker is computed again. Let go of
        `blocks` afterwards.
        """
        dispatch.wait(blocks)
        groups = grouped_by_thread(dispatch.client, blocks)
        futures = [
            dispatch.submit("shard", make_shard, [blocks[number] for number in numbers], on=address)
            for address, numbers in groups
        ]
        dispatch.wait(futures)
        held = tuple(tuple(numbers) for _, numbers in groups)
        workers = tuple(address for address, _ in groups)
        return cls(tuple(futures), held, layout, features, rows, workers)

    @classmethod
    def place(cls, dispatch: Dispatch, matrix: DesignMatrix) -> Shards:
        """The same of a persisted matrix; let go of `matrix` afterwards."""
        known = {future.key: future for future in futures_of(list(matrix.arrays))}
        arrays = [tuple(known[key] for key in keys) for keys in matrix.blocks()]
        blocks = dispatch.starmap("block", Block, arrays)
        return cls.of_blocks(dispatch, blocks, matrix.layout, matrix.features, matrix.rows)


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
    """Passes of one model over shards; every pass is one graph of one task a shard, or, where that
    may be and the last one was short, one question to each shard's worker.

    With a `fold` they are passes over its rows.
    """

    dispatch: Dispatch
    shards: Shards
    model: LinearModel
    fold: Fold | None = None
    _last: list[list[Future]] = field(default_factory=list, repr=False, compare=False)
    _pace: list[Pace] = field(default_factory=list, repr=False, compare=False)

    def sums(self, query: Query) -> ChunkSums:
        """The sums over all rows that answer a query."""
        found: ChunkSums = self.added("pass", shard_answer, self.model, query)
        return found

    def column_sums(self) -> ColumnSums:
        """What the start of training needs."""
        return self.begin_column_sums()()

    def begin_column_sums(self) -> Callable[[], ColumnSums]:
        """The same, begun; what is returned waits for it."""
        return self.begin_added("columns", shard_sums, column_sums, self.model)

    def information(self, theta: Floats) -> Information:
        """What standard errors at theta (M,) need."""
        found: Information = self.added(
            "information", shard_sums, block_information, self.model, theta
        )
        return found

    def predict(self, theta: Floats) -> Predictions:
        """The model's predictions, left on the workers."""
        futures = self._started("predict", predict_shard, self.model, theta)
        return Predictions(tuple(futures), self.shards.chunks, self.shards.rows)

    def with_sample(self, wanted: int, function: Callable[[Block, float], T]) -> Callable[[], T]:
        """Begins function(rows, share), by one worker, of a sample of `wanted` rows, or as many
        as `sample_share` allows, the `share` of all; the same rows whoever holds them. What is
        returned waits for the result. One round trip, and no way for questions: brought to the
        client and back, ten megabytes of rows cost more than what tasks cost."""
        share = sample_share(wanted, self.shards.rows, self.shards.layout)
        samples = self._started("sample", sample_shard, share)
        fitted = self.dispatch.submit(
            "pilot", with_sample, samples, self.shards.chunks, function, share
        )

        def result() -> T:
            [found] = self.dispatch.gather([fitted])
            return cast("T", found)

        return result

    def added(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """The sum of what function(shard, chunks, *arguments) of each shard brings home."""
        return self.begin_added(name, function, *arguments)()

    def begin_added(
        self, name: str, function: Callable[..., Any], *arguments: Any
    ) -> Callable[[], Any]:
        """The same, begun where workers may be asked directly; what is returned waits for it."""
        began = time.monotonic()
        asking = self._begin_asking(function, *arguments)

        def result() -> Any:
            answers = asking()
            left = [number for number, answer in enumerate(answers) if answer is None]
            values = self._by_tasks(name, left, function, *arguments)
            for number, value in zip(left, values, strict=True):
                answers[number] = Answer(value)
            self._pace[:] = [Pace(time.monotonic() - began)]
            return added_shards(self.shards.chunks, [each.value for each in answers if each])

        return result

    def _begin_asking(
        self, function: Callable[..., Any], *arguments: Any
    ) -> Callable[[], list[Answer | None]]:
        """Begins function(shard, chunks, *arguments) of each shard by its worker, if that is idle,
        and if it will not take long; what is returned waits for the answers."""
        shards = self.shards
        [pace] = self._pace or [self._expected()]
        if not pace.is_short:
            return lambda: [None] * len(shards.futures)
        function, arguments = self._within_fold(function, arguments)
        questions = [
            Question(address, shard.key, function, (chunks, *arguments))
            for address, shard, chunks in zip(
                shards.workers, shards.futures, shards.chunks, strict=True
            )
        ]
        return self.dispatch.begin_directly(questions)

    def _expected(self) -> Pace:
        shards = self.shards
        return Pace.expected(shards.rows * shards.layout.row_bytes / max(1, len(shards.futures)))

    def _by_tasks(
        self, name: str, numbers: Sequence[int], function: Callable[..., Any], *arguments: Any
    ) -> list[Any]:
        """The same of the shards of these numbers, by a task each."""
        if not numbers:
            return []
        futures = self._started(name, function, *arguments, numbers=numbers)
        # The last pass's are let go only now. The client sends at most once in 10 ms, the scheduler
        # to a worker in 5: word that they may go would keep this pass's tasks waiting.
        for earlier in self._last:
            earlier.clear()
        self._last[:] = [futures]
        results = self.dispatch.gather(futures)
        self.dispatch.later(IDLE_S, futures.clear)
        return results

    def _started(
        self,
        name: str,
        function: Callable[..., Any],
        *arguments: Any,
        numbers: Sequence[int] | None = None,
    ) -> list[Future]:
        """A task function(shard, chunks, *arguments) for each shard, or each of these numbers."""
        shards = self.shards
        function, arguments = self._within_fold(function, arguments)
        tasks = [
            (shards.futures[number], shards.chunks[number], *arguments)
            for number in (range(len(shards.futures)) if numbers is None else numbers)
        ]
        return self.dispatch.starmap(name, function, tasks, shards.workers)

    def _within_fold(
        self, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self.fold is None:
            return function, arguments
        return in_fold, (self.fold, function, *arguments)
