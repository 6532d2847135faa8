"""Losses of numbers, with the identity link."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from lepton_dask.learn.links import Floats
from lepton_dask.learn.losses.base import Loss


class Squared(Loss):
    """l = (z - y)^2 / 2."""

    name = "squared"
    task = "regression"
    code = 0

    def variance(self, mean: Floats) -> Floats:
        return np.ones_like(mean)

    def null_curvature(self, mean: Floats) -> Floats:
        return np.ones_like(mean)


class Huber(Loss):
    """l = sigma + sigma H((y - z) / sigma), with H(u) = u^2 where |u| <= epsilon, else
    2 epsilon |u| - epsilon^2; the scale sigma > 0 is a parameter of its own.

    It is convex in (z, sigma) together. As in scikit-learn's HuberRegressor, it is not halved.
    Source: Huber, Ronchetti, Robust Statistics, 2nd ed., equation 7.83; Owen, A robust hybrid of
    lasso and ridge regression (2006).
    """

    name = "huber"
    task = "regression"
    code = 6
    extra = 1

    epsilon: Annotated[float, Field(ge=1)] = 1.35

    @property
    def parameters(self) -> tuple[float, float]:
        return self.epsilon, 0.0

    def null_curvature(self, mean: Floats) -> Floats:
        """At a scale of 1; the curvature at sigma is this over sigma. The share of rows beyond
        epsilon is taken as 0."""
        return np.full_like(mean, 2.0)


class Quantile(Loss):
    """l = q r for r >= 0, else (q - 1) r, with r = y - z: the pinball loss of quantile q.

    Koenker, Bassett, Regression Quantiles (1978). It has a kink at r = 0 and no curvature beside
    it; smoothed by mu > 0 it is the logarithmic barrier's

        min q u + (1 - q) v - mu (log u + log v)  over  u - v = r; u, v > 0.
    """

    name = "quantile"
    task = "regression"
    code = 7
    smooth = False

    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @property
    def parameters(self) -> tuple[float, float]:
        return self.quantile, 0.0

    def null_curvature(self, mean: Floats) -> Floats:
        return np.zeros_like(mean)
