"""`lepton init` (rule 8): the pipeline that it writes is readable, valid, and runs as it is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY, Lepton, Run

import lepton_dask
from lepton_dask.config.document import Document
from lepton_dask.data import guess_roles
from lepton_dask.run.initial import initial_pipeline
from lepton_dask.run.initial_text import mapping_key, scalar

DATA = REPOSITORY.parent / "shared" / "data"

EXPECTED = """\
# Written by `lepton init people.csv --target rich`, from a look at all 300 rows.
# Every choice is a guess with its reason beside it: change what you know better.
name: people
steps:
  rows:
    read:
      path: people.csv
      separator: ";"                      # fields stand between semicolons
      missing_values: ["?"]               # '?' 30 times, in 'hours [h]'
      types:
        id: integer
        age: integer
        "hours [h]": integer
        since: {date: "%d.%m.%Y"}
        seen: text                        # a date? %d/%m/%Y or %m/%d/%Y: say which
        rich: text
  # 'since' says when each row was: test on what comes later
  parts: {split: {time: since, train: 0.7, validation: 0.1, test: 0.2}}
  features:
    prepare:
      # the rarer label is the positive one: "no" 200, "yes" 100
      target: {column: rich, positive: "yes"}
      exclude:
        - id                              # a running number
  # The target is two classes; the penalty keeps columns that say the same in check.
  model: {train: {loss: logistic, penalty: {l2: 1.0e-3}}}
  scores: {evaluate: {metrics: [roc_auc, log_loss, balanced_accuracy], baselines: [mean]}}
"""


@pytest.fixture(autouse=True)
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """people.csv in the current folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    hours = rng.integers(0, 60, 300).astype(object)
    hours[::10] = "?"
    table = pd.DataFrame(
        {
            "id": np.arange(1, 301),
            "age": rng.integers(18, 80, 300),
            "hours [h]": hours,
            "since": pd.date_range("2020-01-01", periods=300).strftime("%d.%m.%Y"),
            "seen": rng.choice(["01/02/2020", "02/03/2020"], 300),
            "rich": np.where(np.arange(300) % 3 == 0, "yes", "no"),
        }
    )
    table.to_csv("people.csv", index=False, sep=";")
    return table


def test_it_says_what_it_found_and_why(lepton: Lepton) -> None:
    done = lepton("init", "people.csv", "--target", "rich")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout == EXPECTED


def test_what_it_writes_runs_as_it_is(lepton: Lepton, scheduler: str) -> None:
    done = lepton("init", "people.csv", "--target", "rich", "--output", "a.yaml")
    assert (done.code, done.stdout, done.stderr) == (0, "", "next: lepton run a.yaml\n")
    assert lepton("validate", "a.yaml").code == 0
    run = lepton("run", "a.yaml", "--scheduler", scheduler, "--output", "out")
    assert run.code == 0
    scores = json.loads(Path("out/metrics.json").read_text())["scores"]
    assert (scores["positive"], scores["rows"]["test"]) == ("yes", 60)


def test_a_file_is_never_written_over(lepton: Lepton) -> None:
    Path("a.yaml").write_text("mine")
    done = lepton("init", "people.csv", "--target", "rich", "--output", "a.yaml")
    assert done.code == 2
    assert "--output: 'a.yaml' is there already; name a new file" in done.stderr
    assert Path("a.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["people.csv", "--target", "rihc"], "--target: 'rihc' is not a column; did you mean"),
        (["people.csv", "--target", "6"], "--target: no column at position 6; there are 6"),
        (["people.csv", "--target", "since"], "--target: 'since' is a date, which cannot"),
        (["peple.csv", "--target", "rich"], "there is no file 'peple.csv'; did you mean"),
        (["people.csv", "--target", "rich", "--output", "no/a.yaml"], "cannot be written"),
    ],
)
def test_what_cannot_be_is_one_mistake(arguments: list[str], told: str, lepton: Lepton) -> None:
    done = lepton("init", *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert told in done.stderr
    assert done.stderr.splitlines()[-1] == "1 mistake"


def test_without_a_target_it_asks_for_one(lepton: Lepton) -> None:
    done = lepton("init", "people.csv")
    assert done.code == 2
    assert "--target" in done.stderr


def test_positions_count_from_both_ends() -> None:
    assert initial_pipeline("people.csv", "-1").split("\n", 1)[1] == EXPECTED.split("\n", 1)[1]
    assert "target: age\n" in initial_pipeline("people.csv", "1")


def test_a_glob_is_one_table_and_called_as_its_files_are(tmp_path: Path) -> None:
    for month in (1, 2):
        pd.DataFrame({"x": [3, 9, 4], "y": [month, 2, 7]}).to_csv(f"m_{month}.csv", index=False)
    text = initial_pipeline("m_*.csv", "y")
    assert "from a look at all 6 rows" in text
    assert "\nname: m\n" in text
    assert f"\nname: {tmp_path.name}\n" in initial_pipeline("?_*.csv", "y")


def test_a_file_without_names_or_a_format_in_its_name_says_both() -> None:
    Path("rows.data").write_text("1,a,2.5\n2,b,3.5\n2,a,4.5\n1,b,0.5\n2,a,1.5\n")
    text = initial_pipeline("rows.data", "-1")
    for line in ("format: csv ", "header: false ", "column_3: number", "target: column_3"):
        assert line in text


def test_latin_1_and_gzip_are_read(lepton: Lepton) -> None:
    rows = "".join(f"{i % 7};{'Köln' if i % 2 else 'Ulm'}\n" for i in range(50))
    Path("städte.csv.gz").write_bytes(gzip.compress(("n;stadt\n" + rows).encode("latin-1")))
    done = lepton("init", "städte.csv.gz", "--target", "stadt", "--output", "a.yaml")
    assert done.code == 0
    text = Path("a.yaml").read_text(encoding="utf-8")
    assert "encoding: latin-1 " in text
    assert "target: {column: stadt, positive: Ulm}" in text or 'positive: "Köln"' in text
    assert lepton("validate", "a.yaml").code == 0


def test_of_many_labels_each_is_a_class(run: Run) -> None:
    labels = ["it's", "b$", "c"] * 20 + ["it's"]
    pd.DataFrame({"the label": labels, "x": [i * i % 17 for i in range(61)]}).sample(
        frac=1, random_state=1
    ).to_csv("many.csv", index=False)
    text = initial_pipeline("many.csv", "the label")
    assert '# one of 3 labels: "it\'s" 21, "b$$" 20, c 20' in text
    assert "loss: multinomial" in text
    assert "stratify: the label" in text
    Path("a.yaml").write_text(text)
    assert set(run(Path("a.yaml")).metrics["scores"].labels["test"]) == set(labels)


def test_of_very_many_labels_one_is_learnt_against_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guess_roles, "MOST_CLASSES", 2)
    labels = ["it's", "b$", "c"] * 20 + ["it's"]
    pd.DataFrame({"the label": labels, "x": [i * i % 17 for i in range(61)]}).sample(
        frac=1, random_state=1
    ).to_csv("many.csv", index=False)
    text = initial_pipeline("many.csv", "the label")
    assert "# one of 3 labels against the rest: the most frequent one" in text
    Path("a.yaml").write_text(text)
    expression = Document.read(Path("a.yaml")).data["steps"]["features"]["prepare"]["target"]
    assert expression == {"expression": "\"the label\" = 'it''s'"}


@pytest.mark.parametrize("beside", [{}, {"^when": range(400)}], ids=["alone", "beside a number"])
def test_prose_is_hashed(run: Run, beside: dict[str, range]) -> None:
    rng = np.random.default_rng(3)
    words = rng.integers(1, 9, 400)
    said = [f"{'very ' * count}good, {i}" for i, count in enumerate(words)]
    kind = np.where(rng.random(400) < 0.9, words > 4, words <= 4)
    said = [
        f"{text} {'indeed' if late else 'maybe'}" for text, late in zip(said, kind, strict=True)
    ]
    table = {"^what he said": said, "kind": np.where(kind, "long", "short"), **beside}
    pd.DataFrame(table).to_csv("said.csv", index=False)
    text = initial_pipeline("said.csv", "kind")
    assert "# texts of 7.5 words on average, most of them different" in text
    Path("a.yaml").write_text(text)
    outcome = run(Path("a.yaml"))
    value = outcome.metrics["scores"].scores["test"]["roc_auc"]
    assert value is not None
    assert value > 0.95
    assert any("#" in name for name in lepton_dask.load(outcome.folder).features)


def test_more_columns_than_rows_can_tell_apart_get_a_larger_penalty() -> None:
    rng = np.random.default_rng(5)
    table = pd.DataFrame(rng.normal(size=(40, 30)).round(3)).rename(columns="m{}".format)
    table.assign(y=rng.integers(0, 2, 40)).to_csv("wide.csv", index=False)
    assert "penalty: {l2: 1.0}" in initial_pipeline("wide.csv", "y")


def test_without_anything_to_learn_from_it_writes_nothing(lepton: Lepton) -> None:
    pd.DataFrame({"id": range(40), "y": [0, 1] * 20}).to_csv("bare.csv", index=False)
    done = lepton("init", "bare.csv", "--target", "y")
    assert done.code == 2
    assert "no column is left to learn from ('id': a running number)" in done.stderr


@pytest.mark.parametrize(
    "value",
    [
        *("yes", "no", "a: b", "# x", "012", "1e3", "null", "a ", " a", "", "[x]", "{", "-1", "~"),
        *("é", "'q'", '"', "a\tb", "Power [kWh]", "true", ".5", "./a b.csv", "&a", "*", "-", "a#b"),
        *(True, 3, 2.5),
    ],
)
def test_every_text_comes_back_as_it_was(value: str | int | float | bool) -> None:
    name = str(value) or "empty"
    written = f"a: {{{mapping_key(name)}: {scalar(value)}}}\n"
    Path("a.yaml").write_text(written, encoding="utf-8")
    assert Document.read(Path("a.yaml")).data == {"a": {name: value}}


def test_names_that_mean_something_to_yaml_or_to_a_pipeline_are_only_names(
    lepton: Lepton, scheduler: str
) -> None:
    rng = np.random.default_rng(6)
    table = {name: rng.normal(size=120) for name in ("price$", "^x", "a${b}", "- c", "null")}
    table |= {"#id": np.arange(120), "^key$": np.arange(120), "no": rng.choice(["on", "off"], 120)}
    pd.DataFrame(table).to_csv("odd.csv", index=False)
    assert lepton("init", "odd.csv", "--target", "no", "--output", "a.yaml").code == 0
    assert lepton("run", "a.yaml", "--scheduler", scheduler, "--output", "out").code == 0
    columns = json.loads(Path("out/plan.json").read_text())["steps"][2]["columns"]
    features = {each["name"] for each in columns if each["treatment"].startswith("number")}
    assert features == {"price$", "^x", "a${b}", "- c", "null"}


# --- on real tables ------------------------------------------------------------------------------

REAL = {
    "bank_additional/bank-additional-full.csv": ("y", "roc_auc", 0.92),
    "banking77/train.csv": ("category", "accuracy", 0.7),
    "breast_cancer/breast_cancer.csv": ("-1", "roc_auc", 0.99),
    "citylearn_17homes/weather.csv": ("Outdoor Drybulb Temperature [C]", "r2", 0.8),
    "exam_ilea/Exam.csv": ("normexam", "r2", 0.4),
    "modeldata_debian/credit_data.csv": ("Status", "roc_auc", 0.8),
    "nycflights13/planes.csv": ("engine", "accuracy", 0.95),
    "occupancy/datatraining.txt": ("Occupancy", "roc_auc", 0.98),
    "parkinsons_tele/parkinsons_updrs.data": ("total_UPDRS", "r2", 0.8),
    "traffic_i94/traffic_hourly.zip": ("traffic_volume", "r2", 0.5),
}
"""Tables with a target, and what a first pipeline reaches on the test part."""


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared tables are not here")
@pytest.mark.parametrize("table", REAL)
def test_on_a_real_table_what_it_writes_runs_and_learns(table: str, run: Run) -> None:
    target, metric, at_least = REAL[table]
    Path("a.yaml").write_text(initial_pipeline(str(DATA / table), target))
    # 77 classes of hashed text are five million coefficients: a few passes show that they learn.
    few = ["steps.model.train.max_passes=8"] if table.startswith("banking77") else []
    scores = run(Path("a.yaml"), few).metrics["scores"]
    value = scores.scores["test"][metric]
    assert value is not None
    assert value >= at_least
