"""A stand-in for a cluster that computes as late as one may, and forgets as early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref


class Task:
    """A future. It does not hold those that it takes: whoever submitted it has to."""

    def __init__(self, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        self._function = function
        self._arguments = [_weakly(argument) for argument in arguments]
        self._result: list[Any] = []
        self.key = f"task-{id(self)}"

    def result(self) -> Any:
        if not self._result:
            self._result.append(self._function(*(_strongly(each) for each in self._arguments)))
        return self._result[0]


class LazyDispatch:
    """What `Work` asks of a Dispatch; keys and progress mean nothing here."""

    def submit(self, _: str, function: Callable[..., Any], *arguments: Any) -> Task:
        return Task(function, arguments)

    def starmap(
        self, _: str, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
    ) -> list[Task]:
        return [Task(function, each) for each in arguments]

    def gather(self, futures: Sequence[Task]) -> list[Any]:
        return [future.result() for future in futures]

    def wait(self, futures: Sequence[Task], _: object = None) -> None:
        self.gather(futures)


def _weakly(argument: Any) -> Any:
    if isinstance(argument, Task):
        return ref(argument)
    return [_weakly(each) for each in argument] if isinstance(argument, list) else argument


def _strongly(argument: Any) -> Any:
    if isinstance(argument, ref):
        task = argument()
        assert task is not None, "a task was let go of before the one that takes it was done"
        return task.result()
    return [_strongly(each) for each in argument] if isinstance(argument, list) else argument
