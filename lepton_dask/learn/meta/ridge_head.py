"""Ridge head: learnt features, and in every group a ridge regression around a learnt mean."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydantic import Field

from lepton_dask.learn.meta.base import Adapted, GroupedRows, Setting
from lepton_dask.learn.meta.head import HeadPrior, back_through_heads, fit_heads
from lepton_dask.learn.meta.networks import Network
from lepton_dask.learn.meta.neural import NeuralAlgorithm, NeuralPrior
from lepton_dask.learn.meta.pointwise import derivatives
from lepton_dask.learn.meta.tasks import Tasks, in_batches
from lepton_dask.matrix import Floats

LARGEST_LOG = 12.0
"""Precisions lie between e^-12 and e^12."""


class RidgeHead(NeuralAlgorithm):
    """Hidden layers that all groups share, and a head of each group's own: z = phi(x)'v, phi(x) the
    last hidden layer's outputs and a 1. The head is the most probable one,

        v_t = argmin sum over its rows of weight l(y, phi'v) + (v - m)' P (v - m) / 2,

    around a learnt mean m with a learnt precision P, a diagonal, in units of the noise's (R2-D2:
    Bertinetto and others, ICLR 2019; ALPaCA: Harrison, Sharma, Pavone, WAFR 2018). The gradient of
    the query loss goes through it exactly (`head.back_through_heads`).

    The parameters are the layers' (P,), then m (F,), then log P (F,), F the last width + 1.
    """

    name = "ridge_head"

    precision: float = Field(default=1.0, gt=0)
    """That of all the head's weights at the start."""

    def first(self, setting: Setting, rng: np.random.Generator) -> Floats:
        network = self._network(setting)
        mean = np.zeros(network.widths[-1] + 1)
        log_precision = np.full_like(mean, np.log(self.precision))
        return np.concatenate([network.start(rng), mean, log_precision])

    def gradient(self, setting: Setting, theta: Floats, support: Tasks, query: Tasks) -> Floats:
        network = self._network(setting)
        parts = _split(network, theta)
        prior = parts.prior
        length = support.y.shape[1]
        # Both go through the same layers: one product a layer for all.
        done = network.forward(parts.layers, np.concatenate([support.x, query.x], axis=1))
        phi = done.out  # with the 1
        heads = fit_heads(setting.loss, prior, phi[:, :length], support.y, support.weight)
        z = np.matmul(phi[:, length:], heads.v[..., None])[..., 0]
        by_z = query.shares * derivatives(setting.loss, query.y, z).slope / len(z)
        by_v = np.matmul(by_z[:, None, :], phi[:, length:])[:, 0]
        slopes = back_through_heads(prior, heads, by_v)
        by_phi = np.concatenate([slopes.phi, by_z[..., None] * heads.v[:, None, :]], axis=1)
        back = network.backward(done, by_phi[..., :-1])
        by_layers = network.gradient(done, back.deltas, summed=True)
        return np.concatenate([by_layers, slopes.mean, slopes.log_precision])

    def adapt(self, setting: Setting, prior: NeuralPrior, rows: GroupedRows) -> tuple[Adapted, ...]:
        network = self._network(setting)
        parts = _split(network, prior.adam.theta)
        layers = network.layers(parts.layers)
        features = network.widths[-1] + 1
        adapted: list[Adapted | None] = [None] * len(rows.names)
        for groups, tasks in in_batches(rows, 4 * sum(network.widths), 3 * features**2):
            phi = network.forward(parts.layers, tasks.x).out
            heads = fit_heads(setting.loss, parts.prior, phi, tasks.y, tasks.weight)
            for group, v in zip(groups, heads.v, strict=True):
                adapted[group] = Adapted(v[:-1], float(v[-1]), layers)
        return tuple(each for each in adapted if each is not None)

    def _network(self, setting: Setting) -> Network:
        return Network((len(setting.features), *self.hidden), linear=False)


class _Parts(NamedTuple):
    """The layers' parameters (P,) and the head's prior."""

    layers: Floats
    prior: HeadPrior


def _split(network: Network, theta: Floats) -> _Parts:
    features = network.widths[-1] + 1
    mean, log_precision = theta[network.size :].reshape(2, features)
    bounded = np.clip(log_precision, -LARGEST_LOG, LARGEST_LOG)
    return _Parts(theta[: network.size], HeadPrior(mean, np.exp(bounded)))
