"""Joins run on a cluster over several chunks, against pandas; and played again by a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Lepton, Run

import lepton_dask
from lepton_dask.cli.console import line
from lepton_dask.errors import UserError
from lepton_dask.events import Event, RowsLost, RowsUnmatched
from lepton_dask.run import lookups, memory
from lepton_dask.run.pipeline import load_and_plan

WritePipeline = Callable[[str], Path]
SmallChunks = Callable[[int], None]

FLIGHTS = 600


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks: SmallChunks) -> None:
    """In a folder of the test's own, with tables in several chunks."""
    monkeypatch.chdir(tmp_path)
    small_chunks(6_000)
    write_tables()


def write_tables() -> None:
    """Flights, of which some have no tail number and some one that no plane has; planes with holes
    and one without a number; weather by airport and hour with hours that are not there."""
    rng = np.random.default_rng(3)
    numbers = [f"N{i:03d}" for i in range(80)]
    planes = pd.DataFrame(
        {
            "tailnum": [*numbers, None, None],
            "year": [None if i % 9 == 0 else 1980 + i % 30 for i in range(82)],
            "maker": [None if i % 7 == 0 else f"maker {i % 3}" for i in range(82)],
        }
    ).sample(frac=1, random_state=0)
    hours = pd.date_range("2013-01-01", periods=150, freq="h", tz="UTC")
    weather = pd.DataFrame(
        [(airport, hour) for airport in ("EWR", "JFK") for hour in hours if hour.hour != 3],
        columns=["origin", "time_hour"],
    )
    weather["temp"] = rng.normal(10, 5, len(weather)).round(3)
    weather["hour"] = weather.time_hour.dt.hour
    flights = pd.DataFrame(
        {
            "id": np.arange(FLIGHTS),
            "tailnum": rng.choice([*numbers, "N999", None], FLIGHTS),
            "origin": rng.choice(["EWR", "JFK"], FLIGHTS),
            "time_hour": rng.choice(hours, FLIGHTS),
            "distance": rng.integers(100, 3000, FLIGHTS),
        }
    )
    flights["delay"] = (rng.normal(0, 9, FLIGHTS) + flights.distance / 100).round(3)
    for name, table in (("planes", planes), ("weather", weather), ("flights", flights)):
        for column in table.columns.intersection(["time_hour"]):
            table[column] = table[column].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        table.to_csv(f"{name}.csv", index=False)


HOUR = '{timestamp: "%Y-%m-%dT%H:%M:%SZ", zone: UTC}'

JOINED = f"""
    name: joins
    steps:
      planes: {{read: {{path: planes.csv}}}}
      sky: {{read: {{path: weather.csv, types: {{time_hour: {HOUR}}}}}}}
      weather: {{clean: {{rename: {{temp: celsius}}, require: [celsius]}}}}
      flights: {{read: {{path: flights.csv, types: {{time_hour: {HOUR}}}}}}}
      joined:
        join:
          - {{with: weather, on: [origin, time_hour], columns: [celsius]}}
          - {{with: planes, on: tailnum, columns: {{year: built, maker: maker}}, keep: true}}
    """
WRITTEN = "  out: {write: {path: out.parquet}}\n    "
TRAINED = """  parts: {split: {train: 0.7, test: 0.3}}
      features: {prepare: {target: delay, exclude: [id, time_hour, tailnum]}}
      model: {train: {loss: squared, penalty: {l2: 0.01}}}
      scores: {evaluate: {metrics: [rmse]}}
      predicted: {predict: {part: test}}
      out: {write: {path: out.parquet}}
    """


def expected(how: str = "left") -> pd.DataFrame:
    """The same by pandas, which would also match missing keys."""
    weather = pd.read_csv("weather.csv").rename(columns={"temp": "celsius"})
    planes = pd.read_csv("planes.csv").rename(columns={"year": "built"}).dropna(subset="tailnum")
    flights = pd.read_csv("flights.csv")
    found = flights.merge(
        weather[["origin", "time_hour", "celsius"]], on=["origin", "time_hour"], how="left"
    )
    return found.merge(planes, on="tailnum", how=how)


def test_a_left_join_keeps_every_row_and_counts_those_without_a_match(
    run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    folder = run(write_pipeline(JOINED + WRITTEN)).folder
    rows, wanted = pd.read_parquet(folder / "out.parquet"), expected()
    columns = ["id", "celsius", "built", "maker"]
    assert list(rows.columns) == [*pd.read_csv("flights.csv").columns, *columns[1:]]
    pd.testing.assert_frame_equal(rows[columns], wanted[columns], check_dtype=False)
    unmatched = {e.table: (e.unmatched, e.rows) for e in events if isinstance(e, RowsUnmatched)}
    planes = pd.read_csv("planes.csv").tailnum.dropna()
    hours = pd.read_csv("weather.csv").time_hour
    flights = pd.read_csv("flights.csv")
    assert unmatched == {
        "weather": (int((~flights.time_hour.isin(hours)).sum()), FLIGHTS),
        "planes": (int((~flights.tailnum.isin(planes)).sum()), FLIGHTS),
    }
    event = RowsUnmatched("joined", "planes", 52_606, 336_776)
    assert line(event) == "joined: 52,606 of 336,776 rows have no match in 'planes'"
    log = [json.loads(text) for text in (folder / "events.jsonl").read_text().splitlines()]
    assert [e["table"] for e in log if e["event"] == "RowsUnmatched"] == ["weather", "planes"]


def test_an_inner_join_drops_the_rows_without_a_match_and_says_so(
    run: Run, write_pipeline: WritePipeline, events: list[Event]
) -> None:
    text = JOINED.replace("keep: true", "how: inner") + WRITTEN
    rows = pd.read_parquet(run(write_pipeline(text)).folder / "out.parquet")
    wanted = expected("inner").sort_values("id")
    assert rows["id"].tolist() == wanted["id"].tolist()
    [lost] = [event for event in events if isinstance(event, RowsLost)]
    assert (lost.before, lost.after) == (FLIGHTS, len(wanted))
    assert lost.reason == "no match in 'planes'"


def test_each_part_is_joined_and_stays_what_it_was(run: Run, write_pipeline: WritePipeline) -> None:
    parts = "parts: {split: {train: 0.5, test: 0.5}}\n      joined:"
    text = (
        JOINED.replace("joined:", parts, 1) + "  out: {from: joined.test, write: {path: a.csv}}\n"
    )
    test = pd.read_csv(
        run(write_pipeline(text.replace("name: parts", "name: joins"))).folder / "a.csv"
    )
    wanted = expected().set_index("id").loc[test["id"]]
    assert 0 < len(test) < FLIGHTS
    assert test["maker"].fillna("").tolist() == wanted["maker"].fillna("").tolist()


def test_keys_that_are_not_unique_end_the_run_at_on_and_name_one(
    run: Run, write_pipeline: WritePipeline
) -> None:
    planes = pd.read_csv("planes.csv")
    number = planes.tailnum.dropna().iloc[4]
    pd.concat([planes, planes[planes.tailnum == number]]).to_csv("planes.csv", index=False)
    with pytest.raises(UserError) as error:
        run(write_pipeline(JOINED + WRITTEN))
    [mistake] = error.value.mistakes
    row = planes.index[planes.tailnum == number][0]
    assert mistake.path == ("steps", "joined", "join", 1, "on")
    assert mistake.place is not None
    assert mistake.place.line == 11
    assert mistake.found == (
        f"the keys of 'planes' are not unique: tailnum '{number}' stands 2 times "
        f"(planes.csv row {row}, planes.csv row 82)"
    )


def test_a_table_larger_than_a_workers_share_is_refused_before_it_is_sent(
    run: Run, write_pipeline: WritePipeline, monkeypatch: pytest.MonkeyPatch, events: list[Event]
) -> None:
    monkeypatch.setattr(memory, "SHARE", 2e-6)
    with pytest.raises(UserError) as error:
        run(write_pipeline(JOINED + WRITTEN))
    [mistake] = error.value.mistakes
    assert mistake.path == ("steps", "joined", "join", 0, "with")
    assert "'weather' takes " in mistake.found
    assert "at most 4.19 kiB may be, 0% of the smallest worker's memory" in mistake.found
    assert not any(isinstance(event, RowsUnmatched) for event in events)


def test_a_table_too_large_to_travel_is_refused_at_keep_before_anything_is_trained(
    run: Run, write_pipeline: WritePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "KEPT_BYTES", 1000)
    with pytest.raises(UserError) as error:
        run(write_pipeline(JOINED + TRAINED))
    [mistake] = error.value.mistakes
    assert mistake.path == ("steps", "joined", "join", 1, "keep")
    assert "what travels in a model may take 0.98 kiB" in mistake.found


def test_integers_that_a_model_cannot_tell_apart_are_no_keys(
    run: Run, write_pipeline: WritePipeline
) -> None:
    large = [2**53, 2**53 + 1]
    pd.DataFrame({"k": large, "v": [1, 2]}).to_csv("right.csv", index=False)
    pd.DataFrame({"k": large}).to_csv("left.csv", index=False)
    text = """
    name: large
    steps:
      right: {read: {path: right.csv}}
      left: {read: {path: left.csv}}
      joined: {join: [{with: right, on: k}]}
      out: {write: {path: out.csv}}
    """
    with pytest.raises(UserError) as error:
        run(write_pipeline(text))
    [mistake] = error.value.mistakes
    assert mistake.found == "'k' of 'right' has integers of 2^53 and more"


@pytest.fixture
def trained(run: Run, write_pipeline: WritePipeline) -> Path:
    return run(write_pipeline(JOINED + TRAINED)).folder


def typed(file: str) -> pd.DataFrame:
    rows = pd.read_csv(file)
    return rows.assign(time_hour=pd.to_datetime(rows["time_hour"]))


def test_the_bundle_alone_predicts_what_the_cluster_predicted(trained: Path) -> None:
    model = lepton_dask.load(trained)
    assert [table.name for table in model.tables if table.rows is not None] == ["planes"]
    weather = typed("weather.csv").rename(columns={"temp": "celsius"})
    cluster = pd.read_parquet(trained / "out.parquet")
    rows = typed("flights.csv").set_index("id", drop=False).loc[cluster["id"]]
    assert cluster["maker"].isna().any()
    assert cluster["celsius"].isna().any()
    alone = model.predict(rows, tables={"weather": weather})
    np.testing.assert_allclose(alone, cluster["prediction"], rtol=0, atol=1e-12)


def test_predicting_reads_the_table_as_its_own_steps_read_it(
    trained: Path, lepton: Lepton, scheduler: str
) -> None:
    weather = pd.read_csv("weather.csv").iloc[::-1]
    # A row that the step before the join drops, beside the one with its key.
    hole = weather.iloc[[5]].assign(temp=np.nan)
    pd.concat([hole, weather]).to_csv("other.csv", index=False)
    done = lepton(
        *("predict", trained, "flights.csv", "scored.parquet", "--table", "weather=other.csv"),
        *("--scheduler", scheduler),
    )
    assert done.code == 0, done.stderr
    scored = pd.read_parquet("scored.parquet").set_index("id", drop=False)
    cluster = pd.read_parquet(trained / "out.parquet")
    assert scored["id"].astype(int).tolist() == list(range(FLIGHTS))
    scored.index = scored.index.astype(int)
    np.testing.assert_allclose(
        scored.loc[cluster["id"], "prediction"], cluster["prediction"], rtol=0, atol=1e-12
    )


def test_a_table_that_is_not_given_is_asked_for_in_one_line(trained: Path, lepton: Lepton) -> None:
    refused = lepton("predict", trained, "flights.csv", "scored.csv")
    assert refused.code == 2
    assert refused.stderr.splitlines() == [
        "--table: the model joins the table 'weather', which does not travel in it; "
        "add '--table weather=FILE'",
        "1 mistake",
    ]
    refused = lepton(
        *("predict", trained, "flights.csv", "scored.csv"),
        *("--table", "weather=weather.csv", "--table", "wether=weather.csv"),
    )
    assert refused.code == 2
    assert "the model asks for no table 'wether'; did you mean 'weather'?" in refused.stderr
    refused = lepton("predict", trained, "flights.csv", "scored.csv", "--table", "weather.csv")
    assert refused.code == 2
    assert "expected NAME=FILE, found 'weather.csv'" in refused.stderr


def test_a_file_for_a_table_that_is_not_there_is_told_by_the_tables_name(
    trained: Path, lepton: Lepton, scheduler: str
) -> None:
    refused = lepton(
        *("predict", trained, "flights.csv", "scored.csv", "--table", "weather=wether.csv"),
        *("--scheduler", scheduler),
    )
    assert refused.code == 2
    assert refused.stderr.splitlines()[-2:] == [
        "--table weather: there is no file 'wether.csv'; did you mean 'weather.csv'?",
        "1 mistake",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: pd.concat([rows, rows.head(1)]),
            "the keys 'origin', 'time_hour' are not unique: rows 0, 286 have the same",
        ),
        (lambda rows: rows.drop(columns="temp"), "'other.csv' has no column 'temp'"),
    ],
)
def test_a_file_that_is_no_table_of_the_models_is_refused(
    trained: Path,
    lepton: Lepton,
    scheduler: str,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
) -> None:
    change(pd.read_csv("weather.csv")).to_csv("other.csv", index=False)
    refused = lepton(
        *("predict", trained, "flights.csv", "scored.csv", "--table", "weather=other.csv"),
        *("--scheduler", scheduler),
    )
    assert refused.code == 2
    assert message in refused.stderr


def test_a_row_that_an_inner_join_would_drop_keeps_its_place_and_says_why(
    run: Run, write_pipeline: WritePipeline
) -> None:
    text = JOINED.replace("keep: true", "keep: true, how: inner") + TRAINED
    model = lepton_dask.load(run(write_pipeline(text)).folder)
    weather = typed("weather.csv").rename(columns={"temp": "celsius"})
    rows = typed("flights.csv")
    problems = model.problems(rows, tables={"weather": weather})
    there = rows["tailnum"].isin(pd.read_csv("planes.csv").tailnum.dropna())
    assert (problems[~there] == "no match in 'planes'").all()
    assert [problem for problem in problems[there] if problem is not None] == []


def test_a_table_of_which_nothing_is_learnt_is_not_asked_for(
    run: Run, write_pipeline: WritePipeline
) -> None:
    text = (JOINED + TRAINED).replace("exclude: [id,", "exclude: [celsius, id,")
    model = lepton_dask.load(run(write_pipeline(text)).folder)
    [planes] = model.tables
    assert [column.name for column in planes.columns] == ["tailnum", "year", "maker"]
    assert np.isfinite(model.predict(typed("flights.csv"))).all()


def test_the_plan_shows_which_table_brings_a_column(write_pipeline: WritePipeline) -> None:
    path = write_pipeline(JOINED + WRITTEN)
    plan = load_and_plan(path).plan
    joined = next(step for step in plan.steps if step.name == "joined")
    assert joined.inputs == ("flights", "weather", "planes")
    assert [(c.name, c.type, c.reason) for c in joined.columns if c.treatment == "new"] == [
        ("celsius", "number", "'celsius' of 'weather'"),
        ("built", "number", "'year' of 'planes'"),
        ("maker", "text", "'maker' of 'planes'"),
    ]
    assert joined.why[1].startswith("left join with planes on tailnum, 82 rows, ")
    assert joined.why[1].endswith("; kept in the model")
    with Path("planes.csv").open("a") as file:
        file.write("N777,1999,maker 1\n")
    again = load_and_plan(path).plan
    assert again.steps[-1].fingerprint != plan.steps[-1].fingerprint


def test_a_table_whose_parts_only_its_rows_name_cannot_be_joined_whole(
    write_pipeline: WritePipeline,
) -> None:
    parts = "parts: {from: planes, split: {column: maker}}\n      flights:"
    text = JOINED.replace("flights:", parts, 1).replace("with: planes", "with: parts")
    with pytest.raises(UserError) as error:
        load_and_plan(write_pipeline(text + WRITTEN))
    [mistake] = error.value.mistakes
    assert mistake.path == ("steps", "joined", "join", 1, "with")
    assert mistake.found.startswith("'parts' is in parts (train, validation, test), and a join")


def test_one_table_is_joined_twice_by_different_keys_and_travels_once(
    run: Run, write_pipeline: WritePipeline
) -> None:
    rng = np.random.default_rng(8)
    ports = [f"P{i}" for i in range(6)]
    airports = pd.DataFrame({"faa": ports, "lat": rng.normal(size=6), "alt": range(6)})
    rows = pd.DataFrame({"start": rng.choice(ports, 300), "end": rng.choice(ports, 300)})
    rows["y"] = rng.normal(size=300)
    airports.to_csv("airports.csv", index=False)
    rows.to_csv("legs.csv", index=False)
    text = """
    name: legs
    steps:
      airports: {read: {path: airports.csv}}
      legs: {read: {path: legs.csv}}
      joined:
        join:
          - {with: airports, on: {start: faa}, columns: {lat: start_lat}, keep: true}
          - {with: airports, on: {end: faa}, columns: {lat: end_lat, alt: end_alt}, keep: true}
      parts: {split: {train: 0.5, test: 0.5}}
      features: {prepare: {target: y, exclude: [start, end]}}
      model: {train: {loss: squared}}
      out: {predict: {}}
      save: {write: {path: out.parquet}}
    """
    folder = run(write_pipeline(text)).folder
    model = lepton_dask.load(folder)
    [table] = model.tables
    assert [column.name for column in table.columns] == ["faa", "lat", "alt"]
    out = pd.read_parquet(folder / "out.parquet")
    by_port = airports.set_index("faa")
    assert out["end_alt"].tolist() == by_port.loc[out["end"], "alt"].tolist()
    assert np.allclose(out["start_lat"], by_port.loc[out["start"], "lat"], rtol=1e-15)
    alone = model.predict(out[["start", "end"]])
    np.testing.assert_allclose(alone, out["prediction"], rtol=0, atol=1e-12)


def test_a_table_that_was_joined_itself_is_given_as_its_step_yields_it(
    run: Run, write_pipeline: WritePipeline, lepton: Lepton, scheduler: str
) -> None:
    makers = pd.DataFrame({"maker": [f"maker {i}" for i in range(3)], "size": [3, 1, 2]})
    makers.to_csv("makers.csv", index=False)
    text = """
    name: chain
    steps:
      makers: {read: {path: makers.csv}}
      planes: {read: {path: planes.csv}}
      fleet: {join: [{with: makers, on: maker}]}
      flights: {read: {path: flights.csv, columns: [id, tailnum, distance, delay]}}
      joined: {join: [{with: fleet, on: tailnum, columns: [size]}]}
      parts: {split: {train: 0.5, test: 0.5}}
      features: {prepare: {target: delay, exclude: [id, tailnum]}}
      model: {train: {loss: squared}}
      out: {predict: {}}
      save: {write: {path: out.parquet}}
    """
    folder = run(write_pipeline(text)).folder
    fleet = pd.read_csv("planes.csv").merge(makers, how="left").drop(columns=["year", "maker"])
    fleet.astype({"size": "Int64"}).to_csv("fleet.csv", index=False)
    done = lepton(
        *("predict", folder, "flights.csv", "scored.parquet", "--table", "fleet=fleet.csv"),
        *("--scheduler", scheduler),
    )
    assert done.code == 0, done.stderr
    scored, out = pd.read_parquet("scored.parquet"), pd.read_parquet(folder / "out.parquet")
    assert out["size"].nunique() == 3
    assert scored["id"].astype(int).tolist() == list(range(FLIGHTS))
    predicted = scored["prediction"][out["id"].astype(int)]
    np.testing.assert_allclose(predicted, out["prediction"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("given", ["stations_{port}.csv", "together.csv"])
def test_a_capture_of_a_tables_path_is_a_capture_or_a_column_of_the_file_that_is_given(
    run: Run, write_pipeline: WritePipeline, lepton: Lepton, scheduler: str, given: str
) -> None:
    stations = pd.DataFrame(
        {"port": ["01", "01", "02", "02"], "at": [0, 1, 0, 1], "wind": [5.0, 1.0, 2.0, 7.0]}
    )
    stations.to_csv("together.csv", index=False)
    for port, own in stations.groupby("port"):
        own[["at", "wind"]].to_csv(f"stations_{port}.csv", index=False)
    rows = pd.DataFrame({"port": ["01", "02"] * 20, "at": [0, 0, 1, 1] * 10, "x": range(40)})
    rows.assign(y=rows["x"] % 7).to_csv("legs.csv", index=False)
    text = """
    name: stations
    steps:
      stations: {read: {path: "stations_{port}.csv"}}
      legs: {read: {path: legs.csv, types: {port: text}}}
      joined: {join: [{with: stations, on: [port, at]}]}
      parts: {split: {train: 0.5, test: 0.5}}
      features: {prepare: {target: y, exclude: [port, at, x]}}
      model: {train: {loss: squared}}
      out: {predict: {}}
      save: {write: {path: out.parquet}}
    """
    folder = run(write_pipeline(text)).folder
    done = lepton(
        *("predict", folder, "legs.csv", "scored.parquet", "--table", f"stations={given}"),
        *("--scheduler", scheduler),
    )
    assert done.code == 0, done.stderr
    scored, out = pd.read_parquet("scored.parquet"), pd.read_parquet(folder / "out.parquet")
    assert out["wind"].nunique() == 4
    predicted = scored["prediction"][out["x"].astype(int)]
    np.testing.assert_allclose(predicted, out["prediction"], rtol=0, atol=1e-12)
