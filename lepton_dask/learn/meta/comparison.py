"""How well models predict held-out groups from a few rows of each, side by side.

trials = draw(setting, rows, seed)                       # once, the same for all
value = score(algorithm, prior, setting, trials)         # of one, every round
comparison = compare(candidates, setting, trials, seed)  # of all, in the end
name = best(comparison)
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.meta.base import (
    Adapted,
    GroupedRows,
    Label,
    MetaAlgorithm,
    MetaLoss,
    Setting,
)
from lepton_dask.matrix import Floats

MetricName = Literal["rmse", "log_loss"]

MOST_QUERIES = 500
"""Of a group: more tell little more of it."""

RESAMPLES = 1000
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Trial:
    """Groups that have more rows than `shots`: of each so many to adapt to, and other rows to
    predict, both in GroupedRows of the same groups."""

    shots: int
    support: GroupedRows
    query: GroupedRows


@dataclass(frozen=True)
class Trials:
    """A trial for each number of shots that a group is large enough for, ascending; `left_out`
    counts the groups that are too small for any."""

    each: tuple[Trial, ...]
    left_out: int


@dataclass(frozen=True)
class Candidate:
    """What is compared: an algorithm and what it has learnt."""

    name: str
    algorithm: MetaAlgorithm[Any, Any, Any]
    prior: Any


@dataclass(frozen=True)
class Scored:
    """How well a model predicts at a number of shots: `value` over `groups` groups, and the 95 %
    interval that it lies in, from groups drawn again and again (bootstrap)."""

    shots: int
    model: str
    value: float
    low: float
    high: float
    groups: int


@dataclass(frozen=True)
class Comparison:
    """Rows by shots, then models in the order given; less of the metric is better."""

    metric: MetricName
    rows: tuple[Scored, ...]
    left_out: int

    def times(self, units: float) -> Comparison:
        """With the scores in other units."""
        rows = tuple(
            replace(row, value=row.value * units, low=row.low * units, high=row.high * units)
            for row in self.rows
        )
        return replace(self, rows=rows)


def metric_of(loss: MetaLoss) -> MetricName:
    """rmse is the root of the mean over groups of a group's mean squared error; log_loss the mean
    over groups of a group's mean loss. So a group counts the same however many rows it has."""
    return "rmse" if loss == "squared" else "log_loss"


def draw(setting: Setting, rows: GroupedRows, seed: int) -> Trials:
    """Each group's rows in an order drawn from `seed` and its name alone.

    The first are the support, so that of fewer shots is part of that of more. What is predicted are
    at most 500 of those beyond the support of the most shots that leave a row over: the same at
    every number of shots.
    """
    shots = sorted(set(setting.shots))
    orders = [
        int(start) + np.random.default_rng((seed, _number(name))).permutation(int(count))
        for name, start, count in zip(rows.names, rows.starts[:-1], rows.counts, strict=True)
    ]
    # Where the queries begin: beyond the most shots that the group is large enough for.
    firsts = [max((k for k in shots if k < len(order)), default=-1) for order in orders]
    trials = []
    for k in shots:
        groups = np.array([t for t, first in enumerate(firsts) if first >= k], dtype=np.intp)
        if len(groups):
            support = [orders[t][:k] for t in groups]
            query = [orders[t][firsts[t] : firsts[t] + MOST_QUERIES] for t in groups]
            trials.append(Trial(k, _chosen(rows, groups, support), _chosen(rows, groups, query)))
    return Trials(tuple(trials), firsts.count(-1))


def score(
    algorithm: MetaAlgorithm[Any, Any, Any], prior: Any, setting: Setting, trials: Trials
) -> float:
    """The metric's mean over the numbers of shots; nan where there is no trial."""
    values = [
        _of_groups(_group_losses(algorithm, prior, setting, trial), setting.loss)
        for trial in trials.each
    ]
    return float(np.mean(values)) if values else float("nan")


def compare(
    candidates: Sequence[Candidate], setting: Setting, trials: Trials, seed: int
) -> Comparison:
    """Every candidate on the same rows; the intervals' draws are from `seed`, the same for all."""
    rows = []
    for trial in trials.each:
        T = len(trial.query.names)
        drawn = np.random.default_rng((seed, trial.shots)).integers(T, size=(RESAMPLES, T))
        for candidate in candidates:
            losses = _group_losses(candidate.algorithm, candidate.prior, setting, trial)
            again = _of_groups(losses[drawn], setting.loss)
            low, high = np.percentile(again, INTERVAL)
            value = float(_of_groups(losses, setting.loss))
            rows.append(Scored(trial.shots, candidate.name, value, float(low), float(high), T))
    return Comparison(metric_of(setting.loss), tuple(rows), trials.left_out)


def best(comparison: Comparison) -> str:
    """The model of the least mean over the numbers of shots; of equals the first."""
    values: dict[str, list[float]] = {}
    for row in comparison.rows:
        values.setdefault(row.model, []).append(row.value)
    return min(values, key=lambda model: float(np.mean(values[model])))


def _number(name: Label) -> int:
    return zlib.crc32(str(name).encode())


def _chosen(
    rows: GroupedRows, groups: NDArray[np.intp], chosen: Sequence[NDArray[np.intp]]
) -> GroupedRows:
    return rows.rows(np.concatenate(chosen).astype(np.intp), groups)


def _group_losses(
    algorithm: MetaAlgorithm[Any, Any, Any], prior: Any, setting: Setting, trial: Trial
) -> Floats:
    """(T,) the mean loss of each group's queries: squared error, or log loss."""
    models = algorithm.adapt(setting, prior, trial.support)
    query = trial.query
    bounds = zip(models, query.starts[:-1], query.starts[1:], strict=True)
    return np.array(
        [_mean_loss(model, query, int(a), int(b), setting.loss) for model, a, b in bounds]
    )


def _mean_loss(model: Adapted, query: GroupedRows, start: int, end: int, loss: MetaLoss) -> float:
    y, weight = query.y[start:end], query.weight[start:end]
    z = model.linear(query.x[start:end])
    each = (y - z) ** 2 if loss == "squared" else np.logaddexp(0.0, z) - y * z
    total = float(weight.sum())
    return float(weight @ each / total) if total > 0 else float(each.mean())


def _of_groups(losses: Floats, loss: MetaLoss) -> Floats:
    """The metric from the groups' losses (..., T)."""
    mean = np.asarray(losses.mean(axis=-1))
    return np.sqrt(mean) if loss == "squared" else mean
