"""Gradient steps on each task's own loss, and the way back through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lepton_dask.learn.meta.base import MetaLoss
from lepton_dask.learn.meta.networks import Backward, Forward, Network
from lepton_dask.learn.meta.pointwise import derivatives, values
from lepton_dask.learn.meta.tasks import Places, Tasks
from lepton_dask.matrix import Floats

MAX_HALVINGS = 24

ROUNDING = 1e-12
"""A loss is worse where it is larger by more than this share of it."""


class InnerStep(NamedTuple):
    """One step theta_t <- theta_t - scale_t rates gradient_t, and what its Hessian is made of.

    gradient (T, P), scale (T, 1), curvature (T, S, 1): d2/dz2 of the task's loss.
    """

    done: Forward
    back: Backward
    curvature: Floats
    gradient: Floats
    scale: Floats


def mean_losses(network: Network, loss: MetaLoss, theta: Floats, tasks: Tasks) -> Floats:
    """(T,) each task's loss, the weighted mean of its rows'; 0 for a task without weight."""
    z = network.forward(theta, tasks.x).out[..., 0]
    return _means(tasks.shares, values(loss, tasks.y, z))


def task_gradient(network: Network, loss: MetaLoss, theta: Floats, tasks: Tasks) -> Floats:
    """(T, P) the gradient of each task's loss."""
    done = network.forward(theta, tasks.x)
    slope = tasks.shares * derivatives(loss, tasks.y, done.out[..., 0]).slope
    return network.gradient(done, network.backward(done, slope[..., None]).deltas)


def descend(
    network: Network, loss: MetaLoss, theta: Floats, rates: Floats | float, tasks: Tasks
) -> tuple[Floats, InnerStep]:
    """Every task's parameters (T, P) after a gradient step on its loss, from theta (P,) or (T, P),
    with rates (P,) or one for all.

    The step is guarded: where a task's loss gets worse or is not finite, its step is halved, up to
    MAX_HALVINGS times, and then left out. So it is safe however large the rates are.
    """
    done = network.forward(theta, tasks.x)
    z = done.out[..., 0]
    by_z = derivatives(loss, tasks.y, z)
    back = network.backward(done, (tasks.shares * by_z.slope)[..., None])
    gradient = network.gradient(done, back.deltas)
    before = _means(tasks.shares, values(loss, tasks.y, z))
    end, scale = _guarded(network, loss, theta, rates * gradient, tasks, before)
    curvature = (tasks.shares * by_z.curvature)[..., None]
    return end, InnerStep(done, back, curvature, gradient, scale)


def back_through(
    network: Network, rates: Floats | float, steps: Sequence[InnerStep], slope: Floats
) -> tuple[Floats, Floats]:
    """From dJ/dtheta_t (T, P) after the steps to dJ/dtheta (P,) before them and dJ/drates (P,),
    summed over the tasks, exactly: second order. All tasks' steps began at one theta (P,).

    With theta' = theta - c r g(theta), element by element in r, and H the Hessian of which g is the
    gradient: dJ/dtheta = v - H (c r v), dJ/dr = -c g v, where v = dJ/dtheta' (Finn and others:
    Model-agnostic meta-learning, ICML 2017, equation 1; Li and others: Meta-SGD, arXiv 1707.09835,
    equation 3). A halving's scale c is a constant.
    """
    by_rates = np.zeros(network.size)
    for step in reversed(steps):
        scaled = step.scale * slope
        by_rates -= np.einsum("tp,tp->p", step.gradient, scaled)
        product = network.hessian_product(step.done, step.back, step.curvature, rates * scaled)
        slope = slope - product if product.ndim == 2 else slope.sum(axis=0) - product
    return slope, by_rates


def _guarded(
    network: Network, loss: MetaLoss, theta: Floats, step: Floats, tasks: Tasks, before: Floats
) -> tuple[Floats, Floats]:
    """Where the step leads, (T, P), and the share of it that each task takes, (T, 1): the first of
    1, 1/2, 1/4 ... that does not make its loss worse, or 0."""
    scale = np.ones((len(step), 1))
    end = theta - step
    most = before * (1.0 + ROUNDING)
    after = mean_losses(network, loss, end, tasks)
    worse = np.flatnonzero(~(after <= most))  # what is no number is worse
    for _ in range(MAX_HALVINGS):
        if not len(worse):
            return end, scale
        scale[worse] /= 2
        end[worse] = _origin(theta, worse) - scale[worse] * step[worse]
        after = mean_losses(network, loss, end[worse], tasks.take(worse))
        worse = worse[~(after <= most[worse])]
    scale[worse] = 0.0
    end[worse] = _origin(theta, worse)
    return end, scale


def _origin(theta: Floats, tasks: Places) -> Floats:
    return theta if theta.ndim == 1 else theta[tasks]


def _means(shares: Floats, losses: Floats) -> Floats:
    return np.asarray(np.einsum("ts,ts->t", shares, losses))
