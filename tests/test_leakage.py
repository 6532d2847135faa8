"""No leakage, by construction: what the rows outside training are changes no fitted number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Run

import lepton_dask
from lepton_dask.data.prepared import FittedCategory, FittedNumber

WritePipeline = Callable[[str], Path]
SmallChunks = Callable[[int], None]

ROWS = 900


def table(seed: int = 0) -> pd.DataFrame:
    """Columns of every kind, holes in most of them, and a column that names the parts."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=ROWS)
    rows = pd.DataFrame(
        {
            "x": x,
            "amount": rng.lognormal(size=ROWS).round(3),
            "count": pd.array(rng.integers(0, 50, ROWS), "Int64"),
            "job": rng.choice(["clerk", "cook", "diver"], ROWS, p=[0.6, 0.37, 0.03]),
            "city": rng.choice(["Oslo", "Rome"], ROWS).astype(object),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(ROWS), "D"),
            "household": rng.integers(0, 120, ROWS),
            "label": np.where(x + rng.normal(size=ROWS) > 0, "yes", "no"),
            "part": rng.choice(["train", "validation", "test"], ROWS, p=[0.6, 0.2, 0.2]),
        }
    )
    for column in ("x", "count", "job"):
        rows.loc[rng.random(ROWS) < 0.1, column] = None
    return rows


def changed_wildly(rows: pd.DataFrame, where: pd.Series, seed: int = 1) -> pd.DataFrame:
    """Everything different in the rows `where` but their part and that they have a label."""
    rng = np.random.default_rng(seed)
    changed = rows.copy()
    n = int(where.sum())
    changed.loc[where, "x"] = rng.normal(size=n) * 1e6 + 1e7
    changed.loc[where, "amount"] = -1e9
    changed.loc[where, "count"] = 10**9 + rng.integers(0, 9, n)
    changed.loc[where, "job"] = rng.choice(["pilot", "baker", "clerk"], n)
    changed.loc[where, "city"] = None
    changed.loc[where, "day"] = pd.Timestamp("1999-12-31")
    changed.loc[where, "label"] = rng.choice(["yes", "no"], n)
    return changed


PREPARE = """\
  features:
    prepare:
      target: {column: label, positive: 'yes'}
      exclude: [part, household]
      columns:
        amount: {scale: robust}
        count: {impute: mean, scale: minmax}
  model: {train: {loss: logistic, penalty: {l2: 0.01}, tolerance: 1e-3}}
  scores: {evaluate: {metrics: [roc_auc, log_loss]}}
"""

BY_FILES = """\
name: leakage
steps:
  rows:
    read: {path: {train: train.csv, validation: validation.csv, test: test.csv}, types: {day: date}}
"""
BY_COLUMN = """\
name: leakage
steps:
  rows: {read: {path: all.csv, types: {day: date}}}
  parts: {split: {column: part}}
"""
BY_CHANCE = """\
name: leakage
seed: 5
steps:
  rows: {read: {path: all.csv, types: {day: date}}}
  parts: {split: {validation: 0.2, test: 0.2}}
"""


def write_rows(rows: pd.DataFrame) -> None:
    rows.to_csv("all.csv", index=False)
    for part, some in rows.groupby("part"):
        some.to_csv(f"{part}.csv", index=False)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fitted(folder: Path) -> dict[str, Any]:
    """Every fitted number of a run: the bundle but for when it was made, the coefficients' bytes,
    and the training rows' profile."""
    bundle = json.loads((folder / "model" / "bundle.json").read_text())
    profile = json.loads((folder / "profile.json").read_text())["features"]["train"]
    coefficients = (folder / "model" / "coefficients.npy").read_bytes()
    return {**bundle, "created": None, "coefficients": coefficients, "profile": profile}


@pytest.mark.parametrize("part", ["test", "validation"])
@pytest.mark.parametrize("split", [BY_FILES, BY_COLUMN], ids=["files", "column"])
def test_rows_outside_training_change_no_fitted_number(
    split: str, part: str, run: Run, write_pipeline: WritePipeline, small_chunks: SmallChunks
) -> None:
    rows = table()
    if split == BY_FILES:
        # Elsewhere one chunk: longer rows in one file would move the chunks' borders, and sums
        # taken chunk by chunk would be rounded otherwise.
        small_chunks(8_000)
    path = write_pipeline(split + PREPARE)
    write_rows(rows)
    before = run(path)
    write_rows(changed_wildly(rows, rows["part"] == part))
    after = run(path)
    assert fitted(after.folder) == fitted(before.folder)
    # The change was one: the scores on these rows, and on these alone, are others.
    for scored in ("train", "validation", "test"):
        same = before.metrics["scores"].scores[scored] == after.metrics["scores"].scores[scored]
        assert same == (scored != part)


def test_rows_of_a_random_test_part_change_no_fitted_number(
    run: Run, write_pipeline: WritePipeline
) -> None:
    """The split hashes row numbers, so that it stays; which rows it tests on, it says itself."""
    rows = table()
    write_rows(rows)
    before = run(write_pipeline(BY_CHANCE + PREPARE))
    tested = rows_of(run, write_pipeline, BY_CHANCE, "test")
    assert 140 < len(tested) < 220
    write_rows(changed_wildly(rows, rows.index.to_series().isin(tested)))
    after = run(write_pipeline(BY_CHANCE + PREPARE))
    assert fitted(after.folder) == fitted(before.folder)
    assert before.metrics["scores"].scores["test"] != after.metrics["scores"].scores["test"]


def test_a_training_row_changes_the_fitted_numbers(run: Run, write_pipeline: WritePipeline) -> None:
    """What the tests above compare is not blind."""
    rows = table()
    path = write_pipeline(BY_COLUMN + PREPARE)
    write_rows(rows)
    before = fitted(run(path).folder)
    first = rows.index.to_series() == rows.index[rows["part"] == "train"][0]
    write_rows(changed_wildly(rows, first))
    after = fitted(run(path).folder)
    different = {key for key in before if before[key] != after[key]}
    assert {"coefficients", "intercept", "prepared", "profile"} <= different


@pytest.mark.parametrize("part", ["test", "validation"])
def test_missing_rows_outside_training_change_no_fitted_number(
    part: str, run: Run, write_pipeline: WritePipeline
) -> None:
    """All of their features missing: no level for it, no other imputation, no other type."""
    rows = table()
    path = write_pipeline(BY_FILES + PREPARE)
    write_rows(rows)
    before = fitted(run(path).folder)
    rows.loc[rows["part"] == part, ["x", "amount", "count", "job", "city", "day"]] = None
    write_rows(rows)
    assert fitted(run(path).folder) == before


def test_fractions_outside_training_change_no_fitted_number(
    run: Run, write_pipeline: WritePipeline
) -> None:
    """Counts that are whole in training alone: the column becomes one of numbers, no more."""
    rows = table()
    path = write_pipeline(BY_COLUMN + PREPARE)
    write_rows(rows)
    before = run(path)
    tested = rows["part"] == "test"
    rows["count"] = rows["count"].astype(object)
    rows.loc[tested, "count"] = rows.loc[tested, "x"]
    write_rows(rows)
    after = run(path)
    prepared = [fitted(each.folder)["prepared"] for each in (before, after)]
    assert prepared[0] == prepared[1]
    bundles = [fitted(each.folder)["coefficients"] for each in (before, after)]
    assert bundles[0] == bundles[1]


def test_early_stopping_reads_validation_and_never_test(
    run: Run, write_pipeline: WritePipeline
) -> None:
    """It may: that is what the part is for. The test rows still change nothing."""
    rows = table()
    text = (BY_COLUMN + PREPARE).replace(
        "{loss: logistic", "{early_stopping: {patience: 1}, loss: logistic"
    )
    path = write_pipeline(text)
    write_rows(rows)
    before = fitted(run(path).folder)
    write_rows(changed_wildly(rows, rows["part"] == "test"))
    assert fitted(run(path).folder) == before
    write_rows(changed_wildly(rows, rows["part"] == "validation"))
    after = fitted(run(path).folder)
    assert after["prepared"] == before["prepared"]
    assert after["coefficients"] != before["coefficients"]


# --- what is fitted, against pandas on the training rows -----------------------------------------


def rows_of(run: Run, write_pipeline: WritePipeline, split: str, part: str) -> np.ndarray:
    """The numbers in the file of the rows that a split puts into a part."""
    text = split.replace("all.csv,", "all.csv, row_number: row,")
    text += f"  some: {{from: parts.{part}, write: {{path: some.csv}}}}\n"
    folder = run(write_pipeline(text)).folder
    return pd.read_csv(folder / "some.csv")["row"].to_numpy()


SPLITS = {
    "stratify": "{stratify: label, validation: 0.2, test: 0.2}",
    "group": "{group: household, validation: 0.2, test: 0.2}",
    "time": "{time: day, validation: 0.2, test: 0.2}",
    "gap": "{time: day, validation: 2025-06-01, test: 2025-12-01, gap: 30d}",
    "column": "{column: part}",
}


@pytest.mark.parametrize("split", SPLITS)
def test_preparation_is_fitted_on_the_training_rows(
    split: str, run: Run, write_pipeline: WritePipeline
) -> None:
    rows = table()
    write_rows(rows)
    head = BY_COLUMN.replace("{column: part}", SPLITS[split])
    outcome = run(write_pipeline(head + PREPARE))
    train = rows.loc[rows_of(run, write_pipeline, head, "train")]
    assert len(train) == outcome.metrics["scores"].rows["train"]
    prepared = lepton_dask.load(outcome.folder).prepared

    numbers = {number.column: number for number in prepared.numbers}
    x = train["x"].fillna(train["x"].median())
    amount = train["amount"]
    count = train["count"].astype(float)
    count = count.fillna(count.mean())
    low, middle, high = amount.quantile([0.25, 0.5, 0.75])
    expected = [
        FittedNumber("x", train["x"].median(), "none", x.mean(), x.std(ddof=0)),
        FittedNumber("amount", middle, "none", middle, high - low),
        FittedNumber("count", count.mean(), "none", count.min(), count.max() - count.min()),
    ]
    assert list(numbers) == [each.column for each in expected]
    for each in expected:
        number = numbers[each.column]
        assert number.impute == pytest.approx(each.impute, rel=1e-12)
        assert number.center == pytest.approx(each.center, rel=1e-9, abs=1e-12)
        assert number.scale == pytest.approx(each.scale, rel=1e-12)

    codes = [code for code in prepared.codes if isinstance(code, FittedCategory)]
    for code in codes:
        counts = train[code.column].value_counts()
        assert list(code.levels) == sorted(counts.index[counts >= 10])
        assert code.has_missing == bool(train[code.column].isna().any())
    assert [code.column for code in codes] == ["job", "city"]


@pytest.mark.parametrize("split", SPLITS)
def test_the_parts_are_what_the_split_says(
    split: str, run: Run, write_pipeline: WritePipeline
) -> None:
    rows = table()
    write_rows(rows)
    head = BY_COLUMN.replace("{column: part}", SPLITS[split])
    parts = {
        part: rows.loc[rows_of(run, write_pipeline, head, part)]
        for part in ("train", "validation", "test")
    }
    together = pd.concat(parts.values()).index
    assert together.is_unique
    if split != "gap":
        assert len(together) == ROWS
    train, validation, test = parts.values()
    match split:
        case "stratify":
            for label, some in rows.groupby("label"):
                counts = [int((each["label"] == label).sum()) for each in parts.values()]
                shares = np.array(counts) / len(some)
                np.testing.assert_allclose(shares, [0.6, 0.2, 0.2], atol=1 / len(some))
        case "group":
            households = [set(each["household"]) for each in parts.values()]
            assert sum(map(len, households)) == rows["household"].nunique()
        case "time":
            assert train["day"].max() < validation["day"].min()
            assert validation["day"].max() < test["day"].min()
            assert [len(each) for each in parts.values()] == [540, 180, 180]
        case "gap":
            day = rows["day"]
            starts = pd.Timestamp("2025-06-01"), pd.Timestamp("2025-12-01")
            assert validation["day"].min() == starts[0]
            assert test["day"].min() == starts[1]
            gap = pd.Timedelta("30D")
            assert train["day"].max() == day[day < starts[0] - gap].max()
            assert validation["day"].max() == day[day < starts[1] - gap].max()
        case _:
            for part, some in parts.items():
                assert (some["part"] == part).all()
