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


class ChunkSums(NamedTuple):
    """Sums over rows: w_i l_i, w_i, w_i dl_i/dtheta (M,), and w_i d2l_i/dtheta2 (M, M), which is
    None where no curvature was asked for; and the nearest rows, where they were. No penalty is in
    them. They are not means."""

    loss: float
    weight: float
    gradient: Floats
    hessian: Floats | None = None
    near: NearRows | None = None


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
