"""Tables of groups as meta-learning takes them: columns of numbers, rows of a group side by side.

Found in `data/` or `../shared/data`, or in the folder that LEPTON_BENCHMARK_DATA names. What scales
are learnt from are the training rows alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.census import SOURCES, VARIABLE
from lepton_dask.learn.meta.base import GroupedRows

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

HOMES = 17
HOME_TARGET = "Equipment Electric Power [kWh]"
DAY, WEEK = 24, 168
BEFORE = ("a day before", "mean of the day until then")
"""What a home used: known a day ahead."""


class NoGroups(SystemExit):
    """The data set is nowhere to be found."""


@dataclass(frozen=True)
class Groups:
    """x (N, D), its columns' names, y (N,) in its own unit, and the group of each row (N,)."""

    x: Floats
    features: tuple[str, ...]
    y: Floats
    group: NDArray[np.int64]

    def by_group(self) -> list[Places]:
        """Each group's rows, in the table's order."""
        return [np.flatnonzero(self.group == name) for name in np.unique(self.group)]


@dataclass(frozen=True)
class Scale:
    """What makes mean 0 and standard deviation 1 of columns and target, learnt from some rows."""

    centre: Floats
    spread: Floats
    mean: float
    deviation: float

    @classmethod
    def of(cls, groups: Groups, rows: Places) -> Scale:
        """Columns of 0 and 1 alone, as of categories, stay as they are."""
        x, y = groups.x[rows], groups.y[rows]
        coded = np.isin(x, (0.0, 1.0)).all(axis=0)
        spread = x.std(axis=0)
        return cls(
            np.where(coded, 0.0, x.mean(axis=0)),
            np.where(coded | (spread == 0), 1.0, spread),
            float(y.mean()),
            float(y.std()),
        )

    def rows(self, groups: Groups, rows: Places) -> GroupedRows:
        """These rows, scaled, those of a group side by side in the order given."""
        order = rows[np.argsort(groups.group[rows], kind="stable")]
        names, counts = np.unique(groups.group[order], return_counts=True)
        found = GroupedRows(
            (groups.x[order] - self.centre) / self.spread,
            (groups.y[order] - self.mean) / self.deviation,
            np.ones(len(order)),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            tuple(names.tolist()),
        )
        # Ascending as texts, not as numbers.
        places = sorted(range(len(names)), key=lambda t: str(names[t]))
        return found.take(np.array(places, dtype=np.intp))


def exam() -> Groups:
    """4,059 pupils of 65 schools."""
    table = pd.read_csv(_folder("exam_ilea") / "Exam_debian.csv")
    numbers = table[["standLRT"]].astype(float)
    coded = pd.get_dummies(table[["sex", "schgend"]], drop_first=True, dtype=float)
    return _groups(pd.concat([numbers, coded], axis=1), table["normexam"], table["school"])


def parkinsons() -> Groups:
    """5,875 recordings of 42 patients; total_UPDRS, without the motor_UPDRS that is part of it."""
    table = pd.read_csv(_folder("parkinsons_tele") / "parkinsons_updrs.data", sep="\t")
    features = table.drop(columns=["subject#", "motor_UPDRS", "total_UPDRS"])
    return _groups(features, table["total_UPDRS"], table["subject#"])


def homes() -> Groups:
    """A year's hours of 17 homes, from the second day on: what was used a day before is known.

    The month, the hour apart for working days and others, and the weather as if it were forecast
    without error.
    """
    folder = _folder("citylearn_17homes")
    weather = pd.read_csv(folder / "weather.csv").iloc[:, :4]
    tables = [
        _home(pd.read_csv(folder / f"Building_{home}.csv"), weather) for home in range(1, HOMES + 1)
    ]
    y = pd.concat([target for _, target in tables])
    group = np.repeat(np.arange(1, HOMES + 1), [len(target) for _, target in tables])
    return _groups(pd.concat([features for features, _ in tables]), y, pd.Series(group))


def _home(table: pd.DataFrame, weather: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series[float]]:
    target = table[HOME_TARGET].astype(float)
    off = table["Day Type"].isin([1, 7, 8])
    month = table["Month"].astype(int).astype(str)
    hour = table["Hour"].astype(int).astype(str) + np.where(off, " off", " working")
    features = pd.concat(
        [
            pd.get_dummies(month, prefix="month", dtype=float),
            pd.get_dummies(hour, prefix="hour", dtype=float),
            weather,
            pd.DataFrame(
                {
                    BEFORE[0]: target.shift(DAY),
                    BEFORE[1]: target.shift(DAY).rolling(DAY, min_periods=1).mean(),
                }
            ),
        ],
        axis=1,
    )
    return features.iloc[DAY:], target.iloc[DAY:]


def _groups(features: pd.DataFrame, y: pd.Series[float], group: pd.Series[int]) -> Groups:
    return Groups(
        features.to_numpy(float), tuple(features.columns), y.to_numpy(float), group.to_numpy()
    )


def _folder(name: str) -> Path:
    named = os.environ.get(VARIABLE)
    sources: Sequence[Path] = (Path(named),) if named else SOURCES
    for source in sources:
        if (source / name).is_dir():
            return source / name
    raise NoGroups(f"there is no {name} here; set {VARIABLE} to the folder that holds its folder")
