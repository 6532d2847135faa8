"""The fitted preparation: a pure function from named columns to the rows of a design matrix.

It imports numpy alone, since it leaves with the model: chunks on a cluster and rows given to a
loaded bundle go through the same code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.calendar import DatePart, date_part
from lepton_dask.data.columns import Bools, Column, Columns, MomentColumn, NumberColumn
from lepton_dask.data.hashed_text import Buckets, FittedText, stacked
from lepton_dask.data.labels import Label, label_codes, level_features
from lepton_dask.matrix import Layout, Sparse

Transform = Literal["log1p", "none"]
Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Problems = NDArray[np.object_]
"""(n,): for every row None, or in words why it cannot be used."""

SIDE_BY_SIDE = 16
"""Columns: so many numbers of a row are two lines of the cache, and all columns of a chunk beside
themselves would be its memory again."""


class Rows(NamedTuple):
    """The prepared columns of n rows.

    dense (n, P) float64, C-ordered; codes (n, Q) int32, each in [0, levels[q]); others (Q,) int64,
    the rows of each code column whose level is none of the learnt ones; problems, None if every
    row can be used; sparse, n rows over S columns, None without hashed texts. A row with a problem
    has finite numbers that mean nothing.
    """

    dense: Floats
    codes: Codes
    others: NDArray[np.int64]
    problems: Problems | None
    sparse: Sparse | None = None


class Learnable(NamedTuple):
    """n rows with what is to be learnt from them: target (n,) and weight (n,), the mask `usable`
    (n,) of rows with both and without a problem, and how many have not, by the reason."""

    rows: Rows
    target: Floats
    weight: Floats
    usable: Bools
    unusable: Mapping[str, int]


@dataclass(frozen=True)
class FittedNumber:
    """x -> (t(x) - center) / scale, a missing x taken for `impute`; t is log(1 + x) or nothing."""

    column: str
    impute: float | None
    transform: Transform
    center: float
    scale: float

    def apply(self, column: Column) -> tuple[Floats, list[tuple[Bools, str]]]:
        """The scaled numbers (n,), finite everywhere, and what is wrong with which rows."""
        if not isinstance(column, NumberColumn):
            raise TypeError(f"'{self.column}' is not a column of numbers")
        problems: list[tuple[Bools, str]] = []
        values = np.where(
            column.missing, 0.0 if self.impute is None else self.impute, column.values
        )
        if self.impute is None and column.missing.any():
            problems.append((column.missing, f"'{self.column}' is missing"))
        if self.transform == "log1p":
            outside = values <= -1
            if outside.any():
                problems.append((outside, f"'{self.column}' is not above -1, as log1p needs"))
                values = np.where(outside, 0.0, values)
            values = np.log1p(values)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (values - self.center) / self.scale
        finite = np.isfinite(scaled)
        if not finite.all():
            problems.append((~finite, f"'{self.column}' is not a finite number"))
            scaled = np.where(finite, scaled, 0.0)
        return scaled, problems


@dataclass(frozen=True)
class FittedCategory:
    """A value -> the index of its level; what has none -> `(other)`, no value -> `(missing)`.

    There is a level for missing values only if training had some; else they count as other.
    """

    column: str
    levels: tuple[Label, ...]
    has_missing: bool

    @property
    def features(self) -> tuple[str, ...]:
        return level_features(self.column, self.levels, self.has_missing)

    def apply(self, column: Column) -> Codes:
        """Codes (n,): 0 to L - 1 the levels, L other, L + 1 missing."""
        return label_codes(column, self.levels, self.has_missing)


@dataclass(frozen=True)
class FittedDatePart:
    """A date or timestamp -> the index of one of its parts, as a category."""

    column: str
    part: DatePart
    levels: tuple[int, ...]
    has_missing: bool

    @property
    def features(self) -> tuple[str, ...]:
        return level_features(f"{self.column}.{self.part}", self.levels, self.has_missing)

    def apply(self, column: Column) -> Codes:
        """Codes (n,), as of a category."""
        if not isinstance(column, MomentColumn):
            raise TypeError(f"'{self.column}' is not a column of dates or timestamps")
        parts = NumberColumn(date_part(column, self.part).astype(np.float64), column.missing)
        return label_codes(parts, self.levels, self.has_missing)


FittedCode = FittedCategory | FittedDatePart


@dataclass(frozen=True)
class FittedTarget:
    """What is to be learnt: the number itself, or which of the `classes`: two in the order
    (negative, positive), or for a loss of many classes all in ascending order."""

    column: str
    classes: tuple[Label, ...] | None

    def apply(self, column: Column) -> tuple[Floats, Bools]:
        """The target (n,), 0 where there is none, and the mask (n,) of rows that have one."""
        if self.classes is not None:
            codes = label_codes(column, self.classes, has_missing=False)
            known = codes < len(self.classes)
            return np.where(known, codes, 0).astype(np.float64), known
        if not isinstance(column, NumberColumn):
            raise TypeError(f"'{self.column}' is not a column of numbers")
        known = ~column.missing & np.isfinite(column.values)
        return np.where(known, column.values, 0.0), known


@dataclass(frozen=True)
class Prepared:
    """Everything that `prepare` learnt from the training rows.

    A linear model over it has P + sum(levels) + S coefficients in the order of `features`.
    """

    numbers: tuple[FittedNumber, ...]
    codes: tuple[FittedCode, ...]
    target: FittedTarget
    weight: str | None
    texts: tuple[FittedText, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that its features are made of, each once: all that predicting needs."""
        fitted = (*self.numbers, *self.codes, *self.texts)
        return tuple(dict.fromkeys(each.column for each in fitted))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that learning needs, each once: those, the target and the weight."""
        weight = () if self.weight is None else (self.weight,)
        return tuple(dict.fromkeys((*self.columns, self.target.column, *weight)))

    @property
    def features(self) -> tuple[str, ...]:
        """A name for every coefficient: `age`, `job=clerk`, `job=(other)`, `time.weekday=3`,
        `text#1809` for a bucket of hashed text."""
        names = [number.column for number in self.numbers]
        named = (*self.codes, *self.texts)
        return (*names, *(name for fitted in named for name in fitted.features))

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The column that every coefficient was made of."""
        names = [number.column for number in self.numbers]
        named = (*self.codes, *self.texts)
        return (*names, *(fitted.column for fitted in named for _ in fitted.features))

    @property
    def levels(self) -> tuple[int, ...]:
        """The number of levels of every code column, other and missing included."""
        return tuple(len(code.features) for code in self.codes)

    @property
    def classes(self) -> tuple[Label, ...] | None:
        """The labels in order, two as (negative, positive); None where the target is a number."""
        return self.target.classes

    @property
    def layout(self) -> Layout:
        """The columns of the design matrix that it makes."""
        sparse = sum(len(text.touched) for text in self.texts)
        return Layout(len(self.numbers), self.levels, sparse)

    def apply(self, columns: Columns) -> Rows:
        """The rows of the design matrix; the target and the weight are not looked at."""
        rows = _row_count(columns)
        dense = np.empty((rows, len(self.numbers)))
        codes = np.empty((rows, len(self.codes)), dtype=np.int32)
        others = np.zeros(len(self.codes), dtype=np.int64)
        problems: list[tuple[Bools, str]] = []
        for some in _side_by_side(dense):
            for p, column in some:
                column[:], found = self.numbers[p].apply(columns[self.numbers[p].column])
                problems += found
        for some in _side_by_side(codes):
            for q, column in some:
                code = self.codes[q]
                column[:] = code.apply(columns[code.column])
                others[q] = np.count_nonzero(column == len(code.levels))
        sparse = None
        if self.texts:
            blocks = [text.apply(columns[text.column]) for text in self.texts]
            sparse = stacked(blocks, [len(text.touched) for text in self.texts])
        return Rows(dense, codes, others, _by_row(problems, rows), sparse)

    def target_and_weight(self, columns: Columns) -> tuple[Floats, Floats, Bools]:
        """Target (n,) and weight (n,), and the mask (n,) of rows that have both.

        Rows outside the mask have target 0 and weight 0.
        """
        target, usable = self.target.apply(columns[self.target.column])
        weight = np.ones(len(target))
        if self.weight is not None:
            column = columns[self.weight]
            if not isinstance(column, NumberColumn):
                raise TypeError(f"weight '{self.weight}' is not a column of numbers")
            usable = usable & ~column.missing & np.isfinite(column.values)
            weight = np.where(usable, column.values, 0.0)
        return np.where(usable, target, 0.0), np.where(usable, weight, 0.0), usable

    def learnable(self, columns: Columns) -> Learnable:
        """The rows of the design matrix with their targets and weights."""
        made = self.apply(columns)
        target, weight, usable = self.target_and_weight(columns)
        reasons = Counter({"no target or weight": int(np.count_nonzero(~usable))})
        if made.problems is not None:
            reasons.update(reason for reason in made.problems[usable] if reason is not None)
            usable = usable & np.array([reason is None for reason in made.problems], dtype=bool)
        counts = {reason: count for reason, count in reasons.items() if count}
        return Learnable(made, target, weight, usable, counts)

    def to_json(self) -> dict[str, object]:
        """Everything but the buckets that the texts touch."""
        return {
            "numbers": [asdict(number) for number in self.numbers],
            "codes": [asdict(code) for code in self.codes],
            "target": asdict(self.target),
            "weight": self.weight,
            "texts": [text.to_json() for text in self.texts],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], touched: Sequence[Buckets] = ()) -> Prepared:
        """The inverse of `to_json`, after a trip through JSON, with each text's touched buckets;
        KeyError, TypeError or ValueError otherwise."""
        target = document["target"]
        classes = target["classes"]
        return cls(
            numbers=tuple(FittedNumber(**number) for number in document["numbers"]),
            codes=tuple(_code_from_json(code) for code in document["codes"]),
            target=FittedTarget(target["column"], None if classes is None else tuple(classes)),
            weight=document["weight"],
            texts=tuple(
                FittedText.from_json(text, buckets)
                for text, buckets in zip(document.get("texts", ()), touched, strict=True)
            ),
        )


def _side_by_side(table: NDArray[Any]) -> Iterator[list[tuple[int, NDArray[Any]]]]:
    """The numbers of SIDE_BY_SIDE columns of an array (n, P) at a time, each with room for its n
    values, which are written into the array afterwards, all by one transposition: in a quarter of
    the time that they take one by one."""
    for first in range(0, table.shape[1], SIDE_BY_SIDE):
        into = table[:, first : first + SIDE_BY_SIDE]
        room = np.empty(into.T.shape, table.dtype)
        yield [(first + k, column) for k, column in enumerate(room)]
        into[:] = room.T


def _row_count(columns: Columns) -> int:
    return len(next(iter(columns.values()))) if columns else 0


def _by_row(problems: Iterable[tuple[Bools, str]], rows: int) -> Problems | None:
    by_row: Problems | None = None
    for mask, reason in problems:
        if by_row is None:
            by_row = np.full(rows, None, dtype=object)
        for row in np.flatnonzero(mask):
            by_row[row] = reason if by_row[row] is None else f"{by_row[row]}; {reason}"
    return by_row


def _code_from_json(document: Mapping[str, Any]) -> FittedCode:
    values = {**document, "levels": tuple(document["levels"])}
    return FittedDatePart(**values) if "part" in document else FittedCategory(**values)
