"""What every loss is: what a pipeline may say of it, and what the engine must know of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from lepton_dask.component import Component
from lepton_dask.learn.links import LINKS, Floats

Task = Literal["classification", "regression"]


class Loss(Component, ABC):
    """A loss l(y, z) of a target y and a linear predictor z; also its own node in a pipeline.

    Losses are half losses, as in scikit-learn: constant factors are chosen so that dl/dz is the
    plain residual for the canonical link, and terms of y alone are dropped where they would cost
    (so that a loss may be below 0). Here is what can be said without the rows; the formulas of
    value, derivative and curvature are in `learn.kernels.pointwise`, compiled.

    Source of the conventions: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning,
    2nd ed., section 10.6; McCullagh, Nelder, Generalized Linear Models, section 2.2.

    code        what the compiled formulas switch on
    extra       parameters beside those of the linear predictor
    smooth      whether dl/dz has no jumps
    """

    name: ClassVar[str]
    task: ClassVar[Task]
    code: ClassVar[int]
    extra: ClassVar[int] = 0
    smooth: ClassVar[bool] = True

    @property
    def parameters(self) -> tuple[float, float]:
        """The two numbers that the formulas take beside y and z."""
        return 0.0, 0.0

    def link(self, mean: Floats) -> Floats:
        """The z whose mean of y is `mean`, elementwise; multinomial: over the last axis."""
        return LINKS[self.name].link(mean)

    def inverse_link(self, z: Floats) -> Floats:
        """The mean of y at z, elementwise; multinomial: over the last axis."""
        return LINKS[self.name].inverse(z)

    @abstractmethod
    def null_curvature(self, mean: Floats) -> Floats:
        """The mean of d2l/dz2 at z = link(mean) over targets of that mean, shaped like `mean`."""

    def variance(self, mean: Floats) -> Floats:
        """V(mean): the variance of targets of that mean but for the dispersion, elementwise, for
        losses that are likelihoods: (dmean/dz)^2 over the expected d2l/dz2."""
        raise NotImplementedError(f"{self.name} is no likelihood")

    def target_problem(self, lowest: float, highest: float) -> str | None:  # noqa: ARG002
        """What is wrong with targets from `lowest` to `highest`: "needs targets of ..."."""
        return None
