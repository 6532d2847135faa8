"""An object in a process of its own.

Every arm lives in one: thread pools that one library pins, memory that another leaves behind and
clusters that a third starts are then no concern of its neighbours, and an arm's data stays where
the clock finds it from one repeat to the next.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import psutil

PATIENCE_S = 30.0


class ArmFailed(RuntimeError):
    """What an arm raised, with its traceback as text."""


class Aside:
    """`with Aside(make, *arguments) as arm: arm.call("fit", ...)`.

    `make(*arguments)` is called in a new process; what it returns is kept there. If it has a
    `close`, that is called at the end. Arguments and results are pickled; the calls come one by
    one.
    """

    def __init__(self, make: Callable[..., Any], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, make, arguments))
        self._process.start()
        other.close()
        self._made = False

    def __enter__(self) -> Aside:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def pids(self) -> list[int]:
        """Its process and all that it started."""
        return [self.pid, *(child.pid for child in psutil.Process(self.pid).children(True))]

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """What the method returns. Raises ArmFailed where it raised, or the process is gone."""
        self.ready()
        return self._asked((method, arguments, named))

    def ready(self) -> None:
        """Returns when the object is made."""
        if not self._made:
            self._received()
            self._made = True

    def close(self) -> None:
        """Ends the process; one that does not answer is killed."""
        with contextlib.suppress(OSError):  # it may be gone
            self._pipe.send(None)
        self._process.join(PATIENCE_S)
        if self._process.is_alive():
            for pid in reversed(self.pids()):
                psutil.Process(pid).kill()
            self._process.join()
        self._pipe.close()

    def _asked(self, question: tuple[str, Any, Any]) -> Any:
        self._pipe.send(question)
        return self._received()

    def _received(self) -> Any:
        try:
            failed, result = self._pipe.recv()
        except EOFError:
            self._process.join(PATIENCE_S)
            raise ArmFailed(f"its process ended with code {self._process.exitcode}") from None
        if failed:
            raise ArmFailed(result)
        return result


def _serve(pipe: Connection, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    kept: Any = None
    try:
        kept = make(*arguments)
        pipe.send((False, None))
    except Exception:  # whatever it was, whoever asked is told
        pipe.send((True, traceback.format_exc()))
        return
    try:
        while (question := pipe.recv()) is not None:
            method, given, named = question
            try:
                pipe.send((False, getattr(kept, method)(*given, **named)))
            except Exception:  # the same; the arm lives on
                pipe.send((True, traceback.format_exc()))
    except EOFError:
        pass
    finally:
        if hasattr(kept, "close"):
            kept.close()
