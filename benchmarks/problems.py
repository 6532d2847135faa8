"""Logistic regression problems, made chunk by chunk from a seed: no file, the same in any process.

    iid    x ~ N(0, I)
    corr   x AR(1) along the columns, x_j = 0.9 x_(j-1) + sqrt(1 - 0.81) e_j, unit variances
    raw    corr, with column scales of 10^u, u uniform in [-1.5, 1.5]
    wide   dense x ~ N(0, I), and code columns whose levels follow Zipf's law

y is 1 with probability sigmoid(x'b), b ~ N(0, 4 I / columns) on the columns before they were
scaled, and N(0, 0.25) for every level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

CENSUS_LEVELS = (
    *(100, 53, 52, 51, 47, 43, 43, 43, 43, 38, 24, 24, 17, 17, 15),
    *(15, 10, 10, 10, 10, 10, 9, 9, 9, 8, 8, 8, 8, 8, 7),
)
"""749 levels in 30 columns, much as the census has them."""


class Chunk(NamedTuple):
    """dense (n, P), codes (n, Q), target (n,) of zeros and ones."""

    dense: Floats
    codes: Codes
    target: Floats


@dataclass(frozen=True)
class Problem:
    """N rows in `chunks` chunks of equal size, the last one the longer."""

    kind: Literal["iid", "corr", "raw", "wide"]
    rows: int
    columns: int
    levels: tuple[int, ...] = ()
    chunks: int = 16
    seed: int = 0

    def __str__(self) -> str:
        codes = f" + {len(self.levels)} code columns" if self.levels else ""
        return f"{self.kind} {self.rows:,} x {self.columns}{codes}"

    @property
    def bytes(self) -> int:
        """Of the matrix: float64 and int32."""
        return self.rows * (8 * self.columns + 4 * len(self.levels))

    def chunk_rows(self, number: int) -> int:
        each = self.rows // self.chunks
        return each if number < self.chunks - 1 else self.rows - each * (self.chunks - 1)

    def chunk(self, number: int) -> Chunk:
        """The rows of one chunk, the same whoever asks."""
        n, P = self.chunk_rows(number), self.columns
        beta, level_effects, scales = self._truth()
        random = np.random.default_rng([self.seed, 1, number])
        x = random.standard_normal((n, P))
        if self.kind in ("corr", "raw"):
            x[:, 1:] *= np.sqrt(1 - 0.81)
            for j in range(1, P):
                x[:, j] += 0.9 * x[:, j - 1]
        codes = np.empty((n, len(self.levels)), dtype=np.int32)
        z = x @ beta
        for q, count in enumerate(self.levels):
            share = 1.0 / np.arange(1, count + 1)
            codes[:, q] = random.choice(count, size=n, p=share / share.sum())
            z += level_effects[q][codes[:, q]]
        target = (random.random(n) < 1 / (1 + np.exp(-z))).astype(np.float64)
        if self.kind == "raw":
            x *= scales
        return Chunk(x, codes, target)

    def whole(self) -> Chunk:
        """All rows, made in place: no more memory than the matrix and one chunk."""
        whole = Chunk(
            np.empty((self.rows, self.columns)),
            np.empty((self.rows, len(self.levels)), dtype=np.int32),
            np.empty(self.rows),
        )
        start = 0
        for chunk in self.parts():
            rows = slice(start, start + len(chunk.target))
            for into, part in zip(whole, chunk, strict=True):
                into[rows] = part
            start = rows.stop
        return whole

    def parts(self) -> Iterator[Chunk]:
        return (self.chunk(number) for number in range(self.chunks))

    def _truth(self) -> tuple[Floats, list[Floats], Floats]:
        random = np.random.default_rng([self.seed, 0])
        beta = 2.0 * random.standard_normal(self.columns) / np.sqrt(self.columns)
        scales = 10 ** random.uniform(-1.5, 1.5, self.columns)
        return beta, [0.5 * random.standard_normal(count) for count in self.levels], scales
