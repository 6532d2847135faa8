"""How likely each chunk of a table is under the whole of it, from profiles alone.

The model is P(Y | X_i) = prod_j P(Y_j | X_i): every column on its own. What has no scale and is no
category is left out: dates and timestamps, which drift by nature, and texts that look like ids.
It sees what is unlikely, not all that is wrong: a code out of twelve equally frequent ones is no
less likely for being the only one in its chunk.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lepton_dask.data.moments import Moments
from lepton_dask.data.profile import ColumnProfile, Profile

CATEGORY_LEVELS = 50
"""Integers and numbers with at most so many distinct values are categories: codes, counts, flags.
A Gaussian would say nothing of a code that stands where another should."""

TEXT_LEVELS = 1_000
"""Texts with more distinct values are ids or prose, and the model of them would be as large as a
chunk."""

ROWS_A_LEVEL = 2
"""Texts that occur less often than this on average are ids, however few they are."""

DEVIATIONS = 5.0
"""Robust deviations below the median from which a chunk is reported."""

MAD_TO_DEVIATION = 1.4826
"""The standard deviation of normal values over their median absolute deviation from the median."""

LEAST_CHUNKS = 4
"""With fewer chunks there is no rest to compare one with."""

TAIL = 10.0
"""Values further from the mean, in deviations, count as this far in what chance allows. Fares go
to 60 deviations: their fourth moment would let a file pass in which two columns are exchanged."""

MOST_COLUMNS = 3
COST_SHARE = 0.1
"""A column is named where it makes up this share of what the chunk falls short by."""


@dataclass(frozen=True)
class Gaussian:
    """The density of a measured number by its moments over all rows."""

    mean: float
    deviation: float

    def log_likelihood(self, column: ColumnProfile) -> float:
        """sum_i log N(x_i; mean, deviation^2) over the values of a chunk, in closed form:
        -n log(deviation sqrt(2 pi)) - (S + n (m - mean)^2) / (2 deviation^2), where m is the
        chunk's mean and S its sum of (x - m)^2."""
        if column.moments is None:
            return 0.0
        count, moments = column.count, column.moments
        shift = moments.mean - self.mean
        squares = (moments.squares + count * shift * shift) / (2 * self.deviation**2)
        return -count * math.log(self.deviation * math.sqrt(2 * math.pi)) - squares

    def extreme(self, moments: Moments) -> float:
        """What the value furthest from the mean costs: (x - mean)^2 / (2 deviation^2)."""
        furthest = max(abs(moments.minimum - self.mean), abs(moments.maximum - self.mean))
        return (furthest / self.deviation) ** 2 / 2


@dataclass(frozen=True, eq=False)
class Categorical:
    """The share of each level among all rows' values."""

    values: pa.Array
    log_shares: NDArray[np.float64]

    def log_likelihood(self, column: ColumnProfile) -> float:
        """sum_l n_l log p_l over the levels l of a chunk."""
        assert column.levels is not None
        positions = pc.index_in(column.levels.values, self.values).to_numpy()
        return float(np.sum(column.levels.counts * self.log_shares[positions]))


@dataclass(frozen=True)
class ColumnModel:
    """P(Y_j): missing with a probability, and otherwise a value of a distribution.

    `variance` is that of one row's log-likelihood among all rows: what a chunk's mean owes to
    chance is the root of variance / rows. `values` is None where all values are one.
    """

    log_missing: float
    log_present: float
    values: Gaussian | Categorical | None
    variance: float

    def log_likelihood(self, column: ColumnProfile) -> float:
        """Of a chunk's column, the sum over its rows."""
        total = column.missing * self.log_missing + column.count * self.log_present
        return total if self.values is None else total + self.values.log_likelihood(column)

    def extreme(self, column: ColumnProfile) -> float:
        """What the most extreme value of a chunk's column costs; 0 where there is no scale."""
        if isinstance(self.values, Gaussian) and column.moments is not None:
            return self.values.extreme(column.moments)
        return 0.0


TableModel = Mapping[str, ColumnModel]


@dataclass(frozen=True)
class LogLikelihood:
    """Of some rows: the sum over them for each column, and what its most extreme value costs.

    Those of disjoint rows add.
    """

    rows: int
    columns: Mapping[str, float]
    extremes: Mapping[str, float]

    @property
    def a_row(self) -> float:
        """The mean over the rows of log P(Y); at least one row is needed."""
        return math.fsum(self.columns.values()) / self.rows

    @property
    def a_usual_row(self) -> float:
        """The same, had the most extreme value of each column been its mean."""
        return math.fsum([*self.columns.values(), *self.extremes.values()]) / self.rows

    def __add__(self, other: LogLikelihood) -> LogLikelihood:
        return LogLikelihood(
            self.rows + other.rows,
            {name: value + other.columns[name] for name, value in self.columns.items()},
            {name: max(value, other.extremes[name]) for name, value in self.extremes.items()},
        )


@dataclass(frozen=True)
class Unlikely:
    """A chunk that is far less likely than the rest; `index` is its place among all chunks.

    `columns` cost it most, in nats a row below the median of all chunks, the most first.
    """

    index: int
    a_row: float
    median: float
    columns: Mapping[str, float]


def table_model(whole: Profile) -> TableModel:
    """The model of all rows; columns that have neither scale nor categories are left out.

    A chunk belongs to the whole, so that nothing in it has the probability 0.
    """
    models = {name: _column_model(column) for name, column in whole.columns.items()}
    return {name: model for name, model in models.items() if model is not None}


def log_likelihood(model: TableModel, chunk: Profile) -> LogLikelihood:
    """Of a chunk whose rows are among those that the model was made of."""
    return LogLikelihood(
        chunk.rows,
        {name: column.log_likelihood(chunk.columns[name]) for name, column in model.items()},
        {name: column.extreme(chunk.columns[name]) for name, column in model.items()},
    )


def unlikely_chunks(
    model: TableModel, chunks: Sequence[LogLikelihood], deviations: float = DEVIATIONS
) -> tuple[Unlikely, ...]:
    """The chunks whose usual log-likelihood a row lies more than `deviations` robust ones below the
    median of all chunks.

    Usual is the mean without the most extreme value of each column: one absurd value is no corrupt
    file, and one in each of a few files is no reason to let a corrupt one pass (of the taxi files
    with absurd fares cut off, one meter that shows 37 dollars of tax moves February by 2.7 nats,
    the missing surcharge January by 1.4). A deviation is 1.4826 MAD, but never less than chance
    alone gives: a chunk of n rows is allowed sqrt(V / n), V being the variance of one row's
    log-likelihood under the model, and a chunk shorter than the median one has its MAD widened by
    the root of how much shorter it is. So chunks that are all alike (MAD 0), a file's short last
    chunk and heavy tails raise no alarm.
    """
    filled = [i for i, chunk in enumerate(chunks) if chunk.rows > 0]
    if len(filled) < LEAST_CHUNKS or not model:
        return ()
    rest = [chunks[i] for i in filled]
    usual = [chunk.a_usual_row for chunk in rest]
    variance = math.fsum(column.variance for column in model.values())
    limits = _limits(usual, [chunk.rows for chunk in rest], variance, deviations)
    low = [i for i, (a_row, limit) in enumerate(zip(usual, limits, strict=True)) if a_row < limit]
    median = statistics.median(chunk.a_row for chunk in rest)
    return tuple(Unlikely(filled[i], rest[i].a_row, median, _costs(rest, i)) for i in low)


def _limits(
    means: Sequence[float], rows: Sequence[int], variance: float, deviations: float
) -> list[float]:
    """For each chunk the mean below which it is reported."""
    median = statistics.median(means)
    spread = MAD_TO_DEVIATION * statistics.median(abs(mean - median) for mean in means)
    median_rows = statistics.median(rows)
    # Means that differ in rounding only are alike, however little chance allows.
    return [
        median
        - deviations
        * max(spread * math.sqrt(max(1.0, median_rows / count)), math.sqrt(variance / count))
        - 1e-9 * abs(median)
        for count in rows
    ]


def _costs(chunks: Sequence[LogLikelihood], i: int) -> dict[str, float]:
    """What the usual values of each column cost a chunk against the median of all, for those that
    cost it most."""
    usual = [
        {name: (value + each.extremes[name]) / each.rows for name, value in each.columns.items()}
        for each in chunks
    ]
    costs = {
        name: statistics.median(each[name] for each in usual) - value
        for name, value in usual[i].items()
    }
    ranked = sorted(costs.items(), key=lambda item: -item[1])[:MOST_COLUMNS]
    least = COST_SHARE * math.fsum(cost for cost in costs.values() if cost > 0)
    return {name: cost for name, cost in ranked if cost >= least or name == ranked[0][0]}


def _column_model(column: ColumnProfile) -> ColumnModel | None:
    rows = column.count + column.missing
    if rows == 0 or column.type.kind in ("date", "timestamp"):
        return None
    present = column.count / rows
    log_missing, log_present = _log(column.missing / rows), _log(present)
    values: Gaussian | Categorical | None = None
    mean, mean_square = 0.0, 0.0
    if column.count == 0:
        return ColumnModel(log_missing, log_present, None, 0.0)
    if _is_category(column):
        assert column.levels is not None
        shares = column.levels.counts / column.count
        values = Categorical(column.levels.values, np.log(shares))
        mean = float(np.sum(shares * values.log_shares))
        mean_square = float(np.sum(shares * values.log_shares**2))
    elif column.type.kind == "text" or column.moments is None:
        return None
    elif column.moments.squares > 0 and math.isfinite(column.moments.squares):
        values = Gaussian(column.moments.mean, column.moments.standard_deviation)
        mean, mean_square = _gaussian_row(column, column.moments, values)
    # A row's log-likelihood is log_missing, or log_present and what its value adds.
    first = present * (log_present + mean) + (1 - present) * log_missing
    second = present * (log_present**2 + 2 * log_present * mean + mean_square)
    second += (1 - present) * log_missing**2
    return ColumnModel(log_missing, log_present, values, max(0.0, second - first**2))


def _is_category(column: ColumnProfile) -> bool:
    if column.levels is None:
        return False
    levels = len(column.levels)
    if column.type.kind == "text":
        return levels <= TEXT_LEVELS and levels * ROWS_A_LEVEL <= column.count
    return levels <= CATEGORY_LEVELS


def _gaussian_row(
    column: ColumnProfile, moments: Moments, gaussian: Gaussian
) -> tuple[float, float]:
    """Mean and mean square of log N(x) over the values x, those far out drawn in to TAIL.

    The fourth moment that they need is taken from the quantile sketch.
    """
    values, counts = column.ordered()
    distances = (values.astype(np.float64) - moments.mean) / gaussian.deviation
    halves = np.minimum(np.abs(distances), TAIL) ** 2 / 2
    shares = counts / np.sum(counts)
    constant = math.log(gaussian.deviation * math.sqrt(2 * math.pi))
    half = float(np.sum(shares * halves))
    mean_square = float(np.sum(shares * halves**2))
    return -constant - half, constant**2 + 2 * constant * half + mean_square


def _log(probability: float) -> float:
    """0 for an event that never happens: it is only ever multiplied by 0 rows."""
    return math.log(probability) if probability > 0 else 0.0
