"""Count, mean, spread and range of numbers, mergeable without loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

INT64_RANGE = 2**63 - 1


@dataclass(frozen=True)
class Moments:
    """What n >= 1 numbers add up to.

    The mean is the unevaluated sum `mean_high + mean_low`: means of chunks that lie close together
    and far from zero (a timestamp, a meter reading) would otherwise lose the digits in which they
    differ. `squares` is the sum of (x - mean)^2. Minimum and maximum are the numbers themselves:
    integers stay integers.

    Source: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing
    Sample Variances" (1979), equations 2.1.
    """

    count: int
    mean_high: float
    mean_low: float
    squares: float
    minimum: int | float
    maximum: int | float

    @classmethod
    def of(cls, values: NDArray[np.float64 | np.int64], counts: NDArray[np.int64]) -> Moments:
        """Of ascending values that occur `counts` times each; at least one."""
        count = int(counts.sum())
        minimum, maximum = values[0].item(), values[-1].item()
        reference, reference_rest, distances = _from_reference(values)
        # np.sum adds pairwise in an order that the length alone sets; a BLAS product would not.
        with np.errstate(over="ignore", invalid="ignore"):
            shift = float(np.sum(distances * counts)) / count
            squares = float(np.sum((distances - shift) ** 2 * counts))
        high, low = _two_sum(reference, reference_rest + shift)
        return cls(count, high, low, squares, minimum, maximum)

    @classmethod
    def repeated(cls, value: float, count: int) -> Moments:
        """Of one value that occurs `count` times."""
        return cls(count, value, 0.0, 0.0, value, value)

    @property
    def mean(self) -> float:
        return self.mean_high + self.mean_low

    @property
    def standard_deviation(self) -> float:
        """sqrt(sum (x - mean)^2 / n): the population's, as in scikit-learn's StandardScaler."""
        return math.sqrt(self.squares / self.count)

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets of numbers."""
        count = self.count + other.count
        delta = (other.mean_high - self.mean_high) + (other.mean_low - self.mean_low)
        share = other.count / count
        high, low = _two_sum(self.mean_high, self.mean_low + delta * share)
        return Moments(
            count=count,
            mean_high=high,
            mean_low=low,
            squares=self.squares + other.squares + delta * delta * self.count * share,
            minimum=min(self.minimum, other.minimum),
            maximum=max(self.maximum, other.maximum),
        )


def merge_moments(a: Moments | None, b: Moments | None) -> Moments | None:
    """Both, where None stands for no numbers at all."""
    if a is None or b is None:
        return a if b is None else b
    return a.merge(b)


def _from_reference(
    values: NDArray[np.float64 | np.int64],
) -> tuple[float, float, NDArray[np.float64]]:
    """A middle value, as two floats that add up to it, and the distance of every value from it."""
    middle = values[len(values) // 2].item()
    if isinstance(middle, int) and values[-1].item() - values[0].item() <= INT64_RANGE:
        return float(middle), float(middle - int(float(middle))), (values - middle).astype(float)
    with np.errstate(over="ignore"):
        return float(middle), 0.0, values.astype(np.float64) - float(middle)


def _two_sum(a: float, b: float) -> tuple[float, float]:
    """a + b rounded, and what the rounding lost (Knuth, TAOCP 2, 4.2.2)."""
    total = a + b
    if not math.isfinite(total):
        return total, 0.0
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)
