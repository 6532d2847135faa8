"""Linear meta-learning on real groups, beside one model for all and each group alone.

exam         pupils of 65 schools: 10-fold over pupils; schools held out, 5 to 20 pupils of each
             known; the standard deviations between and within schools against the published
parkinsons   42 patients, 10 recordings of each known, at random or the first ten
homes        17 homes, each in turn known for a week, the rest of its year predicted

Algorithms run in memory, through the same calls as on a cluster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Bar, Row, Value
from benchmarks.meta_data import BEFORE, DAY, WEEK, Groups, Places, Scale, exam, homes, parkinsons
from lepton_dask.learn.meta.base import GroupedRows, MetaAlgorithm, Setting
from lepton_dask.learn.meta.comparison import Candidate, compare, draw
from lepton_dask.learn.meta.hierarchical_linear import HierarchicalLinear
from lepton_dask.learn.meta.independent import Independent
from lepton_dask.learn.meta.pooled import Pooled

Floats = NDArray[np.float64]
Algorithm = MetaAlgorithm[Any, Any, Any]

SEEDS = (0, 1, 2)
ROUNDS = 300
FOLDS = 10
SHOTS = (5, 10, 20)
KNOWN = 10
PUBLISHED = {"between schools": 0.293, "within schools": 0.750}
"""lmer's of normexam ~ standLRT + sex + schgend + (1 | school)."""


@dataclass(frozen=True)
class Table:
    """What a function found: rows to print, and bars."""

    title: str
    rows: tuple[Row, ...]
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Learnt:
    """A prior, in how many rounds and seconds."""

    prior: Any
    rounds: int
    seconds: float


def algorithms() -> tuple[Algorithm, ...]:
    return Pooled(), Independent(), HierarchicalLinear()


def learn(algorithm: Algorithm, setting: Setting, rows: GroupedRows, seed: int) -> Learnt:
    """All rounds, until another would change nothing."""
    start = time.perf_counter()
    held = algorithm.keep(setting, rows)
    prior = algorithm.start(setting, seed)
    done = 0
    for number in range(ROUNDS):
        done, before = number + 1, prior
        prior = algorithm.combine(
            setting, prior, [algorithm.work(setting, prior, held, seed + number)]
        )
        if algorithm.has_converged(before, prior):
            break
    return Learnt(prior, done, time.perf_counter() - start)


def exam_pupils() -> Table:
    """10-fold over pupils; RMSE over all of them, the mean of the seeds."""
    groups = exam()
    setting = _setting(groups)
    errors: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    for seed in SEEDS:
        fold = np.random.default_rng(seed).permutation(len(groups.y)) % FOLDS
        sides = [(np.flatnonzero(fold != out), np.flatnonzero(fold == out)) for out in range(FOLDS)]
        splits = [_split(groups, known, known, asked) for known, asked in sides]
        for algorithm in algorithms():
            found = [_errors(algorithm, setting, split, seed) for split in splits]
            squared = sum(float(np.sum(each.squared)) for each in found)
            spent = sum(each.seconds for each in found)
            errors.setdefault(algorithm.name, []).append(float(np.sqrt(squared / len(groups.y))))
            seconds.setdefault(algorithm.name, []).append(spent)
    means = {name: float(np.mean(values)) for name, values in errors.items()}
    title = "exam_ilea, 10-fold over pupils"
    ours = means["hierarchical_linear"]
    return Table(
        title,
        tuple(Row(title, name, tuple(seconds[name]), {"rmse": means[name]}) for name in means),
        (
            Bar("exam: RMSE below pooled", means["pooled"] - ours, ">=", 0.03),
            Bar("exam: RMSE / independent", ours / means["independent"], "<=", 1.0),
        ),
    )


def exam_deviations() -> Table:
    """The random intercept's and the residuals' standard deviations, in the unit of normexam."""
    groups = exam()
    every = np.arange(len(groups.y))
    scale = Scale.of(groups, every)
    random = np.arange(1 + len(groups.features)) == 0
    setting = Setting(groups.features, "squared", random, SHOTS)
    title = "exam_ilea, standard deviations with a random intercept"
    rows, bars = [], []
    for seed in SEEDS:
        learnt = learn(HierarchicalLinear(), setting, scale.rows(groups, every), seed)
        found = {
            "between schools": scale.deviation * float(np.sqrt(learnt.prior.Sigma[0, 0])),
            "within schools": scale.deviation * learnt.prior.sigma,
        }
        values: dict[str, Value] = {**found, "rounds": learnt.rounds}
        rows.append(Row(title, f"hierarchical_linear, seed {seed}", (learnt.seconds,), values))
    for name, published in PUBLISHED.items():
        bars.append(
            Bar(f"exam: {name}, off the published", abs(found[name] / published - 1), "<=", 0.05)
        )
    return Table(title, tuple(rows), tuple(bars))


def exam_schools() -> Table:
    """A third of the schools held out, by each seed another: few of their pupils known."""
    groups = exam()
    setting = _setting(groups)
    title = "exam_ilea, schools held out"
    values: dict[tuple[int, str], list[float]] = {}
    seconds: dict[str, list[float]] = {}
    names = np.unique(groups.group)
    thirds = np.array_split(np.random.default_rng(0).permutation(names), len(SEEDS))
    for seed, out in zip(SEEDS, thirds, strict=True):
        new = np.isin(groups.group, out)
        scale = Scale.of(groups, np.flatnonzero(~new))
        rows = scale.rows(groups, np.flatnonzero(~new))
        candidates = []
        for algorithm in algorithms():
            learnt = learn(algorithm, setting, rows, seed)
            seconds.setdefault(algorithm.name, []).append(learnt.seconds)
            candidates.append(Candidate(algorithm.name, algorithm, learnt.prior))
        trials = draw(setting, scale.rows(groups, np.flatnonzero(new)), seed)
        for row in compare(candidates, setting, trials, seed).rows:
            values.setdefault((row.shots, row.model), []).append(scale.deviation * row.value)
    means = {key: float(np.mean(each)) for key, each in values.items()}
    rows_ = tuple(
        Row(title, f"{model}, {shots} shots", tuple(seconds[model]), {"rmse": value})
        for (shots, model), value in means.items()
    )
    bars = tuple(
        Bar(
            f"exam: {shots} pupils known, RMSE / the better of pooled and independent",
            means[shots, "hierarchical_linear"]
            / min(means[shots, "pooled"], means[shots, "independent"]),
            "<=",
            1.01,
        )
        for shots in SHOTS
    )
    return Table(title, rows_, bars)


def parkinsons_patients() -> Table:
    """Explained variance of all recordings but ten of each patient, the mean of the seeds."""
    groups = parkinsons()
    title = "parkinsons_tele, 10 recordings of each patient known"
    rows: list[Row] = []
    random = _patients(groups, _at_random, SEEDS)
    first = _patients(groups, lambda own, _: own[:KNOWN], SEEDS[:1])
    for name, (share, seconds) in random.items():
        values = {
            "explained at random, %": share,
            "explained after the first ten, %": first[name][0],
        }
        rows.append(Row(title, name, seconds, values))
    ours, mean = random["hierarchical_linear"][0], random["patient's mean"][0]
    return Table(
        title,
        tuple(rows),
        (
            Bar("parkinsons: explained at random, %", ours, ">=", 94.0),
            Bar("parkinsons: points above the patient's mean", ours - mean, ">=", 1.0),
        ),
    )


def _at_random(own: Places, seed: int) -> Places:
    return np.random.default_rng((seed, int(own[0]))).permutation(own)[:KNOWN]


def _patients(
    groups: Groups, choose: Callable[[Places, int], Places], seeds: Sequence[int]
) -> dict[str, tuple[float, tuple[float, ...]]]:
    """Explained variance in percent, and each seed's seconds, by model."""
    setting = _setting(groups)
    time_of = groups.x[:, groups.features.index("test_time")]
    ordered = [own[np.argsort(time_of[own], kind="stable")] for own in groups.by_group()]
    shares: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    for seed in seeds:
        known = np.concatenate([choose(own, seed) for own in ordered])
        asked = np.setdiff1d(np.arange(len(groups.y)), known)
        total = float(np.var(groups.y[asked]))
        for name, algorithm, table in _with_means(groups):
            chosen = setting if table is groups else _setting(table)
            split = _split(table, known, known, asked)
            found = _errors(algorithm, chosen, split, seed)
            shares.setdefault(name, []).append(100 * (1 - float(np.mean(found.squared)) / total))
            seconds.setdefault(name, []).append(found.seconds)
    return {name: (float(np.mean(each)), tuple(seconds[name])) for name, each in shares.items()}


def _with_means(groups: Groups) -> Iterator[tuple[str, Algorithm, Groups]]:
    """The patient's mean is the independent model without features."""
    bare = Groups(groups.x[:, :0], (), groups.y, groups.group)
    yield "patient's mean", Independent(), bare
    for algorithm in algorithms():
        yield algorithm.name, algorithm, groups


def homes_left_out() -> Table:
    """Each home in turn: learnt from the others, adapted to its first week, tested on the rest.

    How much a home uses and how it follows its day before differ between homes; what month, hour
    and weather do is the same for all, because a week of summer tells nothing of a year's. An hour
    is like the one before, so it counts for less than a row: see `_worth`. The last rows show what
    it costs to let all coefficients differ, or to take each hour as a row.
    """
    groups = homes()
    everything = _setting(groups, shots=(WEEK - DAY,))
    follows = np.isin(groups.features, BEFORE)
    setting = replace(everything, random=np.concatenate([[True], follows]))
    arms = {algorithm.name: (algorithm, setting) for algorithm in algorithms()}
    ours = "hierarchical_linear"
    as_rows, all_differ = f"{ours}, an hour a row", f"{ours}, all differ"
    arms |= {as_rows: arms[ours], all_differ: (HierarchicalLinear(), everything)}
    errors: dict[str, list[float]] = {name: [] for name in arms}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for own in groups.by_group():
        others = np.setdiff1d(np.arange(len(groups.y)), own)
        plain = _split(groups, others, own[: WEEK - DAY], own[WEEK - DAY :])
        weighted = plain.weighted(_worth(setting, plain.learnt_from))
        for name, (algorithm, chosen) in arms.items():
            found = _errors(algorithm, chosen, plain if name == as_rows else weighted, 0)
            errors[name].append(float(np.sqrt(np.mean(found.squared))))
            seconds[name].append(found.seconds)
    title = "citylearn_17homes, a week of a new home known"
    rows, bars = [], []
    for name, values in errors.items():
        lost = int(np.sum(np.array(errors[ours]) < np.array(values)))
        told: dict[str, Value] = {
            "mean rmse, kWh": float(np.mean(values)),
            f"homes lost to {ours}, of {len(values)}": lost,
        }
        rows.append(Row(title, name, tuple(seconds[name]), told))
        if name in ("pooled", "independent"):
            ratio = float(np.mean(errors[ours]) / np.mean(values))
            bars.append(Bar(f"homes: mean RMSE / {name}", ratio, "<=", 1.0))
    return Table(title, tuple(rows), tuple(bars))


def _worth(setting: Setting, rows: GroupedRows) -> float:
    """(1 - r) / (1 + r): the share of independent rows that tell as much of a mean as rows in time
    whose residuals have the autocorrelation r (first-order), r from the pooled fit."""
    prior = learn(Pooled(), setting, rows, 0).prior
    rest = rows.y - rows.x @ prior.theta[1:] - prior.theta[0]
    inside = np.ones(len(rest) - 1, dtype=np.bool_)
    inside[rows.starts[1:-1] - 1] = False
    r = float(np.sum((rest[1:] * rest[:-1])[inside]) / np.sum(rest**2))
    return (1 - r) / (1 + r)


@dataclass(frozen=True)
class Split:
    """Rows to learn from, rows of groups to adapt to, and other rows of the same groups to predict;
    what one of y is in its own unit."""

    learnt_from: GroupedRows
    support: GroupedRows
    query: GroupedRows
    unit: float

    def weighted(self, worth: float) -> Split:
        return replace(
            self,
            learnt_from=self.learnt_from._replace(weight=worth * self.learnt_from.weight),
            support=self.support._replace(weight=worth * self.support.weight),
        )


@dataclass(frozen=True)
class Errors:
    """Squared errors of the queries, in the unit of y; seconds of learning."""

    squared: Floats
    seconds: float


def _split(groups: Groups, learnt_from: Places, known: Places, asked: Places) -> Split:
    """A group that is asked for and has no known row is adapted to none."""
    scale = Scale.of(groups, learnt_from)
    query, support = scale.rows(groups, asked), scale.rows(groups, known)
    bare = query.rows(np.empty(0, np.intp), np.arange(len(query.names)))
    support = GroupedRows.merged([support, bare])
    chosen = np.array([support.names.index(name) for name in query.names], dtype=np.intp)
    rows = scale.rows(groups, learnt_from)
    return Split(rows, support.take(chosen), query, scale.deviation)


def _errors(algorithm: Algorithm, setting: Setting, split: Split, seed: int) -> Errors:
    learnt = learn(algorithm, setting, split.learnt_from, seed)
    models = algorithm.adapt(setting, learnt.prior, split.support)
    query = split.query
    predicted = np.concatenate(
        [
            model.linear(query.x[start:end])
            for model, start, end in zip(models, query.starts[:-1], query.starts[1:], strict=True)
        ]
    )
    return Errors((split.unit * (predicted - query.y)) ** 2, learnt.seconds)


def _setting(groups: Groups, shots: tuple[int, ...] = SHOTS) -> Setting:
    """All coefficients may differ between groups."""
    random = np.ones(1 + len(groups.features), dtype=np.bool_)
    return Setting(groups.features, "squared", random, shots)
