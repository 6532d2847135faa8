"""Compiling ahead of the first pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from lepton_dask.learn.kernels.columns import column_sums
from lepton_dask.learn.kernels.sources import KERNELS
from lepton_dask.learn.kernels.sums import Leverage
from lepton_dask.learn.kernels.sweep import linear_predictor, sweep_block
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import Loss, Multinomial
from lepton_dask.matrix import Block, Layout


def warm_up(loss: Loss, dense: DTypeLike = np.float64, curvature: bool = False) -> None:
    """Compiles what passes with this loss and type of dense columns need, or reads it from disk.

    It takes seconds once an installation and a fraction of one afterwards. Any number of threads
    may call it while others do something else, such as parsing files.
    """
    outputs = 2 if loss.code == Multinomial.code else 1
    model = LinearModel(loss, Layout(1, (1,)), outputs)
    block = Block(np.zeros((1, 1), dense), np.zeros((1, 1), np.int32), np.ones(1), np.ones(1))
    theta = np.zeros(model.parameters)
    theta[len(theta) - loss.extra :] = 1.0
    with KERNELS.making(_name(loss, dense, curvature)):
        column_sums(block, model)
        sweep_block(block, model, theta, curvature=curvature)
        if curvature and outputs == 1 and not loss.extra:
            sweep_block(block, model, theta, leverage=Leverage(np.ones(model.parameters), 1.0))
        linear_predictor(block, model, theta)


def is_compiled(loss: Loss) -> bool:
    """Whether this installation has the loss's kernels on its disk, as far as it can tell."""
    names = {_name(loss, np.float64, curvature) for curvature in (False, loss.smooth)}
    return all(KERNELS.has(name) for name in names)


def _name(loss: Loss, dense: DTypeLike, curvature: bool) -> str:
    return f"{loss.name}-{np.dtype(dense)}" + ("-curvature" if curvature else "")
