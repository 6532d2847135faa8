"""A linear model's parameters: how many there are, and which is which."""

from __future__ import annotations

from dataclasses import dataclass

from lepton_dask.learn.losses import Loss
from lepton_dask.matrix import Layout


@dataclass(frozen=True)
class LinearModel:
    """All that a pass over the rows must know beside the rows and theta.

    theta (M,) is a matrix (D + 1, K) in C order, with D of `layout.coefficients`: the coefficient
    of column d for output k is at d K + k, the K intercepts are the last row; then the loss's
    `extra` parameters (huber: its scale sigma > 0). K is `outputs`, the number of classes of
    multinomial and else 1. `class_weights` by class index multiply the rows' weights.
    """

    loss: Loss
    layout: Layout
    outputs: int = 1
    class_weights: tuple[float, ...] | None = None

    @property
    def parameters(self) -> int:
        """M = (D + 1) K + extra."""
        return (self.layout.coefficients + 1) * self.outputs + self.loss.extra

    @property
    def coefficients(self) -> slice:
        """Where in theta the D K coefficients are, the intercepts not among them."""
        return slice(0, self.layout.coefficients * self.outputs)

    @property
    def intercepts(self) -> slice:
        """Where in theta the K intercepts are."""
        start = self.layout.coefficients * self.outputs
        return slice(start, start + self.outputs)
