"""The grammar's rules 1 to 9: edges and parts, files and their columns, expressions."""

from __future__ import annotations

import json
import re
import textwrap
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
    document,
    listed,
    schema,
    treatments,
    write_csv,
)

import lepton_dask
from lepton_dask.data.formats import json as json_documents
from lepton_dask.errors import UserError
from lepton_dask.events import Event, StepFinished
from lepton_dask.plan.shapes import TableShape
from lepton_dask.run.pipeline import load_and_plan

WritePipeline = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# --- 1: edges ------------------------------------------------------------------------------------


def test_rule_01_a_step_takes_the_one_above_or_those_of_from_and_what_it_joins(
    planned: Planned,
) -> None:
    write_csv("a.csv", k=range(9), y=[0, 1, 1] * 3)
    write_csv("b.csv", k=range(9), z=range(9))
    made = planned(
        """\
        right: {read: {path: b.csv}}
        left: {read: {path: a.csv}}
        both: {join: [{with: right, on: k}]}
        parts: {split: {test: 0.5}}
        features: {prepare: {target: y}}
        one: {train: {loss: logistic}}
        two: {from: features, train: {loss: logistic, penalty: {l2: 1}}}
        best: {from: [one, two], evaluate: {metrics: [roc_auc], choose: {metric: roc_auc, \
part: train}}}
        save: {from: parts.test, write: {path: t.csv}}
        """
    )
    assert {step.name: step.inputs for step in made.loaded.pipeline.steps} == {
        "right": (),
        "left": (),
        "both": ("left", "right"),
        "parts": ("both",),
        "features": ("parts",),
        "one": ("features",),
        "two": ("features",),
        "best": ("one", "two"),
        "save": ("parts.test",),
    }
    assert made.warnings == ()


def test_rule_01_read_takes_no_step(refused: Refused) -> None:
    write_csv("a.csv", x=[1])
    steps = "one: {read: {path: a.csv}}\ntwo: {from: one, read: {path: a.csv}}\n"
    assert refused(steps) == ["from: 'read' takes no step; leave 'from' out"]


def test_rule_01_a_result_that_nobody_uses_is_a_warning(planned: Planned) -> None:
    write_csv("a.csv", x=[1])
    steps = """\
        used: {read: {path: a.csv}}
        idle: {clean: {}}
        save: {from: used, write: {path: b.csv}}
        """
    [warning] = planned(steps).warnings
    assert "idle: nobody uses this step's result" in str(warning)


# --- 2: parts ------------------------------------------------------------------------------------

IN_PARTS = """\
rows: {read: {path: a.csv}}
parts: {split: {column: part}}
"""


@pytest.fixture
def in_parts() -> pd.DataFrame:
    """Test rows whose numbers are far from the training rows', and with a level of their own."""
    rng = np.random.default_rng(3)
    part = np.repeat(["train", "validation", "test"], [120, 40, 40])
    x = rng.normal(size=200) + np.where(part == "test", 100, 0)
    return write_csv(
        "a.csv",
        x=x,
        job=np.where(part == "test", "pilot", rng.choice(["cook", "clerk"], 200)),
        y=rng.normal(size=200),
        part=part,
    )


def test_rule_02_a_step_applies_to_every_part(in_parts: pd.DataFrame, after: After) -> None:
    found = after(IN_PARTS + "more: {derive: {columns: {twice: 2 * x}}}\n")
    assert found["part"].tolist() == in_parts["part"].tolist()
    np.testing.assert_allclose(found["twice"], 2 * in_parts["x"], rtol=1e-12)


def test_rule_02_a_step_fits_on_train(in_parts: pd.DataFrame, ran: Ran) -> None:
    steps = """\
        features: {prepare: {target: y, exclude: [part]}}
        model: {train: {loss: squared, penalty: {l2: 0.1}}}
        """
    prepared = lepton_dask.load(ran(IN_PARTS + textwrap.dedent(steps)).folder).prepared
    train = in_parts[in_parts["part"] == "train"]["x"]
    [number] = prepared.numbers
    assert (number.center, number.scale) == pytest.approx((train.mean(), train.std(ddof=0)))
    assert prepared.codes[0].levels == ("clerk", "cook")


def test_rule_02_from_takes_one_part(in_parts: pd.DataFrame, after: After) -> None:
    found = after(IN_PARTS + "some: {from: parts.test, clean: {}}\n")
    assert found["x"].tolist() == in_parts[in_parts["part"] == "test"]["x"].tolist()


def test_rule_02_a_step_without_a_split_yields_one_table(
    planned: Planned, refused: Refused
) -> None:
    write_csv("a.csv", x=[1])
    shape = planned("rows: {read: {path: a.csv}}\n").planning.shapes["rows"]
    assert isinstance(shape, TableShape)
    assert shape.parts == ()
    [mistake] = refused("rows: {read: {path: a.csv}}\nsome: {from: rows.test, clean: {}}\n")
    assert mistake.startswith("from: 'rows' has no part 'test'")


def test_rule_02_the_parts_are_train_validation_and_test(refused: Refused) -> None:
    write_csv("a.csv", x=[1])
    [mistake] = refused("rows: {read: {path: a.csv}}\nsome: {from: rows.tst, clean: {}}\n")
    assert mistake == "from: unknown part 'tst'; did you mean 'rows.test'?"


def test_rule_02_step_names_have_no_dots(refused: Refused) -> None:
    write_csv("a.csv", x=[1])
    [mistake] = refused("a.b: {read: {path: a.csv}}\n")
    assert mistake.startswith("a.b: not a step's name")


# --- 3: official files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["a.csv", "[a.csv, b.csv]", "{train: a.csv, test: [b.csv, c.csv]}"]
)
def test_rule_03_a_path_is_a_text_a_list_or_a_mapping_of_parts(path: str, after: After) -> None:
    for i, name in enumerate("abc"):
        write_csv(f"{name}.csv", x=[10 * i, 10 * i + 1])
    found = after(f"rows: {{read: {{path: {path}}}}}\n")
    assert found["x"].tolist() == [0, 1, 10, 11, 20, 21][: 2 * path.count(".csv")]


def test_rule_03_a_split_carves_a_part_out_of_one(after: After) -> None:
    write_csv("a.csv", x=range(400))
    write_csv("b.csv", x=range(400, 450))
    steps = (
        "rows: {read: {path: {train: a.csv, test: b.csv}}}\n"
        "parts: {split: {of: train, validation: 0.1}}\n"
    )
    parts = {
        part: after(f"{steps}some: {{from: parts.{part}, clean: {{}}}}\n")["x"].tolist()
        for part in ("train", "validation", "test")
    }
    assert parts["test"] == list(range(400, 450))
    assert sorted(parts["train"] + parts["validation"]) == list(range(400))
    assert 20 < len(parts["validation"]) < 60


# --- 4: captures and pointers --------------------------------------------------------------------


def test_rule_04_a_capture_matches_as_a_star_does_and_makes_a_text_column(after: After) -> None:
    Path("far").mkdir()
    for name in ("Building_07.csv", "Building_b.csv", "far/Building_9.csv", "weather.csv"):
        write_csv(name, kwh=[1.5])
    found = after('rows: {read: {path: "Building_{home}.csv"}}\n')
    assert found.to_dict("list") == {"kwh": [1.5, 1.5], "home": ["07", "b"]}
    assert after('rows: {read: {path: "{where}/Building_9.csv"}}\n')["where"].tolist() == ["far"]


def test_rule_04_a_pointer_picks_an_array_inside_a_document(after: After) -> None:
    Path("d.json").write_text(json.dumps({"a": {"train": [{"x": 1}, {"x": 2}]}, "b": [{"x": 3}]}))
    assert after('rows: {read: {path: "d.json#/a/train"}}\n')["x"].tolist() == [1, 2]


def test_rule_04_a_whole_document_has_a_stated_size_cap(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert json_documents.MAX_DOCUMENT_BYTES == 256 << 20
    monkeypatch.setattr(json_documents, "MAX_DOCUMENT_BYTES", 1024)
    Path("d.json").write_text(json.dumps([{"x": i} for i in range(1000)]))
    [mistake] = refused("rows: {read: {path: d.json}}\n")
    assert "is a JSON document of more than 1.00 kiB" in mistake


# --- 5: row numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_bytes", [200, 10_000_000])
def test_rule_05_row_numbers_count_from_0_in_each_file_whatever_the_chunks(
    chunk_bytes: int, after: After, small_chunks: SmallChunks, events: list[Event]
) -> None:
    small_chunks(chunk_bytes)
    write_csv("a.csv", x=range(300))
    write_csv("b.csv", x=range(300, 400))
    found = after("rows: {read: {path: [a.csv, b.csv], row_number: t}}\n")
    assert found["t"].tolist() == [*range(300), *range(100)]
    [read, *_] = [event for event in events if isinstance(event, StepFinished)]
    assert ("in 2 chunks" in read.summary) == (chunk_bytes > 200)


# --- 6: header -----------------------------------------------------------------------------------


def test_rule_06_without_a_header_names_come_from_columns_or_are_numbered(after: After) -> None:
    Path("a.csv").write_text("569 rows\nof two\n1,x\n2,y\n")
    read = "path: a.csv, header: false, skip_rows: 2"
    assert after(f"rows: {{read: {{{read}, columns: [n, s]}}}}\n").to_dict("list") == {
        "n": [1, 2],
        "s": ["x", "y"],
    }
    assert list(after(f"rows: {{read: {{{read}}}}}\n")) == ["column_1", "column_2"]


def test_rule_06_skipped_rows_stand_above_the_header(after: After) -> None:
    Path("a.csv").write_text("a line of counts\nn,s\n1,x\n")
    found = after("rows: {read: {path: a.csv, skip_rows: 1}}\n")
    assert found.to_dict("list") == {"n": [1], "s": ["x"]}


@pytest.mark.parametrize(("position", "name"), [(-1, "c"), (0, "a"), (1, "b")])
def test_rule_06_a_target_may_be_given_by_position(
    position: int, name: str, planned: Planned
) -> None:
    write_csv("a.csv", a=[1, 2], b=[1, 2], c=[1, 2])
    for target in (str(position), f"{{column: {position}}}"):
        made = planned(
            f"""\
            rows: {{read: {{path: a.csv}}}}
            features: {{prepare: {{target: {target}}}}}
            model: {{train: {{loss: squared}}}}
            """
        )
        assert [c for c, role in treatments(made).items() if role == "target"] == [name]


# --- 7: missing ----------------------------------------------------------------------------------


def test_rule_07_missing_is_an_empty_unquoted_field_and_nothing_else(after: After) -> None:
    Path("a.csv").write_text('s,i\na,1\n,2\n"",3\nNA,4\nnull,5\nNaN,6\nNone,7\n?,8\n')
    found = after("rows: {read: {path: a.csv}}\n")
    assert listed(found["s"]) == ["a", None, "", "NA", "null", "NaN", "None", "?"]


@pytest.mark.parametrize(
    ("missing_values", "s", "n"),
    [
        ('["?", "-9"]', ["a", None, "b"], [1, None, None]),
        ('{s: ["?"], n: [""]}', ["a", None, "b"], [1, -9, None]),
        ('{n: ["-9"]}', ["a", "?", "b"], [1, None, None]),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rule_07_missing_values_are_listed_for_all_columns_or_by_column(
    kind: str, missing_values: str, s: list[object], n: list[object], after: After
) -> None:
    rows = write_csv("a.csv", s=["a", "?", "b"], n=pd.array([1, -9, None], "Int64"))
    if kind == "parquet":
        # Numbers of a Parquet file are no texts: those that a list names are those that are.
        rows.assign(n=rows["n"].astype("string")).to_parquet("a.parquet")
        n = [None if value is None else str(value) for value in n]
    found = after(f"rows: {{read: {{path: a.{kind}, missing_values: {missing_values}}}}}\n")
    assert listed(found["s"]) == s
    assert listed(found["n"]) == n


# --- 8: types ------------------------------------------------------------------------------------


def test_rule_08_types_are_declared(after: After) -> None:
    Path("a.csv").write_text("zip,day,x\n007,01.02.2024,1\n")
    types = '{zip: text, day: {date: "%d.%m.%Y"}, x: number}'
    [row] = after(f"rows: {{read: {{path: a.csv, types: {types}}}}}\n").to_dict("records")
    assert (row["zip"], str(row["day"]), row["x"]) == ("007", "2024-02-01", 1.0)
    assert isinstance(row["x"], float)


LATE_TEXT = [*map(str, range(400_000)), "R2D2"]
"""Whole numbers for longer than a head is, and a text behind them."""


def test_rule_08_what_is_not_declared_is_inferred_from_all_chunks(
    after: After, small_chunks: SmallChunks
) -> None:
    small_chunks(1_000_000)
    write_csv("a.csv", code=LATE_TEXT)
    found = after("rows: {read: {path: a.csv}}\n")
    assert found["code"].tolist() == LATE_TEXT


def test_rule_08_types_are_frozen(ran: Ran, lepton: Lepton, scheduler: str) -> None:
    """What was text in training is text in a file that looks like numbers."""
    write_csv("a.csv", code=["1", "2", "x", "x"] * 30, y=[1.0, 2.0, 3.0, 3.0] * 30)
    folder = ran(
        """\
        rows: {read: {path: a.csv}}
        features: {prepare: {target: y}}
        model: {train: {loss: squared, penalty: {l2: 1e-9}}}
        """
    ).folder
    [column] = lepton_dask.load(folder).inputs
    assert (column.name, column.kind) == ("code", "text")
    write_csv("b.csv", code=[1, 2])
    assert lepton("predict", folder, "b.csv", "out.csv", "--scheduler", scheduler).code == 0
    assert pd.read_csv("out.csv")["prediction"].round(3).tolist() == [1, 2]


def test_rule_08_validate_and_plan_infer_from_a_stated_head_and_say_so(
    lepton: Lepton, write_pipeline: WritePipeline
) -> None:
    write_csv("a.csv", code=LATE_TEXT)
    path = write_pipeline(document("rows: {read: {path: a.csv}}\nout: {write: {path: b.csv}}\n"))
    assert schema(load_and_plan(path), "rows") == {"code": "integer"}
    assert "inferred from the first 1.00 MiB" in lepton("plan", path, "--columns").stdout
    validated = lepton("validate", path)
    assert validated.code == 0
    assert "as far as the first 1.00 MiB of each file shows" in validated.stdout


# --- 9: expressions ------------------------------------------------------------------------------

CONSTRUCTS = {
    "a > 2": [False, None, True],
    "a + 2 * b - a / 2 % 3": [4.5, None, None],
    "not (a > 2) or b is null": [True, None, True],
    "a > 2 and b > 0": [False, None, None],
    "a is null": [False, True, False],
    "s in ('x', 'z')": [True, False, None],
    "a between 1 and 2": [True, None, False],
    "case when a > 2 then 'big' when a is null then '?' else 'small' end": ["small", "?", "big"],
    "coalesce(a, b, 0)": [1, 5, 3],
    "upper(s)": ["X", "Y", None],
    "month(day)": [2, None, 12],
    '"capital-gain" * 2': [20, 40, 60],
}
"""Over the three rows of `CONSTRUCTS_CSV`; by hand."""
CONSTRUCTS_CSV = """\
a,b,s,day,capital-gain,y
1,2,x,2024-02-29,10,0
,5,y,,20,1
3,,,2023-12-31,30,1
"""


def test_rule_09_expressions_are_sqls_with_sqls_null_logic(
    ran: Ran,
) -> None:
    """Here on chunks with Arrow; and in the model alone, with numpy, the same."""
    Path("a.csv").write_text(CONSTRUCTS_CSV)
    columns = "".join(f"    c{i}: {json.dumps(text)}\n" for i, text in enumerate(CONSTRUCTS))
    outcome = ran(
        "rows: {read: {path: {train: a.csv}, types: {day: date}}}\n"
        f"made:\n  derive:\n    columns:\n{textwrap.indent(columns, '  ')}"
        "out: {write: {path: out.parquet}}\n"
        "features: {from: made, prepare: {target: y, categorical: {minimum_count: 1}}}\n"
        "model: {train: {loss: squared, penalty: {l2: 0.1}, max_passes: 3}}\n"
        "scored: {predict: {part: train}}\n"
        "save: {write: {path: scored.parquet}}\n"
    )
    found = pd.read_parquet(outcome.folder / "out.parquet")
    for i, (text, expected) in enumerate(CONSTRUCTS.items()):
        made = listed(found[f"c{i}"])
        assert made == expected, text
    alone = lepton_dask.load(outcome.folder).predict(pd.read_csv("a.csv").drop(columns="y"))
    on_chunks = pd.read_parquet(outcome.folder / "scored.parquet")["prediction"]
    np.testing.assert_allclose(alone, on_chunks, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "offset", "mistake"),
    [
        ("aeg > 1", 0, "unknown column 'aeg'; did you mean 'age'?"),
        ("age > 1 and job + 1 = 2", 12, "'job' is text, and arithmetic needs a number"),
        (
            "capital-gain > 0",
            0,
            "unknown column 'capital'; write \"capital-gain\" in double quotes",
        ),
        ("__import__('os').system('x')", 16, "unexpected '.'"),
        ("eval('1')", 0, "unknown function 'eval'"),
        ("age.values", 3, "unexpected '.'"),
        ("(select 1)", 8, "unexpected '1'"),
        ("@age + 1", 0, "unexpected '@'"),
    ],
)
def test_rule_09_what_is_none_is_told_with_its_line_and_column(
    text: str, offset: int, mistake: str, planned: Planned
) -> None:
    Path("a.csv").write_text("age,job,capital-gain\n1,x,2\n")
    with pytest.raises(UserError) as caught:
        planned(
            f"""\
            rows: {{read: {{path: a.csv}}}}
            made: {{derive: {{columns: {{new: {text}}}}}}}
            out: {{write: {{path: b.csv}}}}
            """.replace(text, f'"{text}"')
        )
    first = caught.value.mistakes[0]
    assert first.place is not None
    start = '  made: {derive: {columns: {new: "'.index('"') + 2
    assert (first.place.line, first.place.column) == (5, start + offset)
    assert mistake in str(first)


def test_rule_09_nothing_is_evaluated_by_python_or_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    import pyarrow as pa

    from lepton_dask.data.arrow import to_columns
    from lepton_dask.data.expressions import on_arrow, on_numpy
    from lepton_dask.data.expressions.check import check
    from lepton_dask.data.types import ColumnType

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("an expression is never run as code")

    for owner, name in ((builtins, "eval"), (builtins, "exec"), (pd, "eval")):
        monkeypatch.setattr(owner, name, forbidden)
    monkeypatch.setattr(pd.DataFrame, "eval", forbidden)
    monkeypatch.setattr(pd.DataFrame, "query", forbidden)
    checked = check("case when x > 1 then x * 2 else 0 end", {"x": ColumnType("integer")})
    table = pa.table({"x": [1, 2]})
    assert on_arrow.evaluate(checked, table).to_pylist() == [0, 4]
    assert on_numpy.evaluate(checked, to_columns(table), 2).values.tolist() == [0, 4]


# --- all of them ---------------------------------------------------------------------------------


def test_every_rule_has_a_test_that_names_it() -> None:
    files = Path(__file__).parent.glob("test_grammar_rules*.py")
    named = {
        int(number)
        for file in files
        for number in re.findall(r"^def test_rule_(\d\d)_", file.read_text(), re.MULTILINE)
    }
    assert named == set(range(1, 24))
