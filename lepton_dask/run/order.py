"""In which order steps run: a pure state machine. Outcomes of steps in, instructions out.

Steps that do not wait for each other run side by side; a step's result is let go of as soon as
nobody needs it any more, so that the cluster's memory holds what is still to be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Start:
    """Start this step: everything it takes is there."""

    step: str


@dataclass(frozen=True)
class Release:
    """Let go of this step's result: every step that takes it is done."""

    step: str


Instruction = Start | Release


@dataclass(frozen=True)
class Walk:
    """How far a graph of steps has come.

    `needs[step]` are the steps it takes, in the pipeline's order of steps.
    """

    needs: Mapping[str, frozenset[str]]
    started: frozenset[str] = frozenset()
    done: frozenset[str] = frozenset()

    @property
    def running(self) -> frozenset[str]:
        return self.started - self.done

    @property
    def is_over(self) -> bool:
        return len(self.done) == len(self.needs)


def begin(needs: Mapping[str, Iterable[str]]) -> tuple[Walk, tuple[Instruction, ...]]:
    """The walk over an acyclic graph of steps, and the steps that start at once."""
    return _start_ready(Walk({step: frozenset(inputs) for step, inputs in needs.items()}))


def finished(walk: Walk, step: str) -> tuple[Walk, tuple[Instruction, ...]]:
    """What to do once a running step is done: release what it was the last to need, start what
    waited for it alone."""
    done = walk.done | {step}
    # A result that nobody takes is let go of at once; its own step is then in this list too.
    releases = tuple(
        Release(name)
        for name in walk.needs
        if name in done
        and (name == step or name in walk.needs[step])
        and all(user in done for user, needs in walk.needs.items() if name in needs)
    )
    walk, starts = _start_ready(replace(walk, done=done))
    return walk, releases + starts


def _start_ready(walk: Walk) -> tuple[Walk, tuple[Instruction, ...]]:
    ready = [
        step
        for step, needs in walk.needs.items()
        if step not in walk.started and needs <= walk.done
    ]
    return replace(walk, started=walk.started | set(ready)), tuple(Start(step) for step in ready)
