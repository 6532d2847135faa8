"""What each verb over tables does, run on a cluster over several chunks, against pandas."""

from __future__ import annotations

import gzip
import json
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Run

from lepton_dask.errors import RunError, UserError
from lepton_dask.events import Event, RowsLost, StepFinished, Warned

WritePipeline = Callable[[str], Path]
SmallChunks = Callable[[int], None]
After = Callable[..., pd.DataFrame]

ROWS = 500


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks: SmallChunks) -> None:
    """In a folder of the test's own; a file of 500 rows comes in about four chunks."""
    monkeypatch.chdir(tmp_path)
    small_chunks(8_000)


@pytest.fixture
def after(run: Run, write_pipeline: WritePipeline) -> After:
    """The table behind some steps, in the rows' order, as the run writes it; with options for the
    run."""

    def rows_after(steps: str, file: str = "out.parquet", **options: object) -> pd.DataFrame:
        text = "name: steps\nseed: 4\nsteps:\n" + textwrap.indent(textwrap.dedent(steps), "  ")
        path = write_pipeline(f"{text}  out: {{write: {{path: {file}}}}}\n")
        folder = run(path, **options).folder
        read = pd.read_parquet if file.endswith("parquet") else pd.read_csv
        return read(folder / file)

    return rows_after


def table(seed: int = 0) -> pd.DataFrame:
    """A column of each type; holes in all but the first."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "x": rng.normal(size=ROWS),
            "count": pd.array(rng.integers(-9, 9, ROWS), "Int64"),
            "job": rng.choice(["clerk", "cook, sous", 'the "boss"', "späti"], ROWS),
            "flag": pd.array(rng.random(ROWS) < 0.3, "boolean"),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, ROWS), "D"),
        }
    )
    for column in ("x", "count", "job", "flag", "day"):
        rows.loc[rng.random(ROWS) < 0.1, column] = None
    return rows


def csv(rows: pd.DataFrame, **options: object) -> str:
    """As CSV, dates without a time, truth values in lower case."""
    shown = rows.assign(flag=rows["flag"].map({True: "true", False: "false"}))
    return shown.to_csv(index=False, date_format="%Y-%m-%d", **options)


def jsonl(rows: pd.DataFrame) -> str:
    shown = rows.assign(day=rows["day"].dt.strftime("%Y-%m-%d"))
    return "".join(
        json.dumps({name: None if pd.isna(value) else value for name, value in row.items()}) + "\n"
        for row in shown.astype(object).to_dict("records")
    )


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Equal, whatever dtypes pandas gave the columns."""
    assert list(found.columns) == list(expected.columns)
    assert len(found) == len(expected)
    for name in expected:
        one, other = (frame[name].reset_index(drop=True) for frame in (found, expected))
        if other.dtype.kind == "M":
            one = pd.to_datetime(one)
        for left, right in zip(one, other, strict=True):
            both_missing = pd.isna(left) and pd.isna(right)
            assert both_missing or left == right, (name, left, right)


# --- read ----------------------------------------------------------------------------------------


def write_as(kind: str, rows: pd.DataFrame) -> str:
    """Writes the table in some way, and returns what a pipeline says under `path:`."""
    thirds = [rows[:150], rows[150:160], rows[160:]]
    match kind:
        case "csv":
            Path("a.csv").write_text(csv(rows))
        case "tsv":
            Path("a.tsv").write_text(csv(rows, sep="\t"))
            return 'a.tsv, separator: "\\t"'
        case "latin-1":
            Path("a.csv").write_bytes(csv(rows).encode("latin-1"))
            return "a.csv, encoding: latin-1"
        case "no header":
            Path("a.csv").write_text("a line of counts\n" + csv(rows, header=False))
            return f"a.csv, header: false, skip_rows: 1, columns: [{', '.join(rows.columns)}]"
        case "declared missing":
            Path("a.csv").write_text(csv(rows, na_rep="?"))
            return 'a.csv, missing_values: ["?"]'
        case "parquet":
            rows.to_parquet("a.parquet", row_group_size=70)
            return "a.parquet"
        case "jsonl":
            Path("a.jsonl").write_text(jsonl(rows))
            return "a.jsonl"
        case "csv.gz":
            Path("a.csv.gz").write_bytes(gzip.compress(csv(rows).encode()))
            return "a.csv.gz"
        case "zip":
            with zipfile.ZipFile("a.zip", "w") as archive:
                archive.writestr("inside.csv", csv(rows))
            return "a.zip"
        case "list" | "glob":
            for name, some in zip("abc", thirds, strict=True):
                Path(f"{name}.csv").write_text(csv(some))
            return "[a.csv, b.csv, c.csv]" if kind == "list" else '"?.csv"'
        case "mixed list":
            Path("a.csv").write_text(csv(thirds[0]))
            thirds[1].to_parquet("b.parquet")
            Path("c.jsonl").write_text(jsonl(thirds[2]))
            return "[a.csv, b.parquet, c.jsonl]"
        case "mapping":
            for name, some in zip("abc", thirds, strict=True):
                Path(f"{name}.csv").write_text(csv(some))
            return "{train: a.csv, validation: b.csv, test: c.csv}"
        case "url":
            Path("a.csv").write_text(csv(rows))
            return f'"file://{Path.cwd()}/a.csv"'
    return "a.csv"


KINDS = (
    *("csv", "tsv", "latin-1", "no header", "declared missing", "parquet", "jsonl"),
    *("csv.gz", "zip", "list", "glob", "mixed list", "mapping", "url"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_read(kind: str, after: After, events: list[Event]) -> None:
    rows = table()
    path = write_as(kind, rows)
    types = "{job: text, day: date, count: integer}"
    found = after(f"rows: {{read: {{path: {path}, types: {types}}}}}\n")
    same(found, rows)
    [read, *_] = [event for event in events if isinstance(event, StepFinished)]
    one_chunk = kind in ("csv.gz", "zip")
    assert ("in 1 chunk" in read.summary) == one_chunk
    assert [event for event in events if isinstance(event, Warned)] == []


def test_read_selects_counts_and_numbers_rows(after: After) -> None:
    rows = table()
    Path("a.csv").write_text(csv(rows))
    found = after("rows: {read: {path: a.csv, columns: [job, x], rows: 123, row_number: n}}\n")
    same(found, rows[["job", "x"]][:123].assign(n=np.arange(123)))


def test_read_moments_with_a_format_and_a_zone(after: After) -> None:
    rng = np.random.default_rng(0)
    moments = pd.Timestamp("2024-04-01") + pd.to_timedelta(rng.integers(0, 10**7, ROWS), "s")
    rows = pd.DataFrame({"t": moments, "u": moments})
    rows.to_csv("a.csv", index=False, date_format="%d.%m.%Y %H:%M:%S")
    format_ = '"%d.%m.%Y %H:%M:%S"'
    types = f"{{t: {{timestamp: {format_}}}, u: {{timestamp: {format_}, zone: Europe/Oslo}}}}"
    found = after(f"rows: {{read: {{path: a.csv, types: {types}}}}}\n")
    assert list(pd.to_datetime(found["t"])) == list(moments)
    assert list(pd.to_datetime(found["u"])) == list(moments.tz_localize("Europe/Oslo"))


def test_read_keeps_leading_zeros_of_declared_text(after: After) -> None:
    Path("a.csv").write_text("code,x\n" + "007,1\n010,2\n" * 1000)
    found = after("rows: {read: {path: a.csv, types: {code: text}}}\n")
    assert list(found["code"]) == ["007", "010"] * 1000


# --- clean ---------------------------------------------------------------------------------------


def test_clean(after: After, events: list[Event]) -> None:
    rows = table()
    Path("a.csv").write_text(csv(rows))
    found = after(
        """\
        rows: {read: {path: a.csv, types: {day: date}}}
        tidy:
          clean:
            drop: [flag, "^d.y$"]
            rename: {job: work}
            require: [x]
            drop_missing: [count, work]
        """
    )
    kept = rows.drop(columns=["flag", "day"]).rename(columns={"job": "work"})
    required = kept.dropna(subset=["x"])
    complete = required.dropna(subset=["count", "work"])
    same(found, complete)
    assert [event for event in events if isinstance(event, RowsLost)] == [
        RowsLost("tidy", ROWS, len(required), "required 'x' is missing"),
        RowsLost("tidy", len(required), len(complete), "a value is missing"),
    ]


def test_clean_drops_all_missing(after: After) -> None:
    rows = table()
    Path("a.csv").write_text(csv(rows))
    steps = "rows: {read: {path: a.csv, types: {day: date}}}\ntidy: {clean: {drop_missing: all}}\n"
    same(after(steps), rows.dropna())


@pytest.mark.parametrize("columns", ["all", "[job, flag]", "[day]"])
def test_clean_drops_duplicates_across_chunks_and_keeps_the_first(
    columns: str, after: After, events: list[Event]
) -> None:
    rows = table().drop(columns="id")
    rows = pd.concat([rows, rows.sample(200, random_state=1), rows[:50]], ignore_index=True)
    Path("a.csv").write_text(csv(rows))
    steps = f"""\
        rows: {{read: {{path: a.csv, types: {{day: date}}}}}}
        tidy: {{clean: {{drop_duplicates: {columns}}}}}
        """
    subset = None if columns == "all" else columns.strip("[]").split(", ")
    expected = rows.drop_duplicates(subset)
    same(after(steps), expected)
    [lost] = [event for event in events if isinstance(event, RowsLost)]
    assert (lost.before, lost.after, lost.reason) == (
        len(rows),
        len(expected),
        "the row stands before",
    )


def test_clean_before_and_after_a_split_drops_within_each_part(after: After) -> None:
    rows = pd.DataFrame({"x": [1, 1, 2, 2] * 50, "part": ["train", "test"] * 100})
    rows.to_csv("a.csv", index=False)
    found = after(
        """\
        rows: {read: {path: a.csv}}
        parts: {split: {column: part}}
        tidy: {clean: {drop_duplicates: [x]}}
        """
    )
    same(found, pd.DataFrame({"x": [1, 2, 1, 2], "part": ["train"] * 2 + ["test"] * 2}))


# --- derive --------------------------------------------------------------------------------------

MODULE = """\
def ratios(frame):
    frame["ratio"] = frame["x"] / frame["id"]
    frame["long"] = frame["job"].str.len() > 5
    frame["early"] = frame["day"].astype(str).str.slice(0, 7)
    return frame[["ratio", "long", "early"]]

def fails(frame):
    raise KeyError("no such thing")

def too_few(frame):
    return frame.head(1)
"""


def test_derive_by_a_function_of_the_users_own(after: After) -> None:
    rows = table()
    Path("a.csv").write_text(csv(rows))
    Path("own_ratios.py").write_text(MODULE)
    found = after(
        """\
        rows: {read: {path: a.csv, types: {day: date}}}
        more:
          derive:
            python: own_ratios:ratios
            outputs: {ratio: number, long: boolean, early: text}
        """
    )
    ratio = rows["x"] / rows["id"]
    expected = rows.assign(
        ratio=ratio.where(np.isfinite(ratio)),
        long=rows["job"].str.len().gt(5).where(rows["job"].notna()),
        early=rows["day"].dt.strftime("%Y-%m"),
    )
    same(found, expected)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("fails", r"'own_failing:fails' failed: KeyError: 'no such thing'"),
        ("too_few", r"'own_failing:too_few' was given \d+ rows and returned 1"),
    ],
)
def test_derive_by_a_function_that_is_wrong(function: str, message: str, after: After) -> None:
    Path("a.csv").write_text(csv(table()))
    Path("own_failing.py").write_text(MODULE)
    with pytest.raises(RunError, match=f"step 'more', a.csv: {message}"):
        after(
            f"""\
            rows: {{read: {{path: a.csv}}}}
            more: {{derive: {{python: "own_failing:{function}", outputs: {{ratio: number}}}}}}
            """
        )
    [error] = Path("runs").glob("2*/error.json")
    document = json.loads(error.read_text())
    assert (document["step"], document["file"]) == ("more", "a.csv")


# --- split and its parts -------------------------------------------------------------------------


def test_split_carves_out_of_a_part(after: After) -> None:
    """Official files, and a validation part made of the training one."""
    rows = table()
    Path("a.csv").write_text(csv(rows[:400]))
    Path("b.csv").write_text(csv(rows[400:]))
    read = "rows: {read: {path: {train: a.csv, test: b.csv}, types: {day: date}}}\n"
    steps = read + "parts: {split: {of: train, validation: 0.25}}\n"
    in_all = after(steps)["id"].to_numpy()
    assert sorted(in_all) == list(range(ROWS))
    parts = {
        part: after(f"{steps}some: {{from: parts.{part}, clean: {{}}}}\n")["id"]
        for part in ("train", "validation", "test")
    }
    assert list(parts["test"]) == list(range(400, 500))
    assert 70 < len(parts["validation"]) < 130
    assert sorted([*parts["train"], *parts["validation"]]) == list(range(400))
    # A table in parts is written part by part.
    assert list(in_all) == [row for part in parts.values() for row in part]


def test_random_split_does_not_hang_on_chunks(after: After, small_chunks: SmallChunks) -> None:
    Path("a.csv").write_text(csv(table()))
    steps = """\
        rows: {read: {path: a.csv}}
        tidy: {clean: {require: [x]}}
        parts: {split: {test: 0.4}}
        some: {from: parts.test, clean: {}}
        """
    few = after(steps)["id"]
    small_chunks(10**9)
    assert list(after(steps)["id"]) == list(few)


def test_split_that_leaves_a_part_empty_is_refused(after: After) -> None:
    Path("a.csv").write_text("x\n1\n2\n3\n")
    steps = "rows: {read: {path: a.csv}}\nparts: {split: {test: 1e-6}}\n"
    with pytest.raises(UserError, match="no row falls into test; give it a larger share"):
        after(steps)


def test_part_that_no_row_names(after: After) -> None:
    """Which parts a column names, only the rows say; a step that takes one of them waits."""
    pd.DataFrame({"x": range(20), "part": "train"}).to_csv("a.csv", index=False)
    steps = """\
        rows: {read: {path: a.csv}}
        parts: {split: {column: part}}
        some: {from: parts.test, clean: {}}
        """
    with pytest.raises(UserError, match="'parts' has no part 'test': no row falls into it"):
        after(steps)


def test_one_part_of_two_tables_with_one_name_is_its_own(after: After) -> None:
    """`from:` names the step, and the part behind the dot."""
    rows = table()
    Path("a.csv").write_text(csv(rows))
    steps = """\
        rows: {read: {path: a.csv}}
        one: {from: rows, split: {test: 0.5}}
        two: {from: rows, split: {train: 0.5, test: 0.5, stratify: flag}}
        some: {from: one.test, clean: {}}
        """
    ids = after(steps)["id"]
    assert 200 < len(ids) < 300


# --- write ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["out.csv", "out.parquet", "out.jsonl", "deep/er/out.csv"])
def test_write(file: str, run: Run, write_pipeline: WritePipeline) -> None:
    rows = table()
    Path("a.csv").write_text(csv(rows))
    text = f"""
        name: steps
        steps:
          rows: {{read: {{path: a.csv, types: {{day: date}}}}}}
          out: {{write: {{path: {file}}}}}
        """
    path = run(write_pipeline(text)).folder / file
    if file.endswith("parquet"):
        found = pd.read_parquet(path)
    elif file.endswith("jsonl"):
        found = pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    else:
        found = pd.read_csv(path, parse_dates=["day"])
    same(found, rows)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("../out.csv", "'../out.csv' leaves the run folder; say 'path: out.csv'"),
        ("deep/../../out.csv", "'deep/../../out.csv' leaves the run folder; say 'path: out.csv'"),
        ("/elsewhere/out.csv", "'/elsewhere/out.csv' leaves the run folder; say 'path: out.csv'"),
        ("./history.csv", "'history.csv' is written by every run itself; name another one"),
        ("model/x.csv", "'model' is written by every run itself; name another one"),
        (
            "out.xlsx",
            "'out.xlsx' says no format that can be written; end its name with .csv, .parquet, "
            ".jsonl",
        ),
    ],
)
def test_write_where_it_may_not(file: str, message: str, after: After) -> None:
    Path("a.csv").write_text("x\n1\n")
    with pytest.raises(UserError) as caught:
        after("rows: {read: {path: a.csv}}\n", file)
    [mistake] = caught.value.mistakes
    assert str(mistake).endswith(f"pipeline.yaml:5:23: path: {message}")
    assert not Path("runs").exists()
