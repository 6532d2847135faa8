"""Preparing the census files without us: pyarrow's parser alone, Polars, pandas + scikit-learn.

Each fits medians, means, standard deviations and levels on the rows that it prepares, as ours does,
and gives one column a level, " ?" being a level of its own. The parsers are told nothing that they
can find out but that there is no header and what is missing.

`Facts` are what all designs must share: counts of rows and columns, the rows of every level, and
the sum of squares of every scaled number.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.census import CATEGORIES, MISSING, NAMES, NUMBERS, POSITIVE, TARGET


@dataclass(frozen=True)
class Facts:
    """`squares` (12,) of the scaled numbers in their order; `counts` of all levels, sorted."""

    rows: int
    features: int
    positives: int
    squares: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class Prepared:
    seconds: float
    facts: Facts | None
    rows: int


class PyArrow:
    """pyarrow.csv.read_csv over the files: what reading alone costs, on all cores."""

    def prepare(self, paths: Sequence[Path]) -> Prepared:
        import pyarrow as pa
        from pyarrow import csv

        began = time.perf_counter()
        options = csv.ReadOptions(column_names=list(NAMES))
        table = pa.concat_tables([csv.read_csv(path, read_options=options) for path in paths])
        return Prepared(time.perf_counter() - began, None, table.num_rows)


class Polars:
    """Polars eager: read_csv, medians, scaling, to_dummies.

    Its parser takes numbers behind a blank for text, so they are stripped and cast.
    """

    def prepare(self, paths: Sequence[Path]) -> Prepared:
        began = time.perf_counter()
        frame = self.read(paths)
        numbers = self.fit_numbers(frame)
        design = self.scaled(frame, numbers).select(*NUMBERS, *CATEGORIES).to_dummies(CATEGORIES)
        target = (frame[TARGET] == POSITIVE).cast(int)
        seconds = time.perf_counter() - began
        squares = np.array([float((design[name] ** 2).sum()) for name in NUMBERS])
        dummies = [name for name in design.columns if name not in NUMBERS]
        counts = np.sort(np.array([int(design[name].sum()) for name in dummies]))
        facts = Facts(design.height, design.width, int(target.sum()), squares, counts)
        return Prepared(seconds, facts, design.height)

    def read(self, paths: Sequence[Path]) -> Any:
        import polars as pl

        frame = pl.read_csv(
            list(paths), has_header=False, new_columns=list(NAMES), null_values=[MISSING]
        )
        texts = [name for name in NUMBERS if frame.schema[name] == pl.String]
        return frame.with_columns(pl.col(texts).str.strip_chars().cast(pl.Float64))

    def fit_numbers(self, frame: Any) -> dict[str, tuple[float, float, float]]:
        """Median, mean and standard deviation of each number, the gaps filled."""
        fitted = {}
        for name in NUMBERS:
            median = frame[name].median()
            filled = frame[name].fill_null(median)
            fitted[name] = (median, filled.mean(), filled.std(ddof=0))
        return fitted

    def scaled(self, frame: Any, numbers: dict[str, tuple[float, float, float]]) -> Any:
        import polars as pl

        return frame.with_columns(
            [
                (pl.col(name).fill_null(median) - mean) / (deviation or 1.0)
                for name, (median, mean, deviation) in numbers.items()
            ]
        )


class Pandas:
    """pandas.read_csv and scikit-learn's ColumnTransformer: SimpleImputer and StandardScaler,
    OneHotEncoder to a scipy.sparse matrix."""

    def prepare(self, paths: Sequence[Path]) -> Prepared:
        began = time.perf_counter()
        frame = self.read(paths)
        design = self.transformer().fit_transform(frame)
        target = (frame[TARGET] == POSITIVE).to_numpy()
        seconds = time.perf_counter() - began
        design = design.tocsc() if hasattr(design, "tocsc") else design
        numbers = len(NUMBERS)
        squares = np.asarray((design[:, :numbers].multiply(design[:, :numbers])).sum(axis=0))
        counts = np.asarray(design[:, numbers:].sum(axis=0)).ravel()
        facts = Facts(
            design.shape[0],
            design.shape[1],
            int(target.sum()),
            squares.ravel(),
            np.sort(np.rint(counts).astype(np.int64)),
        )
        return Prepared(seconds, facts, len(frame))

    def read(self, paths: Sequence[Path]) -> Any:
        import pandas as pd

        frames = [
            pd.read_csv(path, header=None, names=list(NAMES), na_values=[MISSING]) for path in paths
        ]
        return pd.concat(frames, ignore_index=True)

    def transformer(self) -> Any:
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
        categories = OneHotEncoder(handle_unknown="ignore")
        return ColumnTransformer(
            [("numbers", numbers, list(NUMBERS)), ("categories", categories, list(CATEGORIES))],
            sparse_threshold=1.0,
        )


def ready(kind: str) -> PyArrow | Polars | Pandas:
    """The peer, its library imported."""
    match kind:
        case "PyArrow":
            import pyarrow.csv  # noqa: F401 - imported ahead, so that no run is charged for it

            return PyArrow()
        case "Polars":
            import polars  # noqa: F401 - imported ahead, so that no run is charged for it

            return Polars()
        case "Pandas":
            import pandas  # noqa: F401 - imported ahead, so that no run is charged for it
            import sklearn.compose
            import sklearn.linear_model  # noqa: F401 - imported ahead, so that no run is charged for it

            return Pandas()
    raise ValueError(kind)
