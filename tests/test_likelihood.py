"""Chunks that are far less likely than the rest are found, from their profiles alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import REPOSITORY, Run
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_dask.data.likelihood import (
    CATEGORY_LEVELS,
    LogLikelihood,
    Unlikely,
    log_likelihood,
    table_model,
    unlikely_chunks,
)
from lepton_dask.data.profile import merge_profiles, profile_table
from lepton_dask.events import Event, Warned
from lepton_dask.run.pipeline import load_and_plan, run_planned

TAXI = REPOSITORY.parent / "shared" / "data" / "nyc_taxi_2019"
PIPELINE = """\
name: chunks
steps:
  rows: {{read: {{path: "{files}"}}}}
  {split}
  features: {{prepare: {{target: {target}}}}}
  model: {{train: {{loss: squared}}}}
"""

needs_taxi = pytest.mark.skipif(not TAXI.is_dir(), reason="the taxi files are not here")


def mixed_table(rows: int, seed: int) -> pa.Table:
    """Columns of every modelled kind, some with missing values, some with heavy tails."""
    rng = np.random.default_rng(seed)

    def with_missing(values: Sequence[object] | np.ndarray, share: float) -> pa.Array:
        return pa.array(values, mask=rng.random(rows) < share)

    return pa.table(
        {
            "normal": with_missing(rng.normal(40, 3, rows), 0.1),
            "skewed": rng.lognormal(1, 1, rows),
            "code": with_missing(rng.integers(0, 12, rows), 0.02),
            "count": rng.poisson(400, rows),
            "text": with_missing(rng.choice(["a", "b", "c"], rows, p=[0.9, 0.09, 0.01]), 0.3),
            "flag": rng.random(rows) < 0.2,
            "constant": np.ones(rows),
        }
    )


def cut(table: pa.Table, bounds: Sequence[int]) -> list[pa.Table]:
    edges = [0, *bounds, table.num_rows]
    return [table.slice(a, b - a) for a, b in pairwise(edges)]


def of_chunks(chunks: Sequence[pa.Table]) -> tuple[tuple[Unlikely, ...], list[LogLikelihood]]:
    profiles = [profile_table(chunk) for chunk in chunks]
    model = table_model(reduce(merge_profiles, profiles))
    found = [log_likelihood(model, profile) for profile in profiles]
    return unlikely_chunks(model, found), found


def direct(column: pd.Series, whole: pd.Series) -> float:
    """sum over the rows of one column of log P(row), one row after the other."""
    missing = whole.isna().mean()
    values = whole.dropna()
    measured = (
        pd.api.types.is_numeric_dtype(values)
        and not pd.api.types.is_bool_dtype(values)
        and values.nunique() > CATEGORY_LEVELS
    )
    mean, deviation = (values.mean(), values.std(ddof=0)) if measured else (0, 1)
    shares = values.value_counts(normalize=True)
    total = 0.0
    for value in column:
        if pd.isna(value):
            total += math.log(missing)
            continue
        total += math.log(1 - missing) if missing < 1 else 0
        if measured:
            total += -(((value - mean) / deviation) ** 2) / 2
            total -= math.log(deviation * math.sqrt(2 * math.pi))
        else:
            total += math.log(shares[value])
    return total


def test_the_closed_form_is_the_sum_of_log_densities_over_the_rows() -> None:
    table = mixed_table(900, seed=4)
    chunks = cut(table, [300, 450])
    _, found = of_chunks(chunks)
    whole = table.to_pandas(types_mapper=pd.ArrowDtype)
    for chunk, likelihood in zip(chunks, found, strict=True):
        frame = chunk.to_pandas(types_mapper=pd.ArrowDtype)
        expected = {name: direct(frame[name], whole[name]) for name in frame}
        assert set(likelihood.columns) == set(expected)
        for name, value in expected.items():
            assert likelihood.columns[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name
        assert likelihood.a_row == pytest.approx(sum(expected.values()) / len(frame), rel=1e-9)


def test_of_two_parts_of_a_chunk_they_add_up_to_that_of_the_chunk() -> None:
    table = mixed_table(400, seed=5)
    model = table_model(profile_table(table))
    a, b = (log_likelihood(model, profile_table(part)) for part in cut(table, [150]))
    whole = log_likelihood(model, profile_table(table))
    assert (a + b).rows == whole.rows
    assert (a + b).a_row == pytest.approx(whole.a_row, rel=1e-12)
    assert (a + b).a_usual_row == pytest.approx(whole.a_usual_row, rel=1e-12)


@given(
    seed=st.integers(0, 2**32 - 1),
    bounds=st.lists(st.integers(1, 5999), min_size=1, max_size=30, unique=True).map(sorted),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_chunks_of_one_distribution_raise_no_alarm_however_they_are_cut(seed, bounds) -> None:
    assert of_chunks(cut(mixed_table(6000, seed), bounds))[0] == ()


def corrupted(name: str, values: Callable[[int], object]) -> tuple[Unlikely, ...]:
    """What is reported where the seventh of twelve chunks has other values in one column."""
    chunks = cut(mixed_table(6000, seed=6), range(500, 6000, 500))
    place = chunks[6].column_names.index(name)
    array = pa.array(values(500), chunks[6][name].type)
    chunks[6] = chunks[6].set_column(place, name, array)
    return of_chunks(chunks)[0]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("normal", lambda n: np.random.default_rng(1).normal(62, 3, n)),
        ("flag", lambda n: [None] * n),
        ("constant", lambda n: [2.0] * n),
        ("text", lambda n: ["c"] * n),
    ],
    ids=["shifted", "missing", "new level", "rare level"],
)
def test_a_chunk_of_other_values_is_reported_with_the_column_that_cost_it_most(
    name: str, values: Callable[[int], object]
) -> None:
    [found] = corrupted(name, values)
    assert found.index == 6
    assert next(iter(found.columns)) == name
    assert found.a_row < found.median


def test_one_absurd_value_is_no_corrupt_chunk() -> None:
    chunks = cut(mixed_table(6000, seed=7), range(500, 6000, 500))
    counts = chunks[3]["count"].to_pylist()
    counts[8] = 10**9
    place = chunks[3].column_names.index("count")
    chunks[3] = chunks[3].set_column(place, "count", pa.array(counts, pa.int64()))
    found, likelihoods = of_chunks(chunks)
    assert likelihoods[3].a_row < min(each.a_row for i, each in enumerate(likelihoods) if i != 3)
    assert found == ()


def test_absurd_values_elsewhere_do_not_hide_a_corrupt_chunk() -> None:
    chunks = cut(mixed_table(6000, seed=7), range(500, 6000, 500))
    place = chunks[0].column_names.index("count")
    for i in range(3, 12):
        counts = chunks[i]["count"].to_pylist()
        counts[8] = 3_000 * i
        chunks[i] = chunks[i].set_column(place, "count", pa.array(counts, pa.int64()))
    other = pa.array(["b"] * 500)
    chunks[2] = chunks[2].set_column(chunks[2].column_names.index("text"), "text", other)
    ((index, columns),) = [(each.index, each.columns) for each in of_chunks(chunks)[0]]
    assert (index, next(iter(columns))) == (2, "text")


def test_chunks_that_are_all_alike_but_for_one_row_raise_no_alarm() -> None:
    same = pa.table({"x": ["a"] * 99 + ["b"]})
    other = pa.table({"x": ["a"] * 98 + ["b"] * 2})
    assert of_chunks([same] * 8 + [other])[0] == ()


def test_three_chunks_say_nothing() -> None:
    chunks = [pa.table({"x": ["a"] * 100})] * 2 + [pa.table({"x": ["b"] * 100})]
    assert of_chunks(chunks)[0] == ()


def test_chunks_without_rows_say_nothing_of_the_others() -> None:
    table = mixed_table(4000, seed=8)
    assert of_chunks(cut(table, [0, 1000, 1000, 2000, 3000, 4000]))[0] == ()


def test_dates_ids_and_columns_that_hold_one_value_are_left_out_or_cost_nothing() -> None:
    rows = 300
    table = pa.table(
        {
            "day": pa.array(np.arange(rows), pa.int32()).cast(pa.date32()),
            "moment": pa.array(np.arange(rows)).cast(pa.timestamp("ns")),
            "id": [f"row {i}" for i in range(rows)],
            "constant": [3.5] * rows,
            "nothing": pa.nulls(rows, pa.float64()),
        }
    )
    found, likelihoods = of_chunks(cut(table, range(30, rows, 30)))
    assert found == ()
    assert {name: value for each in likelihoods for name, value in each.columns.items()} == {
        "constant": 0.0,
        "nothing": 0.0,
    }


# --- in a run ------------------------------------------------------------------------------------


def warned_chunks(events: Sequence[Event]) -> list[str]:
    return [
        event.message
        for event in events
        if isinstance(event, Warned) and "far less likely" in event.message
    ]


def profiled_chunks(folder: Path) -> list[dict[str, object]]:
    return json.loads((folder / "profile.json").read_text())["features"]["chunks"]


def write_months(folder: Path) -> None:
    for month in range(6):
        table = mixed_table(400, seed=month)
        if month == 4:
            at = table.column_names.index("normal")
            table = table.set_column(at, "normal", shifted(table["normal"]))
        table.to_pandas().to_csv(folder / f"month_{month}.csv", index=False)


def shifted(column: pa.ChunkedArray) -> pa.Array:
    return pa.array([None if value is None else value + 30 for value in column.to_pylist()])


@pytest.mark.parametrize("split", ["", "parts: {split: {test: 0.5}}"], ids=["whole", "in parts"])
def test_a_corrupt_file_is_reported_before_anything_is_trained(
    split: str,
    run: Run,
    events: list[Event],
    tmp_path: Path,
    write_pipeline: Callable[[str], Path],
) -> None:
    write_months(tmp_path)
    text = PIPELINE.format(files="month_*.csv", split=split, target="count")
    outcome = run(write_pipeline(text))
    [message] = warned_chunks(events)
    assert message.startswith("'month_4.csv', chunk 0: its rows are far less likely")
    assert "'normal' -" in message
    told = [isinstance(event, Warned) and event.message == message for event in events].index(True)
    trained = [type(event).__name__ for event in events].index("Iterated")
    assert told < trained
    chunks = profiled_chunks(outcome.folder)
    assert [each["file"] for each in chunks if each["reported"]] == ["month_4.csv"]
    assert [each["rows"] for each in chunks] == [400] * 6
    # The rows are the same whichever parts they went to, and so is their likelihood.
    tables = [pd.read_csv(tmp_path / f"month_{month}.csv") for month in range(6)]
    _, found = of_chunks([pa.Table.from_pandas(table, preserve_index=False) for table in tables])
    assert [each["log_likelihood"] for each in chunks] == pytest.approx([c.a_row for c in found])


@needs_taxi
@pytest.mark.parametrize("swapped", [False, True], ids=["as it is", "june swapped"])
def test_the_taxi_files_that_are_reported_are_january_and_one_with_swapped_columns(
    swapped: bool, scheduler: str, tmp_path: Path, events: list[Event]
) -> None:
    for source in TAXI.glob("*.csv"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    if swapped:
        june = tmp_path / "yellow_tripdata_sample_2019-06.csv"
        table = pd.read_csv(june, dtype=str, keep_default_na=False)
        columns = ["trip_distance", "total_amount"]
        table[columns] = table[columns[::-1]].to_numpy()
        table.to_csv(june, index=False)
    path = tmp_path / "pipeline.yaml"
    path.write_text(
        PIPELINE.format(files="yellow_tripdata_sample_2019-*.csv", split="", target="tip_amount")
    )
    planned = load_and_plan(path, until="features")
    outcome = run_planned(
        planned, scheduler=scheduler, runs=tmp_path / "runs", listeners=[events.append]
    )
    chunks = profiled_chunks(outcome.folder)
    assert len(chunks) == 12
    reported = {str(each["file"])[-6:-4] for each in chunks if each["reported"]}
    assert reported == ({"01", "06"} if swapped else {"01"})
    messages = warned_chunks(events)
    assert "by column most of all 'congestion_surcharge' " in messages[0]
    assert len(messages) == len(reported)
    if swapped:
        assert "by column most of all 'trip_distance' " in messages[1]
