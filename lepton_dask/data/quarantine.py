"""Values and rows that are set aside, counted and located instead of believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Bad:
    """How many were set aside, and the first: its row's number in its file, and what it is."""

    count: int
    file: str
    row: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}: {self.what}"


@dataclass(frozen=True)
class Quarantined:
    """What was set aside while reading.

    `rows` were left out: they have too few or too many fields. `values` became missing, by column:
    NaN, infinities, and what does not fit a declared type.
    """

    rows: Bad | None = None
    values: Mapping[str, Bad] = field(default_factory=dict)

    def moved(self, rows: int) -> Quarantined:
        """The same of rows whose numbers are higher by `rows`."""
        if not rows:
            return self
        values = {name: replace(bad, row=bad.row + rows) for name, bad in self.values.items()}
        return Quarantined(self.rows and replace(self.rows, row=self.rows.row + rows), values)


NOTHING = Quarantined()


def merge_quarantined(parts: Iterable[Quarantined]) -> Quarantined:
    """The sum over chunks, in their order; the first bad value stays the first."""
    rows: Bad | None = None
    values: dict[str, Bad] = {}
    for part in parts:
        rows = _added(rows, part.rows)
        for column, bad in part.values.items():
            values[column] = _sum(values.get(column), bad)
    return Quarantined(rows, values)


def too_many_bad(quarantined: Quarantined, rows: int, max_bad_share: float) -> list[str]:
    """Why a run may not go on: one text for the rows and for every column above the share.

    `rows` counts the rows that were read, without those set aside.
    """
    reasons = []
    bad_rows = quarantined.rows
    if bad_rows and bad_rows.count > max_bad_share * (rows + bad_rows.count):
        reasons.append(
            f"{bad_rows.count:,} of {rows + bad_rows.count:,} rows are malformed, "
            f"more than {max_bad_share:.2%}; the first: {bad_rows}"
        )
    for column, bad in quarantined.values.items():
        if bad.count > max_bad_share * rows:
            reasons.append(
                f"column '{column}': {bad.count:,} of {rows:,} values are bad, "
                f"more than {max_bad_share:.2%}; the first: {bad}"
            )
    return reasons


def _added(sum_so_far: Bad | None, bad: Bad | None) -> Bad | None:
    return sum_so_far if bad is None else _sum(sum_so_far, bad)


def _sum(sum_so_far: Bad | None, bad: Bad) -> Bad:
    if sum_so_far is None:
        return bad
    count = sum_so_far.count + bad.count
    return Bad(count, sum_so_far.file, sum_so_far.row, sum_so_far.what)
