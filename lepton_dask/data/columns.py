"""Columns of a chunk as numpy arrays: what a fitted preparation reads, wherever it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class NumberColumn:
    """Numbers, integers or truth values (0 and 1) of n rows.

    values (n,) float64; missing (n,) bool. A value at a missing place means nothing.
    """

    values: NDArray[np.float64]
    missing: Bools

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class TextColumn:
    """Texts of n rows as indices into the distinct ones: codes (n,) int32, -1 where missing."""

    codes: NDArray[np.int32]
    levels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def missing(self) -> Bools:
        return self.codes < 0


@dataclass(frozen=True, eq=False)
class MomentColumn:
    """Days or moments of n rows.

    values (n,) datetime64: `D` for dates, whose range exceeds what nanoseconds can count, and `ns`
    for timestamps; NaT where missing. With a `zone` the values are UTC and are to be read in that
    zone; without one they are what a clock on the wall showed.
    """

    values: NDArray[np.datetime64]
    zone: str | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> Bools:
        return np.isnat(self.values)


Column = NumberColumn | TextColumn | MomentColumn
Columns = Mapping[str, Column]
