"""Roles and treatments are settled from the YAML and the schema, with all mistakes at once."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lepton_dask.data.hashed_text import NGrams
from lepton_dask.data.prepare import Categorical, Constant, Dates, Hash, Numeric, Prepare
from lepton_dask.data.treatments import resolve_treatments
from lepton_dask.data.types import ColumnType
from lepton_dask.errors import Mistake

AT = ("steps", "features", "prepare")
SCHEMA = {
    "row": ColumnType("integer"),
    "age": ColumnType("integer"),
    "gain": ColumnType("number"),
    "loss": ColumnType("number"),
    "member": ColumnType("boolean"),
    "job": ColumnType("text"),
    "born": ColumnType("date"),
    "seen": ColumnType("timestamp"),
    "weight": ColumnType("number"),
    "income": ColumnType("text"),
}


def resolve(task=None, **keys):
    treated, mistakes = resolve_treatments(
        Prepare.model_validate({"target": "income", **keys}), SCHEMA, AT, task
    )
    return {each.column: each for each in treated}, mistakes


def only_mistake(**keys) -> Mistake:
    _, mistakes = resolve(**keys)
    assert len(mistakes) == 1, mistakes
    return mistakes[0]


def test_by_default_the_type_decides() -> None:
    treated, mistakes = resolve()
    assert mistakes == []
    assert list(treated) == list(SCHEMA)
    for name in ("age", "gain", "member"):
        assert treated[name].treatment == Numeric(impute="median", scale="standard")
    assert treated["job"].treatment == Categorical(minimum_count=10)
    assert treated["born"].treatment == Dates(parts=("month", "weekday"))
    assert treated["seen"].treatment == Dates(parts=("month", "weekday", "hour"))
    assert treated["age"].reason == "number: by type (integer)"
    assert treated["age"].summary == "number: impute median, scale standard"
    assert treated["seen"].summary == "date: month, weekday, hour"
    assert (treated["income"].role, treated["income"].treatment) == ("target", None)


def test_roles_take_columns_out_of_the_features() -> None:
    treated, mistakes = resolve(weight="weight", id=("row",), exclude=("^(gain|loss)$", "born"))
    assert mistakes == []
    assert {name: each.role for name, each in treated.items() if each.role != "feature"} == {
        "row": "id",
        "gain": "excluded",
        "loss": "excluded",
        "born": "excluded",
        "weight": "weight",
        "income": "target",
    }


def test_a_name_beats_an_expression_beats_the_type_beats_auto() -> None:
    treated, mistakes = resolve(
        numeric={"impute": "mean", "scale": "robust"},
        columns={
            "^(gain|loss)$": {"transform": "log1p", "scale": "minmax"},
            "loss": {"scale": "none"},
            "age": {"as": "category", "minimum_count": 3},
        },
    )
    assert mistakes == []
    assert treated["member"].treatment == Numeric(impute="mean", scale="robust")
    assert treated["gain"].treatment == Numeric(impute="mean", scale="minmax", transform="log1p")
    assert treated["loss"].treatment == Numeric(impute="mean", scale="none", transform="log1p")
    assert treated["age"].treatment == Categorical(minimum_count=3)
    assert treated["age"].reason == "category: columns['age'] says so"
    assert "columns['loss'] and columns['^(gain|loss)$']" in treated["loss"].reason


def test_the_target_may_be_a_position() -> None:
    for target in (-1, 9, {"column": -1, "positive": "yes"}):
        treated, mistakes = resolve(target=target)
        assert mistakes == []
        assert treated["income"].role == "target"
    assert only_mistake(target=10).found == "no column at position 10"


def test_a_constant_to_impute_is_written_in_two_ways() -> None:
    treated, _ = resolve(
        columns={"age": {"impute": 0.5}, "gain": {"impute": {"constant": 2.0}}},
    )
    assert treated["age"].summary == "number: impute 0.5, scale standard"
    assert treated["gain"].treatment.impute == Constant(constant=2.0)
    assert treated["gain"].summary == "number: impute 2.0, scale standard"


@pytest.mark.parametrize(
    ("keys", "path", "found", "fix"),
    [
        ({"target": "incom"}, ("target",), "unknown column 'incom'", "did you mean 'income'?"),
        ({"target": {"column": "x"}}, ("target", "column"), "unknown column 'x'", "there are"),
        ({"target": {}}, ("target",), "names no column", "column: NAME"),
        (
            {"target": {"expression": "agee > 3"}},
            ("target", "expression"),
            "unknown column 'agee'",
            "did you mean 'age'?",
        ),
        (
            {"target": {"column": "income", "expression": "age > 3"}},
            ("target", "column"),
            "does not go together with 'expression'",
            "keep one",
        ),
        (
            {"target": {"column": "income", "order": "age"}},
            ("target", "order"),
            "goes with 'expression'",
            "leave it out",
        ),
        ({"weight": "wieght"}, ("weight",), "unknown column", "did you mean 'weight'?"),
        ({"weight": "job"}, ("weight",), "'job' is text, not a number", ""),
        ({"id": ("row", "rwo")}, ("id", 1), "unknown column 'rwo'", "did you mean 'row'?"),
        ({"exclude": ("jbo",)}, ("exclude", 0), "unknown column 'jbo'", "did you mean 'job'?"),
        ({"exclude": ("income",)}, ("exclude", 0), "'income' is the target already", ""),
        ({"columns": {"aeg": {}}}, ("columns", "aeg"), "unknown column", "did you mean 'age'?"),
        ({"columns": {"^x.*$": {}}}, ("columns", "^x.*$"), "'^x.*$' matches no column", ""),
        ({"columns": {"^(x$": {}}}, ("columns", "^(x$"), "is not a regular expression", ""),
        ({"columns": {"income": {}}}, ("columns", "income"), "(target)", ""),
        (
            {"columns": {"^.*n$": {}, "^ga.*$": {}}},
            ("columns", "^ga.*$"),
            "'gain' is matched by '^.*n$' too",
            "narrow one of them",
        ),
        (
            {"columns": {"job": {"impute": "mean"}}},
            ("columns", "job", "impute"),
            "is for a number, and 'job' is a category here",
            "a category takes 'minimum_count'",
        ),
        (
            {"columns": {"^.*$": {"minimum_count": 3}}},
            ("columns", "^.*$", "minimum_count"),
            "is for a category, and 'row' is a number here",
            "add 'as: category'",
        ),
        (
            {"columns": {"job": {"as": "number"}}},
            ("columns", "job", "as"),
            "'job' is text and cannot be a number",
            "types: {job: number}",
        ),
        (
            {"columns": {"seen": {"as": "category"}}},
            ("columns", "seen", "as"),
            "'seen' is timestamp and cannot be a category",
            "its parts become categories",
        ),
        (
            {"columns": {"job": {"as": "category", "hash": {"words": (1, 2)}}}},
            ("columns", "job", "hash"),
            "is for a text, and 'job' is a category here",
            "as: text",
        ),
        (
            {"columns": {"job": {"hash": True, "minimum_count": 3}}},
            ("columns", "job", "minimum_count"),
            "is for a category, and 'job' is a text here",
            "write it inside 'hash:'",
        ),
        (
            {"columns": {"age": {"hash": True}}},
            ("columns", "age", "hash"),
            "is for a text, and 'age' is a number here",
            "a number takes",
        ),
        (
            {"task": "many_classes", "target": {"column": "income", "positive": "a"}},
            ("target", "positive"),
            "the multinomial loss learns every class",
            "leave 'positive' out",
        ),
        (
            {"columns": {"born": {"parts": ("month", "hour")}}},
            ("columns", "born", "parts"),
            "'born' is a date",
            "",
        ),
        ({"date": {"parts": ("hour",)}}, ("date", "parts"), "'born' is a date and has none", ""),
        (
            {"columns": {"gain": {"transform": "log1p", "impute": -1.0}}},
            ("columns", "gain", "impute"),
            "log1p needs values above -1",
            "",
        ),
        ({"target": "seen"}, ("target",), "'seen' is a timestamp, which cannot be a target", ""),
        ({"task": "regression"}, ("target",), "the loss needs a number", "loss: logistic"),
        (
            {"task": "regression", "target": {"column": "gain", "positive": 1}},
            ("target", "positive"),
            "the loss has no classes",
            "leave 'positive' out",
        ),
        (
            {"target": {"column": "income", "positive": 1}},
            ("target", "positive"),
            "1 is not a value of a text column",
            'write "1" in quotes',
        ),
        (
            {"target": {"column": "member", "positive": "yes"}},
            ("target", "positive"),
            "'yes' is not a value of a boolean column",
            "",
        ),
    ],
)
def test_each_mistake_is_found_at_its_place(keys, path, found, fix) -> None:
    mistake = only_mistake(**keys)
    assert mistake.path == (*AT, *path)
    assert found in mistake.found
    assert fix in mistake.fix


def test_all_mistakes_are_found_at_once() -> None:
    _, mistakes = resolve(target="x", weight="y", exclude=("z",), columns={"^q$": {}})
    assert [mistake.path[3] for mistake in mistakes] == ["target", "weight", "exclude", "columns"]


def test_a_column_that_is_hashed_is_no_category() -> None:
    treated, mistakes = resolve(columns={"job": {"hash": {"words": (1, 3), "minimum_count": 2}}})
    assert mistakes == []
    assert treated["job"].treatment == Hash(words=(1, 3), minimum_count=2)
    assert treated["job"].summary == (
        "text: words 1-3 hashed into 262,144 buckets, buckets of 2 rows or more"
    )
    assert treated["job"].reason == "text: by type (text), with columns['job']"


@pytest.mark.parametrize("keys", [{"text": {"hash": True}}, {"columns": {"job": {"as": "text"}}}])
def test_hash_without_numbers_hashes_words_and_characters(keys) -> None:
    treated, mistakes = resolve(**keys)
    assert mistakes == []
    assert treated["job"].treatment == Hash()
    assert treated["job"].treatment.ngrams == NGrams((1, 2), (2, 4), 262_144)
    assert treated["job"].summary == (
        "text: words 1-2 and characters 2-4 hashed into 262,144 buckets"
    )


def test_a_default_for_text_gives_way_to_what_a_selector_says() -> None:
    default = {"text": {"hash": {"characters": (3, 3)}}}
    assert resolve(**default)[0]["job"].treatment == Hash(characters=(3, 3))
    for said in ({"as": "category"}, {"minimum_count": 4}):
        treated, mistakes = resolve(**default, columns={"job": said})
        assert mistakes == []
        assert isinstance(treated["job"].treatment, Categorical)
    treated, _ = resolve(**default, columns={"job": {"as": "text", "hash": {"words": (1, 1)}}})
    assert treated["job"].treatment == Hash(words=(1, 1))


@pytest.mark.parametrize("lengths", [(2, 1), (0, 1), (-1, -1)])
def test_ngrams_go_from_the_shortest_to_the_longest(lengths) -> None:
    with pytest.raises(ValidationError, match="from the shortest to the longest"):
        Hash(words=lengths)
