"""The prior of linear models: the coefficients of the groups are normally distributed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.meta.base import Setting
from lepton_dask.matrix import Floats


@dataclass(frozen=True)
class NormalPrior:
    """w_t ~ N(m, Sigma), y = x'w_t + e, e ~ N(0, sigma^2), x with a 1 as its first entry.

    m (1 + D,); Sigma (1 + D, 1 + D), its rows and columns 0 where a coefficient is the same for
    all groups; sigma is 1 where the loss has none. `gain` is a lower bound of what the last round
    gained in log-likelihood.
    """

    m: Floats
    Sigma: Floats
    sigma: float
    gain: float = np.inf

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        # Not as the fields: there are disks that take Sigma.npy and sigma.npy for one file.
        return {
            "mean": self.m,
            "covariance": self.Sigma,
            "residual_sd": np.array(self.sigma),
            "gain": np.array(self.gain),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> NormalPrior:
        numbers = float(arrays["residual_sd"]), float(arrays["gain"])
        return cls(arrays["mean"], arrays["covariance"], *numbers)


def random_prior(setting: Setting, seed: int) -> NormalPrior:
    """m near 0 and independent coefficients of a variance around 1/4: wide, because a variance
    shrinks to nothing within few rounds, and grows from nothing in many."""
    drawn = np.random.default_rng(seed)
    d = 1 + len(setting.features)
    m = 0.1 * drawn.standard_normal(d)
    variance = np.where(setting.random, 0.25 * np.exp(0.5 * drawn.standard_normal(d)), 0.0)
    return NormalPrior(m, np.diag(variance), 1.0)
