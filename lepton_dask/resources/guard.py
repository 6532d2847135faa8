"""Keeps the errors of hooks from the scheduler. Travels by value."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any, Protocol, TypeVar, cast

FAULTS = 5
"""Errors of one hook after which its owner gives up."""

Hook = TypeVar("Hook", bound=Callable[..., Any])

logger = logging.getLogger("lepton_dask.resources")


class Guarded(Protocol):
    """Whose hooks are guarded: has a Guard, and a way to give up."""

    guard: Guard

    def give_up(self, reason: str) -> None: ...


class Guard:
    """The errors of each hook, and the seconds spent in all of them."""

    def __init__(self) -> None:
        self.faults: dict[str, int] = {}
        self.seconds = 0.0

    def caught(self, hook: str, owner: Guarded) -> None:
        """Counts the error that is being handled, tells the first, and gives up after FAULTS."""
        self.faults[hook] = self.faults.get(hook, 0) + 1
        if self.faults[hook] == 1:
            logger.exception("error in %s; the scheduler goes on", hook)
        if self.faults[hook] == FAULTS:
            try:
                owner.give_up(f"{hook} failed {FAULTS} times")
            # Whatever it is: nothing may reach the scheduler from here.
            except Exception:
                logger.exception("error while giving up")


def guarded(hook: Hook) -> Hook:
    """A method of a Guarded that raises nothing: it answers None instead."""

    @wraps(hook)
    def guard(self: Guarded, *arguments: Any, **named: Any) -> Any:
        began = perf_counter()
        try:
            return hook(self, *arguments, **named)
        # Whatever it is: an error of a plugin's must not be the scheduler's.
        except Exception:
            self.guard.caught(hook.__name__, self)
            return None
        finally:
            self.guard.seconds += perf_counter() - began

    return cast("Hook", guard)
