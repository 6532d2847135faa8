"""What a file's own bytes and rows say of how to read it, and of what its columns are for."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from lepton_dask.data.declared import Date, Timestamp
from lepton_dask.data.guess_csv import guess_csv
from lepton_dask.data.guess_roles import (
    TargetGuess,
    guess_excluded,
    guess_target,
    guess_time,
)
from lepton_dask.data.guess_types import guess_missing, guess_moments, with_moments
from lepton_dask.data.profile import profile_table
from lepton_dask.errors import Mistake

# --- how a text table is written -----------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_the_one_that_all_records_agree_on(separator: str) -> None:
    rows = [["name", "said", "n"], ["Ann", "a, b; c", "1"], ["Bob", "x|y", "2"], ["Eve", "-", "3"]]
    quoted = [separator.join(f'"{cell}"' for cell in row) for row in rows]
    guess = guess_csv("\n".join(quoted).encode())
    assert (guess.separator, guess.header, guess.skip_rows) == (separator, True, 0)


def test_decimal_commas_do_not_hide_the_separator() -> None:
    assert guess_csv(b"a;b\n1,5;2,5\n3;4\n5,5;6\n").separator == ";"


def test_one_column_has_a_header_and_no_separator_of_its_own() -> None:
    guess = guess_csv(b"temperature\n1.5\n2.5\n3.5\n")
    assert (guess.separator, guess.header) == (",", True)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("age,job\n30,cook\n40,clerk\n", True),
        ("30,cook\n40,clerk\n30,cook\n31,cook\n", False),
        ("cook,yes\nclerk,no\ncook,yes\nclerk,yes\ncook,no\n", False),
        ("id,2019,name\n1,5,ann\n2,6,bob\n", True),
        (",a,b\n0,1,2\n1,3,4\n", True),
    ],
    ids=["names", "numbers", "texts that come again", "one name is a number", "pandas index"],
)
def test_a_first_line_of_values_is_no_header(text: str, header: bool) -> None:
    assert guess_csv(text.encode()).header is header


def test_a_first_line_of_other_fields_is_skipped() -> None:
    guess = guess_csv(b"569,30,malignant,benign\n1,2,3,4,0\n5,6,7,8,1\n9,1,2,3,0\n")
    assert (guess.header, guess.skip_rows, guess.columns) == (False, 1, None)
    assert guess.reasons["header"] == "the first line has 4 fields and the others 5"


def test_a_header_without_a_name_for_the_rows_gets_one() -> None:
    guess = guess_csv(b'"date","x"\n"1","2015-02-04",3\n"2","2015-02-05",4\n')
    assert (guess.header, guess.skip_rows, guess.columns) == (False, 1, ("row", "date", "x"))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_the_encoding_is_utf_8_or_what_it_can_be(encoding: str) -> None:
    guess = guess_csv("name;città\nå;1\né;2\n".encode(encoding))
    assert (guess.encoding, guess.separator) == (encoding, ";")


def test_a_character_cut_at_the_end_of_the_head_is_still_utf_8() -> None:
    assert guess_csv("a,b\n1,é".encode()[:-1]).encoding == "utf-8"


# --- what columns hold ---------------------------------------------------------------------------


def test_texts_among_numbers_that_stand_for_nothing_are_listed_as_written() -> None:
    table = pa.table(
        {
            "speed": ["12", " ?", "NA", "3e5", None],
            "since": ["2019-01-02", "NA", "n/a", "2019-01-03", "2019-02-01"],
            "country": ["NA", "DE", "null", "DE", "FR"],
            "job": ["unknown", "cook", "cook", "clerk", "cook"],
            "n": [1, 2, 3, 4, 5],
        }
    )
    found = guess_missing(table)
    assert dict(found.rows) == {" ?": 1, "NA": 3, "n/a": 1, "null": 1}
    assert set(found.columns) == {"speed", "since", "country"}


def test_a_level_that_may_mean_something_is_not_missing() -> None:
    table = pa.table({"country": ["NA", "DE"], "job": ["unknown", "cook"], "code": ["12", "x"]})
    assert dict(guess_missing(table).rows) == {}


@pytest.mark.parametrize(
    ("texts", "declared", "first"),
    [
        (["24.12.2019", "01.02.2020"], Date(date="%d.%m.%Y"), dt.date(2019, 12, 24)),
        (["12/24/2019", "01/02/2020"], Date(date="%m/%d/%Y"), dt.date(2019, 12, 24)),
        (
            ["24/12/2019 07:05", "01/02/2020 12:00"],
            Timestamp(timestamp="%d/%m/%Y %H:%M"),
            dt.datetime(2019, 12, 24, 7, 5),
        ),
    ],
)
def test_a_text_column_of_one_format_is_a_moment(texts, declared, first) -> None:
    table = pa.table({"when": texts, "other": ["a", "b"]})
    moments = guess_moments(table)
    assert moments.formats == {"when": declared}
    assert with_moments(table, moments)["when"][0].as_py() == first


def test_day_and_month_that_could_be_either_stay_text() -> None:
    moments = guess_moments(pa.table({"when": ["01/02/2020", "03/04/2020"]}))
    assert moments.formats == {}
    assert moments.ambiguous == {"when": ("%d/%m/%Y", "%m/%d/%Y")}


def test_one_text_that_is_no_date_makes_a_text_column() -> None:
    moments = guess_moments(pa.table({"when": ["24.12.2019", "soon"]}))
    assert (moments.formats, moments.ambiguous) == ({}, {})


# --- what columns are for ------------------------------------------------------------------------


def target_of(values: list[object]) -> TargetGuess | Mistake:
    return guess_target("y", profile_table(pa.table({"y": values})).columns["y"])


@pytest.mark.parametrize(
    ("values", "label"),
    [
        (["no", "no", "yes"], "yes"),
        ([0, 1, 1], 0),
        ([True, False, True], False),
        (["a", "b", "b", "c"], "b"),
        ([1, 2, 3], None),
        ([1.5, 2.5, 3.5], None),
    ],
    ids=["two texts", "two numbers", "truth", "many texts", "integers", "numbers"],
)
def test_the_rarer_of_two_labels_is_positive_and_of_many_the_most_frequent(values, label) -> None:
    guess = target_of(values)
    assert isinstance(guess, TargetGuess)
    assert guess.label == label


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([None, None], "has no value"),
        (["a", "a"], "is 'a' in every row"),
        ([dt.date(2020, 1, 1), dt.date(2020, 1, 2)], "is a date"),
    ],
)
def test_a_target_that_cannot_be_learnt_is_a_mistake(values, told: str) -> None:
    guess = target_of(values)
    assert isinstance(guess, Mistake)
    assert told in str(guess)


def excluded(table: pa.Table, target: str) -> dict[str, str]:
    profile = profile_table(table)
    guess = guess_target(target, profile.columns[target])
    assert isinstance(guess, TargetGuess)
    return guess_excluded(table, profile, guess)


def test_columns_that_say_nothing_or_too_much_are_excluded_with_a_reason() -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 200)
    table = pa.table(
        {
            "number": np.arange(200) + 17,
            "token": [f"{i:x}" for i in range(200)],
            "ticks": 1_479_424_215_880_976_384 + rng.integers(0, 10**9, 200),
            "constant": ["x"] * 200,
            "empty": pa.nulls(200, pa.float64()),
            "label": np.where(y == 1, "bad", "good"),
            "measured": rng.normal(size=200),
            "count": rng.permutation(1000)[:200],
            "group": rng.choice(["a", "b"], 200),
            "y": y,
        }
    )
    reasons = excluded(table, "y")
    assert list(reasons) == ["number", "token", "ticks", "constant", "empty", "label"]
    assert reasons["number"] == "a running number"
    assert reasons["token"].startswith("an id, or prose")
    assert reasons["label"].startswith("leaks: it says the same as the target")


def test_a_number_in_other_units_leaks_and_one_with_noise_does_not() -> None:
    x = np.random.default_rng(4).normal(size=300)
    table = pa.table(
        {"celsius": x, "fahrenheit": 32 + 1.8 * x, "near": x + 0.01 * np.sin(np.arange(300))}
    )
    assert list(excluded(table, "celsius")) == ["fahrenheit"]


@pytest.mark.parametrize(("in_blocks", "column"), [(False, "day"), (True, None)])
def test_a_time_column_splits_unless_a_part_would_have_one_label(in_blocks, column) -> None:
    days = pa.array(np.arange(300), pa.int32()).cast(pa.date32())
    y = np.arange(300) >= 290 if in_blocks else np.arange(300) % 3 == 0
    table = pa.table({"day": days, "y": y})
    profile = profile_table(table)
    target = guess_target("y", profile.columns["y"])
    assert isinstance(target, TargetGuess)
    guess = guess_time(table, profile, {}, target)
    assert guess.column == column
    assert "'day'" in guess.reason
    assert ("one label only" in guess.reason) is in_blocks
