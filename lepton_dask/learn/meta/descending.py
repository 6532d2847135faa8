"""What MAML, Meta-SGD and Reptile share: a new group's model is some gradient steps away."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from pydantic import Field

from lepton_dask.learn.meta.base import Adapted, GroupedRows, Setting
from lepton_dask.learn.meta.inner import descend
from lepton_dask.learn.meta.networks import Network
from lepton_dask.learn.meta.neural import NeuralAlgorithm, NeuralPrior
from lepton_dask.learn.meta.tasks import in_batches
from lepton_dask.matrix import Floats


class Descending(NeuralAlgorithm):
    """A network z(x) of one output; a group's parameters are the prior's after gradient steps of
    `inner_rate` on the mean loss of its rows.

    A step that makes that loss worse is halved, so that adapting is safe with more or larger steps
    than learning took (`inner.descend`).
    """

    inner_rate: float = Field(default=0.1, gt=0)

    @abstractmethod
    def descents(self) -> int:
        """How many steps lead to a new group's model."""

    def network(self, setting: Setting) -> Network:
        return Network((len(setting.features), *self.hidden, 1), linear=True)

    def begin(
        self,
        network: Network,  # noqa: ARG002 - for overrides
        theta: Floats,
    ) -> tuple[Floats, Floats | float]:
        """Where a task begins, (P,), and the rates of its steps, from the parameters (M,)."""
        return theta, self.inner_rate

    def first(self, setting: Setting, rng: np.random.Generator) -> Floats:
        return self.network(setting).start(rng)

    def adapt(self, setting: Setting, prior: NeuralPrior, rows: GroupedRows) -> tuple[Adapted, ...]:
        network = self.network(setting)
        start, rates = self.begin(network, prior.adam.theta)
        adapted: list[Adapted | None] = [None] * len(rows.names)
        # A task's own: parameters, step and trial; a row's: the outputs and what is made of them.
        for groups, tasks in in_batches(rows, 3 * sum(network.widths), 3 * network.size):
            ends = start
            with np.errstate(over="ignore", invalid="ignore"):  # such a step is halved
                for _ in range(self.descents()):
                    ends, _step = descend(network, setting.loss, ends, rates, tasks)
            for group, end in zip(groups, ends, strict=True):
                adapted[group] = _adapted(network, end)
        return tuple(each for each in adapted if each is not None)


def _adapted(network: Network, theta: Floats) -> Adapted:
    *hidden, last = network.layers(theta)
    return Adapted(last.weight[:, 0], float(last.bias[0]), tuple(hidden))
