"""Walking a plan: what `order` instructs, done by one thread a running step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace

from lepton_dask.config.pipeline import Step
from lepton_dask.errors import DocumentPath, Mistake, RunError, UserError
from lepton_dask.events import StepFinished, StepStarted
from lepton_dask.run.order import Instruction, Start, begin, finished
from lepton_dask.run.steps import Result, Running, run_step
from lepton_dask.run.values import FeaturesValue, StepValue, TableValue
from lepton_dask.run.warming import warm_up_kernels

POLL_S = 0.2
MOST_SIDE_BY_SIDE = 16


def walk(
    running: Running, steps: Sequence[Step], check: Callable[[], None], keep: str | None = None
) -> StepValue | None:
    """Runs the steps, each as soon as what it takes is there; returns what `keep` names: a step's
    value, or one part of it.

    When a step fails, the others are told to stop by the same `check` that they wait with, and the
    first error is raised.
    """
    by_name = {step.name: step for step in steps}
    kept = None if keep is None else keep.partition(".")[0]
    values: dict[str, StepValue | None] = {}
    tasks: dict[Future[Result], str] = {}
    failing = _Failing(check)
    running = replace(running, dispatch=replace(running.dispatch, check=failing.check))
    warm_up_kernels(running.dispatch, steps, running.emit)
    state, instructions = begin({step.name: _needs(step) for step in steps})
    with ThreadPoolExecutor(MOST_SIDE_BY_SIDE, thread_name_prefix="step") as pool:

        def follow(some: Sequence[Instruction]) -> None:
            for instruction in some:
                if isinstance(instruction, Start):
                    step = by_name[instruction.step]
                    inputs = [
                        _taken(name, step.input_path(i), values)
                        for i, name in enumerate(step.inputs)
                    ]
                    tasks[pool.submit(_timed, running, step, inputs)] = step.name
                elif instruction.step != kept:
                    values.pop(instruction.step, None)

        try:
            follow(instructions)
            while not state.is_over:
                failing.check()
                done, _ = wait(tasks, timeout=POLL_S, return_when=FIRST_COMPLETED)
                for task in done:
                    name = tasks.pop(task)
                    values[name] = task.result().value
                    state, instructions = finished(state, name)
                    follow(instructions)
        except BaseException as error:
            # Leaving the pool waits for its threads: each sees this at its next look.
            failing.because(error)
            raise
    return None if keep is None else _taken(keep, ("steps",), values)


class _Failing:
    """A check that also raises once another step has failed."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._error: BaseException | None = None

    def because(self, error: BaseException) -> None:
        self._error = error

    def check(self) -> None:
        if self._error is not None:
            raise RunError("stopped, because another step failed")
        self._check()


def _timed(running: Running, step: Step, inputs: Sequence[StepValue]) -> Result:
    running.emit(StepStarted(step.name, step.verb))
    began = time.monotonic()
    result = run_step(running, step, inputs)
    running.emit(StepFinished(step.name, time.monotonic() - began, result.summary))
    return result


def _needs(step: Step) -> tuple[str, ...]:
    return tuple(name.partition(".")[0] for name in step.inputs)


def _taken(name: str, path: DocumentPath, values: Mapping[str, StepValue | None]) -> StepValue:
    """The value that an edge carries: a step's, or one part of its table. `path` is where the
    pipeline draws the edge."""
    source, _, part_name = name.partition(".")
    value = values[source]
    assert value is not None
    if not part_name:
        return value
    assert isinstance(value, TableValue | FeaturesValue)
    parts = value.parts if isinstance(value, TableValue) else value.table.parts
    part = next((each for each in parts if each == part_name), None)
    if part is None:
        found = f"'{source}' has no part '{part_name}': no row falls into it"
        raise UserError([Mistake(path, found)])
    return value.one_part(part)
