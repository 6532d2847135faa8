"""What the columns of a table seem to be for: a target's classes, ids, constants, leaks, time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lepton_dask.data.arrow import one_array, ticks_of
from lepton_dask.data.labels import Label
from lepton_dask.data.levels import Levels
from lepton_dask.data.profile import ColumnProfile, Profile
from lepton_dask.data.roles import NUMERIC_KINDS
from lepton_dask.errors import Mistake

NEARLY_UNIQUE = 0.5
"""Distinct texts over rows above which a text is an id, or prose."""

PROSE_WORDS = 3.0
"""Words in a text, on average, from which it is prose."""

MOST_CLASSES = 1_000
"""Labels above which the most frequent one is learnt against the rest."""

LARGEST_MEASURED = 10**12
"""Numbers that are all larger are ids, or ticks of a clock."""

LEAST_MOMENTS = 10
"""Distinct moments from which a split by time makes sense."""

ONE_LINE = 1 - 1e-9
"""A correlation with the target from which a column is the target in other units."""

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


@dataclass(frozen=True)
class TargetGuess:
    """What is to be learnt: a number (`label` None), one of two labels, all of more, or of very
    many one against the rest. `counts` are the rows of each label."""

    column: str
    label: Label | None
    counts: Mapping[Label, int]

    @property
    def is_of_many(self) -> bool:
        """Whether there are more labels than two, all to be learnt."""
        return 2 < len(self.counts) <= MOST_CLASSES

    @property
    def is_one_of_many(self) -> bool:
        """Whether one label is to be learnt against the rest."""
        return len(self.counts) > MOST_CLASSES


def guess_target(name: str, column: ColumnProfile) -> TargetGuess | Mistake:
    """Two values make two classes, the rarer one positive; text of more a class each, of very many
    the most frequent one against the rest; other numbers are to be predicted themselves."""
    if column.count == 0:
        return Mistake((), f"--target: '{name}' has no value")
    if column.type.kind in ("date", "timestamp"):
        return Mistake((), f"--target: '{name}' is a {column.type.kind}, which cannot be a target")
    if column.levels is None:
        if column.type.kind == "text":
            return Mistake((), f"--target: '{name}' has too many different texts to be a target")
        return TargetGuess(name, None, {})
    counts = dict(column.levels.top(len(column.levels)))
    if len(counts) == 1:
        value = next(iter(counts))
        return Mistake((), f"--target: '{name}' is {value!r} in every row: nothing to learn")
    if len(counts) == 2:
        return TargetGuess(name, list(counts)[-1], counts)
    if column.type.kind == "text":
        return TargetGuess(name, next(iter(counts)), counts)
    return TargetGuess(name, None, {})


def guess_excluded(table: pa.Table, profile: Profile, target: TargetGuess) -> dict[str, str]:
    """Columns that nothing should be learnt from, with the reason for each."""
    reasons: dict[str, str] = {}
    for name, column in profile.columns.items():
        if name == target.column:
            continue
        reason = (
            _constant(column)
            or _leak(table, name, column, profile.columns[target.column], target)
            or _id(column)
        )
        if reason is not None:
            reasons[name] = reason
    return reasons


def guess_prose(
    table: pa.Table, profile: Profile, excluded: Mapping[str, str], target: TargetGuess
) -> dict[str, float]:
    """The texts of words, although most rows have one of their own, each with its mean number of
    words; where there is nothing else to learn from, such texts of fewer words too."""
    words = {
        name: _mean_words(table[name])
        for name in excluded
        if profile.columns[name].type.kind == "text" and _id(profile.columns[name]) is not None
    }
    prose = {name: mean for name, mean in words.items() if mean >= PROSE_WORDS}
    left = [name for name in profile.columns if name not in excluded and name != target.column]
    return prose if prose or left else words


def _mean_words(column: pa.ChunkedArray) -> float:
    texts = column.cast(pa.string())
    return float(pc.mean(pc.count_substring_regex(texts, r"\S+")).as_py() or 0.0)


@dataclass(frozen=True)
class TimeGuess:
    """The column to split by, or None for a random split, and why."""

    column: str | None
    reason: str


def guess_time(
    table: pa.Table, profile: Profile, excluded: Mapping[str, str], target: TargetGuess
) -> TimeGuess:
    """The first column that says when every row was, if each part of a split by it has all that
    the target asks for."""
    reason = "at random: no column says when a row was"
    for name, column in profile.columns.items():
        if column.type.kind not in ("date", "timestamp") or name in excluded or column.missing:
            continue
        if column.levels is not None and len(column.levels) < LEAST_MOMENTS:
            continue
        if _has_both_in_every_part(table, name, target):
            return TimeGuess(name, f"'{name}' says when each row was: test on what comes later")
        reason = f"at random: by '{name}', a part would have one label only"
    return TimeGuess(None, reason)


def _constant(column: ColumnProfile) -> str | None:
    if column.count == 0:
        return "has no value"
    only = column.levels is not None and len(column.levels) == 1
    if only and (column.missing == 0 or column.type.kind != "text"):
        return "one value only"
    return None


def _id(column: ColumnProfile) -> str | None:
    if column.type.kind == "text":
        if column.levels is None:
            return "too many different texts: an id, or prose"
        if len(column.levels) > NEARLY_UNIQUE * column.count:
            return f"an id, or prose: {len(column.levels):,} different texts in {column.count:,}"
    if column.type.kind not in ("integer", "number") or column.moments is None:
        return None
    smallest, largest = column.moments.minimum, column.moments.maximum
    if smallest > LARGEST_MEASURED:
        return "an id, or ticks of a clock: all larger than 10^12"
    is_unique = column.levels is None or len(column.levels) == column.count
    is_running = largest - smallest + 1 == column.count and not column.missing
    if column.type.kind == "integer" and is_unique and is_running:
        return "a running number"
    return None


def _leak(
    table: pa.Table,
    name: str,
    column: ColumnProfile,
    goal: ColumnProfile,
    target: TargetGuess,
) -> str | None:
    """Whether a column is the target itself, under other labels or in other units."""
    if target.label is None:
        if column.type.kind not in NUMERIC_KINDS or column.moments is None:
            return None
        return (
            "leaks: it is the target, or the target in other units"
            if _is_line(table[name], table[target.column])
            else None
        )
    both = _levels_alike(column.levels, goal.levels)
    if not both or column.missing != goal.missing:
        return None
    pairs = table.select([name, target.column]).group_by([name, target.column]).aggregate([])
    if pairs.num_rows == len(target.counts) + (goal.missing > 0):
        return "leaks: it says the same as the target, row by row"
    return None


def _levels_alike(a: Levels | None, b: Levels | None) -> bool:
    return a is not None and b is not None and len(a) == len(b)


def _is_line(column: pa.ChunkedArray, target: pa.ChunkedArray) -> bool:
    both = pc.and_(column.is_valid(), target.is_valid())
    x, y = (
        each.filter(both).cast(pa.float64(), safe=False).to_numpy() for each in (column, target)
    )
    if len(x) < 3:
        return False
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt(np.sum(x * x) * np.sum(y * y)))
    return scale > 0 and abs(float(np.sum(x * y))) > ONE_LINE * scale


def _has_both_in_every_part(table: pa.Table, time: str, target: TargetGuess) -> bool:
    if target.label is None:
        return True
    ticks = ticks_of(one_array(table[time]))
    is_label = pc.equal(table[target.column], pa.scalar(target.label)).fill_null(False).to_numpy()
    in_order = is_label[np.argsort(ticks, kind="stable")]
    edges = np.round(np.cumsum(list(SHARES.values()))[:-1] * len(in_order)).astype(int)
    return all(part.any() and not part.all() for part in np.split(in_order, edges))
