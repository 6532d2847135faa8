"""What a pass over one chunk yields, and over which of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lepton_dask.matrix import Floats


@dataclass(frozen=True)
class NearRows:
    """Rows of a chunk over all columns and the intercept's (m, M), their targets and weights (m,),
    sums of loss and gradient (M,) over the rows that are not among them, and how many there are
    with those. Joined with another's, its rows stand before the other's."""

    rows: Floats
    target: Floats
    weight: Floats
    loss: float
    gradient: Floats
    of: int

    def joined(self, other: NearRows) -> NearRows:
        return NearRows(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.target, other.target]),
            np.concatenate([self.weight, other.weight]),
            self.loss + other.loss,
            self.gradient + other.gradient,
            self.of + other.of,
        )


@dataclass(frozen=True)
class Leverage:
    """Which rows a Hessian is estimated from: row i is kept with probability

        q_i = min(1, rows h_i sum_j x_ij^2 / diagonal_j)

    and counts 1 / q_i times, h_i = w_i d2l/dz2. With `diagonal` (M,) that of the sum of all rows'
    h x x', each parameter has about `rows` rows of the sample to itself: a row that is one of few
    to say something about a parameter is kept for certain, and of the many that say next to nothing
    few are. The eigenvalues of H^-1 H_sampled lie near 1 then, whatever the columns' scales (Xu,
    Yang, Roosta-Khorasani, Re, Mahoney: Sub-sampled Newton methods with non-uniform sampling, 2016,
    with the leverage scores of a diagonal H). `seed` draws.
    """

    diagonal: Floats
    rows: float
    seed: int = 0


@dataclass(frozen=True)
class Sketch:
    """The lower triangle of a Hessian's estimate (M, M), of a sample of rows; None is no row. Its
    entries are multiples of a grid that all chunks share, so that their sums are exact in any
    order."""

    lower: Floats | None

    def joined(self, other: Sketch) -> Sketch:
        if self.lower is None or other.lower is None:
            return other if self.lower is None else self
        return Sketch(self.lower + other.lower)

    @property
    def hessian(self) -> Floats:
        assert self.lower is not None
        return np.asarray(np.tril(self.lower) + np.tril(self.lower, -1).T)


class ChunkSums(NamedTuple):
    """Sums over rows: w_i l_i, w_i, w_i dl_i/dtheta (M,), and w_i d2l_i/dtheta2 (M, M), which is
    None where no curvature was asked for; the nearest rows, and the Hessian of a sample of the
    rows, where they were. No penalty is in them. They are not means."""

    loss: float
    weight: float
    gradient: Floats
    hessian: Floats | None = None
    near: NearRows | None = None
    sketch: Sketch | None = None


class ColumnSums(NamedTuple):
    """Sums over rows: w_i y_i (K,), of multinomial w_i by class; w_i y_i^2; w_i; w_i x_ij^2
    (D,)."""

    target: Floats
    target_squares: float
    weight: float
    squares: Floats


@dataclass(frozen=True)
class Batch:
    """Of `of` mini-batches the one with this number, from 0: runs of rows are dealt in turn.

    The `of` batches of a chunk partition its rows. Which rows are dealt to which depends on the
    chunk's shape alone.
    """

    number: int
    of: int
