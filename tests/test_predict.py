"""`lepton predict`: one row out for each row in, whatever the rows hold."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lepton_dask
from lepton_dask.data import chunks as chunks_module
from lepton_dask.data import reading
from lepton_dask.errors import UserError
from lepton_dask.run import predict_file as predict_module
from lepton_dask.run.predict_file import predict_file

pytestmark = pytest.mark.cluster

PIPELINE = """
    name: loans
    steps:
      people: {read: {path: people.csv, missing_values: ["?"]}}
      names: {clean: {rename: {years: age}, drop: [note]}}
      parts: {split: {train: 0.7, test: 0.3, stratify: paid}}
      features: {prepare: {target: {column: paid, positive: "yes"}, id: person}}
      model: {train: {loss: logistic, penalty: {l2: 0.01}}}
    """


def people(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    years = rng.integers(18, 80, rows)
    job = rng.choice(["clerk", "smith", "cook"], rows)
    logit = (years - 50) / 10 + (job == "smith")
    return pd.DataFrame(
        {
            "person": [f"p{i:05d}" for i in range(rows)],
            "years": years,
            "job": job,
            "note": "007",
            "paid": np.where(rng.random(rows) < 1 / (1 + np.exp(-logit)), "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory, scheduler) -> Path:
    from lepton_dask.run.pipeline import load_and_plan, run_planned

    folder = tmp_path_factory.mktemp("loans")
    people(2000, seed=1).to_csv(folder / "people.csv", index=False)
    pipeline = folder / "pipeline.yaml"
    pipeline.write_text("\n".join(line[4:] for line in PIPELINE.splitlines()))
    planned = load_and_plan(pipeline)
    return run_planned(planned, scheduler=scheduler, runs=folder / "runs").folder


@pytest.fixture
def predict(model_folder, scheduler, tmp_path):
    def predict_to(path: Path, name: str = "out.csv"):
        done = predict_file(model_folder, str(path), tmp_path / name, scheduler=scheduler)
        return done, tmp_path / name

    return predict_to


def test_predictions_equal_those_of_the_loaded_bundle(model_folder, predict, tmp_path):
    new = people(500, seed=2).drop(columns="paid")
    new.to_csv(tmp_path / "new.csv", index=False)
    done, out = predict(tmp_path / "new.csv")
    written = pd.read_csv(out, dtype={"note": str})
    model = lepton_dask.load(model_folder)
    assert (done.rows, done.unscored) == (500, 0)
    assert list(written.columns) == [
        *new.columns,
        "prediction",
        "probability_no",
        "probability_yes",
        "reason",
    ]
    pd.testing.assert_frame_equal(written[list(new.columns)], new, check_dtype=False)
    probabilities = written[["probability_no", "probability_yes"]].to_numpy()
    np.testing.assert_allclose(probabilities, model.predict_proba(new), rtol=1e-12)
    assert written["prediction"].tolist() == model.predict(new).tolist()


def test_columns_that_the_model_does_not_read_go_through_as_they_were_written(predict, tmp_path):
    new = people(3, seed=2).assign(extra=["01", "1e3", "x"])
    new.to_csv(tmp_path / "new.csv", index=False)
    _, out = predict(tmp_path / "new.csv")
    with out.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["extra"] for row in rows] == ["01", "1e3", "x"]
    assert [row["note"] for row in rows] == ["007"] * 3
    assert [row["paid"] for row in rows] == new["paid"].tolist()


def test_a_row_that_cannot_be_scored_keeps_its_place_and_says_why(predict, tmp_path):
    lines = ["person,years,job,note", "a,30,clerk,", "b,old,cook,", "c,40", "d,50,unheard,"]
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n")
    done, out = predict(tmp_path / "new.csv")
    rows = pd.read_csv(out)
    assert rows["reason"].fillna("").tolist() == [
        "",
        "years: 'old' is not an integer",
        "expected 4 fields, found 2",
        "",
    ]
    unscored = rows[rows["reason"].notna()]
    assert unscored[["prediction", "probability_no", "probability_yes"]].isna().all(axis=None)
    assert rows["person"].fillna("").tolist() == ["a", "b", "", "d"]
    assert (done.rows, done.unscored, sum(done.reasons.values())) == (4, 2, 2)


def test_many_chunks_come_out_in_order(predict, tmp_path, monkeypatch):
    monkeypatch.setattr(
        predict_module, "plan_chunks", lambda read, file: reading.plan_chunks(read, file, 4096)
    )
    new = people(3000, seed=3)
    new.to_csv(tmp_path / "new.csv", index=False)
    assert (tmp_path / "new.csv").stat().st_size > 10 * 4096
    assert chunks_module.CHUNK_BYTES > 4096
    done, out = predict(tmp_path / "new.csv")
    assert done.rows == 3000
    assert pd.read_csv(out)["person"].tolist() == new["person"].tolist()


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.jsonl"])
def test_the_output_is_of_the_format_that_its_name_says(predict, tmp_path, name):
    pq.write_table(pa.Table.from_pandas(people(20, seed=4)), tmp_path / "new.parquet")
    _, out = predict(tmp_path / "new.parquet", name)
    read = {"out.csv": pd.read_csv, "out.parquet": pd.read_parquet}.get(
        name, lambda path: pd.read_json(path, lines=True)
    )
    assert read(out)["prediction"].isin(["yes", "no"]).all()
    assert len(read(out)) == 20


def test_a_missing_column_is_one_mistake_with_the_nearest_name(predict, tmp_path):
    people(5, seed=5).rename(columns={"years": "year"}).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(UserError) as refused:
        predict(tmp_path / "new.csv")
    assert len(refused.value.mistakes) == 1
    assert "has no column 'years', which the model reads; did you mean 'year'?" in str(
        refused.value
    )
    assert not (tmp_path / "out.csv").exists()


def test_an_output_of_unknown_format_is_refused_before_anything_is_read(predict, tmp_path):
    with pytest.raises(UserError, match=r"'out.xls' says no format that can be written"):
        predict(tmp_path / "nothing.csv", "out.xls")


def test_files_of_different_columns_are_refused_together(predict, tmp_path):
    people(5, seed=6).to_csv(tmp_path / "new1.csv", index=False)
    people(5, seed=7).assign(more=1).to_csv(tmp_path / "new2.csv", index=False)
    with pytest.raises(UserError, match=r"'new2.csv' has other columns than 'new1.csv'"):
        predict(tmp_path / "new*.csv")


def test_a_file_without_rows_gives_a_file_without_rows(predict, tmp_path):
    people(0, seed=8).to_csv(tmp_path / "new.csv", index=False)
    done, out = predict(tmp_path / "new.csv")
    assert done.rows == 0
    assert pd.read_csv(out).columns[-1] == "reason"
