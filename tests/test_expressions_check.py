"""An expression against a table's columns: types, and every mistake at its character."""

from __future__ import annotations

import pickle

import pytest

from lepton_dask.data.expressions.check import ExpressionErrors, check, expression_mistakes
from lepton_dask.data.expressions.window_calls import WindowRule
from lepton_dask.data.types import ColumnType

SCHEMA = {
    "age": ColumnType("integer"),
    "pay": ColumnType("number"),
    "job": ColumnType("text"),
    "paid": ColumnType("boolean"),
    "born": ColumnType("date"),
    "seen": ColumnType("timestamp"),
    "sent": ColumnType("timestamp", "America/New_York"),
    "read": ColumnType("timestamp", "UTC"),
    "capital-gain": ColumnType("integer"),
    "Day Type": ColumnType("integer"),
}
HOURS = ColumnType("timestamp")


def errors(
    text: str, windows: WindowRule = "any", order: ColumnType | None = HOURS
) -> list[tuple[int, str]]:
    with pytest.raises(ExpressionErrors) as caught:
        check(text, SCHEMA, windows=windows, order=order)
    return [(error.offset, f"{error.found}; {error.fix}") for error in caught.value.errors]


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("age + 1", "integer"),
        ("age % 2 * -3", "integer"),
        ("age / 2", "number"),
        ("age + pay", "number"),
        ("round(pay)", "integer"),
        ("round(pay, 2)", "number"),
        ("round(pay, -2)", "integer"),
        ("sign(pay)", "integer"),
        ("abs(age)", "integer"),
        ("sqrt(age)", "number"),
        ("coalesce(age, pay)", "number"),
        ("coalesce(null, age)", "integer"),
        ("case when paid then age else pay end", "number"),
        ("case when paid then 'a' else null end", "text"),
        ("job || '!'", "text"),
        ("length(job)", "integer"),
        ("job in ('a', null)", "boolean"),
        ("age between 1 and 2.5", "boolean"),
        ("null and paid", "boolean"),
        ("sent = read", "boolean"),
        ("greatest(born, '2020-01-01')", "date"),
        ("date(sent)", "date"),
        ("weekday(born)", "integer"),
        ("lag(job, 1)", "text"),
        ("rolling_sum(age, 3)", "integer"),
        ("rolling_mean(age, 3)", "number"),
        ("rolling_count(job, '1h')", "integer"),
    ],
)
def test_every_expression_has_a_type(text: str, type_: str) -> None:
    assert check(text, SCHEMA, windows="any", order=HOURS).type == ColumnType(type_)  # type: ignore[arg-type]  # a kind


def test_a_timestamp_keeps_its_zone_and_local_takes_it_away() -> None:
    assert check("coalesce(sent, sent)", SCHEMA).type == SCHEMA["sent"]
    assert check("local(sent, 'Asia/Tokyo')", SCHEMA).type == ColumnType("timestamp")


def test_reads_are_the_columns_in_order_of_appearance() -> None:
    found = check('case when paid then age else "capital-gain" + age end', SCHEMA)
    assert found.reads == ("paid", "age", "capital-gain")
    assert check("1 + 1", SCHEMA).reads == ()


def test_windows_are_told() -> None:
    assert check("lag(age, 1) > 2", SCHEMA, windows="backward", order=HOURS).is_windowed
    assert not check("age > 2", SCHEMA, windows="backward", order=HOURS).is_windowed


def test_a_checked_expression_travels() -> None:
    checked = check(
        "rolling_mean(lag(age, 1), '2h') > 1 or job = 'a'", SCHEMA, windows="any", order=HOURS
    )
    assert pickle.loads(pickle.dumps(checked)) == checked


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("aeg > 1", 0, "unknown column 'aeg'; did you mean 'age'?"),
        ("Age > 1", 0, "unknown column 'Age'; did you mean 'age'?"),
        (
            "1 < capital-gain",
            4,
            "unknown column 'capital'; write \"capital-gain\" in double quotes",
        ),
        ("Day Type = 1", 4, "unexpected 'Type'; write \"Day Type\" in double quotes"),
        ('job = "yes"', 6, "unknown column 'yes'; a text goes in single quotes: 'yes'"),
        ("rond(pay)", 0, "unknown function 'rond'; did you mean 'round'?"),
        ("log(pay)", 0, "unknown function 'log'; write ln(x) or log10(x)"),
        ("len(job)", 0, "unknown function 'len'; write length(x)"),
        ("dayofweek(born)", 0, "unknown function 'dayofweek'; write weekday(t)"),
        ("sum(pay)", 0, "unknown function 'sum'; write rolling_sum(x, n)"),
        ("round(pay, age)", 11, "'digits' of 'round' has to be an integer, written out"),
        ("round()", 0, "'round' with 0 arguments; write round(x[, digits])"),
        ("least(age)", 0, "'least' with 1 argument; write least(a, b, ...)"),
        ("job + 1", 0, "'job' is text, and arithmetic needs a number"),
        ("paid * 2", 0, "arithmetic needs a number; write case when paid then 1 else 0 end"),
        ("born + 1", 0, "'born' is a date, and arithmetic needs a number"),
        ("job = 1", 6, "'job' is text, and 1 is an integer; write '1' in single quotes"),
        ("age = '1'", 6, "'age' is an integer, and '1' is text; write 1 without quotes"),
        ("born < seen", 7, "take the timestamp's date: date(seen)"),
        ("seen < sent", 7, "take the clock time of one: local(sent, 'America/New_York')"),
        ("paid < true", 5, "'paid' is true or false: it has no order; compare it with ="),
        ("age = null", 6, "a comparison with null is null; write 'is null'"),
        ("age and paid", 0, "'age' is an integer, and 'and' needs a condition; compare it"),
        ("not job", 4, "'job' is text, and 'not' needs a condition; compare it: job = 'yes'"),
        ("case when age then 1 end", 10, "'when' needs a condition"),
        ("case when paid then 1 else 'x' end", 27, "1 is an integer, and 'x' is text"),
        ("null", 0, "null in every row; write a value"),
        ("coalesce(sent, read)", 15, "take the clock time of one: local(sent"),
        ("sent > '2020-13-01'", 7, "'2020-13-01' is no moment such as '2013-09-15T08:00'"),
        ("born = '2020-01-01T10:00'", 7, "is no date such as '2013-09-15'"),
        ("seen > '2020-01-01T00:00Z'", 7, "has an offset, and the column no time zone"),
        ("seen > '2500-01-01'", 7, "is beyond 1677 to 2262"),
        ("hour(born)", 5, "'born' is a date, and this needs a timestamp"),
        (
            "local(sent, 'Asia/Tokio')",
            12,
            "unknown time zone 'Asia/Tokio'; did you mean 'Asia/Tokyo'?",
        ),
        ("lower(age)", 6, "'age' is an integer, and this needs text"),
        ("greatest(job, 'a')", 9, "'job' is text, and this needs numbers, dates or timestamps"),
        ("paid || 'x'", 0, "'paid' is true or false, and this needs text"),
    ],
)
def test_a_mistake_is_told_at_its_character(text: str, offset: int, message: str) -> None:
    ((found_offset, found),) = errors(text)
    assert found_offset == offset
    assert message in found


def test_all_mistakes_are_told_at_once_and_each_cause_once() -> None:
    assert [offset for offset, _ in errors("aeg > 1 and job + 1 > 2 or fo(capital-gain)")] == [
        0,
        12,
        27,
        30,
    ]


@pytest.mark.parametrize(
    ("text", "windows", "order", "message"),
    [
        ("lag(age, 1)", "none", None, "'lag' looks at other rows; compute it as a column of a"),
        ("lag(age, 1)", "backward", None, "'lag' needs an order; say by which column: 'order:"),
        ("lead(age, 1)", "backward", HOURS, "'lead' looks ahead; only 'prepare: {target:"),
        ("lag(lead(age, 1), 1)", "any", HOURS, "'lead' inside 'lag'"),
        ("lead(lag(age, 1), 1)", "any", HOURS, "'lag' inside 'lead'"),
        ("lag(age, -1)", "backward", HOURS, "takes a number of rows from 0 to 1,000,000"),
        ("lead(age, '1h')", "any", HOURS, "'lead' takes a number of rows from 1 to"),
        ("rolling_mean(age, 0)", "backward", HOURS, "takes a number of rows from 1 to 10,000"),
        ("rolling_mean(age, pay)", "backward", HOURS, "or a duration such as '24h'"),
        ("rolling_mean(job, 2)", "backward", HOURS, "'job' is text, and 'rolling_mean' needs a"),
        ("lag(age)", "backward", HOURS, "'lag' with 1 argument; write lag(x, n)"),
        ("lag(age, '1 fortnight')", "backward", HOURS, "is not a duration such as '24h'"),
        ("lag(age, '0h')", "backward", HOURS, "is no time"),
        ("lag(age, '24h')", "backward", SCHEMA["age"], "needs an order in time, and the order"),
        ("lag(age, '24h')", "backward", SCHEMA["job"], "the order column is text"),
        ("lag(age, '36h')", "backward", SCHEMA["born"], "is not a number of days"),
    ],
)
def test_a_window_that_may_not_stand_is_refused(
    text: str, windows: WindowRule, order: ColumnType | None, message: str
) -> None:
    ((_, found),) = errors(text, windows, order)
    assert message in found


def test_mistakes_carry_their_path_and_character() -> None:
    at = ("steps", "tidy", "clean", "filter")
    checked, mistakes = expression_mistakes("aeg > 1 and nme = 'x'", SCHEMA, at)
    assert checked is None
    assert [(mistake.path, mistake.offset) for mistake in mistakes] == [(at, 0), (at, 12)]
    assert str(mistakes[0]) == "filter: unknown column 'aeg'; did you mean 'age'?"
    checked, mistakes = expression_mistakes("age > 1", SCHEMA, at)
    assert checked is not None
    assert mistakes == []
