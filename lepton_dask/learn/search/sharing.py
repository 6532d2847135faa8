"""Which searches share their passes: those whose trials ask about the same rows in the same way."""

from __future__ import annotations

from lepton_dask.learn.optimizers import AUTO, OptimizerTable
from lepton_dask.learn.train import Train

PENALTIES = frozenset({"penalty.l1", "penalty.l2"})
SHARED_LOSSES = frozenset({"squared", "logistic", "poisson", "gamma", "tweedie"})
"""Losses of one output without parameters of their own, and smooth."""

SHARED_OPTIMIZERS = frozenset({AUTO, "normal", "lbfgs", "fista", "prox_newton", "newton"})
"""Optimizers that ask about all rows in each pass."""


def shares_passes(train: Train) -> bool:
    """Whether the trials of a step's search differ in their penalty alone, and each pass can answer
    all of them."""
    search = train.search
    if search is None or search.sampler != "random" or search.rungs.by != "passes":
        return False
    if not search.space.keys() <= PENALTIES or train.validates:
        return False
    name = train.optimizer
    if isinstance(name, OptimizerTable):
        optimizer = name.optimizer
        name = optimizer.name
        if getattr(optimizer, "rows_a_parameter", None) is not None:
            return False
    return train.pointwise.name in SHARED_LOSSES and name in SHARED_OPTIMIZERS
