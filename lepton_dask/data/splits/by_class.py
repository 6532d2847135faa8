"""Stratified random splits: the same shares within each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lepton_dask.data.hashing import distinct_texts, key_of, row_hashes
from lepton_dask.data.mixing import Hashes
from lepton_dask.data.splits.assignment import (
    Assignment,
    FirstPhase,
    Fractions,
    PartCodes,
    Rows,
    cuts_of_hash,
    part_codes,
)
from lepton_dask.errors import DocumentPath, Mistake, UserError
from lepton_dask.suggest import listed

MOST_EXACT_ROWS = 65_536
"""Up to here a class is cut exactly, by the order of its rows' hashes: 0.5 MB on the driver. Above
it the hash fraction alone is within 0.4 % of the class (two standard deviations at one half)."""

MOST_CLASSES = 1000

ClassHashes = Mapping[str | None, Hashes | int]
"""By class the hashes of its rows in any order, or their number where that is above
MOST_EXACT_ROWS. Rows without a value are the class None."""


@dataclass(frozen=True)
class ByClass(FirstPhase[ClassHashes]):
    """Each row by its hash, with the cuts placed so that every class has the fractions."""

    column: str
    fractions: Fractions
    seed: int
    purpose: str
    at: DocumentPath

    def hashes(self, rows: Rows) -> Hashes:
        """(N,) the hash of each row."""
        return row_hashes(key_of("row", self.seed, self.purpose, rows.stem), rows.row_numbers)

    def gather(self, rows: Rows) -> ClassHashes:
        codes, texts = distinct_texts(rows.table[self.column])
        if len(texts) > MOST_CLASSES:
            raise self._no_classes([text for text in texts if text is not None])
        hashes = self.hashes(rows)
        order = np.argsort(codes, kind="stable")
        borders = np.searchsorted(codes[order], np.arange(1, len(texts)))
        by_class = np.split(hashes[order], borders) if texts else []
        return {
            text: _counted_if_many(some)
            for text, some in zip(texts, by_class, strict=True)
            if some.size
        }

    def merge(self, a: ClassHashes, b: ClassHashes) -> ClassHashes:
        merged = dict(a)
        for text, hashes in b.items():
            merged[text] = _together(merged[text], hashes) if text in merged else hashes
        if len(merged) > MOST_CLASSES:
            raise self._no_classes([text for text in merged if text is not None])
        return merged

    def decide(self, statistics: ClassHashes) -> CutByClass:
        return CutByClass(self, {text: self._cuts(hashes) for text, hashes in statistics.items()})

    def _cuts(self, hashes: Hashes | int) -> Hashes:
        if isinstance(hashes, int):
            return cuts_of_hash(self.fractions)
        ordered = np.append(np.sort(hashes), np.uint64(2**64 - 1))
        shares = np.cumsum(list(self.fractions.values()))[:-1]
        return ordered[np.floor(shares * hashes.size + 0.5).astype(np.int64)]

    def _no_classes(self, texts: list[str]) -> UserError:
        found = (
            f"'{self.column}' has more than {MOST_CLASSES:,} values: {listed(sorted(texts)[:9])}"
        )
        fix = "stratify by a column of classes; 'group' keeps rows of one value together"
        return UserError([Mistake((*self.at, "stratify"), found, fix)])


@dataclass(frozen=True)
class CutByClass(Assignment):
    """A stratified split whose cuts are known: (parts - 1,) hashes by class."""

    split: ByClass
    cuts: Mapping[str | None, Hashes]

    def assign(self, rows: Rows) -> PartCodes:
        codes, texts = distinct_texts(rows.table[self.split.column])
        hashes = self.split.hashes(rows)
        parts = part_codes(self.split.fractions)
        places = np.zeros(len(hashes), np.int64)
        for i in range(len(parts) - 1):
            cuts = np.array([self.cuts[text][i] for text in texts], np.uint64)
            places += hashes >= cuts[codes]
        return parts[places]


def _together(a: Hashes | int, b: Hashes | int) -> Hashes | int:
    if isinstance(a, int) or isinstance(b, int):
        return _count(a) + _count(b)
    return _counted_if_many(np.concatenate([a, b]))


def _counted_if_many(hashes: Hashes) -> Hashes | int:
    return hashes if hashes.size <= MOST_EXACT_ROWS else int(hashes.size)


def _count(hashes: Hashes | int) -> int:
    return hashes if isinstance(hashes, int) else int(hashes.size)
