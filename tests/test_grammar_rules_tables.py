"""The grammar's rules 10 to 16: columns and roles, joins, windows, splits, time zones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Lepton
from grammar import (
    After,
    Planned,
    Ran,
    Refused,
    SmallChunks,
    learn,
    listed,
    treatments,
    write_csv,
)

import lepton_dask
from lepton_dask.errors import UserError
from lepton_dask.events import Event, RowsLost, RowsUnmatched
from lepton_dask.run import lookups, memory

WritePipeline = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# --- 10: selectors -------------------------------------------------------------------------------

SELECTED = """\
rows: {{read: {{path: a.csv, types: {{day: date}}}}}}
features: {{prepare: {{target: y, {keys}}}}}
model: {{train: {{loss: squared}}}}
"""


@pytest.fixture
def many() -> pd.DataFrame:
    return write_csv(
        "a.csv",
        **{"c-a": [1.5, 2], "c-b": [1.5, 2], "d": [1.5, 2], "s": ["x", "y"]},
        day=["2024-01-01", "2024-01-02"],
        y=[1, 2],
    )


@pytest.mark.usefixtures("many")
def test_rule_10_name_beats_expression_beats_type_beats_auto(planned: Planned) -> None:
    keys = (
        "numeric: {impute: mean, scale: robust}, categorical: {minimum_count: 3}, "
        "date: {parts: [year]}, "
        'columns: {c-a: {scale: none}, "^c-.*$": {scale: minmax, transform: log1p}}'
    )
    assert treatments(planned(SELECTED.format(keys=keys))) == {
        "c-a": "number: impute mean, log1p, scale none",
        "c-b": "number: impute mean, log1p, scale minmax",
        "d": "number: impute mean, scale robust",
        "s": "category: levels of 3 rows or more",
        "day": "date: year",
        "y": "target",
    }
    auto = treatments(planned(SELECTED.format(keys="columns: {}")))
    assert auto["d"] == "number: impute median, scale standard"
    assert auto["s"] == "category: levels of 10 rows or more"
    assert auto["day"] == "date: month, weekday"
    as_category = treatments(planned(SELECTED.format(keys="columns: {d: {as: category}}")))
    assert as_category["d"] == "category: levels of 10 rows or more"


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("columns", "mistake"),
    [
        ('{"^c.*$": {scale: none}, "^.-a$": {scale: none}}', "^.-a$: 'c-a' is matched by '^c.*$'"),
        ('{"^z.*$": {scale: none}}', "^z.*$: '^z.*$' matches no column"),
        ("{c-aa: {scale: none}}", "c-aa: unknown column 'c-aa'; did you mean 'c-a'?"),
    ],
)
def test_rule_10_two_expressions_for_a_column_or_one_for_none_are_a_mistake(
    columns: str, mistake: str, refused: Refused
) -> None:
    [found] = refused(SELECTED.format(keys=f"columns: {columns}"))
    assert found.startswith(mistake)


# --- 11: target ----------------------------------------------------------------------------------


@pytest.fixture
def delays() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    x = rng.normal(size=200)
    delay = pd.Series((20 * x + rng.normal(size=200)).round(3)).mask(rng.random(200) < 0.1)
    late = np.where(delay >= 10, "late", "in time")
    return write_csv("a.csv", x=x, delay=delay, planned=3.0, late=late)


@pytest.mark.usefixtures("delays")
def test_rule_11_two_text_labels_without_positive_are_refused_with_the_levels(ran: Ran) -> None:
    with pytest.raises(UserError) as caught:
        ran(learn("late"))
    [mistake] = caught.value.mistakes
    assert "target: 'late' has the labels 'in time', 'late'; say target: {column: late" in str(
        mistake
    )
    model = lepton_dask.load(ran(learn("{column: late, positive: late}")).folder)
    assert model.classes == ("in time", "late")


def test_rule_11_what_a_targets_expression_reads_is_no_feature_and_not_needed(
    delays: pd.DataFrame, ran: Ran, events: list[Event], lepton: Lepton, scheduler: str
) -> None:
    folder = ran(learn('{expression: "delay - planned >= 7"}', keys=", exclude: [late]")).folder
    model = lepton_dask.load(folder)
    assert model.features == ("x",)
    assert [column.name for column in model.inputs] == ["x"]
    [lost] = [event for event in events if isinstance(event, RowsLost)]
    assert lost.before - lost.after == delays["delay"].isna().sum() > 0
    delays[["x"]].to_csv("b.csv", index=False)
    assert lepton("predict", folder, "b.csv", "out.csv", "--scheduler", scheduler).code == 0
    predicted = pd.read_csv("out.csv")["prediction"]
    assert (predicted == (delays["delay"] >= 10))[delays["delay"].notna()].mean() > 0.9


# --- 12: roles -----------------------------------------------------------------------------------


def test_rule_12_exclude_weight_and_id(ran: Ran, lepton: Lepton, scheduler: str) -> None:
    rng = np.random.default_rng(5)
    x, w = rng.normal(size=100), rng.integers(1, 5, 100)
    y = 2 * x + rng.normal(size=100)
    rows = write_csv(
        "a.csv", who=[f"p{i}" for i in range(100)], x=x, w=w, noise_1=x, noise_2=x, y=y
    )
    keys = ', id: who, weight: w, exclude: ["^noise_.*$"], numeric: {scale: none}'
    folder = ran(learn("y", "squared", keys).replace("0.1", "0")).folder
    model = lepton_dask.load(folder)
    assert model.features == ("x",)
    slope, intercept = np.polyfit(x, y, 1, w=np.sqrt(w))
    np.testing.assert_allclose(model.coefficient_array, [slope], rtol=1e-6)
    assert model.intercept == pytest.approx(intercept, rel=1e-6)
    rows[["who", "x"]].to_csv("b.csv", index=False)
    assert lepton("predict", folder, "b.csv", "out.csv", "--scheduler", scheduler).code == 0
    predicted = pd.read_csv("out.csv")
    assert predicted["who"].tolist() == rows["who"].tolist()
    np.testing.assert_allclose(predicted["prediction"], intercept + slope * x, rtol=1e-5)


# --- 13: joins -----------------------------------------------------------------------------------

JOINED = """\
right: {read: {path: b.csv}}
left: {read: {path: a.csv}}
"""


@pytest.fixture
def two_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keys 0 to 19, of which the other table has the even ones, in another order."""
    rng = np.random.default_rng(1)
    left = write_csv("a.csv", k=rng.integers(0, 20, 300), x=rng.normal(size=300), y=range(300))
    keys = rng.permutation(np.arange(0, 20, 2))
    return left, write_csv("b.csv", k=keys, seats=10 * keys, built=2000 + keys)


@pytest.mark.parametrize("chunk_bytes", [500, 10_000_000])
def test_rule_13_a_join_keeps_every_left_row_and_counts_the_unmatched(
    chunk_bytes: int,
    two_tables: tuple[pd.DataFrame, pd.DataFrame],
    after: After,
    small_chunks: SmallChunks,
    events: list[Event],
) -> None:
    small_chunks(chunk_bytes)
    left, right = two_tables
    found = after(
        JOINED + "both: {join: [{with: right, on: k, columns: {built: year, seats: seats}}]}\n"
    )
    expected = left.merge(right.rename(columns={"built": "year"}), on="k", how="left")
    for name in ("k", "x", "y", "year", "seats"):
        assert listed(found[name]) == listed(expected[name]), name
    [unmatched] = [event for event in events if isinstance(event, RowsUnmatched)]
    odd = int((left["k"] % 2).sum())
    assert (unmatched.table, unmatched.unmatched, unmatched.rows) == ("right", odd, len(left))


@pytest.mark.parametrize("how", ["left", "inner"])
def test_rule_13_several_keys_of_two_types_match_as_pandas_matches_them_and_null_matches_nothing(
    how: str, after: After, small_chunks: SmallChunks, events: list[Event]
) -> None:
    """A whole number is equal to a number that is one; rows of the right without a key are none."""
    small_chunks(600)
    rng = np.random.default_rng(5)
    port = pd.Series(rng.choice(["EWR", "JFK", "é, x"], 200)).mask(rng.random(200) < 0.1)
    hour = pd.Series(rng.integers(0, 6, 200), dtype="Int64").mask(rng.random(200) < 0.1)
    left = write_csv("a.csv", port=port, hour=hour, i=range(200))
    right = pd.DataFrame(
        [(port, float(hour)) for port in ("EWR", "é, x", "LGA") for hour in range(5)],
        columns=["origin", "h"],
    ).assign(temp=range(15))
    right = right.astype({"h": object})
    nobody = pd.DataFrame({"origin": [None, None, "EWR"], "h": [1.5, 1.5, None], "temp": 99})
    pd.concat([right, nobody]).to_csv("b.csv", index=False)
    found = after(
        f"{JOINED}both: {{join: [{{with: right, on: {{port: origin, hour: h}}, how: {how}}}]}}\n"
    )
    keys = left.astype({"hour": "Float64"}).astype({"hour": object})
    expected = keys.merge(right, left_on=["port", "hour"], right_on=["origin", "h"], how=how)
    assert found["i"].tolist() == expected["i"].tolist()
    assert listed(found["temp"]) == listed(expected["temp"])
    matched = int(expected["temp"].notna().sum())
    assert 50 < matched < 150
    told = [event for event in events if isinstance(event, RowsUnmatched | RowsLost)]
    if how == "left":
        assert [(each.unmatched, each.rows) for each in told] == [(200 - matched, 200)]
    else:
        assert [(each.before, each.after) for each in told] == [(200, matched)]


def test_rule_13_keys_of_types_that_never_meet_are_refused(refused: Refused) -> None:
    write_csv("a.csv", k=["1", "x"])
    write_csv("b.csv", k=[1, 2], z=[1, 2])
    [mistake] = refused(JOINED + "both: {join: [{with: right, on: k}]}\n")
    assert mistake.startswith(
        "on: 'k' is a text here, and 'k' in 'right' is an integer; declare one"
    )


@pytest.mark.usefixtures("two_tables")
def test_rule_13_a_table_that_no_worker_could_hold_is_refused_before_it_is_sent(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SHARE", 1e-9)
    with pytest.raises(UserError, match=r"with: 'right' takes .* and every worker would hold it"):
        ran(JOINED + "both: {join: [{with: right, on: k}]}\n")


def test_rule_13_a_key_that_is_there_twice_ends_the_run_by_its_name(ran: Ran) -> None:
    write_csv("a.csv", k=[1, 2, 3])
    write_csv("b.csv", k=[1, 2, 3, 2], z=[1, 2, 3, 4])
    with pytest.raises(UserError) as caught:
        ran(JOINED + "both: {join: [{with: right, on: k}]}\n")
    [mistake] = caught.value.mistakes
    assert "on: the keys of 'right' are not unique: k 2" in str(mistake)
    assert "b.csv row 1" in str(mistake)
    assert "3" in str(mistake)


def test_rule_13_colliding_names_are_refused(refused: Refused) -> None:
    write_csv("a.csv", k=[1], z=[1])
    write_csv("b.csv", k=[1], z=[1])
    [mistake] = refused(JOINED + "both: {join: [{with: right, on: k}]}\n")
    assert mistake.startswith("with: 'z' of 'right' would be a second column 'z'; give it another")


LEARNT = """\
both: {join: [{with: right, on: k, columns: [seats]KEEP}]}
features: {prepare: {target: y, exclude: [k]}}
model: {train: {loss: squared}}
"""


def test_rule_13_with_keep_the_right_table_travels_and_else_predict_asks_for_it(
    two_tables: tuple[pd.DataFrame, pd.DataFrame], ran: Ran, lepton: Lepton, scheduler: str
) -> None:
    left, right = two_tables
    kept = ran(JOINED + LEARNT.replace("KEEP", ", keep: true")).folder
    asking = ran(JOINED + LEARNT.replace("KEEP", "")).folder
    words = ["a.csv", "out.csv", "--scheduler", scheduler]
    refused = lepton("predict", asking, *words)
    assert refused.code == 2
    assert "'right', which does not travel in it; add '--table right=FILE'" in refused.stderr
    outputs = []
    for arguments in ([kept, *words], [asking, *words, "--table", "right=b.csv"]):
        done = lepton("predict", *arguments)
        assert done.code == 0, done.stderr
        outputs.append(pd.read_csv("out.csv")["prediction"])
    model = lepton_dask.load(asking)
    joined = left.merge(right, on="k", how="left")
    expected = model.intercept + sum(
        model.coefficients[each.column]
        * (joined[each.column].fillna(each.impute) - each.center)
        / each.scale
        for each in model.prepared.numbers
    )
    np.testing.assert_allclose(outputs[0], expected, rtol=1e-9)
    np.testing.assert_array_equal(*outputs)
    np.testing.assert_allclose(model.predict(left, {"right": right}), outputs[0], rtol=1e-12)
    np.testing.assert_allclose(lepton_dask.load(kept).predict(left), outputs[0], rtol=1e-12)


@pytest.mark.usefixtures("two_tables")
def test_rule_13_what_travels_is_capped(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "KEPT_BYTES", 100)
    with pytest.raises(UserError, match=r"keep: 'right' takes .* and what travels in a model may"):
        ran(JOINED + LEARNT.replace("KEEP", ", keep: true"))


# --- 14: windows ---------------------------------------------------------------------------------


@pytest.fixture
def hourly() -> pd.DataFrame:
    """Two homes, hour by hour; some hours are not there."""
    rng = np.random.default_rng(2)
    hour = np.repeat(np.arange(120), 2)
    rows = pd.DataFrame(
        {
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(hour, "h"),
            "home": np.tile(["a", "b"], 120),
            "x": rng.normal(size=240).round(6),
        }
    )
    rows = rows[rng.random(240) > 0.1].reset_index(drop=True)
    rows.to_csv("a.csv", index=False)
    return rows


WINDOWS = """\
rows: {read: {path: a.csv}}
made:
  derive:
    group: home
    order: at
    columns:
      rows_before: lag(x, 24)
      day_before: lag(x, '24h')
      mean: rolling_mean(x, 5)
"""


def expected_windows(rows: pd.DataFrame) -> pd.DataFrame:
    """By the rows' positions, and by a lookup of each moment a day before."""
    x = rows.groupby("home")["x"]
    by_moment = rows.set_index(["home", "at"])["x"]
    day_before = pd.MultiIndex.from_arrays([rows["home"], rows["at"] - pd.Timedelta("24h")])
    return rows.assign(
        rows_before=x.shift(24),
        day_before=by_moment.reindex(day_before).to_numpy(),
        mean=x.transform(lambda values: values.rolling(5, min_periods=1).mean()),
    )


@pytest.mark.parametrize("chunk_bytes", [300, 1700, 10_000_000])
def test_rule_14_windows_look_back_over_rows_or_to_a_moment_whatever_the_chunks(
    chunk_bytes: int, hourly: pd.DataFrame, after: After, small_chunks: SmallChunks
) -> None:
    small_chunks(chunk_bytes)
    found, expected = after(WINDOWS), expected_windows(hourly)
    assert expected["day_before"].isna().sum() > 48  # some moments are absent
    assert listed(found["rows_before"]) == listed(expected["rows_before"])
    assert listed(found["day_before"]) == listed(expected["day_before"])
    np.testing.assert_allclose(found["mean"], expected["mean"], rtol=1e-12)


@pytest.mark.usefixtures("hourly")
@pytest.mark.parametrize(
    ("steps", "mistake"),
    [
        (
            "made: {derive: {order: at, columns: {z: 'lead(x, 1)'}}}",
            "z: 'lead' looks ahead; only 'prepare: {target:",
        ),
        ("made: {clean: {filter: 'lead(x, 1) > 0'}}", "filter: 'lead' looks"),
        ("made: {derive: {columns: {z: 'lag(x, 1)'}}}", "z: 'lag' needs an order"),
        (
            "made: {derive: {order: at, columns: {z: 'lag(x, -1)'}}}",
            "z: 'lag' takes a number of rows from 0",
        ),
    ],
)
def test_rule_14_windows_look_backward_only_and_need_an_order(
    steps: str, mistake: str, refused: Refused
) -> None:
    found = refused(f"rows: {{read: {{path: a.csv}}}}\n{steps}\nout: {{write: {{path: b.csv}}}}\n")
    assert found[0].startswith(mistake)


@pytest.mark.parametrize("chunk_bytes", [300, 10_000_000])
def test_rule_14_what_is_to_be_forecast_may_look_ahead(
    chunk_bytes: int, hourly: pd.DataFrame, ran: Ran, small_chunks: SmallChunks
) -> None:
    small_chunks(chunk_bytes)
    outcome = ran(
        """\
        rows: {read: {path: {train: a.csv}}}
        now: {derive: {columns: {x_now: x}}}
        features:
          prepare: {target: {expression: "lead(x, 3)", group: home, order: at}, exclude: [at]}
        model: {train: {loss: squared}}
        out: {predict: {part: train}}
        save: {write: {path: out.parquet}}
        """
    )
    found = pd.read_parquet(outcome.folder / "out.parquet")["lead(x, 3)"]
    assert listed(found) == listed(hourly.groupby("home")["x"].shift(-3))


def test_rule_14_rows_in_disorder_are_sorted_in_memory_or_refused(
    hourly: pd.DataFrame, after: After, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffled = hourly.sample(frac=1, random_state=1)
    shuffled.to_csv("a.csv", index=False)
    found = after(WINDOWS)
    expected = expected_windows(hourly).loc[shuffled.index]
    assert listed(found["day_before"]) == listed(expected["day_before"])
    assert listed(found["rows_before"]) == listed(expected["rows_before"])
    monkeypatch.setattr(memory, "SHARE", 1e-7)
    with pytest.raises(UserError, match="order: the rows are not in the order of 'at'"):
        after(WINDOWS)


# --- 15: split -----------------------------------------------------------------------------------


@pytest.fixture
def to_split() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    hour = np.sort(rng.integers(0, 500, 1000))
    return pd.DataFrame(
        {
            "i": range(1000),
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(hour, "h"),
            "hour": hour,
            "label": rng.choice(["a", "b", "c"], 1000, p=[0.7, 0.25, 0.05]),
            "who": rng.integers(0, 120, 1000),
            "official": rng.choice(["train", "validation", "test"], 1000),
        }
    )


@pytest.fixture
def parts_of(to_split: pd.DataFrame, ran: Ran) -> Callable[[str], pd.DataFrame]:
    """The rows that are in a part, with the part's name."""

    to_split.to_csv("a.csv", index=False)

    def parts(split: str) -> pd.DataFrame:
        writes = "".join(
            f"{part}: {{from: parts.{part}, write: {{path: {part}.parquet}}}}\n"
            for part in ("train", "validation", "test")
        )
        folder = ran(f"rows: {{read: {{path: a.csv}}}}\nparts: {{split: {split}}}\n{writes}").folder
        return pd.concat(
            pd.read_parquet(folder / f"{part}.parquet").assign(part=part)
            for part in ("train", "validation", "test")
        )

    return parts


THIRDS = "train: 0.6, validation: 0.2, test: 0.2"


def shares(parts: pd.DataFrame) -> list[float]:
    counts = parts["part"].value_counts(normalize=True)
    return [counts[part] for part in ("train", "validation", "test")]


def test_rule_15_fractions(parts_of: Callable[[str], pd.DataFrame]) -> None:
    parts = parts_of(f"{{{THIRDS}}}")
    assert sorted(parts["i"]) == list(range(1000))
    np.testing.assert_allclose(shares(parts), [0.6, 0.2, 0.2], atol=0.05)


def test_rule_15_fractions_with_stratify(parts_of: Callable[[str], pd.DataFrame]) -> None:
    for label, rows in parts_of(f"{{{THIRDS}, stratify: label}}").groupby("label"):
        exact = len(rows) * np.array([0.6, 0.2, 0.2])
        assert np.abs(np.array(shares(rows)) * len(rows) - exact).max() <= 1, label


def test_rule_15_fractions_with_groups(parts_of: Callable[[str], pd.DataFrame]) -> None:
    parts = parts_of(f"{{{THIRDS}, group: who}}")
    assert (parts.groupby("who")["part"].nunique() == 1).all()
    np.testing.assert_allclose(shares(parts), [0.6, 0.2, 0.2], atol=0.12)


def test_rule_15_by_time_from_moments_on(
    to_split: pd.DataFrame, parts_of: Callable[[str], pd.DataFrame]
) -> None:
    split = '{time: at, validation: "2024-01-10", test: "2024-01-15T12:00"}'
    bounds = [pd.Timestamp("2024-01-10"), pd.Timestamp("2024-01-15T12:00")]
    expected = np.array(["train", "validation", "test"])[
        np.searchsorted(bounds, to_split["at"], side="right")
    ]
    assert parts_of(split).sort_values("i")["part"].tolist() == expected.tolist()


def test_rule_15_by_time_in_fractions_cut_between_distinct_values(
    parts_of: Callable[[str], pd.DataFrame],
) -> None:
    parts = parts_of(f"{{{THIRDS}, time: hour}}")
    spans = parts.groupby("part")["hour"].agg(["min", "max"])
    assert spans.loc["train", "max"] < spans.loc["validation", "min"]
    assert spans.loc["validation", "max"] < spans.loc["test", "min"]
    np.testing.assert_allclose(shares(parts), [0.6, 0.2, 0.2], atol=0.01)


def test_rule_15_a_gap_is_left_out_before_each_later_part(
    to_split: pd.DataFrame, parts_of: Callable[[str], pd.DataFrame]
) -> None:
    parts = parts_of('{time: at, validation: "2024-01-10", test: "2024-01-15", gap: 24h}')
    moments = pd.Timestamp("2024-01-10"), pd.Timestamp("2024-01-15")
    in_gap = pd.Series(False, to_split.index)
    for moment in moments:
        in_gap |= to_split["at"].between(moment - pd.Timedelta("24h"), moment, inclusive="left")
    assert in_gap.sum() > 50
    assert sorted(parts["i"]) == to_split.loc[~in_gap, "i"].tolist()


def test_rule_15_a_column_names_the_parts(parts_of: Callable[[str], pd.DataFrame]) -> None:
    parts = parts_of("{column: official}")
    assert (parts["part"] == parts["official"]).all()
    assert len(parts) == 1000


@pytest.mark.parametrize("other", ["group: who", "time: at", "column: official"])
def test_rule_15_a_split_goes_one_way(other: str, to_split: pd.DataFrame, refused: Refused) -> None:
    to_split.to_csv("a.csv", index=False)
    split = f"{{{THIRDS}, stratify: label, {other}}}"
    found = refused(f"rows: {{read: {{path: a.csv}}}}\nparts: {{split: {split}}}\n")
    assert any("does not go together with 'stratify'" in mistake for mistake in found)


# --- 16: time zones ------------------------------------------------------------------------------

ZONED = '{timestamp: "%Y-%m-%d %H:%M", zone: America/New_York}'
NAIVE = '{timestamp: "%Y-%m-%d %H:%M"}'


def test_rule_16_naive_stays_naive_and_date_parts_use_the_columns_zone(after: After) -> None:
    """23:30 in New York is the next day in UTC; summer time there ends on 3 November 2024."""
    moments = ["2024-06-30 23:30", "2024-11-03 12:00"]
    write_csv("a.csv", n=moments, z=moments)
    found = after(
        f"""\
        rows: {{read: {{path: a.csv, types: {{n: {NAIVE}, z: {ZONED}}}}}}}
        made:
          derive:
            columns:
              hour_n: hour(n)
              hour_z: hour(z)
              day_z: day(z)
              hour_utc: hour(local(z, 'UTC'))
              hour_tokyo: hour(local(z, 'Asia/Tokyo'))
        """
    )
    assert found["n"].dt.tz is None
    assert found["n"].tolist() == [pd.Timestamp(text) for text in moments]
    assert found["z"].tolist() == [pd.Timestamp(text, tz="America/New_York") for text in moments]
    assert found["hour_n"].tolist() == found["hour_z"].tolist() == [23, 12]
    assert found["day_z"].tolist() == [30, 3]
    assert found["hour_utc"].tolist() == [3, 17]
    assert found["hour_tokyo"].tolist() == [12, 2]


@pytest.mark.parametrize(
    ("step", "mistake"),
    [
        (
            "made: {clean: {filter: n < z}}",
            "filter: 'n' is a timestamp without a time zone, and 'z' is a timestamp in "
            "America/New_York; take the clock time of one: local(z, 'America/New_York')",
        ),
        ("made: {join: [{with: right, on: {n: t}}]}", "n: 'n' is a timestamp without a zone here"),
    ],
)
def test_rule_16_comparing_or_joining_naive_with_zoned_is_a_mistake(
    step: str, mistake: str, refused: Refused
) -> None:
    write_csv("a.csv", n=["2024-06-30 23:30"], z=["2024-06-30 23:30"])
    write_csv("b.csv", t=["2024-06-30 23:30"], w=[1])
    right = f"right: {{read: {{path: b.csv, types: {{t: {ZONED}}}}}}}\n"
    left = f"left: {{read: {{path: a.csv, types: {{n: {NAIVE}, z: {ZONED}}}}}}}\n"
    [found] = refused(f"{right}{left}{step}\nout: {{write: {{path: o.csv}}}}\n")
    assert found.startswith(mistake)
