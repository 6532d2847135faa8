"""A pipeline whose design matrix may not stay in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Run

from lepton_dask.run import memory

PIPELINE = """
    name: large
    seed: 1
    steps:
      rows: {read: {path: rows.csv}}
      parts: {split: {train: 0.8, test: 0.2}}
      features: {prepare: {target: y}}
      model: {train: {loss: logistic, penalty: {l2: 1.0e-3}, tolerance: 1.0e-9}}
      report: {evaluate: {metrics: [roc_auc]}}
"""


def test_a_matrix_that_does_not_fit_is_trained_from_disk_to_the_same_bits(
    run: Run,
    write_pipeline: Callable[[str], Path],
    small_chunks: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(3000, 3))
    town = rng.choice(["Rome", "Oslo", "Lima"], 3000)
    y = np.where(rng.random(3000) < 1 / (1 + np.exp(-x[:, 0] - (town == "Oslo"))), "yes", "no")
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "town": town, "y": y})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    small_chunks(20_000)
    path = write_pipeline(PIPELINE)

    in_memory = run(path)
    asked = []

    def never(dispatch: object, rows: int, layout: object) -> bool:
        asked.append(rows)
        return False

    monkeypatch.setattr("lepton_dask.run.preparing.matrix_fits", never)
    on_disk = run(path)

    assert asked == [3000]
    found = [
        (each.folder / "model" / "coefficients.npy").read_bytes() for each in (in_memory, on_disk)
    ]
    assert found[0] == found[1]


def test_what_fits_follows_from_the_workers_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """1.5 times the share and 400 MB stay below 70 % of a worker's memory."""
    from lepton_dask.matrix import Layout

    layout = Layout(98)
    assert layout.row_bytes == 800
    monkeypatch.setattr(memory, "_limits", lambda _: [4e9, 4e9])
    most = 2 * (0.7 * 4e9 - 400e6) / 1.5
    assert memory.matrix_fits(None, int(most / 800), layout)
    assert not memory.matrix_fits(None, int(most / 800) + 1, layout)
    monkeypatch.setattr(memory, "_limits", lambda _: [500e6, 500e6])
    assert not memory.matrix_fits(None, 1, layout)
    monkeypatch.setattr(memory, "_limits", lambda _: [])
    assert memory.matrix_fits(None, 10**12, layout)
