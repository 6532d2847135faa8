"""The distinct values of a column and how often each occurs, up to a cap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lepton_dask.data.types import Kind

DISTINCT_CAP: Mapping[Kind, int] = {
    "text": 100_000,
    "boolean": 2,
    "integer": 100_000,
    "date": 100_000,
    "timestamp": 100_000,
    "number": 1_000,
}
"""Distinct values that are counted. Measured numbers are rarely categories: their cap is lower."""

FEW_TEXTS = 256
"""Python has sorted so many before two calls of Arrow's have begun; by code point, too."""

TEXT_BYTES_CAP = 2**24
"""Bytes that the distinct texts of one column may take together: 16 MiB."""


@dataclass(frozen=True, eq=False)
class Levels:
    """Distinct values in ascending order (text by code point), each with its number of rows."""

    values: pa.Array
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.counts)

    def pairs(self) -> list[tuple[Any, int]]:
        """(value, rows) as Python objects, in ascending order of the values."""
        return list(zip(self.values.to_pylist(), self.counts.tolist(), strict=True))

    def top(self, number: int) -> list[tuple[Any, int]]:
        """The most frequent levels; of equally frequent ones, the smaller first."""
        best = np.argsort(-self.counts, kind="stable")[:number]
        return list(
            zip(
                self.values.take(pa.array(best)).to_pylist(),
                self.counts[best].tolist(),
                strict=True,
            )
        )


def counted(values: pa.Array, counts: NDArray[np.int64], kind: Kind) -> Levels | None:
    """Levels of distinct values in any order; None if they are too many.

    Whether a column overflows depends on its distinct values alone, so it cannot depend on how
    they are grouped: a union is never smaller than what it unites.
    """
    if len(values) > DISTINCT_CAP[kind]:
        return None
    if kind == "text" and values.nbytes > TEXT_BYTES_CAP and _text_bytes(values) > TEXT_BYTES_CAP:
        return None
    if kind == "text" and len(values) <= FEW_TEXTS:
        texts = values.to_pylist()
        places = sorted(range(len(texts)), key=texts.__getitem__)
        return Levels(pa.array([texts[i] for i in places], pa.string()), counts[places])
    order = pc.array_sort_indices(values)
    return Levels(values.take(order), counts[order.to_numpy()])


def longest(texts: pa.Array) -> int:
    """The characters of the longest text; 0 where there is none."""
    if len(texts) <= FEW_TEXTS:
        return max(map(len, texts.to_pylist()), default=0)
    return pc.max(pc.utf8_length(texts)).as_py() or 0


def _text_bytes(values: pa.Array) -> int:
    return pc.sum(pc.binary_length(values)).as_py() or 0


def merge_levels(a: Levels | None, b: Levels | None, kind: Kind) -> Levels | None:
    """The levels of both; None once either overflowed, or both do together."""
    if a is None or b is None:
        return None
    if a.values.equals(b.values):
        return Levels(a.values, a.counts + b.counts)
    encoded = pa.concat_arrays([a.values, b.values]).dictionary_encode()
    counts = np.zeros(len(encoded.dictionary), dtype=np.int64)
    np.add.at(counts, encoded.indices.to_numpy(), np.concatenate([a.counts, b.counts]))
    return counted(encoded.dictionary, counts, kind)
