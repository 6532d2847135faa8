"""Other processes in tests: the `lepton` command, stock Dask schedulers and workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

LEPTON = str(Path(sys.executable).parent / "lepton")
PYTHON = (sys.executable,)
PATIENCE_S = 60.0


class Started:
    """A process whose lines are read as they come. It has folders of its own, for what is temporary
    and for its state."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.scratch = folder / "scratch"
        self.scratch.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={
                **os.environ,
                "TMPDIR": str(self.scratch),
                "XDG_STATE_HOME": str(folder / "state"),
                **(environment or {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._said: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._readers = [
            threading.Thread(target=self._listen, args=(name,), daemon=True) for name in self._said
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdout(self) -> str:
        return "".join(self._said["stdout"])

    @property
    def stderr(self) -> str:
        return "".join(self._said["stderr"])

    def saw(self, text: str) -> str:
        """The first line on either stream that holds the text, once it is there."""

        def line() -> str | None:
            lines = [*self._said["stdout"], *self._said["stderr"]]
            return next((line for line in lines if text in line), None)

        def over() -> bool:
            return self._process.poll() is not None and not any(r.is_alive() for r in self._readers)

        eventually(lambda: line() is not None or over())
        found = line()
        assert found is not None, f"ended without '{text}':\n{self.stdout}\n{self.stderr}"
        return found

    def family(self) -> list[psutil.Process]:
        """The process and all that it has started."""
        process = psutil.Process(self.pid)
        return [process, *process.children(recursive=True)]

    def send(self, signal_number: signal.Signals) -> None:
        self._process.send_signal(signal_number)

    def send_group(self, signal_number: signal.Signals) -> None:
        """As a terminal does: to the process and all of its children."""
        os.killpg(self.pid, signal_number)

    def exit_code(self, timeout_s: float = PATIENCE_S) -> int:
        """Once it has ended; what it printed is then all there."""
        code = self._process.wait(timeout_s)
        for reader in self._readers:
            reader.join()
        return code

    def end(self) -> None:
        """Ends it for good, with all that it has started."""
        if self._process.poll() is None:
            for process in reversed(self.family()):
                process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    def _listen(self, name: str) -> None:
        for line in getattr(self._process, name):
            self._said[name].append(line)


@contextmanager
def started(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Started]:
    process = Started(command, folder, environment)
    try:
        yield process
    finally:
        process.end()


@contextmanager
def lepton_process(folder: Path, *arguments: object) -> Iterator[Started]:
    """The `lepton` command as a process that leads a group of its own."""
    with started([LEPTON, *map(str, arguments)], folder) as process:
        yield process


@contextmanager
def stock_scheduler(folder: Path, *options: str) -> Iterator[tuple[str, Started]]:
    """`dask scheduler` on loopback, and its address."""
    file = folder / "scheduler.json"
    command = [*PYTHON, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    command += ["--port", "0", "--dashboard-address", "127.0.0.1:0"]
    with started([*command, "--scheduler-file", str(file), *options], folder) as process:
        # Written in place, so it may be there and not yet whole.
        eventually(lambda: file.is_file() and file.read_text().rstrip().endswith("}"))
        yield json.loads(file.read_text())["address"], process


@contextmanager
def stock_workers(
    folder: Path,
    address: str,
    count: int,
    *options: str,
    python: Sequence[str] = PYTHON,
    environment: Mapping[str, str] | None = None,
) -> Iterator[list[Started]]:
    """`dask worker` processes that are there; nobody starts them again when they die."""
    command = [*python, "-m", "distributed.cli.dask_worker", address, "--host", "127.0.0.1"]
    command += ["--nthreads", "1", "--no-nanny", "--memory-limit", "1GiB", "--death-timeout", "20"]
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                started([*command, *options], folder / f"worker-{number}", environment)
            )
            for number in range(count)
        ]
        for worker in workers:
            worker.saw("Registered to")
        yield workers


def eventually(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Returns once the condition holds; fails if it does not within the time limit."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
        time.sleep(0.02)


def are_gone(processes: Sequence[psutil.Process], timeout_s: float = 10) -> bool:
    """Whether all of them end in time; those that nobody has waited for yet have."""
    deadline = time.monotonic() + timeout_s
    while any(not _has_ended(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
