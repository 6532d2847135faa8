"""Planning: what a run would do, and why, without doing any of it."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import distributed
import numpy as np
import pandas as pd
import pytest
from conftest import Lepton

from lepton_dask.run.pipeline import load_and_plan

WritePipeline = Callable[[str], Path]

PIPELINE = """\
name: plans
seed: 3
steps:
  rows: {read: {path: a.csv, types: {day: date}}}
  tidy: {clean: {drop: [noise], rename: {"Power [kWh]": power}, require: [power]}}
  parts: {split: {validation: 0.2, test: 0.2}}
  features: {prepare: {target: {column: label, positive: 'yes'}, id: name}}
  model:
    train: {loss: logistic, penalty: {l2: 0.5}}
    priority: {importance: critical}
    resources: {memory: 1MiB}
  scores: {evaluate: {metrics: [roc_auc]}}
  scored: {predict: {part: test}}
  saved: {write: {path: scored.csv}}
"""
CHAIN = ("rows", "tidy", "parts", "features", "model", "scores", "scored", "saved")


@pytest.fixture(autouse=True)
def _table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """a.csv with a column of each type, in the current folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    pd.DataFrame(
        {
            "Power [kWh]": rng.normal(size=200),
            "noise": 1,
            "count": rng.integers(0, 9, 200),
            "job": rng.choice(["clerk", "cook"], 200),
            "name": [f"p{i}" for i in range(200)],
            "day": "2024-05-01",
            "label": rng.choice(["yes", "no"], 200),
        }
    ).to_csv("a.csv", index=False)


@pytest.fixture
def nothing_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way to a cluster, and to a computation without one, raises."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a plan computes nothing")

    monkeypatch.setattr(distributed.Client, "__init__", refuse)
    monkeypatch.setattr(distributed.LocalCluster, "__init__", refuse)
    monkeypatch.setattr(distributed.Client, "_graph_to_futures", refuse)
    for name in ("compute", "persist", "get_scheduler", "optimize"):
        monkeypatch.setattr(dask.base, name, refuse)
    monkeypatch.setattr(dask, "compute", refuse)
    monkeypatch.setattr(dask.local, "get_async", refuse)


@pytest.mark.usefixtures("nothing_computes")
def test_plan_computes_nothing(lepton: Lepton, write_pipeline: WritePipeline) -> None:
    path = write_pipeline(PIPELINE)
    for options in ((), ("--columns",), ("--json",), ("--graph", "mermaid")):
        done = lepton("plan", path, *options)
        [warning] = done.stderr.splitlines()
        assert done.code == 0
        assert "split: the parts are drawn at random, and 'day' is a date" in warning
    assert lepton("validate", path).code == 0
    assert sorted(each.name for each in Path().iterdir()) == ["a.csv", "pipeline.yaml"]


@pytest.mark.usefixtures("nothing_computes")
def test_what_refuses_to_compute_would_have_been_noticed() -> None:
    """The refusals above are on the way of a run."""
    with pytest.raises(AssertionError, match="a plan computes nothing"):
        dask.delayed(int)(1).compute()
    with pytest.raises(AssertionError, match="a plan computes nothing"):
        distributed.Client("tcp://127.0.0.1:1")


def bytes_read() -> int:
    """By this process since it started, as the kernel counts."""
    return int(re.findall(r"rchar: (\d+)", Path("/proc/self/io").read_text())[0])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="Linux counts what a process reads")
@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_plan_reads_heads_alone(kind: str, write_pipeline: WritePipeline) -> None:
    rows = 700_000
    table = pd.DataFrame({"x": np.random.default_rng(0).random(rows), "y": np.arange(rows) % 2})
    match kind:
        case "csv":
            table.to_csv("big.csv", index=False)
        case "parquet":
            pd.concat([table] * 2).to_parquet("big.parquet", row_group_size=100_000)
        case _:
            lines = (f'{{"x": {i}.25, "y": {i % 2}, "z": "text {i}"}}\n' for i in range(rows))
            Path("big.jsonl").write_text("".join(lines))
    size = Path(f"big.{kind}").stat().st_size
    assert size > 9e6
    path = write_pipeline(
        f"""
        name: big
        steps:
          rows: {{read: {{path: big.{kind}}}}}
          features: {{prepare: {{target: y}}}}
          model: {{train: {{loss: logistic}}}}
        """
    )
    load_and_plan(path)  # what is imported on the way is read now
    before = bytes_read()
    planned = load_and_plan(path)
    assert bytes_read() - before < 2.5e6
    [step, *_] = planned.plan.steps
    if kind == "parquet":
        assert step.rows == 2 * rows
    else:  # the numbers of lines in the JSON lines grow longer towards the end
        assert step.rows == pytest.approx(rows, rel={"csv": 0.02, "jsonl": 0.1}[kind])
        assert "rows estimated from the head and the size" in step.why
    assert step.bytes == size


def test_a_plan_does_not_see_what_is_behind_the_head(write_pipeline: WritePipeline) -> None:
    """Neither Parquet's pages nor the end of a CSV: both are made unreadable."""
    table = pd.read_csv("a.csv").drop(columns="day")
    table.to_parquet("a.parquet", write_page_checksum=True)
    pd.concat([table] * 300).to_csv("b.csv", index=False)
    text = PIPELINE.partition("  tidy:")[0].partition("  rows:")[0]
    text += "  a: {read: {path: a.parquet}}\n  b: {read: {path: b.csv}}\n"
    path = write_pipeline(text)
    before = load_and_plan(path).plan.to_json()
    times = [Path(name).stat().st_mtime_ns for name in ("a.parquet", "b.csv")]
    for name, start, stop in (("a.parquet", 4, 1000), ("b.csv", 1 << 20, None)):
        content = bytearray(Path(name).read_bytes())
        assert len(content) > start + 1000
        content[start + 8 : stop] = b'"\xff' * (len(content[start + 8 : stop]) // 2)
        content += b"\xff" * (Path(name).stat().st_size - len(content))
        Path(name).write_bytes(content)
    for name, time in zip(("a.parquet", "b.csv"), times, strict=True):
        os.utime(name, ns=(time, time))
    assert load_and_plan(path).plan.to_json() == before
    [parquet, csv] = load_and_plan(path).plan.steps
    assert (parquet.rows, parquet.chunks) == (200, 1)
    assert csv.rows == pytest.approx(60_000, rel=0.02)
    with pytest.raises(OSError, match=r"(?i)crc|page|thrift|invalid"):
        pd.read_parquet("a.parquet")


def test_the_table_shows_what_a_run_would_do(lepton: Lepton, write_pipeline: WritePipeline) -> None:
    done = lepton("plan", write_pipeline(PIPELINE))
    assert done.code == 0
    lines = [re.split(r"  +", line.strip()) for line in done.stdout.splitlines() if line.strip()]
    assert lines[1] == ["step", "verb", "from", "chunks", "rows", "size", "priority", "why"]
    by_step = {line[0]: line for line in lines if len(line) > 5}
    size = f"{Path('a.csv').stat().st_size / 1024:.2f} kiB"
    assert by_step["rows"] == ["rows", "read", "1", "200", size, "normal", f"a.csv: csv, {size}"]
    assert by_step["parts"][:3] == ["parts", "split", "tidy"]
    assert by_step["parts"][-1] == (
        "train, validation, test: at random, by a hash of seed, file and row number"
    )
    assert by_step["model"][-2] == "critical"
    assert by_step["model"][-1].startswith("logistic loss, lbfgs: the logistic loss is smooth")
    for reason in ("l2 0.5", "asks for memory 1,048,576", "rows are dropped by require"):
        assert reason in done.stdout


def columns_of(stdout: str) -> dict[str, dict[str, list[str]]]:
    """Of `plan --columns`: by step, by column, the cells behind its name."""
    tables: dict[str, dict[str, list[str]]] = {}
    for line in stdout.splitlines():
        title = re.fullmatch(r"(\w+) \(\w+\) *", line)
        cells = re.split(r"  +", line.strip())
        if title:
            table = tables.setdefault(title[1], {})
        elif len(cells) > 2 and cells[0] != "column":
            table[cells[0]] = cells[1:]
    return tables


def test_columns_after_every_step(lepton: Lepton, write_pipeline: WritePipeline) -> None:
    done = lepton("plan", write_pipeline(PIPELINE), "--columns")
    tables = columns_of(done.stdout)
    raw = ["Power [kWh]", "noise", "count", "job", "name", "day", "label"]
    clean = ["power", "count", "job", "name", "day", "label"]
    predicted = [*clean, "prediction", "probability_<class>", "reason"]
    assert {step: list(table) for step, table in tables.items()} == {
        "rows": raw,
        "tidy": ["power", "noise", *clean[1:]],
        "parts": clean,
        "features": clean,
        "scored": predicted,
        "saved": predicted,
    }
    assert tables["rows"]["day"] == ["date", "read", "declared under types"]
    assert tables["rows"]["count"][0] == "integer"
    assert tables["rows"]["count"][2].startswith("inferred from the first 1.00 MiB (200 rows)")
    assert tables["tidy"]["power"] == ["number", "renamed", "rename: from 'Power [kWh]'"]
    assert tables["tidy"]["noise"] == ["integer", "dropped", "drop: 'noise'"]
    assert tables["tidy"]["job"][-1] == "as it comes in"
    assert tables["features"] == {
        "power": ["number", "number: impute median, scale standard", "number: by type (number)"],
        "count": ["integer", "number: impute median, scale standard", "number: by type (integer)"],
        "job": ["text", "category: levels of 10 rows or more", "category: by type (text)"],
        "name": ["text", "id", "id: named so"],
        "day": ["date", "date: month, weekday", "date: by type (date)"],
        "label": ["text", "target", "target: named so"],
    }
    assert tables["scored"]["prediction"] == ["text", "new", "predicted"]


EVERY_TREATMENT = """\
name: treatments
steps:
  rows: {read: {path: a.csv, row_number: t, types: {day: {timestamp: "%Y-%m-%d"}}}}
  made:
    derive: {python: "makers:double", outputs: {double: number}}
  parts: {split: {test: 0.2}}
  features:
    prepare:
      target: double
      weight: count
      id: [name]
      exclude: ["^noi.*$", t]
      date: {parts: [year, month]}
      columns:
        "^Power.*$": {impute: {constant: 0}, scale: minmax, transform: log1p}
        job: {minimum_count: 3}
        label: {as: category}
  other:
    from: made
    prepare:
      target: double
      numeric: {impute: mean, scale: robust}
      columns: {count: {as: category}}
  model: {from: features, train: {loss: squared, optimizer: gradient_descent}}
  scored: {predict: {part: test}}
"""


def test_columns_with_every_treatment(
    lepton: Lepton, write_pipeline: WritePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [*sys.path])
    Path("makers.py").write_text("def double(frame):\n    raise AssertionError('not by a plan')\n")
    done = lepton("plan", write_pipeline(EVERY_TREATMENT), "--columns")
    assert done.code == 0, done.stderr
    tables = columns_of(done.stdout)
    assert tables["rows"]["t"] == ["integer", "read", "row_number: counts the rows of each file"]
    assert tables["made"]["job"] == ["text", "as it comes in"]
    assert tables["made"]["double"] == ["number", "new", "outputs of makers:double"]
    assert tables["features"] == {
        "Power [kWh]": [
            "number",
            "number: impute 0.0, log1p, scale minmax",
            "number: by type (number), with columns['^Power.*$']",
        ],
        "noise": ["integer", "excluded", "excluded: '^noi.*$' says so"],
        "count": ["integer", "weight", "weight: named so"],
        "job": [
            "text",
            "category: levels of 3 rows or more",
            "category: by type (text), with columns['job']",
        ],
        "name": ["text", "id", "id: named so"],
        "day": ["timestamp", "date: year, month", "date: by type (timestamp)"],
        "label": [
            "text",
            "category: levels of 10 rows or more",
            "category: columns['label'] says so",
        ],
        "t": ["integer", "excluded", "excluded: named so"],
        "double": ["number", "target", "target: named so"],
    }
    assert tables["other"]["noise"][1] == "number: impute mean, scale robust"
    assert tables["other"]["count"][1:] == [
        "category: levels of 10 rows or more",
        "category: columns['count'] says so",
    ]
    assert list(tables["scored"])[-2:] == ["prediction", "reason"]
    assert tables["scored"]["prediction"] == ["number", "new", "predicted"]


def test_the_types_of_parquet_are_its_schemas(write_pipeline: WritePipeline) -> None:
    pd.read_csv("a.csv", parse_dates=["day"]).to_parquet("a.parquet")
    path = write_pipeline("name: a\nsteps: {rows: {read: {path: a.parquet}}}")
    [step] = load_and_plan(path).plan.steps
    assert {column.reason for column in step.columns} == {"the file's schema says so"}
    types = {column.name: column.type for column in step.columns}
    assert types == {
        "Power [kWh]": "number",
        "noise": "integer",
        "count": "integer",
        "job": "text",
        "name": "text",
        "day": "timestamp",
        "label": "text",
    }


def test_a_part_is_of_a_size_that_only_the_rows_show(write_pipeline: WritePipeline) -> None:
    text = PIPELINE + "  test_rows: {from: parts.test, write: {path: test.csv}}\n"
    steps = {step.name: step for step in load_and_plan(write_pipeline(text)).plan.steps}
    assert (steps["parts"].rows, steps["model"].rows) == (200, 200)
    for name in ("test_rows", "scored", "saved"):
        assert (steps[name].rows, steps[name].bytes) == (None, None)


def test_every_column_of_the_prediction_is_announced(
    lepton: Lepton, write_pipeline: WritePipeline, scheduler: str
) -> None:
    """The columns that `plan` shows last are those of the file that the run writes."""
    path = write_pipeline(PIPELINE)
    shown = list(columns_of(lepton("plan", path, "--columns").stdout)["scored"])
    done = lepton("run", path, "--scheduler", scheduler, "--output", "run")
    assert done.code == 0, done.stderr
    written = list(pd.read_csv("run/scored.csv").columns)
    at = shown.index("probability_<class>")
    assert [*shown[:at], "probability_no", "probability_yes", *shown[at + 1 :]] == written


def test_mermaid_graph(lepton: Lepton, write_pipeline: WritePipeline) -> None:
    text = PIPELINE + "  test_rows: {from: parts.test, write: {path: test.csv}}\n"
    done = lepton("plan", write_pipeline(text), "--graph", "mermaid")
    first, *lines = done.stdout.splitlines()
    assert first == "flowchart TD"
    boxes, arrows = {}, []
    for line in lines:
        if box := re.fullmatch(r'    (s\d+)\["(\w+)<br/>(\w+)"\]', line):
            boxes[box[1]] = box[2]
        elif arrow := re.fullmatch(r"    (s\d+) -->(\|\w+\|)? (s\d+)", line):
            arrows.append((boxes[arrow[1]], arrow[2], boxes[arrow[3]]))
        else:
            pytest.fail(f"no box and no arrow: {line}")
    assert list(boxes.values()) == [*CHAIN, "test_rows"]
    expected = [(a, None, b) for a, b in itertools.pairwise(CHAIN)]
    assert arrows == [*expected, ("parts", "|test|", "test_rows")]


def test_json_is_the_plan(lepton: Lepton, write_pipeline: WritePipeline) -> None:
    done = lepton("plan", write_pipeline(PIPELINE), "--json")
    plan = json.loads(done.stdout)
    assert (plan["pipeline"], plan["seed"]) == ("plans", 3)
    assert [step["name"] for step in plan["steps"]] == list(CHAIN)
    assert [step["inputs"] for step in plan["steps"]] == [[], *([name] for name in CHAIN[:-1])]
    for step in plan["steps"]:
        assert list(step) == [
            "name",
            "verb",
            "inputs",
            "fingerprint",
            "chunks",
            "rows",
            "bytes",
            "priority_class",
            "why",
            "columns",
        ]
    prepared = {column["name"]: column for column in plan["steps"][3]["columns"]}
    assert prepared["job"] == {
        "name": "job",
        "type": "text",
        "treatment": "category: levels of 10 rows or more",
        "reason": "category: by type (text)",
    }


def test_a_run_leaves_the_plan_that_was_shown(
    lepton: Lepton, write_pipeline: WritePipeline, scheduler: str
) -> None:
    path = write_pipeline(PIPELINE)
    shown = json.loads(lepton("plan", path, "--json").stdout)
    lepton("run", path, "--scheduler", scheduler, "--output", "run", "--until", "parts")
    assert json.loads(Path("run/plan.json").read_text()) == shown


# --- fingerprints --------------------------------------------------------------------------------


def fingerprints(path: Path, *overrides: str) -> dict[str, str]:
    plan = load_and_plan(path, overrides=overrides).plan
    return {step.name: step.fingerprint for step in plan.steps}


def changed(before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    return (name for name in before if before[name] != after[name])


@pytest.mark.parametrize(
    ("override", "first"),
    [
        ("steps.rows.read.rows=150", "rows"),
        ("steps.tidy.clean.require=[count]", "tidy"),
        ("steps.parts.split.test=0.3", "parts"),
        ("steps.features.prepare.numeric.scale=minmax", "features"),
        ("steps.model.train.penalty.l2=0.25", "model"),
        ("steps.scores.evaluate.metrics=[log_loss]", "scores"),
        ("steps.saved.write.path=other.csv", "saved"),
    ],
)
def test_a_fingerprint_changes_with_the_step_and_all_above(
    override: str, first: str, write_pipeline: WritePipeline
) -> None:
    path = write_pipeline(PIPELINE)
    before = fingerprints(path)
    assert len(set(before.values())) == len(CHAIN)
    behind = CHAIN[CHAIN.index(first) :]
    assert tuple(changed(before, fingerprints(path, override))) == behind


def test_a_fingerprint_changes_with_the_seed(write_pipeline: WritePipeline) -> None:
    path = write_pipeline(PIPELINE)
    before = fingerprints(path)
    assert "parts" in changed(before, fingerprints(path, "seed=4"))


def test_a_fingerprint_changes_with_the_file(write_pipeline: WritePipeline) -> None:
    path = write_pipeline(PIPELINE)
    before = fingerprints(path)
    stat = Path("a.csv").stat()
    os.utime("a.csv", ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    later = fingerprints(path)
    assert tuple(changed(before, later)) == CHAIN
    with Path("a.csv").open("a") as stream:
        stream.write("1.5,1,2,cook,p200,2024-05-01,no\n")
    os.utime("a.csv", ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    assert tuple(changed(later, fingerprints(path))) == CHAIN


def test_a_fingerprint_changes_with_nothing_else(write_pipeline: WritePipeline) -> None:
    """Not with the order of keys, comments, a name, who goes first, or a step beside it."""
    path = write_pipeline(PIPELINE)
    before = fingerprints(path)
    assert fingerprints(path) == before
    text = "# why not\n" + PIPELINE.replace("name: plans", "name: others")
    text = text.replace("loss: logistic, penalty: {l2: 0.5}", "penalty: {l2: 5e-1}, loss: logistic")
    text = text.replace("importance: critical", "importance: low").replace("1MiB", "2MiB")
    text += "  copy: {from: rows, write: {path: copy.csv}}\n"
    after = fingerprints(write_pipeline(text))
    assert after.pop("copy")
    assert after == before


# --- what only the plan can see ------------------------------------------------------------------


def place(text: str, before: str) -> str:
    """line:column of what stands behind `before`, counted from 1."""
    head = text[: text.index(before) + len(before)]
    return f"{head.count(chr(10)) + 1}:{len(head) - head.rfind(chr(10))}"


@pytest.mark.parametrize(
    ("old", "before", "wrong", "mistake"),
    [
        ("noise]", "drop: [", "nois]", "drop[0]: unknown column 'nois'; did you mean 'noise'?"),
        ("label,", "column: ", "lable,", "column: unknown column 'lable'; did you mean 'label'?"),
        ("name}", "id: ", "nam}", "id: unknown column 'nam'; did you mean 'name'?"),
        ("}}\n  scored", ", by: ", "jobs", "by: unknown column 'jobs'; did you mean 'job'?"),
        (
            "}}\n  scored",
            ", baselines: [mean, ",
            "job]",
            "baselines[1]: 'job' is a text, and a baseline is a number",
        ),
        (
            "}}\n  features",
            ", stratify: ",
            "lable",
            "stratify: unknown column 'lable'; did you mean 'label'?",
        ),
    ],
)
def test_columns_are_checked(
    old: str, before: str, wrong: str, mistake: str, lepton: Lepton, write_pipeline: WritePipeline
) -> None:
    if old.startswith("}"):
        text = PIPELINE.replace(old, f"{before}{wrong}{old}", 1)
    else:
        text = PIPELINE.replace(f"{before}{old}", f"{before}{wrong}", 1)
    path = write_pipeline(text)
    done = lepton("validate", path)
    assert done.code == 2
    assert done.stderr.splitlines()[0] == f"{path}:{place(text, before)}: {mistake}"


def test_several_models_and_none_chosen(lepton: Lepton, write_pipeline: WritePipeline) -> None:
    text = PIPELINE.replace(
        "  scores:", "  other: {from: features, train: {loss: logistic}}\n  scores:"
    ).replace("{evaluate", "{from: [model, other], evaluate")
    text = text.partition("  scored:")[0]
    path = write_pipeline(text)
    done = lepton("validate", path)
    assert (done.code, done.stderr.splitlines()[0]) == (
        2,
        f"{path}:{place(text, '[model, other], ')}: evaluate: 2 models come in, and none is "
        "chosen; add 'choose: {metric: roc_auc}', or evaluate each in its own step",
    )
