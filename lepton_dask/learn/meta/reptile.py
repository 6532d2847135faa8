"""Reptile: a start near to where gradient descent leads in every group."""

from __future__ import annotations

import itertools

from pydantic import Field

from lepton_dask.learn.meta.base import Setting
from lepton_dask.learn.meta.descending import Descending
from lepton_dask.learn.meta.inner import descend
from lepton_dask.learn.meta.tasks import Tasks
from lepton_dask.matrix import Floats


class Reptile(Descending):
    """Takes the start towards the ends of `inner_steps` gradient steps on each of some tasks: Adam
    along (theta - mean theta_k) / (a k), with a `inner_rate` (Nichol, Achiam, Schulman: On
    first-order meta-learning algorithms, arXiv 1803.02999, algorithm 2 and section 2).

    First order alone. Every inner step is on other rows of the task, its support and its query cut
    into pieces of the support's length: that the steps differ is what teaches it to adapt
    (section 5.1 there). A new group's model is `adapting_steps` steps on all its rows away.
    """

    name = "reptile"

    inner_steps: int = Field(default=5, gt=0)
    adapting_steps: int = Field(default=10, gt=0)

    def descents(self) -> int:
        return self.adapting_steps

    def gradient(self, setting: Setting, theta: Floats, support: Tasks, query: Tasks) -> Floats:
        network = self.network(setting)
        pieces = [support, *_pieces(query, support.y.shape[1])]
        ends = theta
        for piece in itertools.islice(itertools.cycle(pieces), self.inner_steps):
            ends, _ = descend(network, setting.loss, ends, self.inner_rate, piece)
        step: Floats = (theta - ends.mean(axis=0)) / (self.inner_rate * self.inner_steps)
        return step


def _pieces(tasks: Tasks, length: int) -> list[Tasks]:
    rows = tasks.y.shape[1]
    return [tasks.columns(slice(begin, begin + length)) for begin in range(0, rows, max(length, 1))]
