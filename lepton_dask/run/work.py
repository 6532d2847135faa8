"""How a step hands tasks to the cluster, and waits for them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

import dask
from dask.delayed import Delayed
from distributed import Client, Future, KilledWorker, futures_of, wait
from distributed.client import FutureCancelledError

from lepton_dask.errors import ClusterError, RunError
from lepton_dask.events import Event, StepProgressed, Warned

WAIT_S = 0.2


@dataclass(frozen=True)
class Work:
    """What one step submits with: its place in the queue, its resources, its retries.

    They are attached when a graph is submitted; annotations made while a DataFrame graph is built
    are lost by Dask's optimiser. `check` raises when the run was asked to stop or the cluster is
    lost; every wait looks at it.
    """

    client: Client
    step: str
    priority: int
    resources: Mapping[str, float]
    retries: int
    emit: Callable[[Event], None]
    check: Callable[[], None]

    def map(
        self, label: str, function: Callable[..., Any], *arguments: Sequence[Any], outputs: int = 1
    ) -> list[Delayed]:
        """One task a chunk: function(arguments[0][i], arguments[1][i], ...), named by the step.

        With `outputs` above one the function returns a tuple, and each task can be unpacked.
        """
        # Two runs may share a cluster, and a known key is never computed again: so a fresh name.
        name = f"{self.step}.{label}-{uuid.uuid4().hex[:12]}"
        task = dask.delayed(function, pure=False, nout=outputs if outputs > 1 else None)
        return [
            task(*values, dask_key_name=(name, i))
            for i, values in enumerate(zip(*arguments, strict=True))
        ]

    def persist(self, tasks: Sequence[Any], note: str = "") -> list[Any]:
        """Computes collections, leaves the results on the workers and returns when they are there."""
        if not tasks:
            return []
        persisted = self.client.persist(
            list(tasks),
            priority=self.priority,
            resources=dict(self.resources) or None,
            retries=self.retries,
        )
        self._wait(futures_of(persisted), note)
        return list(persisted)

    def compute(self, tasks: Sequence[Any], note: str = "") -> list[Any]:
        """Computes small results and brings them here, in order."""
        if not tasks:
            return []
        futures = self.client.compute(
            list(tasks),
            priority=self.priority,
            resources=dict(self.resources) or None,
            retries=self.retries,
        )
        self._wait(futures, note)
        return list(self.client.gather(futures))

    def reduce(self, label: str, merge: Callable[[Any, Any], Any], parts: Sequence[Any]) -> Any:
        """The parts merged on the workers in a tree that their order alone sets."""
        level = list(parts)
        depth = 0
        while len(level) > 1:
            pairs = len(level) // 2
            left, right = level[: 2 * pairs : 2], level[1 : 2 * pairs : 2]
            level = self.map(f"{label}-{depth}", merge, left, right) + level[2 * pairs :]
            depth += 1
        return level[0]

    def warn(self, message: str) -> None:
        self.emit(Warned(self.step, message))

    def _wait(self, futures: Sequence[Future], note: str) -> None:
        pending = list(futures)
        while pending:
            self.check()
            try:
                wait(pending, timeout=WAIT_S)
            except TimeoutError:
                pass
            except CancelledError as error:
                raise self._translated(error) from error
            still = [future for future in pending if not future.done()]
            if len(still) < len(pending) and note:
                done = len(futures) - len(still)
                self.emit(StepProgressed(self.step, done, len(futures), note))
            for future in pending:
                if future.done() and future.status != "finished":
                    cause = future.exception() if future.status == "error" else CancelledError()
                    raise self._translated(cause) from cause
            pending = still

    def _translated(self, error: BaseException) -> BaseException:
        """The error tree's word for what a task raised; a bug stays as it is."""
        if isinstance(error, RunError):
            return RunError(
                error.what,
                fix=error.fix,
                step=self.step,
                file=error.file,
                partition=error.partition,
            )
        if isinstance(error, KilledWorker):
            return RunError(
                f"a task took down every worker that tried it ({error.allowed_failures + 1})",
                fix="most often it ran out of memory: give memory_per_worker more",
                step=self.step,
            )
        if isinstance(error, MemoryError):
            return RunError(
                "a worker ran out of memory", fix="give memory_per_worker more", step=self.step
            )
        if isinstance(error, CancelledError | FutureCancelledError):
            return ClusterError(f"step '{self.step}': the cluster dropped its tasks; try again")
        return error
