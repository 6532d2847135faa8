"""The pass over a chunk that standard errors need."""

from __future__ import annotations

import numpy as np

from lepton_dask.learn.inference import Information
from lepton_dask.learn.kernels import linear_predictor, sweep_block
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.matrix import Block, Floats


def block_information(block: Block, model: LinearModel, theta: Floats) -> Information:
    """A chunk's share of the expected information at theta (M,), for a model of one output.

    d2l/dz2 is affine in y for every loss that is a likelihood here, so its expectation is its value
    at y = mu.
    """
    mean = model.loss.inverse_link(linear_predictor(block, model, theta))
    expected = sweep_block(block._replace(target=mean), model, theta, curvature=True)
    assert expected.hessian is not None
    distance = (block.target - mean) ** 2 / model.loss.variance(mean)
    rows = int(np.count_nonzero(block.weight > 0))
    return Information(expected.hessian, float(block.weight @ distance), rows)
