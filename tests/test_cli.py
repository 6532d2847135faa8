"""The verbs: what they print and where, what they exit with, and what a run leaves behind."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY, Exit, Lepton
from rich.console import Console

import lepton_dask
from lepton_dask.artifacts.redact import Redactor
from lepton_dask.cli import main
from lepton_dask.cli.console import LiveConsole, PlainConsole
from lepton_dask.config.document import Document
from lepton_dask.events import (
    Event,
    Iterated,
    RunStarted,
    StepFinished,
    StepProgressed,
    StepStarted,
    Warned,
)

WritePipeline = Callable[[str], Path]

PIPELINE = """\
name: people
seed: 5
steps:
  rows: {read: {path: people.csv}}
  parts: {split: {validation: 0.2, test: 0.2}}
  features: {prepare: {target: {column: rich, positive: 'yes'}}}
  model: {train: {loss: logistic, penalty: {l2: 1e-2}}}
  scores: {evaluate: {metrics: [roc_auc, log_loss]}}
"""
DIVERGES = """\
name: diverges
steps:
  rows: {read: {path: people.csv}}
  features: {prepare: {target: hours, exclude: [rich], numeric: {scale: none}}}
  model:
    train:
      loss: squared
      max_passes: 20
      optimizer: {gradient_descent: {learning_rate: 1e9}}
"""
SEVERAL_MISTAKES = """\
name: several
seed: 012
steps:
  rows: {read: {path: people.csv}}
  tidy: {clean: {drop: [ages]}}
  parts: {from: rows, split: {validation: 0.2, stratify: ritch}}
  wide: {from: rows, prepare: {target: rich}}
  model: {from: wide, train: {loss: logistic, penalty: {l2: "1"}}}
  other: {from: wid, train: {loss: squared, optimizer: lbfg}}
  third: {from: wide, train: {loss: logistic}}
  scores: {evaluate: {metrics: [rmse]}}
  scores: {}
"""


def write_people(folder: Path) -> None:
    rng = np.random.default_rng(1)
    age, hours = rng.integers(18, 80, 300), rng.integers(0, 60, 300)
    rich = np.where(age + hours + rng.normal(0, 15, 300) > 80, "yes", "no")
    job = rng.choice(["clerk", "cook"], 300)
    table = pd.DataFrame({"age": age, "hours": hours, "job": job, "rich": rich})
    table.to_csv(folder / "people.csv", index=False)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """people.csv in the current folder, and no terminal, however the tests are started."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    write_people(tmp_path)


def write(text: str = PIPELINE, name: str = "a.yaml") -> str:
    Path(name).write_text(text)
    return name


# --- help and usage ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "names"),
    [
        ("validate", ["PIPELINE", "--on", "--set", "--json"]),
        ("plan", ["PIPELINE", "--on", "--set", "--columns", "--graph", "--json"]),
        (
            "run",
            [
                *("PIPELINE", "--on", "--set", "--scheduler", "--output", "--until", "--resume"),
                "--json",
            ],
        ),
        ("init", ["FILE", "--target", "--output"]),
        ("profile", ["FILE_OR_PIPELINE", "--on", "--scheduler", "--json"]),
        ("predict", ["RUN_OR_BUNDLE", "INPUT", "OUTPUT", "--table", "--on", "--scheduler"]),
        ("runs", ["FOLDER", "--json"]),
        ("allocate", ["TASKS", "--total", "--format"]),
        ("schema", ["of <pipeline|configuration>"]),
        ("cluster start", ["--on", "--foreground"]),
        ("cluster status", ["--scheduler", "--on", "--json"]),
        ("cluster stop", []),
    ],
)
def test_help_names_every_argument_and_option(verb: str, names: list[str], lepton: Lepton) -> None:
    done = lepton(*verb.split(), "--help")
    assert (done.code, done.stderr) == (0, "")
    described = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    told = {word for word in described if word.startswith("--")}
    assert told == {name for name in names if name.startswith("--")} | {"--help"}
    for name in names:
        [line] = re.findall(rf"^  {re.escape(name)}\s.*", done.stdout, re.MULTILINE)
        assert len(line.split()) > 3, line


def test_help_keeps_its_examples_in_one_line_each(lepton: Lepton) -> None:
    text = lepton("--help").stdout
    for example in (
        "lepton validate pipelines/medical_diagnosis.yaml",
        "lepton plan pipelines/medical_diagnosis.yaml --columns",
        "lepton run pipelines/medical_diagnosis.yaml",
        "lepton predict runs/latest new_patients.csv predictions.csv",
    ):
        assert f"\n      {example}\n" in text
    for verb in (
        "init",
        "profile",
        "validate",
        "plan",
        "run",
        "predict",
        "runs",
        "allocate",
        "schema",
        "cluster",
    ):
        assert re.search(rf"^  {verb} +[A-Z].*\w\.$", text, re.MULTILINE), text
    assert "\n      lepton run PIPELINE --scheduler ADDRESS\n" in lepton("cluster", "--help").stdout


def test_without_a_verb_there_is_help(lepton: Lepton) -> None:
    assert lepton() == lepton("--help")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["vaildate", "a.yaml"], "vaildate"),
        (["run"], "PIPELINE"),
        (["predict", "runs/latest", "rows.csv"], "OUTPUT"),
        (["run", "a.yaml", "--untill", "model"], "--untill"),
        (["run", "a.yaml", "b.yaml"], "b.yaml"),
        (["run", "a.yaml", "--on"], "--on"),
        (["plan", "a.yaml", "--graph", "dot"], "mermaid"),
        (["schema", "runs"], "configuration"),
        (["run", "a.yaml", "--scheduler", "localhost"], "'localhost' is no scheduler's address"),
        (["run", "a.yaml", "--scheduler", "localhost:8786"], "like tcp://host:8786"),
        (["predict", "model", "in.csv", "out.csv", "--scheduler", ""], "like tcp://host:8786"),
    ],
)
def test_wrong_usage_is_told_in_one_line(words: list[str], told: str, lepton: Lepton) -> None:
    write()
    done = lepton(*words)
    assert (done.code, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("lepton: ")
    assert line.endswith("; see lepton --help")
    assert told in line


# --- mistakes ------------------------------------------------------------------------------------


MISTAKES = [
    ("2:7", "seed: '012' is ambiguous (octal or decimal); write 12 for the number"),
    ("5:25", "drop[0]: unknown column 'ages'; did you mean 'age'?"),
    ("6:58", "stratify: unknown column 'ritch'; did you mean 'rich'?"),
    ("8:61", "l2: expected a number, found the text '1' (quotes make it text)"),
    ("9:17", "from: unknown step 'wid'; did you mean 'wide'?"),
    ("9:56", "optimizer: unknown 'lbfg'; did you mean 'lbfgs'?"),
    ("11:33", "metrics[0]: rmse needs a numeric target; the loss is logistic"),
    ("12:3", "scores: there twice (first in line 11); keep one of them"),
]


@pytest.mark.parametrize("verb", ["validate", "plan", "run"])
def test_all_mistakes_are_told_at_once(verb: str, lepton: Lepton) -> None:
    """Of the YAML, of the types, of the graph, of the data's columns, of metric against loss: in
    the file's order, each with its line below it and a caret under the column."""
    done = lepton(verb, write(SEVERAL_MISTAKES))
    assert (done.code, done.stdout) == (2, "")
    *lines, count = done.stderr.splitlines()
    assert count == f"{len(MISTAKES)} mistakes"
    source = SEVERAL_MISTAKES.splitlines()
    told = [lines[i : i + 3] for i in range(0, len(lines), 3)]
    assert len(told) == len(MISTAKES)
    for (place, words), (line, below, caret) in zip(MISTAKES, told, strict=True):
        assert line.startswith(f"a.yaml:{place}: {words}")
        row, column = map(int, place.split(":"))
        text = source[row - 1]
        assert below == f"    {text.strip()}"
        indent = len(text) - len(text.lstrip())
        assert caret == " " * (4 + column - 1 - indent) + "^"
    assert not Path("runs").exists()


@pytest.mark.parametrize("verb", ["validate", "plan", "run"])
def test_all_mistakes_are_told_in_json(verb: str, lepton: Lepton) -> None:
    done = lepton(verb, write(SEVERAL_MISTAKES), "--json")
    assert done.code == 2
    document = json.loads(done.stdout)
    assert len(document["mistakes"]) == len(MISTAKES)
    for (place, words), mistake in zip(MISTAKES, document["mistakes"], strict=True):
        assert f"{mistake['file']}:{mistake['line']}:{mistake['column']}" == f"a.yaml:{place}"
        assert mistake["message"].startswith(f"a.yaml:{place}: {words}")
        assert mistake["found"] in mistake["message"]
        assert mistake["fix"] in mistake["message"]
    assert document["mistakes"][1]["path"] == ["steps", "tidy", "clean", "drop", 0]
    if verb == "validate":
        assert (document["valid"], document["warnings"]) == (False, [])
    else:
        assert (document["kind"], document["exit_code"]) == ("UserError", 2)


def test_a_valid_pipeline_is_said_to_be_valid(lepton: Lepton) -> None:
    path = write()
    said = "a.yaml: 5 steps, no mistakes as far as the first 1.00 MiB of each file shows\n"
    assert lepton("validate", path) == Exit(0, said, "")
    document = json.loads(lepton("validate", path, "--json").stdout)
    assert document == {"valid": True, "mistakes": [], "warnings": []}


def test_a_result_that_nobody_uses_is_a_warning(lepton: Lepton) -> None:
    path = write(PIPELINE + "  again: {read: {path: people.csv}}\n")
    words = "again: nobody uses what this step gives"
    for verb in ("validate", "plan"):
        done = lepton(verb, path)
        assert done.code == 0
        assert done.stderr.startswith("warning: a.yaml:9:3: again: ")
    assert lepton("plan", path, "--json").stderr == done.stderr
    [warning] = json.loads(lepton("validate", path, "--json").stdout)["warnings"]
    assert (warning["line"], warning["column"]) == (9, 3), words


@pytest.mark.parametrize("verb", ["validate", "plan", "run"])
@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("missing.yaml", None, "cannot be read: No such file or directory"),
        ("folder", None, "cannot be read: Is a directory"),
        ("binary.yaml", b"\x93NUMPY\x00\xff", "not UTF-8"),
        ("empty.yaml", b"", "the file is empty"),
        ("list.yaml", b"[1, 2]", "expected keys and values"),
        ("open.yaml", b"name: a\nsteps: {a: [}\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_pipeline(
    verb: str, name: str, content: bytes | None, told: str, lepton: Lepton
) -> None:
    if name == "folder":
        Path(name).mkdir()
    if content is not None:
        Path(name).write_bytes(content)
    done = lepton(verb, name)
    assert (done.code, done.stdout) == (2, "")
    first, *_, last = done.stderr.splitlines()
    assert re.match(rf"{name}:\d+:\d+: ", first)
    assert told in first
    assert last == "1 mistake"


@pytest.mark.parametrize("verb", ["validate", "plan", "run"])
def test_mistakes_of_configuration_and_pipeline_come_together(verb: str, lepton: Lepton) -> None:
    write("cluster: {kind: lcal}\nworker_timeout: 3\n", "config.yaml")
    path = write(PIPELINE.replace("seed: 5", "sede: 5"))
    done = lepton(verb, path, "--on", "config.yaml")
    assert (done.code, done.stdout) == (2, "")
    told = [line for line in done.stderr.splitlines() if not line.startswith(" ")]
    assert told[0].startswith("config.yaml:1:17: kind: unknown 'lcal'; did you mean 'local'?")
    assert told[1].startswith("config.yaml:2:1: worker_timeout: unknown key; did you mean")
    assert told[2].startswith("a.yaml:2:1: sede: unknown key; did you mean 'seed'?")
    assert told[3] == "3 mistakes"


def test_a_configuration_that_is_not_there(lepton: Lepton) -> None:
    done = lepton("validate", write(), "--on", "config.yaml")
    assert done.code == 2
    assert done.stderr.startswith("config.yaml:1:1: cannot be read: No such file or directory")


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("lepton_dask.plan.planner.classify", bug)
    with pytest.raises(ZeroDivisionError):
        main(["plan", write()])


# --- a run that finishes -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran(scheduler: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Exit, Path]:
    """`lepton run a.yaml --set ...`, and the run folder."""
    place = tmp_path_factory.mktemp("ran")
    write_people(place)
    (place / "a.yaml").write_text("# as it was written\n" + PIPELINE)
    out, err = io.StringIO(), io.StringIO()
    override = "steps.model.train.penalty.l2=2.5e-1"
    words = ["run", "a.yaml", "--set", override, "--scheduler", scheduler]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.delenv("FORCE_COLOR", raising=False)
        patch.setenv("COLUMNS", "40")
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as exit_:
            main(words)
    done = Exit(int(exit_.value.code or 0), out.getvalue(), err.getvalue())
    assert done.code == 0, done.stderr
    return done, place / done.stdout.splitlines()[-1]


def read(folder: Path, name: str) -> dict[str, object]:
    document: dict[str, object] = json.loads((folder / name).read_text())
    return document


@pytest.mark.cluster
def test_the_last_line_on_stdout_is_the_run_folder(ran: tuple[Exit, Path]) -> None:
    done, folder = ran
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"runs/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-people", last)
    assert (folder / "run.json").is_file()


@pytest.mark.cluster
def test_results_are_on_stdout_and_progress_on_stderr(ran: tuple[Exit, Path]) -> None:
    done, folder = ran
    rows = [re.split(r" {2,}", line.strip()) for line in done.stdout.splitlines()[:-1]]
    scores = read(folder, "metrics.json")["scores"]
    assert isinstance(scores, dict)
    for part in ("train", "validation", "test"):
        for metric in ("roc_auc", "log_loss"):
            count, value = scores["rows"][part], f"{scores[part][metric]:.4f}"
            counts = f"{count} ({scores['labels'][part]['yes']} are yes)"
            assert [part, counts, metric, value] in rows
    lines = done.stderr.splitlines()
    assert lines[0].startswith("running people on 2 workers")
    assert lines[1].startswith("dashboard: http://127.0.0.1:")
    for step in ("rows", "parts", "features", "model", "scores"):
        [started, *_] = [i for i, line in enumerate(lines) if line.startswith(f"{step}: ")]
        [finished] = [i for i, line in enumerate(lines) if re.match(rf"{step}: .* s\)$", line)]
        assert started < finished
    assert any(re.match(r"model: iteration \d+, loss \d", line) for line in lines)


@pytest.mark.cluster
def test_without_a_terminal_there_are_plain_lines(ran: tuple[Exit, Path]) -> None:
    """Although COLUMNS says that lines are short."""
    done, _ = ran
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    assert re.search(r"^running people on 2 workers, .* at tcp://\S+$", done.stderr, re.MULTILINE)


@pytest.mark.cluster
def test_the_run_folder_has_what_it_says(ran: tuple[Exit, Path]) -> None:
    _, folder = ran
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [
            "events.jsonl",
            "history.csv",
            "metrics.json",
            "model",
            "models",
            "pipeline.yaml",
            "plan.json",
            "profile.json",
            "run.json",
            "training.json",
            "versions.json",
        ]
    )
    assert [path.name for path in (folder / "models").iterdir()] == ["model"]
    assert (folder.parent / "latest").resolve() == folder.resolve()
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.cluster
def test_history_has_a_line_for_each_iterate(ran: tuple[Exit, Path]) -> None:
    _, folder = ran
    text = (folder / "history.csv").read_text()
    header, *lines = text.splitlines()
    assert header == "iteration,passes,seconds,loss,gradient_norm,validation"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["iteration"]) for row in rows] == list(range(len(lines)))
    losses = [float(row["loss"]) for row in rows]
    assert losses[-1] < losses[0]
    assert float(rows[-1]["gradient_norm"]) <= 1e-6
    assert (folder / "models" / "model" / "history.csv").read_text() == text


@pytest.mark.cluster
def test_documents_of_a_run(ran: tuple[Exit, Path]) -> None:
    _, folder = ran
    scores = read(folder, "metrics.json")["scores"]
    assert isinstance(scores, dict)
    assert scores["positive"] == "yes"
    assert sum(scores["rows"].values()) == 300
    assert 0.5 < scores["test"]["roc_auc"] < 1
    training = read(folder, "training.json")["model"]
    assert isinstance(training, dict)
    assert set(training) >= {"optimizer", "iterations", "passes", "stopped", "seconds"}
    assert training["optimizer"] == "lbfgs"
    assert "within tolerance" in training["stopped"]
    assert set(read(folder, "versions.json")) >= {"python", "dask", "distributed", "numpy"}
    profile = read(folder, "profile.json")["features"]
    assert {"age", "hours", "job", "rich"} <= set(re.findall(r"\w+", json.dumps(profile)))
    manifest = read(folder, "run.json")
    assert (manifest["state"], manifest["exit_code"]) == ("finished", 0)


@pytest.mark.cluster
def test_events_are_one_document_a_line(ran: tuple[Exit, Path]) -> None:
    _, folder = ran
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    kinds = [event["event"] for event in events]
    assert (kinds[0], kinds[-1]) == ("RunStarted", "RunFinished")
    assert kinds.count("StepFinished") == 5


@pytest.mark.cluster
def test_the_pipeline_as_run_is_a_pipeline_with_the_overrides_in_it(
    ran: tuple[Exit, Path], lepton: Lepton, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = ran
    document = Document.read(folder / "pipeline.yaml")
    data = json.loads(json.dumps(document.data))
    assert data["steps"]["model"]["train"] == {"loss": "logistic", "penalty": {"l2": 0.25}}
    monkeypatch.chdir(folder.parent.parent)
    again = json.loads(lepton("plan", folder / "pipeline.yaml", "--json").stdout)
    assert again == read(folder, "plan.json")


@pytest.mark.cluster
def test_both_bundles_are_the_model(ran: tuple[Exit, Path]) -> None:
    _, folder = ran
    frame = pd.DataFrame({"age": [20, 70], "hours": [1, 55], "job": ["cook", "clerk"]})
    models = [lepton_dask.load(path) for path in (folder, folder / "models" / "model")]
    assert models[0].predict(frame).tolist() == ["no", "yes"]
    for model in models[1:]:
        assert model.coefficients.equals(models[0].coefficients)


# --- other ways for a run to end -----------------------------------------------------------------


@pytest.mark.cluster
def test_json_of_a_run_is_one_document_and_a_missed_goal_exits_with_3(
    lepton: Lepton, scheduler: str
) -> None:
    goal = "steps.scores.evaluate.goals=[{metric: roc_auc, at_least: 0.9999}]"
    done = lepton("run", write(), "--scheduler", scheduler, "--json", "--set", goal)
    assert done.code == 3
    document = json.loads(done.stdout)
    assert document["exit_code"] == 3
    [missed] = document["missed_goals"]
    assert "roc_auc" in missed
    assert done.stderr.splitlines()[-1] == f"goal missed: {missed}"
    folder = Path(document["folder"])
    assert document["metrics"] == read(folder, "metrics.json")
    assert read(folder, "run.json")["exit_code"] == 3
    assert Path("runs/latest").resolve() == folder.resolve()


@pytest.mark.cluster
def test_a_run_that_fails_leaves_its_folder_marked(lepton: Lepton, scheduler: str) -> None:
    """A Parquet page that is damaged is noticed where it is read: step, file, partition."""
    pd.read_csv("people.csv").to_parquet("people.parquet", write_page_checksum=True)
    content = bytearray(Path("people.parquet").read_bytes())
    content[60] ^= 0xFF
    Path("people.parquet").write_bytes(content)
    path = write(PIPELINE.replace("people.csv", "people.parquet"))
    done = lepton("run", path, "--scheduler", scheduler, "--json")
    assert done.code == 1
    assert "Traceback" not in done.stderr
    told = done.stderr.splitlines()[-1]
    assert told.startswith("lepton: step 'rows', people.parquet, partition 0: ")
    document = json.loads(done.stdout)
    assert (document["step"], document["file"]) == ("rows", "people.parquet")
    assert (document["partition"], document["exit_code"]) == (0, 1)
    assert document["fix"]
    assert told == f"lepton: {document['message']}"
    [folder] = [path for path in Path("runs").iterdir() if not path.is_symlink()]
    assert read(folder, "error.json") == document
    manifest = read(folder, "run.json")
    assert (manifest["state"], manifest["exit_code"]) == ("failed", 1)
    assert not Path("runs/latest").exists()


@pytest.mark.cluster
def test_a_diverging_training_exits_with_1(lepton: Lepton, scheduler: str) -> None:
    done = lepton("run", write(DIVERGES), "--scheduler", scheduler, "--output", "out")
    assert (done.code, done.stdout) == (1, "")
    assert "learning_rate" in done.stderr.splitlines()[-1]
    error = read(Path("out"), "error.json")
    assert (error["step"], error["exit_code"]) == ("model", 1)
    assert "learning_rate" in str(error["fix"])


@pytest.mark.cluster
def test_a_bug_in_a_run_leaves_its_folder_marked_and_keeps_its_traceback(
    scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("lepton_dask.run.pipeline.walk", bug)
    with pytest.raises(ZeroDivisionError):
        main(["run", write(), "--scheduler", scheduler, "--output", "out"])
    error = read(Path("out"), "error.json")
    assert (error["kind"], error["exit_code"]) == ("ZeroDivisionError", 1)
    assert "bug" in str(error["fix"])
    assert read(Path("out"), "run.json")["state"] == "failed"


@pytest.mark.cluster
def test_until_stops_behind_a_step_and_output_is_exactly_the_folder(
    lepton: Lepton, scheduler: str
) -> None:
    """A folder with a long name, too: its path is one line."""
    folder = Path("x" * 60) / ("y" * 60) / "run"
    text = PIPELINE + "  copy: {from: rows, write: {path: copy.csv}}\n"
    words = ["--scheduler", scheduler, "--output", folder, "--until", "features"]
    done = lepton("run", write(text), *words)
    assert done.code == 0, done.stderr
    assert done.stdout == f"{folder.absolute()}\n"
    finished = re.findall(r"^(\w+): .* s\)$", done.stderr, re.MULTILINE)
    assert finished == ["rows", "parts", "features"]
    assert (folder / "profile.json").is_file()
    for name in ("copy.csv", "training.json", "metrics.json", "model", "models"):
        assert not (folder / name).exists()
    assert not Path("runs").exists()


def test_an_output_folder_with_something_in_it_is_refused(lepton: Lepton) -> None:
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine")
    done = lepton("run", write(), "--output", "out")
    assert (done.code, done.stdout) == (2, "")
    assert "out is not empty; name one that is new" in done.stderr
    assert [path.name for path in Path("out").iterdir()] == ["mine.txt"]
    assert sorted(path.name for path in Path().iterdir()) == ["a.yaml", "out", "people.csv"]


def test_until_an_unknown_step_is_refused(lepton: Lepton) -> None:
    done = lepton("run", write(), "--until", "modle")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr == "--until: unknown step 'modle'; did you mean 'model'?\n1 mistake\n"


# --- runs, schema --------------------------------------------------------------------------------


@pytest.mark.cluster
def test_runs_lists_metrics_and_failed_runs(
    ran: tuple[Exit, Path], lepton: Lepton, tmp_path: Path
) -> None:
    _, folder = ran
    Path("runs").mkdir()
    (tmp_path / "runs" / folder.name).symlink_to(folder)  # a link is no run of its own
    assert lepton("runs") == Exit(0, "", "no runs in runs\n")
    failed = folder.parent / "9999-failed"
    failed.mkdir()
    manifest = {"name": "people", "state": "failed", "exit_code": 1, "seconds": 0.25}
    (failed / "run.json").write_text(json.dumps(manifest | {"started": "9999-01-01T00:00:00"}))
    (folder.parent / ".half.partial").mkdir()
    try:
        done = lepton("runs", folder.parent)
        found = json.loads(lepton("runs", folder.parent, "--json").stdout)
    finally:
        (failed / "run.json").unlink()
        failed.rmdir()
        (folder.parent / ".half.partial").rmdir()
    scores = read(folder, "metrics.json")["scores"]
    assert isinstance(scores, dict)
    heading, first, second = [
        re.split(r"  +", line.strip()) for line in done.stdout.splitlines() if line.strip(" \u2500")
    ]
    assert heading == ["run", "state", "exit", "seconds", "metrics"]
    assert first[:3] == [folder.name, "finished", "0"]
    rows, positives = scores["rows"]["test"], scores["labels"]["test"]["yes"]
    assert first[4:] == [
        f"scores test ({rows} rows, {positives} are yes): roc_auc {scores['test']['roc_auc']:.4f}",
        f"log_loss {scores['test']['log_loss']:.4f}",
    ]
    assert second == ["9999-failed", "failed", "1", "0.2"]
    assert [(run["state"], run["exit_code"]) for run in found] == [("finished", 0), ("failed", 1)]
    assert found[0]["folder"] == str(folder)
    assert found[0]["metrics"]["scores"]["test"] == scores["test"]


def test_no_runs_is_an_empty_list(lepton: Lepton) -> None:
    assert lepton("runs") == Exit(0, "", "no runs in runs\n")
    assert lepton("runs", "--json") == Exit(0, "[]\n", "")


@pytest.mark.parametrize(
    ("of", "folder"), [("pipeline", "pipelines"), ("configuration", "configs")]
)
def test_shipped_files_fit_the_schema_that_is_printed(of: str, folder: str, lepton: Lepton) -> None:
    done = lepton("schema", of)
    assert (done.code, done.stderr) == (0, "")
    schema = json.loads(done.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    files = sorted((REPOSITORY / folder).glob("*.yaml"))
    assert files
    for file in files:
        validator.validate(json.loads(json.dumps(Document.read(file).data)))
    assert not validator.is_valid({"nonsense": 1})


def test_the_schema_is_a_pipelines_unless_another_is_asked_for(lepton: Lepton) -> None:
    assert lepton("schema") == lepton("schema", "pipeline")
    assert lepton("schema") != lepton("schema", "configuration")


# --- what the console shows ----------------------------------------------------------------------


HAPPENED: list[Event] = [
    RunStarted("people", "2 workers", "http://127.0.0.1:8787/status", ("rows", "model")),
    StepStarted("rows", "read"),
    StepProgressed("rows", 1, 3, "chunks read"),
    StepStarted("model", "train"),
    Iterated("model", 7, 8, 0.1, 0.5, 1e-3, 0.875),
    Iterated("model", 10, 11, 0.1, 0.25, 1e-4),
    StepStarted("copy", "write"),
    Warned("rows", "[red] is no markup here, but secret is one"),
    StepFinished("rows", 0.5, "300 rows x 4 columns"),
    StepFinished("model", 1.25, "lbfgs"),
]
"""Three steps side by side. A bar is drawn anew when a step starts."""


def shown(
    listener_type: type[PlainConsole] | type[LiveConsole],
    is_terminal: bool,
    happened: Sequence[Event] = tuple(HAPPENED),
) -> str:
    text = io.StringIO()
    width = 120 if is_terminal else 20
    console = Console(file=text, force_terminal=is_terminal, width=width, color_system=None)
    with listener_type(console, Redactor(["secret"])) as listener:
        for event in happened:
            listener(event)
    return text.getvalue()


def test_a_pipe_gets_an_unbroken_line_for_what_is_worth_one() -> None:
    assert shown(PlainConsole, is_terminal=False).splitlines() == [
        "running people on 2 workers",
        "dashboard: http://127.0.0.1:8787/status",
        "rows: read ...",
        "model: train ...",
        "model: iteration 10, loss 0.25, gradient 1.0e-04",
        "copy: write ...",
        "warning: rows: [red] is no markup here, but [redacted] is one",
        "rows: 300 rows x 4 columns (0.5 s)",
        "model: lbfgs (1.2 s)",
    ]


def test_a_long_training_has_few_lines() -> None:
    happened = [Iterated("model", n, n + 1, 0.1, 0.5, 1e-3) for n in range(1001)]
    lines = shown(PlainConsole, False, happened).splitlines()
    told = [int(re.findall(r"iteration (\d+)", line)[0]) for line in lines]
    assert told == [*range(0, 100, 10), *range(100, 1000, 100), 1000]


def test_a_terminal_gets_the_same_and_bars_below() -> None:
    text = shown(LiveConsole, is_terminal=True)
    lines = [line.strip() for line in re.sub(r"\x1b\[[\d;?]*\w", "", text).splitlines()]
    for line in (
        "running people on 2 workers",
        "dashboard: http://127.0.0.1:8787/status",
        "warning: rows: [red] is no markup here, but [redacted] is one",
        "rows: 300 rows x 4 columns (0.5 s)",
        "model: lbfgs (1.2 s)",
    ):
        assert line in lines
    assert any(re.search(r"rows .*chunks read 1/3 .*0:00:00$", line) for line in lines)
    assert any(re.search(r"model .*iteration 10, loss 0.25", line) for line in lines)
    assert any(re.search(r"people .*steps", line) for line in lines)


def test_work_on_the_table_of_a_step_that_is_done_has_a_bar_too() -> None:
    profiled = StepProgressed("rows", 1, 3, "chunks profiled")
    text = shown(LiveConsole, True, [*HAPPENED, profiled, StepStarted("next", "train")])
    assert re.search(r"rows .*chunks profiled 1/3", text)
