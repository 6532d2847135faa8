"""Groups to learn from, and what the tests of meta-learning hold gradients against."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lepton_dask.learn.meta.base import Adapted, GroupedRows, MetaLoss, Setting
from lepton_dask.learn.meta.tasks import Tasks
from lepton_dask.matrix import Floats


def setting_of(loss: MetaLoss = "squared", columns: int = 2, shots: Sequence[int] = (4,)):
    names = tuple(f"x{column}" for column in range(columns))
    return Setting(names, loss, np.ones(columns + 1, dtype=bool), tuple(shots))


def make_groups(
    sizes: Sequence[int],
    loss: MetaLoss = "squared",
    columns: int = 2,
    seed: int = 0,
    weighted: bool = False,
) -> GroupedRows:
    """Groups of so many rows: y = a sin(x_0 + b) + c x_1, a, b, c of the group's own; logistic:
    whether that is above 0."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=(len(owner), columns))
    a, b, c = rng.uniform(0.5, 2.0, (3, len(sizes)))
    y = a[owner] * np.sin(2.0 * x[:, 0] + 2.0 * b[owner]) + 0.3 * c[owner] * x[:, -1]
    if loss == "logistic":
        y = (y > 0).astype(np.float64)
    weight = rng.uniform(0.5, 2.0, len(y)) if weighted else np.ones(len(y))
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return GroupedRows(x, y, weight, starts, tuple(f"{t:05}" for t in range(len(sizes))))


def make_tasks(
    tasks: int, rows: int, loss: MetaLoss = "squared", columns: int = 2, seed: int = 0
) -> Tasks:
    """Tasks with weights, of which the first has two rows less and the last has none."""
    groups = make_groups([rows] * tasks, loss, columns, seed, weighted=True)
    x = np.concatenate([groups.x, np.ones((tasks * rows, 1))], axis=1)
    weight = groups.weight.reshape(tasks, rows).copy()
    weight[0, -2:] = 0.0
    weight[-1] = 0.0
    return Tasks.of(x.reshape(tasks, rows, -1), groups.y.reshape(tasks, rows), weight)


def rows_of(tasks: Tasks) -> GroupedRows:
    """The rows with weight of some tasks."""
    there = tasks.weight > 0
    starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)
    names = tuple(f"{t:05}" for t in range(len(there)))
    return GroupedRows(tasks.x[there][:, :-1], tasks.y[there], tasks.weight[there], starts, names)


def loss_of(models: Sequence[Adapted], tasks: Tasks, loss: MetaLoss) -> float:
    """The mean over tasks of the weighted mean of their rows' losses, written out."""
    total = 0.0
    for t, model in enumerate(models):
        z, y = model.linear(tasks.x[t, :, :-1]), tasks.y[t]
        rows = (z - y) ** 2 / 2 if loss == "squared" else np.logaddexp(0.0, z) - y * z
        if tasks.weight[t].any():
            total += float(np.average(rows, weights=tasks.weight[t]))
    return total / len(models)


def by_differences(
    of: Callable[[Floats], float], theta: Floats, places: Sequence[int], step: float = 1e-5
) -> Floats:
    """The derivatives of `of` by some of theta, by central differences."""
    slopes = []
    for place in places:
        above, below = theta.copy(), theta.copy()
        above[place] += step
        below[place] -= step
        slopes.append((of(above) - of(below)) / (2 * step))
    return np.array(slopes)


def relative_error(found: Floats, expected: Floats) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
