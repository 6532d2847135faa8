"""The one place that calls the package: shards, passes, training, and pipelines through its run.

Everything here lives in an arm's own process (see aside.py), with a cluster of two one-thread
workers, or without any where the kernel alone is measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client
from numpy.typing import NDArray

from benchmarks.problems import Problem
from lepton_dask.cluster import connect
from lepton_dask.config.cluster import ClusterConfig, LocalCluster
from lepton_dask.config.load import LoadedConfig
from lepton_dask.learn.descent import Iteration, descend
from lepton_dask.learn.direct import DirectWay
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.learn.kernels.sweep import sweep_block
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import Logistic
from lepton_dask.learn.objective import penalised
from lepton_dask.learn.optimizers import OPTIMIZERS
from lepton_dask.learn.optimizers.base import Query
from lepton_dask.learn.passes import ShardPasses
from lepton_dask.learn.penalty import Penalty
from lepton_dask.learn.sweeps import Shards
from lepton_dask.learn.train import Size, Train, choose_optimizer
from lepton_dask.matrix import Block, DesignMatrix, Layout

Floats = NDArray[np.float64]

WORKERS = 2


class Cluster:
    """Two one-thread workers on this machine; `memory` limits each of them, as in `2GiB`."""

    def __init__(self, memory: str | None = None) -> None:
        self._stack = ExitStack()
        began = time.perf_counter()
        local = LocalCluster(workers=WORKERS, threads_per_worker=1, memory_per_worker=memory)
        config = ClusterConfig(cluster=local, dashboard="127.0.0.1:0", worker_timeout_s=120)
        session = self._stack.enter_context(connect(LoadedConfig(config, None, Path())))
        self.client: Client = session.client
        self.address = session.address
        self.client.wait_for_workers(WORKERS)
        self.start_seconds = time.perf_counter() - began

    def pids(self) -> list[int]:
        """The workers' process ids."""
        return list(self.client.run(os.getpid).values())

    def close(self) -> None:
        self._stack.close()


@dataclass(frozen=True)
class Fitted:
    """A training: `losses[i]` is the objective after `passes_at[i]` passes."""

    theta: Floats
    seconds: float
    optimizer: str
    iterations: int
    passes: float
    stopped: str
    passes_at: tuple[float, ...]
    losses: tuple[float, ...]


class Trainer:
    """A problem's matrix on the workers, in shards, ready to be trained on."""

    def __init__(self, problem: Problem, l2: float) -> None:
        self.problem, self.l2 = problem, l2
        self.cluster = Cluster()
        client = self.cluster.client
        self._dispatch = Dispatch(client, direct=DirectWay.open(client))
        self._model = _linear_model(problem)
        self._shards = _placed(self.cluster.client, self._dispatch, problem)

    def close(self) -> None:
        self.cluster.close()

    def pids(self) -> list[int]:
        return self.cluster.pids()

    def fit(self, tolerance: float, optimizer: str = "auto", max_passes: int = 500) -> Fitted:
        """Trains; the clock runs from the first pass to the last."""
        train = Train(
            loss="logistic",
            penalty=Penalty(l2=self.l2),
            optimizer=optimizer,
            tolerance=tolerance,
            max_passes=max_passes,
        )
        entries = self.problem.columns + len(self.problem.levels)
        levels = sum(self.problem.levels)
        size = Size(self.problem.rows, self._model.parameters, entries, levels)
        chosen, _ = choose_optimizer(train, size)
        passes = self._passes()
        heard: list[Iteration] = []
        began = time.perf_counter()
        descent = descend(train, chosen, passes, on_iteration=heard.append)
        seconds = time.perf_counter() - began
        return Fitted(
            theta=descent.theta,
            seconds=seconds,
            optimizer=descent.optimizer,
            iterations=descent.iterations,
            passes=descent.passes,
            stopped=str(descent.stopped),
            passes_at=tuple(each.passes for each in heard),
            losses=tuple(each.loss for each in heard),
        )

    def optimizers(self) -> tuple[str, ...]:
        """The names that a training may ask for, `auto` apart."""
        return tuple(OPTIMIZERS)

    def iteration(self, theta: Floats) -> tuple[float, float]:
        """Seconds of one pass of loss and gradient, as the training loop asks for it; its value."""
        passes = self._passes()
        began = time.perf_counter()
        evaluation = passes.evaluate(Query(theta))
        return time.perf_counter() - began, evaluation.value

    def kernel(self, theta: Floats) -> float:
        """Seconds that the slower worker spends in the kernel over the same chunks."""
        futures = self._dispatch.map(
            "kernel", _kernel_seconds, self._shards.futures, self._model, theta
        )
        return max(self._dispatch.gather(futures))

    def round_trip(self) -> float:
        """Seconds of two empty tasks there and back, one a worker, by Dask's own client."""
        client = self.cluster.client
        began = time.perf_counter()
        client.gather(client.map(_nothing, [0, 1], pure=False))
        return time.perf_counter() - began

    def _passes(self) -> ShardPasses:
        objective = penalised(self._model, Penalty(l2=self.l2), self._shards.features)
        return ShardPasses.over(self._dispatch, objective, self._shards, None)


def _linear_model(problem: Problem) -> LinearModel:
    return LinearModel(Logistic(), Layout(problem.columns, problem.levels))


def _nothing(number: int) -> int:
    return number


def _placed(client: Client, dispatch: Dispatch, problem: Problem) -> Shards:
    """The chunks made on the workers, dealt out in runs so that each holds half of the rows."""
    addresses = sorted(client.scheduler_info(n_workers=-1)["workers"])
    numbers = range(problem.chunks)
    on = [addresses[number * len(addresses) // problem.chunks] for number in numbers]
    blocks = [dispatch.submit("made", _block, problem, i, on=on[i]) for i in numbers]
    dispatch.wait(blocks)
    rows = tuple(problem.chunk_rows(number) for number in numbers)

    def array(field: str, dtype: Any, *columns: int) -> da.Array:
        keys = [(field, i, *(0 for _ in columns)) for i in numbers]
        futures = dispatch.named(keys, getattr, [(block, field) for block in blocks])
        return da.Array(
            dict(zip(keys, futures, strict=True)),
            field,
            chunks=(rows, *((width,) for width in columns)),
            dtype=dtype,
        )

    names = range(problem.columns + sum(problem.levels))
    matrix = DesignMatrix(
        dense=array("dense", np.float64, problem.columns),
        codes=array("codes", np.int32, len(problem.levels)),
        target=array("target", np.float64),
        weight=array("weight", np.float64),
        layout=Layout(problem.columns, problem.levels),
        features=tuple(f"x{name}" for name in names),
    )
    return Shards.place(dispatch, matrix)


def _block(problem: Problem, number: int) -> Block:
    chunk = problem.chunk(number)
    return Block(chunk.dense, chunk.codes, chunk.target, np.ones(len(chunk.target)))


def _kernel_seconds(shard: Sequence[Block], model: LinearModel, theta: Floats) -> float:

    began = time.perf_counter()
    for block in shard:
        sweep_block(block, model, theta)
    return time.perf_counter() - began


class Kernel:
    """The kernel alone, on two threads of one process, over a problem's rows in two halves."""

    def __init__(self, problem: Problem) -> None:
        self._model = _linear_model(problem)
        whole = problem.whole()
        half = problem.rows // 2
        self._halves = [
            Block(
                whole.dense[rows],
                whole.codes[rows],
                whole.target[rows],
                np.ones(len(whole.target[rows])),
            )
            for rows in (slice(half), slice(half, None))
        ]
        self._threads = ThreadPoolExecutor(2)

    def close(self) -> None:
        self._threads.shutdown()

    def sweep(self, theta: Floats) -> tuple[float, float]:
        """Seconds of loss and gradient, and their loss."""
        began = time.perf_counter()
        halves = self._threads.map(
            lambda block: sweep_block(block, self._model, theta).loss,
            self._halves,
        )
        loss = sum(halves)
        return time.perf_counter() - began, loss

    def by_numpy(self, theta: Floats) -> tuple[float, float]:
        """The loss and the sum of the matrix, by plain numpy."""
        loss = total = 0.0
        for block in self._halves:
            z = block.dense @ theta[:-1] + theta[-1]
            loss += float(np.sum(np.logaddexp(0, z) - block.target * z))
            total += float(block.dense.sum())
        return loss, total

    def total(self, how: str) -> tuple[float, float]:
        """Seconds of a sum over the same dense memory by the same threads, and the sum."""
        add = compiled_sum() if how == "compiled" else np.sum
        parts = [block.dense.ravel() for block in self._halves]
        began = time.perf_counter()
        total = float(sum(self._threads.map(add, parts)))
        return time.perf_counter() - began, total


def compiled_sum() -> Any:
    """A sum compiled by numba, free of the GIL, vectorised over several accumulators."""
    global _compiled  # noqa: PLW0603 - compiled once a process
    if _compiled is None:
        import numba

        @numba.njit(nogil=True, fastmath=True)
        def add(values):
            total = 0.0
            for i in range(values.shape[0]):
                total += values[i]
            return total

        add(np.zeros(1))
        _compiled = add
    return _compiled


_compiled: Any = None
