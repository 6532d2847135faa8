"""Scores as tables for people."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from lepton_dask.cli import tables
from lepton_dask.run.outcome import Evaluated, RunOutcome


def lines(**changes: object) -> list[list[str]]:
    """The cells of every line that a terminal would show of two parts' scores."""
    given = {
        "model": "model",
        "scores": {"train": {"roc_auc": 0.9}, "test": {"roc_auc": 0.8}},
        "rows": {"train": 80, "test": 20},
        "labels": {"train": {"no": 70, "yes": 10}, "test": {"no": 15, "yes": 5}},
        "positive": "yes",
        "threshold": None,
        "baselines": {},
        "by": {},
        "candidates": {},
        "missed": (),
    }
    outcome = RunOutcome(Path("run"), {"scores": Evaluated(**{**given, **changes})})
    console = Console(width=200, record=True, file=io.StringIO())
    for table in tables.scores(outcome):
        console.print(table)
    shown = console.export_text().splitlines()
    return [re.split(r" {2,}", line.strip()) for line in shown if line.strip()]


def test_label_counts_and_the_positive_class_stand_beside_every_score() -> None:
    assert ["train", "80 (10 are yes)", "roc_auc", "0.9000"] in lines()
    assert ["test", "20 (5 are yes)", "roc_auc", "0.8000"] in lines()
    assert ["scores: model 'model', positive yes"] in lines()


def test_a_number_that_is_learnt_has_no_labels() -> None:
    shown = lines(positive=None, labels={}, scores={"test": {"rmse": 2.0}}, rows={"test": 20})
    assert ["test", "20", "rmse", "2.0000"] in shown


def test_each_level_is_shown_on_the_most_honest_part_with_its_labels() -> None:
    levels = {
        "Female": {"rows": 12, "positives": 2, "roc_auc": 0.7},
        "Male": {"rows": 8, "positives": 3, "roc_auc": None},
    }
    shown = lines(by={"train": {}, "test": levels})
    assert ["scores: test, by level"] in shown
    assert shown[-2:] == [
        ["Female", "12 (2 are yes)", "roc_auc", "0.7000"],
        ["Male", "8 (3 are yes)", "roc_auc", "-"],
    ]
