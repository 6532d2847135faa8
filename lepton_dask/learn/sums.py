"""What one pass over a chunk of rows brings home: plain sums, without means and penalty."""

from __future__ import annotations

from typing import NamedTuple

from lepton_dask.matrix import Floats


class Batch(NamedTuple):
    """A share of the rows: the runs of rows that are number `number` when they are dealt to `of`
    in turn. Batches 0 to `of` - 1 are all of the rows, each once."""

    number: int
    of: int


class ChunkSums(NamedTuple):
    """Sums over rows: w_i l_i, w_i, w_i dl_i/dtheta (M,), and where asked w_i d2l_i/dtheta2 (M, M)."""

    loss: float
    weight: float
    gradient: Floats
    hessian: Floats | None = None


class ColumnSums(NamedTuple):
    """Sums over rows: w_i y_i (K,) (for classes the weight of each), w_i y_i^2, w_i, and
    w_i x_ij^2 (D,)."""

    target: Floats
    target_squares: float
    weight: float
    squares: Floats
