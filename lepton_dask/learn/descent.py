"""The training loop: the one place that asks for passes, and decides when there were enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar, cast

import numpy as np

from lepton_dask.learn.blas import pin_blas
from lepton_dask.learn.objective import Evaluation, NullModel
from lepton_dask.learn.optimizers.base import Optimizer, Outset, Pilot, Query, State, accepted
from lepton_dask.learn.stop import Stop
from lepton_dask.learn.train import Train
from lepton_dask.matrix import Floats

StopCode = Literal["tolerance", "max_passes", "early_stopping", "goal", "stalled", "diverged"]
StateT = TypeVar("StateT", bound=State)


class Passes(Protocol):
    """What the loop needs of the data; theta is (M,)."""

    def null_model(self) -> NullModel:
        """The model without features, by one look at the columns."""

    def outset(self) -> Outset:
        """The same and a pilot, side by side; without the look where the pilot tells as much."""

    def evaluate(self, query: Query) -> Evaluation:
        """The objective on the training part, by one pass over the rows that are asked about."""

    def pilot(self) -> Callable[[], Pilot | None]:
        """Begins a fit to a subsample; what is returned waits for it. It comes to None where it
        would be too small, or too large, to help."""

    def validation_loss(self, theta: Floats) -> float:
        """The mean loss on the validation part, without the penalty."""

    def validation_metric(self, theta: Floats, metric: str) -> float | None:
        """A metric on the validation part, None where it is undefined there."""


@dataclass(frozen=True)
class Iteration:
    """One accepted iterate. Everything is measured at the same parameters.

    `passes` and `seconds` count from the start of training; `validation` is the goal's metric if
    there is a goal, else the validation loss if early stopping wants it, else None.
    """

    iteration: int
    passes: float
    seconds: float
    loss: float
    gradient_norm: float
    validation: float | None = None


@dataclass(frozen=True)
class Descent:
    """What came out of training: `theta` (M,).

    `passes` over the training rows are counted in full ones: a batch, and the subsample of a
    pilot, as their share of the rows. The pilot's own iterations count once each.
    """

    theta: Floats
    optimizer: str
    iterations: int
    passes: float
    seconds: float
    stopped: Stop[StopCode]
    history: tuple[Iteration, ...]
    halfway: Halfway | None = None


@dataclass(frozen=True)
class Best:
    """The iterate with the least validation loss so far."""

    theta: Floats
    loss: float
    iteration: int


@dataclass(frozen=True)
class Halfway:
    """A descent that max_passes ended, as it goes on: to the same bits as one that was never
    interrupted."""

    state: State
    passes: float
    seconds: float
    history: tuple[Iteration, ...]
    best: Best | None


Descending = Generator[Query, Evaluation, Descent]
"""A descent that yields what it wants evaluated, is sent the answer, and returns its outcome."""


@np.errstate(over="ignore", invalid="ignore")
def descend(
    train: Train,
    optimizer: Optimizer[StateT],
    passes: Passes,
    *,
    seed: int = 0,
    on_iteration: Callable[[Iteration], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
    begin: Halfway | Floats | None = None,
    keep: bool = False,
) -> Descent:
    """Trains by the rules of `train`; see `Train` for what ends it.

    With early stopping the parameters returned are those with the least validation loss, unless
    the goal was met. `on_iteration` hears of every accepted iterate, the start among them; `check`
    is called before every pass and may raise to stop. An optimizer that has no way on ends the loop
    as `stalled` or `diverged`: an outcome here, for the caller to judge.

    `begin` goes on with a descent that max_passes ended, or starts at a theta (M,). With `keep`
    the outcome of one that max_passes ends can itself go on.
    """
    pin_blas()
    optimizer = optimizer.seeded(seed)
    begun = begin if isinstance(begin, Halfway) else _begun(optimizer, passes, seed, begin)
    going = descending(train, optimizer, passes, begun, on_iteration, keep)
    query = next(going)
    while True:
        check()
        try:
            query = going.send(passes.evaluate(query))
        except StopIteration as over:
            descent: Descent = over.value
            return descent


def _begun(optimizer: Optimizer[StateT], passes: Passes, seed: int, at: Floats | None) -> Halfway:
    """A descent before its first pass."""
    began = time.monotonic()
    pilots = optimizer.wants_pilot and at is None
    null, pilot = passes.outset() if pilots else Outset(passes.null_model(), None)
    drawn = optimizer.initial_theta(null.theta, seed) if at is None else at
    # What no row has, no gradient ever moves: a start drawn at random would stay, as noise in
    # every prediction for a level that training had not seen.
    theta = np.where(null.curvature > 0, drawn, null.theta)
    state = optimizer.start(theta, null.curvature, pilot)
    share = 0.0 if pilot is None else pilot.share
    return Halfway(state, share, time.monotonic() - began, (), None)


def descending(
    train: Train,
    optimizer: Optimizer[StateT],
    passes: Passes,
    begun: Halfway,
    on_iteration: Callable[[Iteration], None] = lambda _: None,
    keep: bool = False,
) -> Descending:
    """The loop of `descend` without the passes over the training rows: whoever drives it makes
    them, for this descent alone or for several in one."""
    loop = _Loop(train, optimizer, passes, on_iteration, begun, keep)
    state = cast("StateT", begun.state)
    while True:
        evaluation = yield state.query
        loop.passes += state.query.share
        before, state = state.point, optimizer.step(state, evaluation)
        stop = loop.after_iteration(state) if state.point is not before else None
        stop = stop or loop.after_pass(state)
        if stop is not None:
            return loop.outcome(state, stop)


class _Loop(Generic[StateT]):
    """What the loop remembers from one pass to the next."""

    def __init__(
        self,
        train: Train,
        optimizer: Optimizer[StateT],
        passes: Passes,
        on_iteration: Callable[[Iteration], None],
        begun: Halfway,
        keep: bool,
    ) -> None:
        self.passes: float = begun.passes
        self._train = train
        self._optimizer = optimizer
        self._data = passes
        self._on_iteration = on_iteration
        self._began = time.monotonic() - begun.seconds
        self._history = list(begun.history)
        self._best = begun.best
        self._keep = keep

    def after_iteration(self, state: State) -> Stop[StopCode] | None:
        """Records an accepted iterate, and says whether it is good enough."""
        point = accepted(state)
        measured = self._validate(point.theta, state.iteration)
        seconds = time.monotonic() - self._began
        record = Iteration(
            state.iteration, self.passes, seconds, point.value, point.gradient_norm, measured
        )
        self._history.append(record)
        self._on_iteration(record)
        return self._goal_met(measured) or self._converged(point) or self._overfitted(state)

    def after_pass(self, state: State) -> Stop[StopCode] | None:
        """Whether there can be another pass."""
        if state.ended == "diverged":
            return Stop("diverged", "the objective is not finite, however short the step")
        if state.ended == "converged":
            return Stop("tolerance", f"the {self._optimizer.name} optimizer has converged")
        if state.ended == "stalled":
            norm = accepted(state).gradient_norm
            return Stop("stalled", f"no step lowers the objective further; gradient {norm:.3g}")
        if self.passes < self._train.max_passes:
            return None
        if self._best is None and self._history[-1].loss > self._history[0].loss:
            rise = f"{self._history[0].loss:.3g} to {self._history[-1].loss:.3g}"
            return Stop("diverged", f"the objective rose from {rise} in {self.passes:.4g} passes")
        return Stop("max_passes", f"{self.passes:.4g} passes, as many as max_passes allows")

    def outcome(self, state: StateT, stop: Stop[StopCode]) -> Descent:
        if state.point is None or stop.code == "max_passes":
            theta, iterations = self._optimizer.settle(state)
        else:
            theta, iterations = state.point.theta, state.iteration
        if self._best is not None and stop.code != "goal":
            theta = self._best.theta
        seconds, history = time.monotonic() - self._began, tuple(self._history)
        halfway = None
        if self._keep and stop.code == "max_passes":
            halfway = Halfway(state, self.passes, seconds, history, self._best)
        return Descent(
            theta=theta,
            optimizer=self._optimizer.name,
            iterations=iterations,
            passes=self.passes,
            seconds=seconds,
            stopped=stop,
            history=history,
            halfway=halfway,
        )

    def _validate(self, theta: Floats, iteration: int) -> float | None:
        """What the history shows of the validation part; keeps the best iterate on the way."""
        loss = None
        if self._train.early_stopping is not None:
            loss = self._data.validation_loss(theta)
            if self._best is None or loss < self._best.loss:
                self._best = Best(theta, loss, iteration)
        if self._train.goal is not None:
            return self._data.validation_metric(theta, self._train.goal.metric)
        return loss

    def _goal_met(self, measured: float | None) -> Stop[StopCode] | None:
        goal = self._train.goal
        if goal is None or not goal.met(measured):
            return None
        return Stop("goal", f"the goal is met: {goal} (validation: {measured:.6g})")

    def _converged(self, point: Evaluation) -> Stop[StopCode] | None:
        # Where the loss has kinks a small gradient is that of a smoothed objective.
        if self._optimizer.takes_kinks or point.gradient_norm > self._train.tolerance:
            return None
        norm, tolerance = point.gradient_norm, self._train.tolerance
        return Stop("tolerance", f"gradient {norm:.3g} is within tolerance {tolerance:g}")

    def _overfitted(self, state: State) -> Stop[StopCode] | None:
        rule, best = self._train.early_stopping, self._best
        if rule is None or best is None or state.iteration - best.iteration < rule.patience:
            return None
        return Stop(
            "early_stopping",
            f"no better validation loss than {best.loss:.6g} (iteration {best.iteration}) "
            f"in {rule.patience} iterations",
        )
