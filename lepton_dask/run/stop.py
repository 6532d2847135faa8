"""Stopping when asked to: SIGINT and SIGTERM as a flag that every waiting loop looks at."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lepton_dask.errors import Interrupted


class StopRequest:
    """Whether, and by which signal, the run was asked to stop."""

    def __init__(self) -> None:
        self._signal_number: int | None = None

    def ask(self, signal_number: int) -> None:
        self._signal_number = signal_number

    def check(self) -> None:
        """Raises Interrupted once a stop was asked for."""
        if self._signal_number is not None:
            raise Interrupted(self._signal_number)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """A request that SIGINT and SIGTERM set while the block runs.

    The handler only takes note: an exception raised in the middle of Dask's own code would leave
    its state half changed. A second SIGINT interrupts at once, for whoever cannot wait. Outside the
    main thread, where Python takes no handlers, nothing sets the request.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def take_note(signal_number: int, _frame: FrameType | None) -> None:
        request.ask(signal_number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in previous:
        signal.signal(number, take_note)
    try:
        yield request
    except KeyboardInterrupt:
        raise Interrupted(signal.SIGINT) from None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
