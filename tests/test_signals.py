"""Signals to a run: it stops cleanly, says so by its exit code, and leaves nothing behind."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from processes import Started, are_gone, lepton_process

from lepton_dask.artifacts.run_folder import list_runs
from lepton_dask.cli import main
from lepton_dask.errors import Interrupted
from lepton_dask.run.stop import stop_on_signals

ARTICLE = Path(__file__).parent.parent / "pipelines" / "article.yaml"
"""A thousand steps of training, which take ten seconds and more."""


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Started]:
    """A run in the middle of its training, with a terminal's process group of its own."""
    with lepton_process(tmp_path, "run", ARTICLE) as command:
        command.saw("iteration 10,")
        yield command


def workers_of(command: Started) -> list[psutil.Process]:
    return [each for each in command.family() if "--multiprocessing-fork" in each.cmdline()]


def failed_run(folder: Path) -> dict[str, object]:
    """error.json of the one run, which is marked as failed."""
    runs = folder / "runs"
    [run] = list_runs(runs)
    assert run.state == "failed"
    assert sorted(path.name for path in runs.iterdir()) == [run.folder.name]
    error = json.loads((run.folder / "error.json").read_text())
    assert error["exit_code"] == run.exit_code
    return dict(error)


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("signal_number", "to_group", "code"),
    [
        (signal.SIGINT, False, 130),
        (signal.SIGINT, True, 130),
        (signal.SIGTERM, False, 143),
    ],
    ids=["kill -INT", "Ctrl-C", "kill -TERM"],
)
def test_a_signal_stops_a_run_cleanly(
    signal_number: signal.Signals, to_group: bool, code: int, training: Started, tmp_path: Path
) -> None:
    family = training.family()
    assert workers_of(training)
    assert [path.name.startswith("lepton-") for path in training.scratch.iterdir()] == [True]
    began = time.monotonic()
    (training.send_group if to_group else training.send)(signal_number)
    assert training.exit_code() == code
    assert time.monotonic() - began < 10
    assert "Traceback" not in training.stderr
    assert training.stderr.splitlines()[-1] == f"lepton: stopped by {signal_number.name}"
    assert "iteration 990," not in training.stderr
    assert are_gone(family)
    assert list(training.scratch.iterdir()) == []
    error = failed_run(tmp_path)
    assert error["kind"] == "Interrupted"
    assert error["exit_code"] == code


@pytest.mark.cluster
def test_a_killed_run_leaves_nothing_that_looks_finished_and_no_workers(
    training: Started, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = workers_of(training)
    assert workers
    training.send(signal.SIGKILL)
    assert training.exit_code() == -signal.SIGKILL
    assert are_gone(workers)
    runs = tmp_path / "runs"
    [left] = runs.iterdir()
    assert left.name.startswith(".")
    with pytest.raises(SystemExit) as exit_:
        main(["runs", str(runs)])
    assert exit_.value.code == 0
    assert capsys.readouterr() == ("", f"no runs in {runs}\n")


def test_a_signal_is_noted_and_raised_at_the_next_check() -> None:
    with stop_on_signals() as stop:
        stop.check()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted) as stopped:
            stop.check()
    assert stopped.value.exit_code == 143


def test_a_second_ctrl_c_does_not_wait_for_a_check() -> None:
    reached = []

    def impatient() -> None:
        with stop_on_signals():
            signal.raise_signal(signal.SIGINT)
            reached.append("after the first")
            signal.raise_signal(signal.SIGINT)
            reached.append("after the second")

    with pytest.raises(Interrupted) as stopped:
        impatient()
    assert reached == ["after the first"]
    assert stopped.value.exit_code == 130


def test_the_handlers_that_were_there_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) not in before
        signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
