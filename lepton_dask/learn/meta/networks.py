"""Small networks on many tasks at once: forward, backward, and exact Hessian-vector products.

Tasks lie along the first axis. Parameters are one flat array: theta (P,) where all tasks share
them, (T, P) where every task has its own. Each layer's are a matrix (I + 1, O), its weight and
below it its bias, and rows carry a 1 behind their numbers: so a layer is one product.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from lepton_dask.learn.layers import Layer
from lepton_dask.matrix import Floats


class Forward(NamedTuple):
    """What a forward pass leaves behind: the layers that it went through, and what went into each:
    inputs[0] = x (T, S, D + 1), inputs[l] = (h_l, 1) (T, S, O_l + 1); out (T, S, O_L), with the 1
    behind it where the last layer has a kink."""

    layers: tuple[Floats, ...]
    inputs: tuple[Floats, ...]
    out: Floats


class Backward(NamedTuple):
    """For every layer: deltas dJ/da_l (T, S, O_l), a_l = (h_{l-1}, 1) W_l, and gates (T, S, O_l),
    dh_l/da_l: 1 where a_l > 0, else 0; None for a layer without a kink."""

    deltas: tuple[Floats, ...]
    gates: tuple[Floats | None, ...]


@dataclass(frozen=True)
class Network:
    """h_l = max(0, (h_{l-1}, 1) W_l), h_0 = x; where `linear`, the last layer has no maximum.

    widths (D, O_1, ..., O_L). The kink's derivative at 0 is 0; its second derivative is 0
    everywhere, so that the Hessian below is exact wherever there is one.
    """

    widths: tuple[int, ...]
    linear: bool

    @cached_property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum((before + 1) * after for before, after in itertools.pairwise(self.widths))

    def start(self, rng: np.random.Generator) -> Floats:
        """theta (P,) drawn at random: weights ~ N(0, 2 / I), which keeps the outputs' scale from
        layer to layer (He and others: Delving deep into rectifiers, ICCV 2015, equation 10); biases
        of layers with a kink ~ U(-1, 1), so that the kinks are not all at x = 0; others 0."""
        theta = np.zeros(self.size)
        for place, layer in enumerate(self.matrices(theta)):
            weight, bias = layer[:-1], layer[-1]
            weight[...] = rng.normal(size=weight.shape) * np.sqrt(2.0 / len(weight))
            if self._bends(place):
                bias[...] = rng.uniform(-1.0, 1.0, size=bias.shape)
        return theta

    def matrices(self, theta: Floats) -> tuple[Floats, ...]:
        """Views of theta (..., P): W_l (..., I + 1, O)."""
        views, begin = [], 0
        for before, after in itertools.pairwise(self.widths):
            end = begin + (before + 1) * after
            views.append(theta[..., begin:end].reshape(*theta.shape[:-1], before + 1, after))
            begin = end
        return tuple(views)

    def layers(self, theta: Floats) -> tuple[Layer, ...]:
        """The layers of theta (P,)."""
        return tuple(Layer(matrix[:-1], matrix[-1]) for matrix in self.matrices(theta))

    def forward(self, theta: Floats, x: Floats) -> Forward:
        """The pass of rows x (T, S, D + 1), a 1 at their end; theta (P,) or (T, P)."""
        layers = self.matrices(theta)
        inputs = []
        h = x
        for place, layer in enumerate(layers):
            inputs.append(h)
            if self._bends(place):
                h = np.empty((*h.shape[:-1], layer.shape[-1] + 1))
                h[..., -1] = 1.0
                _product(inputs[-1], layer, out=h[..., :-1])
                np.maximum(h, 0.0, out=h)
            else:
                h = _product(h, layer)
        return Forward(layers, tuple(inputs), h)

    def backward(self, done: Forward, slope: Floats) -> Backward:
        """From dJ/dh_L (T, S, O_L), where J is a sum over rows, down to the first layer."""
        gates = tuple(
            np.sign(h[..., :-1]) if self._bends(place) else None
            for place, h in enumerate((*done.inputs[1:], done.out))
        )
        deltas = [_gated(slope, gates[-1])]
        for layer, gate in zip(done.layers[:0:-1], gates[-2::-1], strict=True):
            deltas.append(_gated(_product(deltas[-1], _turned(layer[..., :-1, :])), gate))
        return Backward(tuple(reversed(deltas)), gates)

    def gradient(self, done: Forward, deltas: Sequence[Floats], summed: bool = False) -> Floats:
        """dJ/dtheta of every task, (T, P), or summed over the tasks, (P,): over the rows of each
        (h_{l-1}, 1)' delta_l."""
        gradient = np.empty(self.size if summed else (len(deltas[0]), self.size))
        for out, h, delta in zip(self.matrices(gradient), done.inputs, deltas, strict=True):
            _outer(h, delta, summed, out=out)
        return gradient

    def hessian_product(
        self, done: Forward, back: Backward, curvature: Floats, direction: Floats
    ) -> Floats:
        """The Hessian of J by theta times direction (T, P): (T, P) of every task where done's theta
        was the tasks' own, (P,) summed over the tasks where they shared it.

        By the R operator, R{f} = d/dr f(theta + r direction) at r = 0 (Pearlmutter: Fast exact
        multiplication by the Hessian, Neural Computation 6, 1994, section 3):

            R{h_{l-1}' delta_l} = R{h_{l-1}}' delta_l + h_{l-1}' R{delta_l}

        curvature (T, S, O_L) is d2J/dh_L^2, which is a diagonal.
        """
        along = self.matrices(direction)
        moved = self._moved_outputs(done, back, along)
        slope = curvature * moved[-1]
        shared = done.layers[0].ndim == 2
        product = self.gradient(done, self._moved_deltas(done, back, along, slope), summed=shared)
        # R{x} = 0, and so is that of the 1 behind each row.
        for out, h, delta in zip(
            self.matrices(product)[1:], moved[:-1], back.deltas[1:], strict=True
        ):
            out[..., :-1, :] += _outer(h, delta, shared)
        return product

    def _moved_outputs(
        self, done: Forward, back: Backward, along: Sequence[Floats]
    ) -> list[Floats]:
        """R{h_l} (T, S, O_l), l = 1 ... L."""
        moved: list[Floats] = []
        for h, layer, change, gate in zip(done.inputs, done.layers, along, back.gates, strict=True):
            a = _product(h, change)
            if moved:
                a += _product(moved[-1], layer[..., :-1, :])
            moved.append(_gated(a, gate))
        return moved

    def _moved_deltas(
        self, done: Forward, back: Backward, along: Sequence[Floats], slope: Floats
    ) -> list[Floats]:
        """R{delta_l} (T, S, O_l), l = 1 ... L, from slope = R{dJ/dh_L}."""
        moved = [_gated(slope, back.gates[-1])]
        for place in range(len(along) - 1, 0, -1):
            a = _product(moved[-1], _turned(done.layers[place][..., :-1, :]))
            a += _product(back.deltas[place], _turned(along[place][..., :-1, :]))
            moved.append(_gated(a, back.gates[place - 1]))
        return moved[::-1]

    def _bends(self, place: int) -> bool:
        return not self.linear or place < len(self.widths) - 2


def _product(h: Floats, matrix: Floats, out: Floats | None = None) -> Floats:
    """h (T, S, I) times a matrix (T, I, O) of every task, or (I, O) of all."""
    if matrix.ndim == 3:
        return np.asarray(np.matmul(h, matrix, out=out))
    if out is not None:
        np.matmul(_rows(h), matrix, out=_rows(out))
        return out
    return np.asarray(_rows(h) @ matrix).reshape(*h.shape[:-1], matrix.shape[-1])


def _outer(h: Floats, delta: Floats, summed: bool, out: Floats | None = None) -> Floats:
    """h'delta over the rows of each task, (T, I, O), or over all rows, (I, O)."""
    if summed:
        return np.asarray(np.matmul(_rows(h).T, _rows(delta), out=out))
    return np.asarray(np.matmul(_turned(h), delta, out=out))


def _gated(slope: Floats, gate: Floats | None) -> Floats:
    return slope if gate is None else slope * gate


def _rows(h: Floats) -> Floats:
    return h.reshape(-1, h.shape[-1])


def _turned(h: Floats) -> Floats:
    return h.swapaxes(-1, -2)
