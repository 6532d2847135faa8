"""What a join's keys, names and edges can be wrong in, each told where it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lepton_dask.config.load import load_pipeline
from lepton_dask.data.join import Join, join_schema
from lepton_dask.data.types import ColumnType, Schema
from lepton_dask.errors import Mistake, UserError

AT = ("steps", "joined", "join")
FLIGHTS: Schema = {
    "tailnum": ColumnType("text"),
    "year": ColumnType("integer"),
    "delay": ColumnType("number"),
    "hour": ColumnType("timestamp", "America/New_York"),
    "local": ColumnType("timestamp"),
}
PLANES: Schema = {
    "tailnum": ColumnType("text"),
    "year": ColumnType("integer"),
    "seats": ColumnType("integer"),
    "hour": ColumnType("timestamp", "UTC"),
    "day": ColumnType("date"),
}


def mistakes_of(table: dict[str, object]) -> list[Mistake]:
    join = Join.model_validate(({"with": "planes", **table},))
    return join_schema(join, FLIGHTS, [PLANES], AT)[1]


@pytest.mark.parametrize(
    ("table", "path", "text"),
    [
        (
            {"on": "seats", "columns": ("day",)},
            (0, "on"),
            "on: unknown column 'seats'; there are 'tailnum', 'year', 'delay', 'hour', 'local'",
        ),
        (
            {"on": {"tailnum": "tail"}, "columns": ("seats",)},
            (0, "on", "tailnum"),
            "tailnum: 'planes' has no column 'tail'; did you mean 'tailnum'?",
        ),
        (
            {"on": ("tailnum", "year"), "columns": ("seat",)},
            (0, "columns", 0),
            "columns[0]: 'planes' has no column 'seat'; did you mean 'seats'?",
        ),
        (
            {"on": "tailnum", "columns": {"year": "delay"}},
            (0, "columns", "year"),
            "year: 'year' of 'planes' would be a second column 'delay'; "
            "give it another name, 'columns: {year: new_name}'",
        ),
        (
            {"on": "tailnum", "columns": ("seats", "tailnum")},
            (0, "columns", 1),
            "columns[1]: 'tailnum' is a key: the rows have it already; leave it out",
        ),
        (
            {"on": ("tailnum", "year"), "columns": {"seats": "n", "day": "n"}},
            (0, "columns", "day"),
            "day: 'day' of 'planes' would be a second column 'n'; "
            "give it another name, 'columns: {day: new_name}'",
        ),
        (
            {"on": {"tailnum": "seats"}, "columns": ("day",)},
            (0, "on", "tailnum"),
            "tailnum: 'tailnum' is a text here, and 'seats' in 'planes' is an integer; "
            "declare one type for both under 'types' of their read steps",
        ),
        (
            {"on": {"local": "hour"}, "columns": ("seats",)},
            (0, "on", "local"),
            "local: 'local' is a timestamp without a zone here, "
            "and 'hour' in 'planes' is a timestamp in UTC; "
            "declare one type for both under 'types' of their read steps",
        ),
        (
            {"on": {"local": "day"}, "columns": ("seats",)},
            (0, "on", "local"),
            "local: 'local' is a timestamp without a zone here, and 'day' in 'planes' is a date; "
            "declare one type for both under 'types' of their read steps",
        ),
    ],
)
def test_a_key_or_a_name_that_is_wrong_is_told_where_it_stands(
    table: dict[str, object], path: tuple[str | int, ...], text: str
) -> None:
    [mistake] = mistakes_of(table)
    assert mistake.path == (*AT, *path)
    assert str(mistake) == text


def test_integers_meet_numbers_and_moments_of_two_zones_meet() -> None:
    assert mistakes_of({"on": {"delay": "seats"}, "columns": {"day": "built"}}) == []
    assert mistakes_of({"on": "hour", "columns": ("seats",)}) == []


def test_without_columns_all_but_the_keys_come_and_all_that_collide_are_told() -> None:
    mistakes = mistakes_of({"on": "tailnum"})
    assert [(m.path, m.found) for m in mistakes] == [
        ((*AT, 0, "with"), f"'{name}' of 'planes' would be a second column '{name}'")
        for name in ("year", "hour")
    ]


def test_a_key_may_be_a_column_that_the_table_before_has_brought() -> None:
    makers: Schema = {"seats": ColumnType("integer"), "maker": ColumnType("text")}
    join = Join.model_validate(
        (
            {"with": "planes", "on": "tailnum", "columns": {"seats": "places"}},
            {"with": "makers", "on": {"places": "seats"}},
        )
    )
    schema, mistakes = join_schema(join, FLIGHTS, [PLANES, makers], AT)
    assert mistakes == []
    assert list(schema) == [*FLIGHTS, "places", "maker"]


PIPELINE = """
    name: joins
    steps:
      weather: {{read: {{path: weather.csv}}}}
      days: {{split: {{train: 0.7, test: 0.3}}}}
      homes: {{read: {{path: homes.csv}}}}
      joined: {{join: {join}}}
      features: {{prepare: {{target: y}}}}
      model: {{train: {{loss: squared}}}}
"""


@pytest.mark.parametrize(
    ("join", "text"),
    [
        ("{with: weather, on: t}", "7:18: join: expected a list, found a mapping"),
        ("[]", "7:18: join: is an empty list; put something into it"),
        (
            "[{with: weather}]",
            "7:19: on: missing key; add 'on:' (text, a list or a mapping)",
        ),
        ("[{with: weather, on: t, how: rigth}]", "7:47: how: unknown 'rigth'; write left or inner"),
        (
            "[{with: weather, on: t, column: [a]}]",
            "7:42: column: unknown key; did you mean 'columns'? "
            "the keys here are with, on, how, columns, keep",
        ),
        ("[{with: wether, on: t}]", "7:26: with: unknown step 'wether'; did you mean 'weather'?"),
        ("[{with: joined, on: t}]", "7:26: with: the step takes itself; name another step"),
        (
            "[{with: features, on: t}]",
            "7:26: with: the steps take each other in a cycle: joined <- features <- joined; "
            "let one of them take another step",
        ),
        (
            "[{with: weather, on: t}, {with: days, on: t}]",
            "7:50: with: 'days' is in parts (train, test), and a join takes one table; "
            "name one: 'days.train'",
        ),
        (
            "[{with: days.trian, on: t}]",
            "7:26: with: unknown part 'trian'; did you mean 'days.train'?",
        ),
        (
            "[{with: days.validation, on: t}]",
            "7:26: with: 'days' has no part 'validation'; it has train or test",
        ),
    ],
)
def test_a_wrong_edge_is_told_at_with(
    join: str, text: str, write_pipeline: Callable[[str], Path]
) -> None:
    path = write_pipeline(PIPELINE.format(join=join))
    with pytest.raises(UserError) as error:
        load_pipeline(path)
    assert [str(m).removeprefix(f"{path}:") for m in error.value.mistakes] == [text]


def test_a_list_of_tables_cannot_hold_for_every_step(
    write_pipeline: Callable[[str], Path],
) -> None:
    text = PIPELINE.format(join="[{with: weather, on: t}]").replace(
        "    steps:", "    defaults: {join: [{with: weather, on: t}]}\n    steps:", 1
    )
    with pytest.raises(UserError, match="join: 'join' is a list, of which nothing can hold for"):
        load_pipeline(write_pipeline(text))


def test_a_joined_table_is_used_and_what_nobody_joins_is_not(
    write_pipeline: Callable[[str], Path],
) -> None:
    path = write_pipeline(PIPELINE.format(join="[{with: weather, on: t}]"))
    loaded = load_pipeline(path)
    assert [warning.path[1] for warning in loaded.warnings] == ["days"]
    joined = next(step for step in loaded.pipeline.steps if step.name == "joined")
    assert joined.inputs == ("homes", "weather")
    assert joined.input_path(1) == ("steps", "joined", "join", 0, "with")
