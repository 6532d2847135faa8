"""Paths that leave their roots, and secrets that must not be seen: what a user is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
from conftest import Exit, Lepton

from lepton_dask.config import mistakes

SECRET = "hunter22"

PIPELINE = """\
name: paths
steps:
  rows: {{read: {{path: {path}}}}}
  features: {{prepare: {{target: y}}}}
  model: {{from: features, train: {{loss: squared, penalty: {{l2: 0.1}}}}}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: `project` with its configuration and `inside/a.csv`, `outside/a.csv`
    beside it."""
    for place in ("project/inside", "outside"):
        (tmp_path / place).mkdir(parents=True)
        write_rows(tmp_path / place / "a.csv")
    monkeypatch.chdir(tmp_path / "project")
    Path("config.yaml").write_text("roots: [inside]\n")
    return tmp_path / "project"


def write_rows(path: Path) -> None:
    x = np.arange(40.0)
    pd.DataFrame({"x": x, "y": 3 * x + 1}).to_csv(path, index=False)


def write(path: str) -> Path:
    file = Path("a.yaml")
    file.write_text(PIPELINE.format(path=path))
    return file


def test_bad_14_path_inside_the_roots(lepton: Lepton) -> None:
    """What the next ones break: the same path, there."""
    assert lepton("validate", write("a.csv"), "--on", "config.yaml").code == 0


@pytest.mark.parametrize(
    "path", ["../../outside/a.csv", "../inside/../../outside/a.csv", "../../outside/*.csv"]
)
def test_bad_14_path_that_leaves_the_roots(path: str, lepton: Lepton, folder: Path) -> None:
    done = lepton("validate", write(path), "--on", "config.yaml")
    assert (done.code, done.stdout) == (2, "")
    found = f"{folder}/inside/{path}".replace("*", "a")
    assert done.stderr.splitlines()[0] == (
        f"a.yaml:3:23: path: '{found}' leaves the folders of the configuration's roots; "
        f"the roots are {folder}/inside"
    )


def test_bad_14_is_said_word_for_word(
    lepton: Lepton, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long the test's own folder is depends on where it runs: no line is cut.
    monkeypatch.setattr(mistakes, "_WIDTH", 1_000)
    outside = folder.parent / "outside" / "a.csv"
    for verb in ("validate", "plan", "run"):
        done = lepton(verb, write(str(outside)), "--on", "config.yaml")
        assert done == Exit(
            code=2,
            stdout="",
            stderr=(
                f"a.yaml:3:23: path: '{outside}' leaves the folders of the configuration's roots; "
                f"the roots are {folder}/inside\n"
                f"    rows: {{read: {{path: {outside}}}}}\n"
                "                        ^\n"
                "1 mistake\n"
            ),
        )
    assert not Path("runs").exists()


def test_bad_14_symlink_that_leaves_the_roots(lepton: Lepton, folder: Path) -> None:
    Path("inside/link.csv").symlink_to("../../outside/a.csv")
    done = lepton("validate", write("link.csv"), "--on", "config.yaml")
    assert done.code == 2
    assert done.stderr.splitlines()[0] == (
        f"a.yaml:3:23: path: '{folder}/inside/link.csv' leaves the folders of the configuration's "
        f"roots; the roots are {folder}/inside"
    )


def test_bad_14_symlinked_folder_that_leaves_the_roots(lepton: Lepton) -> None:
    Path("inside/folder").symlink_to("../../outside", target_is_directory=True)
    for path in ("folder/a.csv", "folder/*.csv"):
        done = lepton("validate", write(path), "--on", "config.yaml")
        assert done.code == 2, path
        assert "leaves the folders of the configuration's roots" in done.stderr


def test_bad_14_file_url_that_leaves_the_roots(lepton: Lepton, folder: Path) -> None:
    url = f"file://{folder.parent}/outside/a.csv"
    done = lepton("validate", write(f'"{url}"'), "--on", "config.yaml")
    assert done.code == 2
    assert "leaves the folders of the configuration's roots" in done.stderr


def test_bad_15_undefined_environment_variable(lepton: Lepton) -> None:
    assert lepton("run", write('"${env.NOT_THERE}/a.csv"')) == Exit(
        code=2,
        stdout="",
        stderr=(
            "a.yaml:3:23: path: the environment variable 'NOT_THERE' is not set; set it, or give a "
            "default: ${env.NOT_THERE:-default}\n"
            '    rows: {read: {path: "${env.NOT_THERE}/a.csv"}}\n'
            "                        ^\n"
            "1 mistake\n"
        ),
    )


def test_bad_17_cycle(lepton: Lepton) -> None:
    Path("a.yaml").write_text(
        "name: circle\n"
        "steps:\n"
        "  rows: {read: {path: inside/a.csv}}\n"
        "  one: {from: two, clean: {}}\n"
        "  two: {from: one, clean: {}}\n"
    )
    done = lepton("run", "a.yaml")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == (
        "a.yaml:4:15: from: the steps take each other in a cycle: one <- two <- one; let one of "
        "them take another step"
    )


def test_bad_17_step_that_is_not_there(lepton: Lepton) -> None:
    text = PIPELINE.format(path="inside/a.csv").replace("{prepare", "{from: row, prepare")
    Path("a.yaml").write_text(text)
    done = lepton("run", "a.yaml")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == (
        "a.yaml:4:20: from: unknown step 'row'; did you mean 'rows'?"
    )


# --- row 16: secrets -----------------------------------------------------------------------------


def shows(folder: Path, *texts: str) -> list[str]:
    """The places beneath a folder, and the texts, that show the secret."""
    places = [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if SECRET in str(path.relative_to(folder))
        or (path.is_file() and SECRET.encode() in path.read_bytes())
    ]
    return [*places, *(text for text in texts if SECRET in text)]


SECRET_PIPELINE = """\
name: secrets
vars: {where: "${env.WHERE}"}
steps:
  rows: {read: {path: "${vars.where}/a.csv"}}
  more: {read: {path: ["${env.URL}"]}}
  features: {prepare: {target: y}}
  model:
    train: {loss: squared, penalty: {l2: "${env.L2}"}}
    priority: "${env.LEVEL}"
  scores: {evaluate: {metrics: [rmse]}}
"""


@pytest.fixture
def secret_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder and a URL of secret names, and a number and a word that came the same way."""
    Path(SECRET).mkdir()
    write_rows(Path(SECRET) / "a.csv")
    with fsspec.open(f"memory://{SECRET}@b.csv", "w") as stream:
        stream.write((folder / SECRET / "a.csv").read_text())
    monkeypatch.setenv("WHERE", f"{folder}/{SECRET}")
    monkeypatch.setenv("URL", f"file://{folder}/{SECRET}/a.csv")
    monkeypatch.setenv("L2", "0.123456")
    monkeypatch.setenv("LEVEL", "high")


@pytest.mark.usefixtures("secret_environment")
def test_bad_16_secret_in_no_file_of_a_run_and_no_line(lepton: Lepton, scheduler: str) -> None:
    Path("a.yaml").write_text(SECRET_PIPELINE)
    done = lepton("run", "a.yaml", "--scheduler", scheduler, "--output", "run")
    assert done.code == 0, done.stderr
    assert shows(Path("run"), done.stdout, done.stderr) == []
    assert Path("run/pipeline.yaml").read_text() == SECRET_PIPELINE
    for name in ("plan.json", "events.jsonl", "model/bundle.json", "metrics.json"):
        assert (Path("run") / name).is_file()
    for path in Path("run").rglob("*.json"):
        assert "0.123456" not in path.read_text(), path


@pytest.mark.usefixtures("secret_environment")
def test_bad_16_secret_in_no_output_of_other_verbs(lepton: Lepton) -> None:
    Path("a.yaml").write_text(SECRET_PIPELINE)
    for arguments in (
        ("validate", "a.yaml"),
        ("validate", "a.yaml", "--json"),
        ("plan", "a.yaml"),
        ("plan", "a.yaml", "--columns"),
        ("plan", "a.yaml", "--json"),
        ("plan", "a.yaml", "--graph", "mermaid"),
    ):
        done = lepton(*arguments)
        assert done.code == 0, done.stderr
        assert shows(Path("nothing"), done.stdout, done.stderr) == []


@pytest.mark.usefixtures("secret_environment")
def test_bad_16_secret_in_no_file_of_a_failed_run(lepton: Lepton, scheduler: str) -> None:
    """The message names the file, and the file's name is secret."""
    Path("a.yaml").write_text(SECRET_PIPELINE)
    with (Path(SECRET) / "a.csv").open("a") as stream:
        stream.write("nan,nan\n" * 20)
    done = lepton("run", "a.yaml", "--scheduler", scheduler, "--output", "run")
    assert done.code == 1
    assert shows(Path("run"), done.stdout, done.stderr) == []
    error = json.loads(Path("run/error.json").read_text())
    assert "values are bad" in error["message"]
    assert "[redacted]" in error["file"]


@pytest.mark.usefixtures("secret_environment")
@pytest.mark.parametrize("verb", ["validate", "plan", "run"])
def test_bad_16_secret_in_no_message(verb: str, lepton: Lepton) -> None:
    """The folder is there, the file is not: the message names the path as the pipeline does."""
    Path("a.yaml").write_text(SECRET_PIPELINE.replace("}/a.csv", "}/b.csv"))
    done = lepton(verb, "a.yaml")
    assert (done.code, done.stdout) == (2, "")
    assert shows(Path("nothing"), done.stderr) == []
    assert done.stderr.startswith(
        "a.yaml:4:23: path: there is no file '${vars.where}/b.csv'; did you mean 'a.csv'?"
    )


def test_bad_16_secret_of_the_configuration(
    lepton: Lepton, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOT", f"{folder}/{SECRET}")
    Path(SECRET).mkdir()
    Path("config.yaml").write_text('roots: ["${env.ROOT}"]\n')
    done = lepton("validate", write("../inside/a.csv"), "--on", "config.yaml")
    assert done.code == 2
    assert "leaves the folders of the configuration's roots" in done.stderr
    assert shows(Path("nothing"), done.stderr) == []


def test_bad_16_password_of_a_url(lepton: Lepton) -> None:
    """Written into the pipeline by hand, it is shown in no message all the same."""
    done = lepton("validate", write(f'"nosuch://user:{SECRET}@host/a.csv"'))
    assert done.code == 2
    assert "nosuch" in done.stderr.splitlines()[0]
    assert SECRET not in done.stderr.splitlines()[0]


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        (
            "name: paths",
            'name: "run-${env.TOKEN}"',
            "a.yaml:1:7: name: comes from the environment, which is never written; write it out",
        ),
        (
            "path: inside/a.csv",
            'path: inside/a.csv, missing_values: ["${env.TOKEN}"]',
            "a.yaml:3:54: missing_values[0]: comes from the environment, and the model would show "
            "it; write it out",
        ),
        (
            "{target: y}",
            '{target: y, numeric: {impute: {constant: "${env.NUMBER}"}}}',
            "a.yaml:4:64: constant: comes from the environment, and the model would show "
            "it; write it out",
        ),
        (
            "  model:",
            '  copy: {from: rows, write: {path: "${env.TOKEN}.csv"}}\n  model:',
            "a.yaml:5:36: path: comes from the environment, and the file's name would show it; "
            "write it out",
        ),
    ],
)
def test_bad_16_value_that_the_run_could_not_keep_to_itself(
    old: str, new: str, mistake: str, lepton: Lepton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("NUMBER", "3.5")
    Path("a.yaml").write_text(PIPELINE.format(path="inside/a.csv").replace(old, new))
    done = lepton("validate", "a.yaml")
    assert done.code == 2, done
    assert mistake in done.stderr.splitlines()
    assert SECRET not in done.stderr


def test_bad_16_value_with_a_default_is_no_secret(lepton: Lepton) -> None:
    text = PIPELINE.format(path="inside/a.csv").replace("name: paths", 'name: "${env.X_:-plain}"')
    Path("a.yaml").write_text(text)
    assert lepton("validate", "a.yaml").code == 0


@pytest.mark.cluster
def test_bad_16_secret_in_no_output_of_the_process(folder: Path) -> None:
    """The whole process, its workers and their logs: nothing that reaches a terminal shows it."""
    Path(SECRET).mkdir()
    write_rows(Path(SECRET) / "a.csv")
    Path("a.yaml").write_text(PIPELINE.format(path='"${env.WHERE}/a.csv"'))
    environment = {**os.environ, "WHERE": f"{folder}/{SECRET}"}
    with (Path(SECRET) / "a.csv").open("a") as stream:
        stream.write("inf,nan\n")
    done = subprocess.run(
        [sys.executable, "-c", "from lepton_dask.cli import main; main()", "run", "a.yaml"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert "values are bad" in done.stderr
    assert shows(Path("runs"), done.stdout, done.stderr) == []
