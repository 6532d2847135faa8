"""Suspicion by default: what looks too good, like an id, or drawn against time is warned of."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import REPOSITORY, Lepton, Run
from in_memory import make_block, split_block
from sklearn.metrics import roc_auc_score

from lepton_dask.cli.console import line
from lepton_dask.data.prepared import FittedNumber
from lepton_dask.data.profile import merge_profiles, profile_table
from lepton_dask.data.suspicion import bin_edges, id_likeness
from lepton_dask.events import Event, RowsLost, StepFinished, Warned
from lepton_dask.learn.suspicion import area, class_counts, level_area, split_columns
from lepton_dask.matrix import Block
from lepton_dask.run.pipeline import load_and_plan

WritePipeline = Callable[[str], Path]

STEPS = """\
  parts: {split: {validation: 0.2, test: 0.2}}
  features: {prepare: {target: {column: good, positive: "yes"}}}
  model: {train: {loss: logistic, penalty: {l2: 1e-2}}}
  scores: {evaluate: {metrics: [roc_auc]}}
"""


def warned(events: Sequence[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Warned)]


def profile_of(values: object, cuts: Sequence[int] = (), **types: object) -> object:
    table = pa.table({"x": pa.array(values, **types)})
    edges = [0, *cuts, len(table)]
    chunks = [table.slice(a, b - a) for a, b in pairwise(edges)]
    profile = profile_table(chunks[0])
    for chunk in chunks[1:]:
        profile = merge_profiles(profile, profile_table(chunk))
    return profile.columns["x"]


@pytest.mark.parametrize("seed", range(5))
def test_the_area_of_a_numeric_column_is_scikit_learns_on_its_bins(seed: int) -> None:
    block = make_block(rows=700, dense=3, levels=(), seed=seed)
    edges = [np.unique(np.quantile(block.dense[:, p], np.arange(1, 20) / 20)) for p in range(3)]
    chunks = split_block(block, [100, 350])
    counts = sum(class_counts(chunk, edges, ()) for chunk in chunks)
    for p, each in enumerate(split_columns(counts, [20, 20, 20])):
        binned = np.searchsorted(edges[p], block.dense[:, p], side="right")
        score = roc_auc_score(block.target, binned)
        assert area(each) == pytest.approx(max(score, 1 - score), rel=1e-12)


def test_an_area_of_a_sample_is_near_that_of_all_rows_and_the_same_each_time() -> None:
    block = make_block(rows=60_000, dense=3, levels=(4,), seed=2)
    edges = [np.quantile(block.dense[:, p], np.linspace(0.01, 0.99, 99)) for p in range(3)]
    widths = [*(len(at) + 1 for at in edges), 4]
    whole = split_columns(class_counts(block, edges, (4,)), widths)
    sample = split_columns(class_counts(block, edges, (4,), 10), widths)
    assert [counts.sum() for counts in sample] == [6000] * 4
    assert [area(each) for each in sample] == pytest.approx(
        [area(each) for each in whole], abs=0.03
    )
    again = split_columns(class_counts(block, edges, (4,), 10), widths)
    assert [each.tolist() for each in again] == [each.tolist() for each in sample]


@pytest.mark.parametrize("kind", ["number", "category"])
def test_a_column_that_gives_the_answer_away_is_found_where_a_sample_is_looked_at_first(
    kind: str,
    run: Run,
    write_pipeline: Callable[[str], Path],
    events: list[Event],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    ill = rng.random(4000) < 0.5
    leak, noise = ill + rng.normal(0, 0.2, 4000), rng.normal(size=4000)
    if kind == "category":
        leak = np.where(leak > 0.5, "p", "q") + rng.integers(0, 9, 4000).astype(str).astype(object)
    frame = pd.DataFrame({"leak": leak, "noise": noise, "y": np.where(ill, "a", "b")})
    frame.to_csv("rows.csv", index=False)
    path = write_pipeline(
        "name: a\nsteps:\n  rows: {read: {path: rows.csv}}\n  features: {prepare: {target: "
        "{column: y, positive: a}}}\n  model: {train: {loss: logistic, max_passes: 2}}\n"
    )
    told = []
    for rows in (100, 10**9):
        events.clear()
        monkeypatch.setattr("lepton_dask.run.suspecting.SCREEN_ROWS", rows)
        run(path)
        found = [event.message for event in events if isinstance(event, Warned)]
        told.append([message for message in found if "ROC AUC" in message])
    assert told[0] == told[1]
    assert len(told[0]) == 1
    assert told[0][0].startswith("column 'leak' alone ranks the training rows")


@pytest.mark.parametrize("seed", range(5))
def test_the_area_of_a_category_is_scikit_learns_by_the_training_share(seed: int) -> None:
    training, validation = split_block(make_block(rows=900, seed=seed), [500])
    training = training._replace(codes=np.where(training.codes == 4, 0, training.codes))
    shares = [
        np.mean(training.target[here]) if (here := training.codes[:, 1] == level).any() else None
        for level in range(5)
    ]
    assert shares[4] is None
    by_level = np.array([np.mean(training.target) if each is None else each for each in shares])
    score = roc_auc_score(validation.target, by_level[validation.codes[:, 1]])
    seen = split_columns(class_counts(training, [], (3, 5)), (3, 5))[1]
    found = level_area(split_columns(class_counts(validation, [], (3, 5)), (3, 5))[1], seen)
    assert found == pytest.approx(max(score, 1 - score), rel=1e-12)


def test_levels_of_one_share_tie() -> None:
    training = np.array([[5, 5], [7, 7]])
    assert level_area(np.array([[20, 0], [0, 20]]), training) == 0.5


def test_of_a_class_with_few_rows_nothing_is_said() -> None:
    assert area(np.array([[50, 0], [0, 9]])) == 0.5
    assert area(np.array([[50, 0], [0, 10]])) == 1.0


def test_a_chunk_without_rows_counts_nothing() -> None:
    empty = Block(np.empty((0, 1)), np.empty((0, 1), np.int32), np.empty(0), np.empty(0))
    assert class_counts(empty, [np.array([0.0])], (3,)).tolist() == [[0, 0]] * 5


def test_bins_hold_about_as_many_training_rows_each_and_lie_on_the_prepared_scale() -> None:
    values = np.random.default_rng(0).lognormal(size=20_000)
    number = FittedNumber("x", 0.0, "log1p", 0.7, 2.0)
    edges = bin_edges(number, profile_of(values), 64)
    counts = np.histogram((np.log1p(values) - 0.7) / 2.0, [-np.inf, *edges, np.inf])[0]
    assert len(edges) == 63
    assert np.all(np.abs(counts - 20_000 / 64) < 60)


def test_few_values_have_a_bin_each() -> None:
    edges = bin_edges(FittedNumber("x", None, "none", 1.0, 2.0), profile_of([3, 1, 1, 5]), 64)
    np.testing.assert_array_equal(edges, [0.0, 1.0, 2.0])


ROWS = 1000
SHUFFLED = np.random.default_rng(3).permutation(ROWS)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (SHUFFLED + 17, "runs from 17 to 1016 in 1,000 rows, as a running number does"),
        (SHUFFLED**2 + 3, "has 1,000 different values in 1,000 rows"),
        ([f"p-{i}" for i in SHUFFLED], "has 1,000 different values in 1,000 rows"),
        (np.where(SHUFFLED < 30, 0, SHUFFLED**2), "has 971 different values in 1,000 rows"),
        (SHUFFLED // 2, None),
        (SHUFFLED + 0.5, None),
        (SHUFFLED[:200], None),
        (SHUFFLED > 500, None),
    ],
)
def test_an_id_is_told_from_a_measurement(values: object, words: str | None) -> None:
    assert id_likeness(profile_of(values)) == words
    assert id_likeness(profile_of(values, [130, 131])) == words


def test_a_running_number_is_told_where_its_levels_are_too_many_to_count() -> None:
    many = np.random.default_rng(0).permutation(250_000)
    assert id_likeness(profile_of(many)).startswith("runs from 0 to 249999 in 250,000 rows")
    assert id_likeness(profile_of(many % 120_000)) is None
    assert id_likeness(profile_of(many[:101_000] ** 2)).startswith("has more than 100,000 diff")


def leaky(folder: Path) -> None:
    """`shown` and `desk` know the answer, `visits` does a little, and `number` counts the rows."""
    rng = np.random.default_rng(2)
    good = rng.random(ROWS) < 0.3
    desk = np.where(good, rng.choice(["a", "b"], ROWS), rng.choice(["c", "d"], ROWS))
    table = pd.DataFrame(
        {
            "visits": rng.poisson(3 + 2 * good),
            "shown": -1.0 * good + rng.normal(0, 0.05, ROWS),
            "desk": np.where(rng.random(ROWS) < 0.002, "e", desk),
            "number": np.arange(1, ROWS + 1),
            "good": np.where(good, "yes", "no"),
        }
    )
    table.to_csv(folder / "rows.csv", index=False)


def test_a_column_that_knows_the_answer_is_caught(
    run: Run,
    write_pipeline: WritePipeline,
    tmp_path: Path,
    events: list[Event],
    small_chunks: Callable[[int], None],
) -> None:
    small_chunks(6_000)
    leaky(tmp_path)
    outcome = run(write_pipeline(f"name: a\nsteps:\n  rows: {{read: {{path: rows.csv}}}}\n{STEPS}"))
    alone = {text.split("'")[1]: text for text in warned(events) if "alone ranks" in text}
    assert set(alone) == {"shown", "desk"}
    assert all("the validation rows with a ROC AUC of" in text for text in alone.values())
    logged = [
        json.loads(text) for text in (outcome.folder / "events.jsonl").read_text().splitlines()
    ]
    assert {event["message"] for event in logged if event["event"] == "Warned"} >= {*alone.values()}
    [like_id] = [text for text in warned(events) if "learnt from as if" in text]
    assert like_id.startswith("column 'number' runs from 1 to 1000 in 1,000 rows")
    assert "`exclude:` it, or name it as the `id:`" in like_id


def test_without_a_validation_part_the_training_rows_tell(
    run: Run, write_pipeline: WritePipeline, tmp_path: Path, events: list[Event]
) -> None:
    leaky(tmp_path)
    steps = STEPS.replace("validation: 0.2, ", "").replace(
        '"yes"}', '"yes"}, id: number, exclude: [shown]'
    )
    run(write_pipeline(f"name: a\nsteps:\n  rows: {{read: {{path: rows.csv}}}}\n{steps}"))
    [text] = warned(events)
    assert text.startswith("column 'desk' alone ranks the training rows with a ROC AUC of ")


def test_what_a_small_validation_part_shows_by_chance_is_not_told(
    run: Run, write_pipeline: WritePipeline, tmp_path: Path, events: list[Event]
) -> None:
    rng = np.random.default_rng(5)
    good = np.arange(400) % 2 == 0
    lucky = np.where(np.arange(400) < 40, 4.0 * good, 2.0 * good) + rng.normal(size=400)
    part = np.where(np.arange(400) < 40, "validation", "train")
    table = pd.DataFrame({"lucky": lucky, "part": part, "good": np.where(good, "yes", "no")})
    table.to_csv(tmp_path / "rows.csv", index=False)
    assert roc_auc_score(good[:40], lucky[:40]) > 0.99
    steps = STEPS.replace("{validation: 0.2, test: 0.2}", "{column: part}")
    steps = steps.replace('"yes"}', '"yes"}, exclude: [part]')
    run(write_pipeline(f"name: a\nsteps:\n  rows: {{read: {{path: rows.csv}}}}\n{steps}"))
    assert warned(events) == []


@pytest.mark.cluster
@pytest.mark.parametrize("name", ["medical_diagnosis", "voice_assistant", "financial_analysis"])
def test_shipped_pipelines_are_not_suspected(run: Run, events: list[Event], name: str) -> None:
    quick = ["steps.model.train.max_passes=1", "steps.model.train.tolerance=0"]
    run(REPOSITORY / "pipelines" / f"{name}.yaml", overrides=quick)
    assert not [text for text in warned(events) if "alone ranks" in text or "as if" in text]


DATED = "day,shop,x,y\n" + "".join(
    f"2024-0{1 + i % 9}-1{i % 10},{'ab'[i % 2]},{i},{i % 7}\n" for i in range(40)
)


@pytest.mark.parametrize(
    ("split", "warns"),
    [
        ("{test: 0.2}", True),
        ("{test: 0.2, stratify: shop}", True),
        ("{test: 0.2, group: shop}", False),
        ("{test: 0.2, time: day}", False),
    ],
)
def test_a_random_split_of_rows_with_a_date_is_warned_of_before_it_runs(
    write_pipeline: WritePipeline, tmp_path: Path, split: str, warns: bool
) -> None:
    (tmp_path / "rows.csv").write_text(DATED)
    path = write_pipeline(
        f"""\
        name: a
        steps:
          rows: {{read: {{path: rows.csv, types: {{day: date}}}}}}
          parts: {{split: {split}}}
          features: {{prepare: {{target: y}}}}
          model: {{train: {{loss: squared}}}}
        """
    )
    told = [str(warning) for warning in load_and_plan(path).warnings]
    assert len(told) == warns
    if warns:
        assert told[0].startswith(f"{path}:4:18: split: the parts are drawn at random, and 'day'")
        assert told[0].endswith("with 'split: {time: day}'")


def test_official_parts_are_nobodys_draw(write_pipeline: WritePipeline, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(DATED)
    (tmp_path / "later.csv").write_text(DATED)
    path = write_pipeline(
        """\
        name: a
        steps:
          rows:
            read: {path: {train: rows.csv, test: later.csv}, types: {day: date}}
          parts: {split: {of: train, validation: 0.1}}
          features: {prepare: {target: y}}
          model: {train: {loss: squared}}
        """
    )
    assert load_and_plan(path).warnings == ()


def test_rows_lost_are_told_by_each_step_with_the_reason(
    run: Run, write_pipeline: WritePipeline, tmp_path: Path, events: list[Event]
) -> None:
    rows = pd.DataFrame({"x": np.arange(50) % 9, "day": np.arange(50), "y": np.arange(50) % 5})
    lost = rows.astype("object")
    lost.loc[[3, 4], "x"] = None
    lost.loc[10, "y"] = None
    lost.loc[20:23, "day"] = 1000
    pd.concat([lost, lost.tail(5)]).to_csv(tmp_path / "rows.csv", index=False)
    run(
        write_pipeline(
            """\
            name: a
            steps:
              rows: {read: {path: rows.csv}}
              tidy: {clean: {drop_missing: [x], drop_duplicates: all}}
              parts: {split: {time: day, gap: 3, validation: 40, test: 900}}
              features: {prepare: {target: y}}
              model: {train: {loss: squared}}
            """
        )
    )
    told = [line(event) for event in events if isinstance(event, RowsLost)]
    assert told[0].startswith("tidy: 2 of 55 rows left out: ")
    assert told[1] == "tidy: 5 of 53 rows left out: the row stands before"
    assert told[2] == ("parts: 3 of 48 rows left out: in a gap, or before the first part")
    assert told[3] == "features: 1 of 31 rows left out: train: no target or weight"
    finished = {event.step: event.summary for event in events if isinstance(event, StepFinished)}
    assert finished["rows"] == "55 rows x 3 columns in 1 chunk"
    assert finished["tidy"].startswith("55 -> 48 rows; ")
    assert finished["parts"].startswith("48 -> 45 rows; train 31, ")
    assert "->" not in finished["model"]


def test_label_counts_and_the_positive_class_stand_beside_every_score(
    lepton: Lepton, write_pipeline: WritePipeline, scheduler: str, tmp_path: Path
) -> None:
    leaky(tmp_path)
    steps = STEPS.replace("metrics: [roc_auc]", "metrics: [roc_auc, recall], by: desk")
    path = write_pipeline(f"name: a\nsteps:\n  rows: {{read: {{path: rows.csv}}}}\n{steps}")
    done = lepton("run", path, "--scheduler", scheduler, "--output", tmp_path / "out")
    assert done.code == 0
    scores = json.loads((tmp_path / "out" / "metrics.json").read_text())["scores"]
    assert scores["positive"] == "yes"
    table = pd.read_csv(tmp_path / "rows.csv")
    positives = {part: labels["yes"] for part, labels in scores["labels"].items()}
    assert sum(positives.values()) == (table["good"] == "yes").sum()
    for part, rows in scores["rows"].items():
        shown = [text for text in done.stdout.splitlines() if text.startswith(f" {part} ")]
        assert len(shown) == 2
        assert all(f"{rows} ({positives[part]} are yes)" in text for text in shown)
        groups = scores["by"][part].values()
        assert sum(group["positives"] for group in groups) == positives[part]
