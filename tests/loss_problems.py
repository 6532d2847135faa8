"""Every loss with targets that it takes: small problems for the kernels, and their columns."""

from __future__ import annotations

import numpy as np

from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.losses import LOSSES, Loss, Quantile, Tweedie
from lepton_dask.matrix import Block, Floats, Layout, Sparse

EVERY_LOSS: dict[str, Loss] = {
    **{name: kind() for name, kind in LOSSES.items()},
    "quantile_9": Quantile(quantile=0.9),
    "tweedie_0": Tweedie(power=0),
    "tweedie_1": Tweedie(power=1),
    "tweedie_19": Tweedie(power=1.9),
    "tweedie_2": Tweedie(power=2),
    "tweedie_3": Tweedie(power=3),
}
FULL = Layout(4, (3, 5), 7)
LAYOUTS = [
    FULL,
    Layout(4, (), 0),
    Layout(0, (3, 5), 0),
    Layout(0, (), 6),
    Layout(0, (), 0),
    Layout(1, (1,), 1),
    Layout(37, (60,), 0),
]
CLASSES = 3


def targets(loss: Loss, rows: int, rng: np.random.Generator) -> Floats:
    if loss.name == "logistic":
        return rng.integers(0, 2, rows).astype(float)
    if loss.name == "multinomial":
        return rng.integers(0, CLASSES, rows).astype(float)
    if loss.name == "poisson":
        return rng.poisson(2.0, rows).astype(float)
    if loss.name == "gamma" or (isinstance(loss, Tweedie) and loss.power >= 2):
        return rng.exponential(1.5, rows) + 0.01
    if loss.name == "tweedie":
        return rng.poisson(1.0, rows) * rng.exponential(1.0, rows)
    return rng.normal(1.0, 2.0, rows)


def make_problem(
    loss: Loss, layout: Layout = FULL, rows: int = 500, seed: int = 0
) -> tuple[Block, LinearModel, Floats]:
    """A block, its model and a theta that is not the optimum."""
    rng = np.random.default_rng(seed)
    mask = rng.random((rows, layout.sparse)) < 0.3
    sparse = Sparse(
        np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64),
        np.nonzero(mask)[1].astype(np.int32),
        rng.normal(size=int(mask.sum())).astype(np.float32),
    )
    block = Block(
        rng.normal(size=(rows, layout.dense)),
        np.array([rng.integers(0, n, rows) for n in layout.levels], np.int32)
        .reshape(len(layout.levels), rows)
        .T.copy(),
        targets(loss, rows, rng),
        rng.uniform(0.2, 3.0, rows),
        sparse if layout.sparse else None,
    )
    model = LinearModel(loss, layout, CLASSES if loss.name == "multinomial" else 1)
    theta = rng.normal(0, 0.2, model.parameters)
    if loss.extra:
        theta[-1] = 0.9
    return block, model, theta


def columns(block: Block, layout: Layout) -> Floats:
    """All the columns as numbers, (n, D + 1): dense, one-hot, sparse, and ones."""
    rows = len(block.target)
    sparse = np.zeros((rows, layout.sparse))
    if block.sparse is not None:
        at = np.repeat(np.arange(rows), np.diff(block.sparse.starts))
        ends = slice(block.sparse.starts[0], block.sparse.starts[-1])
        sparse[at, block.sparse.columns[ends]] = block.sparse.values[ends]
    one_hot = [np.eye(n)[block.codes[:, q]] for q, n in enumerate(layout.levels)]
    return np.hstack([block.dense, *one_hot, sparse, np.ones((rows, 1))])


def take(block: Block, rows: np.ndarray) -> Block:
    """The block of these rows, in this order, with repeats."""
    sparse = block.sparse
    if sparse is not None:
        entries = [np.arange(sparse.starts[i], sparse.starts[i + 1]) for i in rows]
        at = np.concatenate(entries) if entries else np.empty(0, int)
        starts = np.concatenate([[0], np.cumsum([len(e) for e in entries])]).astype(np.int64)
        sparse = Sparse(starts, sparse.columns[at], sparse.values[at])
    return Block(*(array[rows] for array in block[:4]), sparse)
