"""What every optimizer is: a pure state machine over vectors of M parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, Literal, NamedTuple, TypeVar

import numpy as np

from lepton_dask.component import Component
from lepton_dask.learn.kernels.sums import Batch, Leverage
from lepton_dask.learn.objective import Evaluation, NullModel
from lepton_dask.matrix import Floats

Ending = Literal["converged", "stalled", "diverged"]

MAX_HESSIAN_PARAMETERS = 4096
"""The Hessian of as many parameters takes 128 MiB, in every worker thread and in the client."""

MAX_PILOT_PARAMETERS = 1500
"""Above, a pilot's Hessian and its factor take seconds."""

MAX_HALVINGS = 30
"""How often a step that led to a non-finite objective is halved before the fit has diverged."""


@dataclass(frozen=True)
class Query:
    """What an optimizer wants to know next: the objective at `theta` (M,), its Hessian too with
    `curvature`, or with `leverage` an estimate of it, its kinks rounded by `smoothing`, over a
    `batch` of the rows or over all; and with `nearest` that share of the rows themselves, as pieces
    of the objective."""

    theta: Floats
    curvature: bool = False
    leverage: Leverage | None = None
    smoothing: float = 0.0
    batch: Batch | None = None
    nearest: float | None = None

    @property
    def share(self) -> float:
        """Of the rows, how many an answer reads."""
        return 1 if self.batch is None else 1.0 / self.batch.of


@dataclass(frozen=True)
class Pilot:
    """A fit to a subsample of `share` of the rows: its minimum theta (M,), the objective's Hessian
    (M, M) there, and of the Hessian at the subsample's null model the diagonal, `curvature` (M,):
    beside that of all rows it tells how well the subsample saw each parameter. `weight` is that of
    its rows. `null` is the model without features, where the subsample tells it as well as all rows
    would."""

    theta: Floats
    hessian: Floats
    curvature: Floats
    share: float
    weight: float
    null: NullModel | None = None


class Outset(NamedTuple):
    """What a descent knows before its first pass: the model without features, and a pilot where
    there is one."""

    null: NullModel
    pilot: Pilot | None


@dataclass(frozen=True, kw_only=True)
class State:
    """Where an optimizer stands.

    query      what it wants evaluated next
    point      the last iterate that it accepted, None before the first evaluation
    iteration  how many updates led from the start to `point`
    ended      why it cannot go on, if so: `converged`, by a test of its own; `stalled`, no step
               that rounding allows is better; `diverged`, the objective is not finite however
               short the step
    """

    query: Query
    point: Evaluation | None = None
    iteration: int = 0
    ended: Ending | None = None

    @property
    def theta(self) -> Floats:
        """The parameters that are wanted evaluated next."""
        return self.query.theta


StateT = TypeVar("StateT", bound=State)


class Optimizer(Component, ABC, Generic[StateT]):
    """Minimises a convex objective that somebody else evaluates.

    It is smooth, but for sum l1_j |theta_j| where the optimizer `takes_l1`, and for the loss's own
    kinks where it `takes_kinks`. `losses` names those that it is for; None is every smooth one.
    `most_parameters` is how many it can take, where it asks for Hessians of (M, M).

        state = optimizer.start(theta, curvature)
        while state.ended is None:
            state = optimizer.step(state, evaluate(state.query))

    `start` and `step` are pure: a state may be kept, stored and stepped again with the same
    result. An evaluation may be anything, infinities included; each is one pass over the data, and
    passes are what an optimizer has to save.
    """

    name: ClassVar[str]
    takes_l1: ClassVar[bool] = False
    takes_kinks: ClassVar[bool] = False
    losses: ClassVar[frozenset[str] | None] = None
    most_parameters: ClassVar[int | None] = None

    @property
    def wants_pilot(self) -> bool:
        """Whether `start` has a use for a fit to a subsample."""
        return False

    def seeded(self, seed: int) -> Optimizer[StateT]:  # noqa: ARG002 - for overrides
        """This optimizer with what it draws at random drawn from `seed`."""
        return self

    def initial_theta(self, null: Floats, seed: int) -> Floats:  # noqa: ARG002 - for overrides
        """Where to start, given the model without features: there, unless overridden."""
        return null

    @abstractmethod
    def start(self, theta: Floats, curvature: Floats, pilot: Pilot | None = None) -> StateT:
        """The state that asks for the first evaluation, at `theta` (M,) or at the pilot's.

        `curvature` (M,) is the Hessian's diagonal at or near the start; entries may be 0.
        """

    @abstractmethod
    def step(self, state: StateT, evaluation: Evaluation) -> StateT:
        """The state after `evaluation`, which answers `state.query`."""

    @abstractmethod
    def settle(self, state: StateT) -> tuple[Floats, int]:
        """The parameters to return if no evaluation is left, and the updates that led to them."""


def accepted(state: State) -> Evaluation:
    """The state's last accepted iterate, where there must be one."""
    assert state.point is not None
    return state.point


def at(query: Query, theta: Floats) -> Query:
    """The same question at other parameters."""
    return replace(query, theta=theta)


def same(one: Floats, other: Floats) -> bool:
    """Whether a step vanished in rounding."""
    return bool(np.array_equal(one, other))
