"""Random splits: by row, and by whole groups of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lepton_dask.data.hashing import key_of, row_hashes, value_hashes
from lepton_dask.data.splits.assignment import (
    Assignment,
    Fractions,
    PartCodes,
    Rows,
    cuts_of_hash,
    part_codes,
)


@dataclass(frozen=True)
class ByRow(Assignment):
    """Each row by the hash of the seed, its file's stem and its number in the file.

    `purpose` tells one split from another one with the same seed: carving validation out of train
    with the hashes that made train would carve nothing.
    """

    fractions: Fractions
    seed: int
    purpose: str

    def assign(self, rows: Rows) -> PartCodes:
        hashes = row_hashes(key_of("row", self.seed, self.purpose, rows.stem), rows.row_numbers)
        places = np.searchsorted(cuts_of_hash(self.fractions), hashes, side="right")
        return part_codes(self.fractions)[places]


@dataclass(frozen=True)
class ByGroup(Assignment):
    """Rows with one value in `column` stay together, in the part that the value's hash says.

    Fractions are of groups, not of rows. Rows without a value are one group.
    """

    column: str
    fractions: Fractions
    seed: int
    purpose: str

    def assign(self, rows: Rows) -> PartCodes:
        hashes = value_hashes(key_of("group", self.seed, self.purpose), rows.table[self.column])
        places = np.searchsorted(cuts_of_hash(self.fractions), hashes, side="right")
        return part_codes(self.fractions)[places]
