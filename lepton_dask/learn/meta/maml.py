"""MAML and Meta-SGD: a start from which a few gradient steps on a new group's rows lead far."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from lepton_dask.learn.meta.base import Setting
from lepton_dask.learn.meta.descending import Descending
from lepton_dask.learn.meta.inner import back_through, descend, task_gradient
from lepton_dask.learn.meta.networks import Network
from lepton_dask.learn.meta.tasks import Tasks
from lepton_dask.matrix import Floats


class Maml(Descending):
    """Model-agnostic meta-learning: minimises over theta the mean over groups of

        L_query(theta_k),  theta_{i+1} = theta_i - a grad L_support(theta_i),  theta_0 = theta

    with k `inner_steps` and a `inner_rate`, by its exact gradient, second order and all (Finn,
    Abbeel, Levine: Model-agnostic meta-learning for fast adaptation of deep networks, ICML 2017,
    algorithm 2).
    """

    name = "maml"

    inner_steps: int = Field(default=1, gt=0)

    def descents(self) -> int:
        return self.inner_steps

    def gradient(self, setting: Setting, theta: Floats, support: Tasks, query: Tasks) -> Floats:
        by_start, _ = self._by_start_and_rates(setting, theta, support, query)
        return by_start

    def _by_start_and_rates(
        self, setting: Setting, theta: Floats, support: Tasks, query: Tasks
    ) -> tuple[Floats, Floats]:
        """The gradients (P,) of the mean query loss by the tasks' start and by their rates."""
        network = self.network(setting)
        ends, rates = self.begin(network, theta)
        steps = []
        for _ in range(self.inner_steps):
            ends, step = descend(network, setting.loss, ends, rates, support)
            steps.append(step)
        slope = task_gradient(network, setting.loss, ends, query)
        by_start, by_rates = back_through(network, rates, steps, slope)
        return by_start / len(slope), by_rates / len(slope)


class MetaSgd(Maml):
    """MAML with a rate of its own for every parameter, learnt beside the start: the step is
    theta - a * grad L_support(theta), * element by element; all of a begins at `inner_rate` (Li,
    Zhou, Chen, Li: Meta-SGD: learning to learn quickly for few-shot learning, arXiv 1707.09835,
    algorithm 1).

    The parameters are theta (P,), then a (P,).
    """

    name = "meta_sgd"

    def begin(self, network: Network, theta: Floats) -> tuple[Floats, Floats | float]:
        return theta[: network.size], theta[network.size :]

    def first(self, setting: Setting, rng: np.random.Generator) -> Floats:
        start = super().first(setting, rng)
        return np.concatenate([start, np.full_like(start, self.inner_rate)])

    def gradient(self, setting: Setting, theta: Floats, support: Tasks, query: Tasks) -> Floats:
        return np.concatenate(self._by_start_and_rates(setting, theta, support, query))
