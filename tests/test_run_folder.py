"""The run folder and its commit protocol, without a cluster."""

from __future__ import annotations

import json

import pytest

from lepton_dask.artifacts.commit import replacing, write_json
from lepton_dask.artifacts.event_log import EventLog
from lepton_dask.artifacts.redact import Redactor
from lepton_dask.artifacts.run_folder import LATEST, RunFolder, list_runs, point_latest
from lepton_dask.errors import RunError, UserError
from lepton_dask.events import Warned


def test_two_runs_in_one_second_get_two_folders(tmp_path):
    folders = [RunFolder.beneath(tmp_path, "credit") for _ in range(5)]
    assert len({folder.final for folder in folders}) == 5
    finals = {folder.commit("finished", 0, "credit") for folder in folders}
    assert len(finals) == 5
    assert all(final.is_dir() for final in finals)


def test_a_run_that_was_killed_leaves_nothing_that_looks_finished(tmp_path):
    folder = RunFolder.beneath(tmp_path, "credit")
    write_json(folder.work / "metrics.json", {"scores": {"test": {"roc_auc": 0.9}}})
    assert not folder.final.exists()
    assert list_runs(tmp_path) == ()


def test_a_failed_run_is_listed_as_failed(tmp_path):
    RunFolder.beneath(tmp_path, "credit").commit("failed", 1, "credit")
    [run] = list_runs(tmp_path)
    assert (run.state, run.exit_code, run.metrics) == ("failed", 1, {})


def test_the_metrics_of_a_run_are_listed_by_part(tmp_path):
    folder = RunFolder.beneath(tmp_path, "credit")
    entry = {"test": {"roc_auc": 0.9}, "positive": "bad", "rows": {"test": 10}}
    write_json(folder.work / "metrics.json", {"scores": entry})
    folder.commit("finished", 0, "credit")
    [run] = list_runs(tmp_path)
    assert run.metrics == {"scores": {"test": {"roc_auc": 0.9}}}


def test_an_output_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(UserError, match="is not empty") as refused:
        RunFolder.exactly(tmp_path / "mine")
    assert refused.value.exit_code == 2
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_an_output_folder_that_is_empty_becomes_the_run_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    folder = RunFolder.exactly(tmp_path / "mine")
    write_json(folder.work / "plan.json", {})
    assert folder.commit("finished", 0, "credit") == tmp_path / "mine"
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {"plan.json", "run.json"}


def test_latest_points_at_the_last_run_that_it_was_told_of(tmp_path):
    for name in ("first", "second"):
        point_latest(tmp_path, RunFolder.beneath(tmp_path, name).commit("finished", 0, name))
    assert (tmp_path / LATEST).resolve().name.endswith("second")


def test_a_file_whose_writing_fails_leaves_the_old_one_whole_and_nothing_else(tmp_path):
    target = tmp_path / "plan.json"
    target.write_text("old")

    def fail_half_way() -> None:
        with replacing(target) as stream:
            stream.write(b"ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_secrets_do_not_reach_the_event_log(tmp_path):
    log = EventLog(tmp_path / "events.jsonl", Redactor(["hunter2", "ab"]))
    log(Warned("read", "cannot open s3://me:pw1@bucket/hunter2/cabs.csv"))
    log(Warned("ab", "short ones are hidden where they stand alone"))
    log.close()
    first, second = map(json.loads, (tmp_path / "events.jsonl").read_text().splitlines())
    assert first["message"] == "cannot open s3://[redacted]@bucket/[redacted]/cabs.csv"
    assert second["step"] == "[redacted]"
    assert first["event"] == "Warned"


def test_an_output_folder_that_cannot_be_made_is_the_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        RunFolder.exactly(tmp_path / "file" / "run")
    with pytest.raises(UserError, match="cannot be made"):
        RunFolder.beneath(tmp_path / "file", "credit")


def test_a_damaged_manifest_is_named(tmp_path):
    final = RunFolder.beneath(tmp_path, "credit").commit("finished", 0, "credit")
    (final / "run.json").write_text("{")
    with pytest.raises(RunError, match="credit: it is not the JSON that a run wrote"):
        list_runs(tmp_path)
