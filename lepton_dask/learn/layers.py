"""The layers of a network before its linear output: numpy alone, so that a bundle can predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lepton_dask.matrix import Codes, Floats


class Layer(NamedTuple):
    """h -> max(0, h'weight + bias); weight (I, O), bias (O,)."""

    weight: Floats
    bias: Floats


def through(layers: Sequence[Layer], x: Floats) -> Floats:
    """What x (n, D) is after all layers, (n, H)."""
    h = x
    for layer in layers:
        h = np.maximum(h @ layer.weight + layer.bias, 0.0)
    return h


def expanded(dense: Floats, codes: Codes, levels: Sequence[int]) -> Floats:
    """dense (n, P) and for each code column q its `levels[q]` columns of 0 and 1: (n, D)."""
    n, P = dense.shape
    x = np.zeros((n, P + sum(levels)))
    x[:, :P] = dense
    place = P
    for q, count in enumerate(levels):
        x[np.arange(n), place + codes[:, q]] = 1.0
        place += count
    return x
