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
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Bar, Row, Value
from benchmarks.meta_data import DAY, WEEK, Groups, Places, Scale, exam, homes, parkinsons
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
        for algorithm in algorithms():
            squared, spent = 0.0, 0.0
            for held_out in range(FOLDS):
                known, asked = (
                    np.flatnonzero(side) for side in (fold != held_out, fold == held_out)
                )
                found = _squared_errors(algorithm, setting, groups, known, known, asked, seed)
                squared += float(np.sum(found.each))
                spent += found.seconds
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
            found = _squared_errors(algorithm, chosen, table, known, known, asked, seed)
            shares.setdefault(name, []).append(100 * (1 - float(np.mean(found.each)) / total))
            seconds.setdefault(name, []).append(found.seconds)
    return {name: (float(np.mean(each)), tuple(seconds[name])) for name, each in shares.items()}


def _with_means(groups: Groups) -> Iterator[tuple[str, Algorithm, Groups]]:
    """The patient's mean is the independent model without features."""
    bare = Groups(groups.x[:, :0], (), groups.y, groups.group)
    yield "patient's mean", Independent(), bare
    for algorithm in algorithms():
        yield algorithm.name, algorithm, groups


def homes_left_out() -> Table:
    """Each home in turn: learnt from the others, adapted to its first week, tested on the rest."""
    groups = homes()
    setting = _setting(groups, shots=(WEEK - DAY,))
    owns = groups.by_group()
    errors: dict[str, list[float]] = {algorithm.name: [] for algorithm in algorithms()}
    seconds: dict[str, list[float]] = {name: [] for name in errors}
    for own in owns:
        others = np.setdiff1d(np.arange(len(groups.y)), own)
        known, asked = own[: WEEK - DAY], own[WEEK - DAY :]
        for algorithm in algorithms():
            found = _squared_errors(algorithm, setting, groups, others, known, asked, 0)
            errors[algorithm.name].append(float(np.sqrt(np.mean(found.each))))
            seconds[algorithm.name].append(found.seconds)
    title = "citylearn_17homes, a week of a new home known"
    ours = np.array(errors["hierarchical_linear"])
    rows, bars = [], []
    for name, values in errors.items():
        won = int(np.sum(np.array(values) <= np.min(list(errors.values()), axis=0)))
        told: dict[str, Value] = {"mean rmse, kWh": float(np.mean(values)), "homes won": won}
        rows.append(Row(title, name, tuple(seconds[name]), told))
        if name != "hierarchical_linear":
            better = float(np.mean(ours) / np.mean(values))
            bars.append(Bar(f"homes: mean RMSE / {name}", better, "<=", 1.0))
    return Table(title, tuple(rows), tuple(bars))


@dataclass(frozen=True)
class Errors:
    """Squared errors of the rows asked for, in the unit of y; seconds of learning."""

    each: Floats
    seconds: float


def _squared_errors(
    algorithm: Algorithm,
    setting: Setting,
    groups: Groups,
    learnt_from: Places,
    known: Places,
    asked: Places,
    seed: int,
) -> Errors:
    """Learns from some rows, adapts to the known rows of groups, predicts others of theirs.

    A group that is asked for and has no known row is predicted as one of which nothing is known.
    """
    scale = Scale.of(groups, learnt_from)
    learnt = learn(algorithm, setting, scale.rows(groups, learnt_from), seed)
    query = scale.rows(groups, asked)
    support = scale.rows(groups, known)
    missing = query.rows(np.empty(0, np.intp), np.arange(len(query.names)))
    support = GroupedRows.merged([support, missing])
    models = dict(zip(support.names, algorithm.adapt(setting, learnt.prior, support), strict=True))
    found = []
    for name, start, end in zip(query.names, query.starts[:-1], query.starts[1:], strict=True):
        own = slice(int(start), int(end))
        found.append((models[name].linear(query.x[own]) - query.y[own]) ** 2)
    return Errors(np.concatenate(found) * scale.deviation**2, learnt.seconds)


def _setting(groups: Groups, shots: tuple[int, ...] = SHOTS) -> Setting:
    """All coefficients may differ between groups."""
    random = np.ones(1 + len(groups.features), dtype=np.bool_)
    return Setting(groups.features, "squared", random, shots)
