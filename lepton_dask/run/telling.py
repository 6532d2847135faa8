"""A run tells the scheduler how far it is, for whoever looks at /lepton.

It never waits for the scheduler and never fails for it: what cannot be told is not told.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from distributed import Client

from lepton_dask.events import Event, Iterated, Listener, MetaRound, StepStarted
from lepton_dask.resources.install import is_installed
from lepton_dask.resources.status import RunReport

TELL_EVERY_S = 0.25
ANSWER_S = 2.0
POINTS = 200
"""Of a loss curve: as many as a page is wide enough to show."""


class Progress:
    """What the events so far say of a run. Any thread may add one or look."""

    def __init__(self, name: str, secret_free: Callable[[str], str] = str) -> None:
        self._id, self._name, self._secret_free = uuid.uuid4().hex, name, secret_free
        self._lock = threading.Lock()
        self._step = ""
        self._verbs: dict[str, str] = {}
        self._curves: dict[str, Curve] = {}

    def add(self, event: Event) -> bool:
        """Whether there is something new to tell."""
        with self._lock:
            match event:
                case StepStarted():
                    self._step = event.step
                    self._verbs[event.step] = event.verb
                case Iterated():
                    self._step = event.step
                    self._curves.setdefault(event.step, Curve()).add(event.passes, event.loss)
                case MetaRound():
                    self._step = event.step
                    self._curves.setdefault(event.step, Curve()).add(event.number, event.score)
                case _:
                    return False
        return True

    def report(self, state: str) -> RunReport:
        """The step that was last heard of, with its loss curve if it trains."""
        with self._lock:
            curve = self._curves.get(self._step)
            return {
                "id": self._id,
                "name": self._secret_free(self._name),
                "step": self._secret_free(self._step),
                "verb": self._verbs.get(self._step, ""),
                "state": state,
                "passes": curve.passes if curve else None,
                "losses": curve.losses if curve else [],
            }


class Curve:
    """A loss curve of at most POINTS points, evenly spaced over the iterations, and the last."""

    def __init__(self) -> None:
        self.passes = 0.0
        self._kept: list[float] = []
        self._last: float | None = None
        self._every = 1
        self._count = 0

    def add(self, passes: float, loss: float) -> None:
        """A loss that is no number is not on the curve."""
        self.passes = passes
        if not math.isfinite(loss):
            return
        self._last = loss
        if self._count % self._every == 0:
            self._kept.append(loss)
            if len(self._kept) == POINTS:
                self._kept = self._kept[::2]
                self._every *= 2
        self._count += 1

    @property
    def losses(self) -> list[float]:
        is_kept = (self._count - 1) % self._every == 0
        return [*self._kept, *([] if is_kept or self._last is None else [self._last])]


class Teller:
    """A listener that tells a scheduler, at most every TELL_EVERY_S seconds, on the client's loop.

    What comes in between is told with the next: a report holds all there is to say.
    """

    def __init__(self, client: Client, progress: Progress) -> None:
        self._client, self._progress = client, progress
        self._is_due = threading.Event()
        self._told_at = -TELL_EVERY_S
        # One report at a time: no other may reach the scheduler behind the last.
        self._turn = asyncio.Lock()
        self._is_over = False

    def __call__(self, event: Event) -> None:
        if self._progress.add(event) and not self._is_due.is_set():
            self._is_due.set()
            with suppress(Exception):  # a client that is closing has no loop any more
                self._client.loop.add_callback(self._tell_when_due)

    async def _tell_when_due(self) -> None:
        await asyncio.sleep(max(0.0, self._told_at + TELL_EVERY_S - time.monotonic()))
        self._is_due.clear()
        self._told_at = time.monotonic()
        async with self._turn:
            if not self._is_over:
                await self._tell("running")

    async def _tell(self, state: str) -> None:
        with suppress(Exception):
            report = self._client.scheduler.lepton_report(run=self._progress.report(state))
            await asyncio.wait_for(report, ANSWER_S)

    async def _tell_the_end(self) -> None:
        async with self._turn:
            self._is_over = True
            await self._tell("finished")

    def finish(self) -> None:
        """Tells that the run is over, and waits for that: the client is closed next."""
        with suppress(Exception):
            self._client.sync(self._tell_the_end, callback_timeout=2 * ANSWER_S)


@contextmanager
def telling(
    client: Client, name: str, secret_free: Callable[[str], str] = str
) -> Iterator[Listener]:
    """A listener for a run of that name, which is over when the block is.

    It does nothing where the scheduler has no priorities installed. `secret_free` is applied to
    every name that leaves.
    """
    if not _is_listened_to(client):
        yield _ignore
        return
    teller = Teller(client, Progress(name, secret_free))
    try:
        yield teller
    finally:
        teller.finish()


def _is_listened_to(client: Client) -> bool:
    try:
        return is_installed(client, ANSWER_S)
    except (OSError, TimeoutError):
        return False


def _ignore(_event: Event) -> None:
    pass
