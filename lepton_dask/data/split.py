"""The `split` verb: rows to train, validation and test."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from pydantic import Field

from lepton_dask.component import Component
from lepton_dask.data.selectors import unknown_column
from lepton_dask.data.splits.assignment import Assignment, FirstPhase
from lepton_dask.data.splits.by_class import ByClass
from lepton_dask.data.splits.by_column import ByColumn
from lepton_dask.data.splits.by_hash import ByGroup, ByRow
from lepton_dask.data.splits.by_time import ByTime, ByTimeShare, gap_length, start_moment
from lepton_dask.data.types import ColumnType, Schema
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.parts import PARTS, Part

Start = float | int | str


class Split(Component):
    """By fractions (hashed by row, within each class of `stratify`, or by whole groups of
    `group`), by `time` (fractions, or the first moment of validation and of test, with a `gap`
    left out between the parts), or by a `column` whose values name the parts. `of` carves out of
    one part of what comes in.

    The part that is not named gets what the others leave: train, or with `of` that part. Under
    `time`, numbers strictly between 0 and 1 are fractions, all else are starts.
    """

    train: Start | None = None
    validation: Start | None = None
    test: Start | None = None
    stratify: str | None = None
    group: str | None = None
    time: str | None = None
    gap: str | int | float | None = None
    column: str | None = None
    of: Part | None = Field(default=None)

    @property
    def given(self) -> dict[Part, Start]:
        """The parts that have a fraction or a start, in the order of PARTS."""
        values: dict[Part, Start | None] = {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
        }
        return {part: value for part, value in values.items() if value is not None}

    @property
    def rest(self) -> Part:
        """The part that gets what the others leave."""
        return self.of or "train"

    @property
    def by_fractions(self) -> bool:
        """Whether the parts are given as shares of the rows."""
        return all(_is_fraction(value) for value in self.given.values())

    def fractions(self) -> dict[Part, float]:
        """Shares in the order of PARTS, their sum 1, the rest filled in."""
        given = {part: float(value) for part, value in self.given.items()}
        if self.rest not in given:
            given[self.rest] = 1.0 - math.fsum(given.values())
        return {part: given[part] for part in PARTS if part in given}


SplitPlan = Assignment | FirstPhase[Any]


def split_parts(split: Split, incoming: Collection[Part]) -> tuple[Part, ...]:
    """The parts behind the step, from those that come in (none: one undivided table)."""
    made = PARTS if split.column is not None else (*split.given, split.rest)
    return tuple(part for part in PARTS if part in made or part in incoming)


def split_mistakes(
    split: Split, incoming: Collection[Part] | None, at: DocumentPath
) -> list[Mistake]:
    """What is wrong with a `split` node at `at` whatever the columns are.

    `incoming` are the parts that come in: none for one undivided table, None where only the rows
    will say.
    """
    mistakes = [] if incoming is None else _check_of(split, incoming, at)
    modes = list(_modes(split))
    for key in modes[1:]:
        found = f"does not go together with '{modes[0]}'"
        mistakes.append(Mistake((*at, key), found, "keep one of the two", at_key=True))
    if split.gap is not None and split.time is None:
        mistakes.append(Mistake((*at, "gap"), "needs 'time'", at_key=True))
    if split.column is not None:
        mistakes += [
            Mistake((*at, part), "the parts are named by 'column'", "leave it out", at_key=True)
            for part in split.given
        ]
    elif not split.given:
        found = "no part is given"
        mistakes.append(Mistake(at, found, "such as 'train: 0.8, test: 0.2'", at_key=True))
    elif split.time is None or split.by_fractions:
        mistakes += _check_fractions(split, at)
    return mistakes


def check_split(
    split: Split, schema: Schema, incoming: Collection[Part], at: DocumentPath
) -> list[Mistake]:
    """Every mistake in a `split` node at `at`, given the columns and parts that come in."""
    mistakes = split_mistakes(split, incoming, at)
    for key, name in _modes(split).items():
        if name not in schema:
            mistakes.append(unknown_column(name, tuple(schema), (*at, key)))
    if split.time is not None and split.time in schema:
        type_ = schema[split.time]
        mistakes += _check_time(split, type_, at)
        if split.given and not split.by_fractions:
            mistakes += _check_starts(split, type_, at)
    return mistakes


def _modes(split: Split) -> dict[str, str]:
    """The keys that say what to split by, and the columns that they name."""
    named = {
        "stratify": split.stratify,
        "group": split.group,
        "time": split.time,
        "column": split.column,
    }
    return {key: name for key, name in named.items() if name is not None}


def plan_split(split: Split, schema: Schema, seed: int, at: DocumentPath) -> SplitPlan:
    """The split that a checked node describes.

    An Assignment assigns at once. A FirstPhase first gathers from every chunk, merges, and decides:
    that gives the Assignment.
    """
    purpose = split.of or ""
    if split.column is not None:
        return ByColumn(split.column, at)
    if split.time is not None:
        gap = gap_length(split.gap, schema[split.time])
        if split.by_fractions:
            return ByTimeShare(split.time, split.fractions(), gap, at)
        return ByTime(split.time, _starts(split, schema[split.time]), gap)
    if split.stratify is not None:
        return ByClass(split.stratify, split.fractions(), seed, purpose, at)
    if split.group is not None:
        return ByGroup(split.group, split.fractions(), seed, purpose)
    return ByRow(split.fractions(), seed, purpose)


def _is_fraction(value: Start) -> bool:
    return not isinstance(value, str | bool) and 0 < value < 1


def _check_of(split: Split, incoming: Collection[Part], at: DocumentPath) -> list[Mistake]:
    there = ", ".join(part for part in PARTS if part in incoming)
    if split.of is None:
        if not incoming:
            return []
        found = f"the table is in the parts {there} already"
        return [Mistake(at, found, "'of: train' carves a part out of one of them", at_key=True)]
    if split.of not in incoming:
        found = f"there is no part '{split.of}' to carve out of"
        fix = f"there are {there}" if incoming else "the table is not in parts"
        return [Mistake((*at, "of"), found, fix)]
    return [
        Mistake((*at, part), f"the table has a part '{part}' already", at_key=True)
        for part in split.given
        if part in incoming and part != split.of
    ]


def _check_fractions(split: Split, at: DocumentPath) -> list[Mistake]:
    mistakes = [
        Mistake((*at, part), f"{value!r} is not a fraction", "give a number between 0 and 1")
        for part, value in split.given.items()
        if not _is_fraction(value)
    ]
    if mistakes:
        return mistakes
    total = math.fsum(float(value) for value in split.given.values())
    if split.rest in split.given and not math.isclose(total, 1, abs_tol=1e-9):
        found = f"the fractions add up to {total:.6g}, not to 1"
        fix = f"leave '{split.rest}' out to give it the rest"
        mistakes.append(Mistake(at, found, fix, at_key=True))
    elif split.rest not in split.given and total >= 1 - 1e-9:
        found = f"the fractions add up to {total:.6g}"
        mistakes.append(Mistake(at, found, f"leave some for '{split.rest}'", at_key=True))
    return mistakes


def _check_time(split: Split, type_: ColumnType, at: DocumentPath) -> list[Mistake]:
    if type_.kind in ("text", "boolean"):
        fix = "declare its type where it is read: 'types: {... : {timestamp: FORMAT}}'"
        return [Mistake((*at, "time"), f"'{split.time}' is {type_.kind}, not a time", fix)]
    try:
        gap_length(split.gap, type_)
    except ValueError as error:
        return [Mistake((*at, "gap"), str(error))]
    return []


def _check_starts(split: Split, type_: ColumnType, at: DocumentPath) -> list[Mistake]:
    mistakes: list[Mistake] = []
    if type_.kind in ("text", "boolean"):
        return mistakes
    previous: float | None = None
    for part, start in split.given.items():
        try:
            moment = start_moment(start, type_)
        except ValueError as error:
            mistakes.append(Mistake((*at, part), str(error)))
            continue
        if previous is not None and moment <= previous:
            mistakes.append(Mistake((*at, part), "starts before the part before it does"))
        previous = moment
    return mistakes


def _starts(split: Split, type_: ColumnType) -> dict[Part, int | float | None]:
    starts: dict[Part, int | float | None] = {
        part: start_moment(start, type_) for part, start in split.given.items()
    }
    starts.setdefault(split.rest, None)
    return {part: starts[part] for part in PARTS if part in starts}
