"""The design matrix: what preparation makes and training reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # a bundle predicts without Dask
    import dask.array as da

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]


class Sparse(NamedTuple):
    """Columns of hashed text for n rows, compressed by rows (CSR).

    Row i holds `values[k]` in column `columns[k]` for k from `starts[i]` to `starts[i + 1]`, each
    column at most once, in any order. starts (n + 1,) int64; columns (nnz,) int32, each in [0, S);
    values (nnz,) float32.
    """

    starts: NDArray[np.int64]
    columns: Codes
    values: NDArray[np.float32]


class Block(NamedTuple):
    """One chunk's rows of a design matrix, in memory.

    dense (n, P) float64 or float32, C-ordered; codes (n, Q) int32, each in [0, levels[q]); target
    (n,) float64, for classes the index of the class; weight (n,) float64; sparse: None where no
    text was hashed.
    """

    dense: Floats | NDArray[np.float32]
    codes: Codes
    target: Floats
    weight: Floats
    sparse: Sparse | None = None


@dataclass(frozen=True)
class Layout:
    """Which columns a design matrix has: `dense` P of them, `levels[q]` for each code column q,
    and `sparse` S of them, in this order among a linear model's coefficients."""

    dense: int
    levels: tuple[int, ...] = ()
    sparse: int = 0

    @property
    def coefficients(self) -> int:
        """D = P + sum(levels) + S."""
        return self.dense + sum(self.levels) + self.sparse


@dataclass(frozen=True)
class DesignMatrix:
    """N rows of prepared columns as Dask arrays that share their row chunks.

    dense  (N, P) float64  numeric columns, imputed and scaled
    codes  (N, Q) int32    categorical columns as indices into their levels, never one-hot in memory
    target (N,)   float64  the index of the class, the number itself otherwise
    weight (N,)   float64  1 where the pipeline names no weight
    sparse (N, S) float32  hashed texts, each chunk a `Sparse`; None without them

    A linear model over this matrix has the D coefficients of its `layout`, in the order of
    `features`.
    """

    dense: da.Array
    codes: da.Array
    target: da.Array
    weight: da.Array
    layout: Layout
    features: tuple[str, ...]
    sparse: da.Array | None = None

    @property
    def rows(self) -> int:
        return int(self.dense.shape[0])

    @property
    def chunk_rows(self) -> tuple[int, ...]:
        """Rows of each chunk, in order. They depend on the input and the YAML only."""
        return tuple(int(rows) for rows in self.dense.chunks[0])

    @property
    def arrays(self) -> tuple[da.Array, ...]:
        """The arrays in the order of a Block's fields."""
        arrays = (self.dense, self.codes, self.target, self.weight)
        return arrays if self.sparse is None else (*arrays, self.sparse)

    def blocks(self) -> Iterator[tuple[Any, ...]]:
        """The chunks in order, each as the graph keys of a Block's fields."""
        for i in range(len(self.chunk_rows)):
            yield tuple((array.name, i, *(0 for _ in array.shape[1:])) for array in self.arrays)
