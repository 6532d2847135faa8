"""What the algorithms of networks share: rounds of local meta-steps with Adam, then an average."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lepton_dask.learn.meta.adam import Adam
from lepton_dask.learn.meta.base import GroupedRows, MetaAlgorithm, Setting
from lepton_dask.learn.meta.tasks import Tasks, drawn_tasks
from lepton_dask.matrix import Floats

PATIENCE = 5
"""After so many rounds that improved nothing the outer rate is halved."""

Width = Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class NeuralPrior:
    """`adam` holds the parameters (M,), which only their algorithm can tell apart, with the moments
    of their gradients; `rate` is the share of the algorithm's outer rate that is left, `idle` how
    many rounds in a row have improved nothing."""

    adam: Adam
    rate: float = 1.0
    idle: int = 0

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {
            "theta": self.adam.theta,
            "mean": self.adam.mean,
            "square": self.adam.square,
            "updates": np.array(self.adam.updates, dtype=np.int64),
            "rate": np.array(self.rate),
            "idle": np.array(self.idle, dtype=np.int64),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        adam = Adam(arrays["theta"], arrays["mean"], arrays["square"], int(arrays["updates"]))
        return cls(adam, float(arrays["rate"]), int(arrays["idle"]))


class NeuralMessage(NamedTuple):
    """Where a part's local meta-steps led, and how many groups it holds."""

    adam: Adam
    groups: int


class NeuralAlgorithm(MetaAlgorithm[NeuralPrior, GroupedRows, NeuralMessage]):
    """A network with hidden layers of `hidden` ReLUs, learnt by gradients.

    A round: on every part `steps` meta-steps with Adam, each along the mean gradient of `tasks`
    tasks drawn from its groups; then parameters and moments are averaged over the parts, weighted
    by their groups (local SGD; Stich: Local SGD converges fast and communicates little, ICLR 2019,
    algorithm 1).

    A task has shots[0] rows of its group to adapt to, at most half of them, and up to `query` of
    the others to be judged by. `rate` is Adam's; it is halved after PATIENCE rounds that did not
    improve anything. With every step the parameters shrink by `decay` of the rate. Of 400 groups of
    some 20 rows 0.3 kept held-out groups from being predicted worse again soon; of 50,000 sinusoids
    0.1 doubled the ridge head's error, and so nothing shrinks unless it is asked for.
    """

    hidden: Annotated[tuple[Width, ...], Field(min_length=1)] = (40, 40)
    rate: float = Field(default=0.001, gt=0)
    decay: float = Field(default=0.0, ge=0, le=1)
    tasks: int = Field(default=25, gt=0)
    query: int = Field(default=20, gt=0)
    steps: int = Field(default=500, gt=0)
    # Not named as it is spelt: pydantic warns of a field in a property's place.
    held_in: int = Field(default=2, gt=0, alias="parts")

    @property
    def parts(self) -> int:
        return self.held_in

    @abstractmethod
    def first(self, setting: Setting, rng: np.random.Generator) -> Floats:
        """The parameters (M,) at random."""

    @abstractmethod
    def gradient(self, setting: Setting, theta: Floats, support: Tasks, query: Tasks) -> Floats:
        """The mean over tasks of the gradient by the parameters (M,) of a task's query loss after
        it was adapted to its support."""

    def keep(
        self,
        setting: Setting,  # noqa: ARG002 - the contract's shape
        rows: GroupedRows,
    ) -> GroupedRows:
        return rows

    def start(self, setting: Setting, seed: int) -> NeuralPrior:
        return NeuralPrior(Adam.start(self.first(setting, np.random.default_rng(seed))))

    def work(
        self, setting: Setting, prior: NeuralPrior, held: GroupedRows, seed: int
    ) -> NeuralMessage:
        adam = prior.adam
        groups = int(np.count_nonzero(held.counts))
        if not groups:
            return NeuralMessage(adam, 0)
        rng = np.random.default_rng(seed)
        drawn = drawn_tasks(rng, held, self.steps, self.tasks, setting.shots[0], self.query)
        rate = self.rate * prior.rate
        with np.errstate(over="ignore", invalid="ignore"):  # such a gradient is no step
            for support, query in drawn:
                gradient = self.gradient(setting, adam.theta, support, query)
                adam = adam.step(gradient, rate, self.decay)
        return NeuralMessage(adam, groups)

    def combine(
        self,
        setting: Setting,  # noqa: ARG002 - the contract's shape
        prior: NeuralPrior,
        messages: Sequence[NeuralMessage],
    ) -> NeuralPrior:
        filled = [message for message in messages if message.groups]
        if not filled:
            return prior
        shares = np.array([message.groups for message in filled], dtype=np.float64)
        shares /= shares.sum()
        adams = [message.adam for message in filled]
        return replace(
            prior,
            adam=Adam(
                _mean(shares, [adam.theta for adam in adams]),
                _mean(shares, [adam.mean for adam in adams]),
                _mean(shares, [adam.square for adam in adams]),
                max(adam.updates for adam in adams),
            ),
        )

    def adjust(self, prior: NeuralPrior, improved: bool) -> NeuralPrior:
        if improved:
            return replace(prior, idle=0)
        if prior.idle + 1 < PATIENCE:
            return replace(prior, idle=prior.idle + 1)
        return replace(prior, rate=prior.rate / 2, idle=0)

    def prior_of(self, arrays: Mapping[str, NDArray[Any]]) -> NeuralPrior:
        return NeuralPrior.of_arrays(arrays)


def _mean(shares: Floats, vectors: Sequence[Floats]) -> Floats:
    return np.asarray(sum(share * vector for share, vector in zip(shares, vectors, strict=True)))
