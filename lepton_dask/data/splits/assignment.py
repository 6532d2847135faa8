"""What every way of splitting is: rows in, the code of each row's part out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lepton_dask.data.chunks import RowNumbers
from lepton_dask.data.mixing import Hashes
from lepton_dask.parts import PARTS, Part

PartCodes = NDArray[np.int8]
"""An index into `parts.PARTS`, or one of the two below."""

LEFT_OUT = -1
"""The row falls into a gap, or before the first part."""

NO_VALUE = -2
"""The row has no value to be split by."""

Statistics = TypeVar("Statistics")
Fractions = Mapping[Part, float]
"""Shares of the rows in the order of PARTS, their sum 1."""


class Rows(NamedTuple):
    """A chunk's rows: their columns, their numbers in the file, and the file's stem."""

    table: pa.Table
    row_numbers: RowNumbers
    stem: str


class Assignment(ABC):
    """A split that knows where each row goes, chunk by chunk.

    The answer for a row depends on the row, its number and its file's stem, never on the chunk.
    """

    @abstractmethod
    def assign(self, rows: Rows) -> PartCodes:
        """(N,) part codes of a chunk's rows."""


class FirstPhase(ABC, Generic[Statistics]):
    """A split that has to see all rows before it can say where each goes.

    `merge` is associative and commutative, so that the chunks may be merged in any grouping.
    """

    @abstractmethod
    def gather(self, rows: Rows) -> Statistics:
        """What a chunk adds."""

    @abstractmethod
    def merge(self, a: Statistics, b: Statistics) -> Statistics:
        """What two sets of chunks add together."""

    @abstractmethod
    def decide(self, statistics: Statistics) -> Assignment:
        """The split, from what all chunks add. Raises UserError where there can be none."""


def part_codes(parts: Fractions) -> PartCodes:
    """The codes of the parts that the fractions name, in their order."""
    return np.array([PARTS.index(part) for part in parts], np.int8)


def cuts_of_hash(fractions: Fractions) -> Hashes:
    """(parts - 1,) hashes at which one part ends and the next begins."""
    shares = np.cumsum(list(fractions.values()))[:-1]
    return np.array([min(int(share * 2**64), 2**64 - 1) for share in shares], np.uint64)
