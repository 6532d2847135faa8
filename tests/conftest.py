"""What tests share: one cluster, and a way to run a pipeline on it."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from grammar import After, Planned, Ran, Refused, document

from lepton_dask.cli import main
from lepton_dask.cluster import connect
from lepton_dask.config.cluster import ClusterConfig, LocalCluster
from lepton_dask.config.load import LoadedConfig
from lepton_dask.data.reading import plan_chunks
from lepton_dask.errors import UserError
from lepton_dask.events import Event
from lepton_dask.plan import reading
from lepton_dask.run.outcome import RunOutcome
from lepton_dask.run.pipeline import PlannedRun, load_and_plan, run_planned

REPOSITORY = Path(__file__).parent.parent

Run = Callable[..., RunOutcome]


class Exit(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    stdout: str
    stderr: str


Lepton = Callable[..., Exit]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m "not cluster"` leaves the tests that start none."""
    for item in items:
        if "scheduler" in getattr(item, "fixturenames", ()):
            item.add_marker("cluster")


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """The address of a cluster of two workers that every cluster test may use."""
    local = LocalCluster(workers=2, threads_per_worker=1, memory_per_worker="2GiB")
    config = ClusterConfig(cluster=local, dashboard="127.0.0.1:0")
    with connect(LoadedConfig(config, None, Path())) as session:
        yield session.address


@pytest.fixture
def write_pipeline(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a pipeline's text into the test's folder and returns the file."""

    def write(text: str) -> Path:
        path = tmp_path / "pipeline.yaml"
        path.write_text(textwrap.dedent(text))
        return path

    return write


@pytest.fixture
def events() -> list[Event]:
    """What happened in the runs of a test, in order."""
    return []


@pytest.fixture
def run(scheduler: str, tmp_path: Path, events: list[Event]) -> Run:
    """Runs a pipeline file on the shared cluster; its folder lies in the test's own."""

    def run_file(path: Path, overrides: Sequence[str] = (), **options: object) -> RunOutcome:
        planned = load_and_plan(path, overrides=overrides)
        options = {"scheduler": scheduler, "runs": tmp_path / "runs"} | options
        return run_planned(planned, listeners=[events.append], **options)

    return run_file


@pytest.fixture
def lepton(capsys: pytest.CaptureFixture[str]) -> Lepton:
    """Runs the command line in this process."""

    def command(*arguments: object) -> Exit:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        return Exit(int(exit_.value.code or 0), *capsys.readouterr())

    return command


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Cuts files every so many bytes, so that small tables come in several chunks."""

    def cut(chunk_bytes: int) -> None:
        small = functools.partial(plan_chunks, chunk_bytes=chunk_bytes)
        monkeypatch.setattr(reading, "plan_chunks", small)

    return cut


@pytest.fixture
def planned(write_pipeline: Callable[[str], Path]) -> Planned:
    """What some steps are planned to be."""

    def plan(steps: str, top: str = "", **options: object) -> PlannedRun:
        return load_and_plan(write_pipeline(document(steps, top)), **options)

    return plan


@pytest.fixture
def refused(planned: Planned) -> Refused:
    """The mistakes in some steps: `key: what is wrong; what to do`. None has a place in no file."""

    def mistakes(steps: str, top: str = "", **options: object) -> list[str]:
        with pytest.raises(UserError) as caught:
            planned(steps, top, **options)
        assert all(mistake.place is not None for mistake in caught.value.mistakes)
        return [str(each).removeprefix(f"{each.place}: ") for each in caught.value.mistakes]

    return mistakes


@pytest.fixture
def ran(run: Run, write_pipeline: Callable[[str], Path]) -> Ran:
    """What some steps come to."""

    def outcome(steps: str, top: str = "", **options: object) -> RunOutcome:
        return run(write_pipeline(document(steps, top)), **options)

    return outcome


@pytest.fixture
def after(ran: Ran) -> After:
    """The table behind some steps, as the run writes it."""

    def table(steps: str, top: str = "") -> pd.DataFrame:
        steps = f"{textwrap.dedent(steps)}out: {{write: {{path: out.parquet}}}}\n"
        return pd.read_parquet(ran(steps, top).folder / "out.parquet")

    return table
