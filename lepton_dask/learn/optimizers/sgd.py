"""Stochastic gradient descent over mini-batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field

from lepton_dask.learn.kernels.sums import Batch
from lepton_dask.learn.objective import Evaluation
from lepton_dask.learn.optimizers.base import (
    MAX_HALVINGS,
    Ending,
    Optimizer,
    Pilot,
    Query,
    State,
    at,
    same,
)
from lepton_dask.learn.penalty import shrink
from lepton_dask.matrix import Floats

SECOND = 0.999
"""Adam's decay of squared gradients."""

SMALL = 1e-8


@dataclass(frozen=True, kw_only=True)
class SgdState(State):
    """`order` has the epoch's batches, of which `taken` are done; `updates` counts all since the
    start or the last retreat. `velocity` and `squares` (M,) are the running means of the steps and
    of squared gradients. `loss` and `gradient` are sums over the epoch so far, `begin` is where it
    began, `safe` the last theta whose objective was finite. `halvings` counts how often the rate
    had to be halved.
    """

    metric: Floats
    order: tuple[int, ...]
    velocity: Floats
    squares: Floats
    begin: Floats
    safe: Floats
    gradient: Floats
    loss: float = 0.0
    taken: int = 0
    updates: int = 0
    epoch: int = 0
    halvings: int = 0


class Sgd(Optimizer[SgdState]):
    """One step a mini-batch; an epoch of `batches` steps is one pass, and one iteration.

        momentum:  v <- m v - a M^-1 g;  theta <- theta + m v - a M^-1 g
        adam:      v <- m v + (1 - m) g;  s <- b s + (1 - b) g^2;
                   theta <- theta - a v' / (sqrt(s') + 1e-8)

    with g the batch's mean gradient, m `momentum`, b .999, a = learning_rate / (1 + decay epoch),
    M the Hessian's diagonal at the start, so that no column's unit matters, and v', s' without the
    pull of their start at 0 (Sutskever and others: On the importance of initialization and momentum
    in deep learning, ICML 2013, eq. 3-4, Nesterov's momentum; Kingma, Ba: Adam, ICLR 2015,
    algorithm 1). With l1 a step ends in its proximal step, as the step's own lengths measure it.

    Batches come in an order drawn anew for every epoch from `seed`, the run's where there is none.
    An epoch's loss and gradient are the means of its batches', each at the theta that it met. A
    step to a non-finite objective is taken back, and the rate halved from there on.
    """

    name = "sgd"
    takes_l1 = True

    batches: int = Field(default=100, gt=0)
    method: Literal["momentum", "adam"] = "momentum"
    learning_rate: float = Field(default=0.05, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    decay: float = Field(default=0.1, ge=0)
    seed: int | None = Field(default=None, ge=0)

    def seeded(self, seed: int) -> Sgd:
        return self if self.seed is not None else self.model_copy(update={"seed": seed})

    def start(
        self,
        theta: Floats,
        curvature: Floats,
        pilot: Pilot | None = None,  # noqa: ARG002 - the contract's shape
    ) -> SgdState:
        nothing = np.zeros_like(theta)
        order = self._order(0)
        return SgdState(
            query=Query(theta, batch=Batch(order[0], self.batches)),
            # A parameter without curvature has no gradient either, unless the start was far off.
            metric=np.where(curvature > 0, curvature, 1.0),
            order=order,
            velocity=nothing,
            squares=nothing,
            begin=theta,
            safe=theta,
            gradient=nothing,
        )

    def step(self, state: SgdState, evaluation: Evaluation) -> SgdState:
        if not evaluation.finite:
            return self._retreat(state)
        state = self._updated(state, evaluation)
        if state.taken < self.batches:
            return self._ask(state)
        theta = state.theta
        mean = Evaluation(
            theta, state.loss / self.batches, state.gradient / self.batches, evaluation.l1
        )
        ended: Ending | None = "stalled" if same(theta, state.begin) else None
        return self._ask(
            replace(
                state,
                point=mean,
                iteration=state.epoch + 1,
                epoch=state.epoch + 1,
                order=self._order(state.epoch + 1),
                begin=theta,
                gradient=np.zeros_like(theta),
                loss=0.0,
                taken=0,
                ended=ended,
            )
        )

    def settle(self, state: SgdState) -> tuple[Floats, int]:
        """Where the last whole epoch ended."""
        return state.begin, state.iteration

    def _ask(self, state: SgdState) -> SgdState:
        batch = Batch(state.order[state.taken], self.batches)
        return replace(state, query=Query(state.theta, batch=batch))

    def _updated(self, state: SgdState, new: Evaluation) -> SgdState:
        """The state with the step from a batch's evaluation taken, and its sums."""
        rate = self.learning_rate / (1.0 + self.decay * state.epoch) * 0.5**state.halvings
        updates = state.updates + 1
        if self.method == "momentum":
            squares, length = state.squares, rate / state.metric
            pull = length * new.gradient
            velocity = self.momentum * state.velocity - pull
            theta = new.theta + self.momentum * velocity - pull
        else:
            velocity = self.momentum * state.velocity + (1 - self.momentum) * new.gradient
            squares = SECOND * state.squares + (1 - SECOND) * new.gradient**2
            length = rate / (np.sqrt(squares / (1 - SECOND**updates)) + SMALL)
            theta = new.theta - length * velocity / (1 - self.momentum**updates)
        if new.l1 is not None:
            theta = shrink(theta, length * new.l1)
        return replace(
            state,
            query=at(state.query, theta),
            safe=new.theta,
            velocity=velocity,
            squares=squares,
            loss=state.loss + new.value,
            gradient=state.gradient + new.gradient,
            taken=state.taken + 1,
            updates=updates,
        )

    def _retreat(self, state: SgdState) -> SgdState:
        """The last step taken back: at rest where the objective was finite, at half the rate."""
        if state.halvings == MAX_HALVINGS:
            return replace(state, ended="diverged")
        nothing = np.zeros_like(state.begin)
        return replace(
            state,
            query=at(state.query, state.safe),
            velocity=nothing,
            squares=nothing,
            updates=0,
            halvings=state.halvings + 1,
        )

    def _order(self, epoch: int) -> tuple[int, ...]:
        """The batches' numbers in the order of an epoch."""
        generator = np.random.default_rng((self.seed or 0, epoch))
        return tuple(int(number) for number in generator.permutation(self.batches))
