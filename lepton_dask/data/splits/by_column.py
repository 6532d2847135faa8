"""Official splits: a column whose values name the parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lepton_dask.data.hashing import distinct_texts
from lepton_dask.data.splits.assignment import LEFT_OUT, Assignment, FirstPhase, PartCodes, Rows
from lepton_dask.errors import DocumentPath, Mistake, UserError
from lepton_dask.parts import PARTS
from lepton_dask.suggest import listed

_MOST_REMEMBERED = 20

OtherValues = frozenset[str]
"""Values that name no part, up to _MOST_REMEMBERED a chunk."""


@dataclass(frozen=True)
class ByColumn(FirstPhase[OtherValues]):
    """Each row into the part that its value in `column` names."""

    column: str
    at: DocumentPath

    def gather(self, rows: Rows) -> OtherValues:
        _, texts = distinct_texts(rows.table[self.column])
        others = sorted("(missing)" if text is None else text for text in {*texts} - {*PARTS})
        return frozenset(others[:_MOST_REMEMBERED])

    def merge(self, a: OtherValues, b: OtherValues) -> OtherValues:
        return frozenset(sorted(a | b)[:_MOST_REMEMBERED])

    def decide(self, statistics: OtherValues) -> PartsOfColumn:
        if statistics:
            found = f"'{self.column}' names other things than parts: {listed(sorted(statistics))}"
            fix = f"its values must be {listed(PARTS)}"
            raise UserError([Mistake((*self.at, "column"), found, fix)])
        return PartsOfColumn(self.column)


@dataclass(frozen=True)
class PartsOfColumn(Assignment):
    """An official split whose values have been checked."""

    column: str

    def assign(self, rows: Rows) -> PartCodes:
        codes, texts = distinct_texts(rows.table[self.column])
        parts = [PARTS.index(text) if text in PARTS else LEFT_OUT for text in texts]
        return np.array(parts, np.int8)[codes]
