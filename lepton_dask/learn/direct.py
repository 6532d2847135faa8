"""The direct way of a short pass: from the training to the workers that hold its shards.

A round trip of two tasks through Dask's scheduler takes some 10 ms, of two questions through the
connections here less than one: a pass over a million rows of 20 columns takes 12. What is asked
directly the scheduler never hears of, neither to let other work go first nor to tell that the
cluster is in use. So this way is for a cluster of the run's own, on this machine; for passes that
are soon over; and for workers that have nothing else to do. Everything else, and what goes wrong,
is a task (`Sweeps`): the shards' futures keep their lineage either way.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing import connection as sockets
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from distributed import Client, Worker, WorkerPlugin
from distributed.protocol import pickle

SOCKET = "asked"
"""The name of a worker's socket, in its scratch folder."""

NO_ANSWER = b""

HOLD_S = 1.0
"""How long everything is a task after a worker was busy: the scheduler settles who goes first."""

POLL_S = 0.5
"""How often a wait looks whether it should go on."""

PATIENCE_S = 60.0
"""For an answer: a first one may wait for the compiler."""

LONGEST_S = 0.2
"""The longest pass that is asked for directly. One that takes longer gains less than a twentieth,
and belongs where the scheduler and its dashboard see it."""

THREAD_BYTES_S = 4e9
"""What a worker thread goes through in a second, until a pass has shown it."""


Line: TypeAlias = "sockets.Connection[Any, Any]"


class Question(NamedTuple):
    """function(what the future `key` came to, *arguments), asked of the worker at `address`."""

    address: str
    key: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class Answer(NamedTuple):
    value: Any


class Place(NamedTuple):
    """Where a worker may be asked, and by whom; how many questions at a time."""

    path: str
    authkey: bytes
    threads: int


class Asked(WorkerPlugin):  # type: ignore[misc]  # distributed has no types
    """Has a worker answer questions about the results that it holds, while it is idle.

    In threads of their own, one a connection, so that a task that arrives meanwhile starts at once.
    """

    name = "lepton-asked"

    def setup(self, worker: Worker) -> None:
        self._worker = worker
        self.place: Place | None = None
        path, authkey = str(Path(worker.local_directory) / SOCKET), secrets.token_bytes(32)
        with suppress(OSError):  # a path may be too long for a socket: then there is no such way
            self._listener = sockets.Listener(path, family="AF_UNIX", authkey=authkey)
            self.place = Place(path, authkey, worker.state.nthreads)
            threading.Thread(target=self._listen, name=self.name, daemon=True).start()

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - Dask's shape
        place, self.place = self.place, None
        if place is not None:
            with suppress(OSError), socket.socket(socket.AF_UNIX) as caller:
                caller.connect(place.path)  # wakes who listens
            self._listener.close()

    def _listen(self) -> None:
        while self.place is not None:
            with suppress(OSError, EOFError, AuthenticationError):
                connection = self._listener.accept()
                threading.Thread(
                    target=self._serve, args=(connection,), name=self.name, daemon=True
                ).start()

    def _serve(self, connection: Line) -> None:
        with suppress(OSError, EOFError), connection:
            while True:
                connection.send_bytes(self._answer(connection.recv_bytes()))

    def _answer(self, question: bytes) -> bytes:
        """The pickled result of the pickled (key, function, arguments); NO_ANSWER where the worker
        has other work, or does not hold the key's result, or the function raised."""
        if self._is_busy():
            return NO_ANSWER
        data = self._worker.data
        # To read back what was spilled takes memory, and so the scheduler's say.
        in_memory = getattr(data, "fast", data)
        try:
            key, function, arguments = pickle.loads(question)
            return bytes(pickle.dumps(function(in_memory[key], *arguments)))
        except Exception:
            # Whatever it is: as a task it raises again, and is told in a task's way.
            return NO_ANSWER

    def _is_busy(self) -> bool:
        state = self._worker.state
        return bool(not state.running or state.executing or state.ready or state.constrained)


class DirectWay:
    """The client's half: a connection to each thread of each worker. The trainings of one run take
    turns with it, and whoever finds it taken, or a worker busy, leaves it alone."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        """Raises OSError where a place cannot be reached."""
        self._lines = {
            address: [
                sockets.Client(place.path, family="AF_UNIX", authkey=place.authkey)
                for _ in range(place.threads)
            ]
            for address, place in places.items()
        }
        self._turn = threading.Lock()
        self._held_until = 0.0

    @classmethod
    def open(cls, client: Client) -> DirectWay | None:
        """On a cluster on this machine that nobody else uses; None where its workers cannot be
        reached so."""
        try:
            client.register_plugin(Asked())
            places = client.run(_place)
            return None if None in places.values() else cls(places)
        except (OSError, EOFError, AuthenticationError):  # a worker may go at any moment
            return None

    def close(self) -> None:
        """For good: from now on everything is a task."""
        lines, self._lines = self._lines, {}
        for line in [line for lines_of in lines.values() for line in lines_of]:
            line.close()

    def begin(
        self, questions: Sequence[Question], check: Callable[[], None]
    ) -> Callable[[], list[Answer | None]] | None:
        """Asks; what is returned waits for the answers, in order, None for each that has to be a
        task. `check` is called meanwhile and may raise to end the wait. None where all have to be
        tasks."""
        if time.monotonic() < self._held_until:
            return None
        # First: what cannot be pickled raises, and the turn is still anybody's.
        calls = [(question.address, pickle.dumps(question[1:])) for question in questions]
        if not self._turn.acquire(blocking=False):
            return None
        try:
            asked = self._send(calls)
        except OSError:
            self.close()
            asked = {}
        return lambda: self._receive(len(questions), asked, check)

    def _send(self, calls: Sequence[tuple[str, bytes]]) -> dict[Line, int]:
        """The lines that wait for an answer, each with its call's number."""
        free = {address: list(lines) for address, lines in self._lines.items()}
        asked = {}
        for number, (address, call) in enumerate(calls):
            if free.get(address):
                line = free[address].pop()
                line.send_bytes(call)
                asked[line] = number
        return asked

    def _receive(
        self, count: int, asked: dict[Line, int], check: Callable[[], None]
    ) -> list[Answer | None]:
        answers: list[Answer | None] = [None] * count
        deadline = time.monotonic() + PATIENCE_S
        try:
            while asked and time.monotonic() < deadline:
                check()
                ready = sockets.wait(list(asked), POLL_S)
                for line in [line for line in asked if line in ready]:
                    said = line.recv_bytes()
                    number = asked.pop(line)
                    answers[number] = Answer(pickle.loads(said)) if said != NO_ANSWER else None
        except (OSError, EOFError):
            pass  # a worker has died: where its shard lies now only the scheduler knows
        finally:
            if asked:  # their answers would be taken for those to the next questions
                self.close()
            if None in answers:
                self._held_until = time.monotonic() + HOLD_S
            self._turn.release()
        return answers


def _place(dask_worker: Worker) -> Place | None:
    place: Place | None = dask_worker.plugins[Asked.name].place
    return place


@dataclass(frozen=True)
class Pace:
    """How long a pass takes: the last one, or before that one over so many bytes a thread."""

    seconds: float

    @classmethod
    def expected(cls, thread_bytes: float) -> Pace:
        return cls(thread_bytes / THREAD_BYTES_S)

    @property
    def is_short(self) -> bool:
        return self.seconds <= LONGEST_S
