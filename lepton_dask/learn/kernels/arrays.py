"""A chunk's arrays as the compiled functions take them."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.matrix import Block, Codes, Floats, Layout

Dense = Floats | NDArray[np.float32]
Offsets = NDArray[np.int64]
Values = NDArray[np.float32]

Array = TypeVar("Array", bound=NDArray[Any])


class Arrays(NamedTuple):
    """A block as the compiled functions take it, in their order of arguments.

    Everything is C-ordered, aligned and read-only: arrays that came over the network may start at
    any byte or be read-only, and each such kind would be compiled anew.
    """

    dense: Dense
    codes: Codes
    offsets: Offsets
    starts: Offsets
    columns: Codes
    values: Values
    target: Floats
    weight: Floats
    class_weights: Floats

    def slice(self, rows: slice) -> Arrays:
        """These rows alone; nothing is copied."""
        ends = slice(rows.start, rows.stop + 1)
        return self._replace(
            dense=self.dense[rows],
            codes=self.codes[rows],
            starts=self.starts[ends],
            target=self.target[rows],
            weight=self.weight[rows],
        )


def as_arrays(block: Block, model: LinearModel) -> Arrays:
    """The chunk as the compiled functions take it; nothing is copied where nothing has to be."""
    sparse = block.sparse
    return Arrays(
        plain(block.dense),
        plain(block.codes),
        plain(offsets(model.layout)),
        plain(np.empty(0, np.int64) if sparse is None else sparse.starts),
        plain(np.empty(0, np.int32) if sparse is None else sparse.columns),
        plain(np.empty(0, np.float32) if sparse is None else sparse.values),
        plain(block.target),
        plain(block.weight),
        plain(np.array(model.class_weights or (), dtype=np.float64)),
    )


def offsets(layout: Layout) -> NDArray[np.int64]:
    """Where each code column's coefficients begin among all, shape (Q,)."""
    return (
        layout.dense
        + np.concatenate([[0], np.cumsum(layout.levels)[:-1]]).astype(np.int64)[
            : len(layout.levels)
        ]
    )


def plain(array: Array) -> Array:
    """The array C-ordered, aligned and read-only: numba's one type of it."""
    view = np.require(array, requirements=["C", "A"]).view()
    view.flags.writeable = False
    return cast("Array", view)
