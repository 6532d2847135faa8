"""What every optimizer is: a pure state machine over d-sized vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

import numpy as np

from lepton_dask.component import Component
from lepton_dask.learn.objective import Evaluation
from lepton_dask.matrix import Floats

Ending = Literal["stalled", "diverged"]

MAX_HALVINGS = 30
"""How often a step that led to a non-finite objective is halved before the fit has diverged."""


@dataclass(frozen=True, kw_only=True)
class State:
    """Where an optimizer stands.

    theta      the parameters (D + 1,) that it wants evaluated next
    point      the last iterate that it accepted, None before the first evaluation
    iteration  how many updates led from the start to `point`
    ended      why it cannot go on, if so: `stalled`, no step that rounding allows is better;
               `diverged`, the objective is not finite however short the step
    """

    theta: Floats
    point: Evaluation | None = None
    iteration: int = 0
    ended: Ending | None = None


StateT = TypeVar("StateT", bound=State)


class Optimizer(Component, ABC, Generic[StateT]):
    """Minimises a convex objective that somebody else evaluates.

    It is smooth, but for l1 |b|_1 where the optimizer `takes_l1`.

        state = optimizer.start(theta, curvature)
        while state.ended is None:
            state = optimizer.step(state, evaluate(state.theta))

    `start` and `step` are pure: a state may be kept, stored and stepped again with the same
    result. An evaluation may be anything, infinities included; each is one pass over the data, and
    passes are what an optimizer has to save.
    """

    name: ClassVar[str]
    takes_l1: ClassVar[bool] = False

    def initial_theta(self, null: Floats, seed: int) -> Floats:  # noqa: ARG002 - for overrides
        """Where to start, given the model without features: there, unless overridden."""
        return null

    @abstractmethod
    def start(self, theta: Floats, curvature: Floats) -> StateT:
        """The state that asks for the first evaluation, at `theta` (D + 1,).

        `curvature` (D + 1,) is the Hessian's diagonal at or near the start; entries may be 0.
        """

    @abstractmethod
    def step(self, state: StateT, evaluation: Evaluation) -> StateT:
        """The state after `evaluation`, which was made at `state.theta`."""

    @abstractmethod
    def settle(self, state: StateT) -> tuple[Floats, int]:
        """The parameters to return if no evaluation is left, and the updates that led to them."""


def accepted(state: State) -> Evaluation:
    """The state's last accepted iterate, where there must be one."""
    assert state.point is not None
    return state.point


def same(one: Floats, other: Floats) -> bool:
    """Whether a step vanished in rounding."""
    return bool(np.array_equal(one, other))
