"""Adam, the outer optimizer of networks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lepton_dask.matrix import Floats

FIRST = 0.9
SECOND = 0.999
SMALL = 1e-8

LONGEST = 10.0
"""A gradient longer than this is shortened to it. With y of standard deviation 1 gradients are of
length 1; a task far outside would otherwise fill the running squares for 1000 steps."""


class Adam(NamedTuple):
    """Where an optimization is: theta (M,), the running means of the gradients and of their squares
    (M,), and how many updates they are made of."""

    theta: Floats
    mean: Floats
    square: Floats
    updates: int

    @classmethod
    def start(cls, theta: Floats) -> Adam:
        return cls(theta, np.zeros_like(theta), np.zeros_like(theta), 0)

    def step(self, gradient: Floats, rate: float, decay: float = 0.0) -> Adam:
        """theta - rate (m' / (sqrt(s') + 1e-8) + decay theta), m' and s' without the pull of their
        start at 0 (Kingma, Ba: Adam, ICLR 2015, algorithm 1; Loshchilov, Hutter: Decoupled weight
        decay regularization, ICLR 2019, algorithm 2).

        A gradient that is not finite is no step.
        """
        length = float(np.sqrt(gradient @ gradient))
        if not np.isfinite(length):
            return self
        shortened = gradient * (LONGEST / max(length, LONGEST))
        updates = self.updates + 1
        mean = FIRST * self.mean + (1.0 - FIRST) * shortened
        square = SECOND * self.square + (1.0 - SECOND) * np.square(shortened)
        scale = np.sqrt(square / (1.0 - SECOND**updates)) + SMALL
        theta = (1.0 - rate * decay) * self.theta - rate / (1.0 - FIRST**updates) * mean / scale
        return Adam(theta, mean, square, updates)
