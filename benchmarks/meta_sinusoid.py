"""Few-shot regression of sinusoids of random frequency: MAML, Meta-SGD and the ridge head.

y = A sin(w x + b), A in [0.1, 5], b in [0, pi], w in [0.8, 1.2], x in [-5, 5] (Li and others:
Meta-SGD, arXiv 1707.09835, section 4.1). Each algorithm learns from a table of 50,000 curves with
25 points each, held in two parts by two processes, and to adapt to 5 points; it is tested at 5, 10
and 20 points, on other curves for every seed: 100 curves x 100 draws of the points x 100 points to
predict. What is told is the mean squared error with its 95 % interval over the curves, averaged
over the seeds. x and y are divided by their standard deviations over the training rows, as in a
pipeline, and the error is told in y's own unit. Which round was best, and when the outer rate is
halved, is said by curves of their own.
"""

from __future__ import annotations

import functools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Bar, Row
from benchmarks.meta_tables import Table
from lepton_dask.learn.blas import pin_blas
from lepton_dask.learn.meta.base import GroupedRows, MetaAlgorithm, Prior, Setting
from lepton_dask.learn.meta.maml import Maml, MetaSgd
from lepton_dask.learn.meta.ridge_head import RidgeHead
from lepton_dask.matrix import Floats

SHOTS = (5, 10, 20)
SEEDS = (0, 1, 2)
PARTS = 2
CURVES, POINTS = 50_000, 25
TEST_CURVES, TEST_DRAWS, TEST_POINTS = 100, 100, 100
VALIDATION_CURVES, VALIDATION_POINTS = 400, 20
SETTING = Setting(("x",), "squared", np.ones(2, dtype=np.bool_), SHOTS)

TRAINING, VALIDATION, TEST = range(3)
"""Which curves: the second number of their seed."""


@dataclass(frozen=True)
class Contender:
    """An algorithm, its rounds, and what its mean squared error is to be at most at each of SHOTS.

    The bars of MAML and Meta-SGD are those of the paper, or better.
    """

    algorithm: MetaAlgorithm[Any, Any, Any]
    rounds: int
    bars: tuple[float, ...]


CONTENDERS = (
    Contender(Maml(), 60, (1.13, 0.85, 0.71)),
    Contender(MetaSgd(), 60, (0.85, 0.60, 0.47)),
    Contender(RidgeHead(), 60, (0.30, 0.03, 0.02)),
)


class Curves(NamedTuple):
    """n curves: amplitude, frequency and phase (n, 1)."""

    amplitude: Floats
    frequency: Floats
    phase: Floats

    @classmethod
    def drawn(cls, rng: np.random.Generator, n: int) -> Curves:
        amplitude, frequency = rng.uniform(0.1, 5.0, (n, 1)), rng.uniform(0.8, 1.2, (n, 1))
        return cls(amplitude, frequency, rng.uniform(0.0, np.pi, (n, 1)))

    def at(self, x: Floats) -> Floats:
        """y (n, p) at x (n, p)."""
        return np.asarray(self.amplitude * np.sin(self.frequency * x + self.phase))

    def repeated(self, times: int) -> Curves:
        """Each curve so many times, one after the other."""
        return Curves(*(np.repeat(values, times, axis=0) for values in self))


class Scales(NamedTuple):
    """What x and y were divided by."""

    x: float
    y: float


@dataclass(frozen=True)
class Trained:
    """The best prior, by its validation."""

    prior: Prior
    scales: Scales
    seconds: float
    best_round: int


def sinusoid(scale: float = 1.0, say: Callable[[str], None] = print) -> Table:
    """Trains and tests every contender with every seed; `scale` takes a share of the rounds.

    The seconds of a row are those of its trainings, one for each seed.
    """
    title = f"sinusoids of random frequency, means of {len(SEEDS)} seeds"
    context = multiprocessing.get_context("spawn")
    rows: list[Row] = []
    bars: list[Bar] = []
    with ProcessPoolExecutor(PARTS, mp_context=context, initializer=pin_blas) as pool:
        for contender in CONTENDERS:
            row = _trainings(title, scale, say, pool, contender)
            rows.append(row)
            bars += _bars(contender, row)
    return Table(title, tuple(rows), tuple(bars))


def _trainings(
    title: str,
    scale: float,
    say: Callable[[str], None],
    pool: ProcessPoolExecutor,
    contender: Contender,
) -> Row:
    """Every seed, one after the other."""
    name = contender.algorithm.name
    rounds = max(2, round(contender.rounds * scale))
    seconds, values = [], []
    for seed in SEEDS:
        trained = train(pool, contender.algorithm, rounds, seed)
        seconds.append(trained.seconds)
        values.append(test(pool, contender.algorithm, trained, seed))
        told = ", ".join(f"{key} {value:.3g}" for key, value in values[-1].items())
        best = f"best of {rounds} rounds {trained.best_round}"
        say(f"{name}, seed {seed}: {trained.seconds:.0f} s, {best}, {told}")
    means = {key: statistics.fmean(each[key] for each in values) for key in values[0]}
    return Row(title, name, tuple(seconds), means)


def _bars(contender: Contender, row: Row) -> Iterator[Bar]:
    for shots, bar in zip(SHOTS, contender.bars, strict=True):
        value = row.values[_error(shots)]
        assert isinstance(value, float)
        yield Bar(f"{row.arm}'s squared error at {shots} shots", value, "<=", bar)


def train(
    pool: ProcessPoolExecutor, algorithm: MetaAlgorithm[Any, Any, Any], rounds: int, seed: int
) -> Trained:
    """So many rounds with the processes of `pool`."""
    began = time.perf_counter()
    _, scales = _held(seed, 0)
    prior = algorithm.start(SETTING, seed)
    best, least, best_round = prior, np.inf, 0
    for number in range(1, rounds + 1):
        parts = range(PARTS)
        doing = [pool.submit(_work, algorithm, prior, seed, part, number) for part in parts]
        prior = algorithm.combine(SETTING, prior, [each.result() for each in doing])
        error = float(_validation_errors(algorithm, prior, scales, seed).mean())
        improved = error < least
        if improved:
            best, least, best_round = prior, error, number
        prior = algorithm.adjust(prior, improved)
    return Trained(best, scales, time.perf_counter() - began, best_round)


def test(
    pool: ProcessPoolExecutor, algorithm: MetaAlgorithm[Any, Any, Any], trained: Trained, seed: int
) -> Mapping[str, float]:
    """The mean squared error at each of SHOTS, and half its 95 % interval over the curves."""
    doing = {
        shots: pool.submit(_test_errors, algorithm, trained.prior, trained.scales, seed, shots)
        for shots in SHOTS
    }
    told = {}
    for shots, each in doing.items():
        by_curve = each.result().reshape(TEST_CURVES, TEST_DRAWS).mean(axis=1)
        told[_error(shots)] = float(by_curve.mean())
        told[f"+- {shots}"] = float(1.96 * by_curve.std(ddof=1) / np.sqrt(TEST_CURVES))
    return told


@functools.lru_cache(maxsize=PARTS)
def _held(seed: int, part: int) -> tuple[GroupedRows, Scales]:
    """A part of the table of training curves, and the scales of the whole table."""
    rng = np.random.default_rng((seed, TRAINING))
    x = rng.uniform(-5.0, 5.0, (CURVES, POINTS))
    y = Curves.drawn(rng, CURVES).at(x)
    scales = Scales(float(x.std()), float(y.std()))
    mine = slice(part * CURVES // PARTS, (part + 1) * CURVES // PARTS)
    return _grouped(x[mine] / scales.x, y[mine] / scales.y), scales


def _work(
    algorithm: MetaAlgorithm[Any, Any, Any], prior: Prior, seed: int, part: int, number: int
) -> Any:
    """A part's contribution to a round, each with a seed of its own."""
    held, _ = _held(seed, part)
    own = np.random.SeedSequence((seed, number, part)).generate_state(1)[0]
    return algorithm.work(SETTING, prior, held, int(own))


def _validation_errors(
    algorithm: MetaAlgorithm[Any, Any, Any], prior: Prior, scales: Scales, seed: int
) -> Floats:
    rng = np.random.default_rng((seed, VALIDATION))
    curves = Curves.drawn(rng, VALIDATION_CURVES)
    return _errors(algorithm, prior, scales, rng, curves, SHOTS[0], VALIDATION_POINTS)


def _test_errors(
    algorithm: MetaAlgorithm[Any, Any, Any], prior: Prior, scales: Scales, seed: int, shots: int
) -> Floats:
    rng = np.random.default_rng((seed, TEST))
    curves = Curves.drawn(rng, TEST_CURVES).repeated(TEST_DRAWS)
    return _errors(algorithm, prior, scales, rng, curves, shots, TEST_POINTS)


def _errors(
    algorithm: MetaAlgorithm[Any, Any, Any],
    prior: Prior,
    scales: Scales,
    rng: np.random.Generator,
    curves: Curves,
    shots: int,
    points: int,
) -> Floats:
    """(n,) each curve's mean squared error, adapted to so many of its points, at others."""
    n = len(curves.phase)
    near, x = rng.uniform(-5.0, 5.0, (n, shots)), rng.uniform(-5.0, 5.0, (n, points))
    rows = _grouped(near / scales.x, curves.at(near) / scales.y)
    models = algorithm.adapt(SETTING, prior, rows)
    told = [model.linear(row[:, None] / scales.x) for model, row in zip(models, x, strict=True)]
    gaps = np.stack(told) * scales.y - curves.at(x)
    return np.asarray(np.square(gaps).mean(axis=1))


def _grouped(x: Floats, y: Floats) -> GroupedRows:
    """The points (n, p) of n curves."""
    n, p = x.shape
    starts: NDArray[np.int64] = np.arange(0, n * p + 1, p, dtype=np.int64)
    return GroupedRows(x.reshape(-1, 1), y.ravel(), np.ones(n * p), starts, tuple(range(n)))


def _error(shots: int) -> str:
    return f"mse at {shots}"
