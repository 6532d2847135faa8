"""The linear model: what a pass must know beside the rows and the parameters."""

from __future__ import annotations

from dataclasses import dataclass

from lepton_dask.learn.losses import Loss
from lepton_dask.matrix import Layout


@dataclass(frozen=True)
class LinearModel:
    """K linear predictors over the D columns of a layout, and the loss of a target given them.

    theta (M,) is a matrix (D + 1, K) in C order, coefficient d of output k at d K + k and the K
    intercepts last; behind it come the loss's own parameters (huber: its scale). K is the number
    of classes of a multinomial loss, and 1 otherwise. `class_weights[c]` multiplies the weight of
    the rows of class c.
    """

    loss: Loss
    layout: Layout
    outputs: int = 1
    class_weights: tuple[float, ...] | None = None

    @property
    def parameters(self) -> int:
        """M = (D + 1) K + what the loss has beside."""
        return (self.layout.coefficients + 1) * self.outputs + self.loss.extra

    @property
    def coefficients(self) -> slice:
        """Where theta holds the coefficients."""
        return slice(0, self.layout.coefficients * self.outputs)

    @property
    def intercepts(self) -> slice:
        """Where theta holds the intercepts."""
        start = self.layout.coefficients * self.outputs
        return slice(start, start + self.outputs)
