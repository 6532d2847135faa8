"""What the workers lack is said in plain words, before anything is submitted to them."""

from __future__ import annotations

import importlib.metadata
import os
import site
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import distributed
import pytest
from conftest import Lepton
from processes import eventually, stock_workers

from lepton_dask.artifacts.run_folder import list_runs
from lepton_dask.errors import ClusterError, DocumentPath, Mistake, RunError, UserError
from lepton_dask.events import Event, RunStarted, StepStarted
from lepton_dask.run import preflight
from lepton_dask.run.pipeline import load_and_plan, run_planned
from lepton_dask.run.preflight import PACKAGES, Wants, check_cluster
from lepton_dask.run.worker_probe import found, probe

HERE = {package: importlib.metadata.version(package) for package in PACKAGES}
NOTHING = Wants({}, {}, {})

PIPELINE = """
name: sums
steps:
  rows: {read: {path: rows.csv}}
  twice:
    derive: {python: "MODULE:double", outputs: {twice: number}}
  features: {prepare: {target: y}}
  model: {train: {loss: squared}}
"""

DOUBLE = """
def double(frame):
    return frame.assign(twice=2.0 * frame.x)
"""


def answer(**changes: Any) -> dict[str, Any]:
    """What a worker that lacks nothing says, but for the changes."""
    return {"versions": HERE, "missing_paths": [], "missing_modules": []} | changes


def workers_with(*resources: Mapping[str, float]) -> SimpleNamespace:
    """A client of workers that offer these resources."""
    info = {"workers": {str(i): {"resources": each} for i, each in enumerate(resources)}}
    return SimpleNamespace(scheduler_info=lambda **_: info)


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has workers tcp://a:1, tcp://b:1 ... answer the probe so."""

    def answers(*facts: dict[str, Any]) -> None:
        named = {f"tcp://{'abc'[i]}:1": fact for i, fact in enumerate(facts)}
        monkeypatch.setattr(preflight, "_ask", lambda *_: named)

    return answers


def mistakes_of(wants: Wants, *resources: Mapping[str, float]) -> tuple[Mistake, ...]:
    with pytest.raises(UserError) as refused:
        check_cluster(workers_with(*resources), wants, [])
    return refused.value.mistakes


def test_workers_that_lack_nothing_pass(say: Callable[..., None]) -> None:
    say(answer(), answer())
    wants = Wants({"/a.csv": ("steps",)}, {"m": ("steps",)}, {("steps", "t"): ("GPU", 1.0)})
    check_cluster(workers_with({}, {"GPU": 1.0}), wants, [])


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        (
            {"lepton_dask": ""},
            "worker tcp://b:1 has no lepton_dask; "
            f"on every worker: pip install lepton_dask=={HERE['lepton_dask']}",
        ),
        (
            {"numpy": "1.0", "pyarrow": ""},
            f"worker tcp://b:1 has numpy 1.0 and not {HERE['numpy']}, has no pyarrow; "
            f"on every worker: pip install numpy=={HERE['numpy']} pyarrow=={HERE['pyarrow']}",
        ),
    ],
)
def test_other_versions_are_named_with_what_to_do(
    versions: dict[str, str], said: str, say: Callable[..., None]
) -> None:
    say(answer(), answer(versions=HERE | versions))
    with pytest.raises(RunError) as failed:
        check_cluster(workers_with({}, {}), NOTHING, [])
    assert str(failed.value) == said


def test_all_that_is_missing_is_said_at_once_and_each_place_once(say: Callable[..., None]) -> None:
    path: DocumentPath = ("steps", "rows", "read", "path")
    module: DocumentPath = ("steps", "more", "derive", "python")
    say(
        answer(),
        answer(missing_paths=["/x/a.csv", "/x/b.csv"], missing_modules=["mine"]),
        answer(missing_paths=["/x/a.csv"]),
    )
    wants = Wants({"/x/a.csv": path, "/x/b.csv": path}, {"mine": module}, {})
    first, second = mistakes_of(wants, {})
    assert str(first) == (
        "path: worker tcp://b:1 cannot see /x/a.csv; put it where every worker can read it"
    )
    assert str(second) == "python: worker tcp://b:1 has no module 'mine'; install it there"


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ([{}], "no worker offers it (offered: nothing)"),
        ([{"memory": 1.0}, {"TPU": 2.0}], "no worker offers it (offered: TPU, memory)"),
        ([{"GPU": 1.0}, {"GPU": 2.0}], "asks for 4, and no worker offers more than 2"),
    ],
)
def test_a_resource_must_be_offered_by_one_worker_alone(
    offered: list[dict[str, float]], said: str, say: Callable[..., None]
) -> None:
    say(answer())
    at: DocumentPath = ("steps", "model", "resources", "GPU")
    [mistake] = mistakes_of(Wants({}, {}, {at: ("GPU", 4.0)}), *offered)
    assert mistake.path == at
    assert mistake.found == said


@pytest.mark.parametrize("module", ["json", "xml.dom", "importlib.metadata"])
def test_a_module_that_is_there_is_found(module: str) -> None:
    assert found(module)


@pytest.mark.parametrize("module", ["no_such", "no_such.inner", "json.no_such"])
def test_a_module_that_is_not_there_is_not_found(module: str) -> None:
    assert not found(module)


def test_the_probe_says_what_is_here(tmp_path: Path) -> None:
    (tmp_path / "there.csv").touch()
    paths = [str(tmp_path / name) for name in ("there.csv", "gone.csv")]
    facts = probe(["numpy", "no-such-package"], paths, ["json", "no_such"], [])
    assert facts["versions"] == {"numpy": HERE["numpy"], "no-such-package": ""}
    assert facts["missing_paths"] == paths[1:]
    assert facts["missing_modules"] == ["no_such"]


# On a cluster.


class Cluster:
    """One worker, and a scheduler in this process that is asked what was submitted to it."""

    def __init__(self, cluster: distributed.LocalCluster) -> None:
        self._cluster = cluster

    @property
    def address(self) -> str:
        return str(self._cluster.scheduler_address)

    @property
    def tasks_seen(self) -> int:
        """Changes of state of any task, ever, once those of earlier runs are forgotten."""
        scheduler = self._cluster.scheduler
        eventually(lambda: not scheduler.tasks)
        return int(scheduler.transition_counter)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        resources={"memory": 1e9},
    ) as started:
        yield Cluster(started)


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    """A pipeline with a module of its own beside it."""
    (tmp_path / "rows.csv").write_text("x,y\n" + "".join(f"{i},{3 * i}\n" for i in range(50)))
    (tmp_path / "beside.py").write_text(textwrap.dedent(DOUBLE))
    path = tmp_path / "sums.yaml"
    path.write_text(PIPELINE.replace("MODULE", "beside"))
    return path


def refused(
    pipeline: Path, cluster: Cluster, before_running: Callable[[], None] = lambda: None
) -> Exception:
    """What a run on the cluster is refused with, before a task was submitted or a step began."""
    events: list[Event] = []
    planned = load_and_plan(pipeline)
    before_running()
    seen = cluster.tasks_seen
    runs = pipeline.parent / "runs"
    with pytest.raises((UserError, RunError)) as error:
        run_planned(planned, scheduler=cluster.address, runs=runs, listeners=[events.append])
    assert cluster.tasks_seen == seen
    assert any(isinstance(event, RunStarted) for event in events)
    assert not any(isinstance(event, StepStarted) for event in events)
    [run] = list_runs(runs)
    assert run.state == "failed"
    return error.value


def only_mistake(error: Exception) -> Mistake:
    assert isinstance(error, UserError)
    [mistake] = error.mistakes
    return mistake


@pytest.mark.cluster
def test_a_pipeline_that_lacks_nothing_runs(sums: Path, cluster: Cluster) -> None:
    """With its module beside it, which no worker has installed; and tasks are seen."""
    seen = cluster.tasks_seen
    planned = load_and_plan(sums)
    outcome = run_planned(planned, scheduler=cluster.address, runs=sums.parent / "runs")
    assert (outcome.folder / "model").is_dir()
    assert cluster.tasks_seen > seen


@pytest.mark.cluster
def test_an_input_that_a_worker_cannot_see_is_a_mistake(sums: Path, cluster: Cluster) -> None:
    rows = sums.parent / "rows.csv"
    mistake = only_mistake(refused(sums, cluster, before_running=rows.unlink))
    assert str(mistake).startswith(f"{sums}:4:23: path: worker tcp://127.0.0.1:")
    assert str(mistake).endswith(f"cannot see {rows}; put it where every worker can read it")


@pytest.mark.cluster
def test_a_module_that_a_worker_lacks_is_a_mistake(
    sums: Path,
    cluster: Cluster,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = tmp_path_factory.mktemp("installed")
    (installed / "only_here.py").write_text(textwrap.dedent(DOUBLE))
    monkeypatch.syspath_prepend(installed)
    sums.write_text(PIPELINE.replace("MODULE", "only_here"))
    mistake = only_mistake(refused(sums, cluster))
    assert str(mistake).startswith(f"{sums}:6:22: python: worker tcp://127.0.0.1:")
    assert str(mistake).endswith("has no module 'only_here'; install it there")


@pytest.mark.cluster
def test_bad_18_a_resource_that_no_worker_offers(
    sums: Path, cluster: Cluster, lepton: Lepton
) -> None:
    text = sums.read_text().replace(
        "model: {train: {loss: squared}}", "model: {train: {loss: squared}, resources: {GPU: 1}}"
    )
    sums.write_text(text)
    seen = cluster.tasks_seen
    output = sums.parent / "run"
    done = lepton("run", sums, "--scheduler", cluster.address, "--output", output)
    assert done.code == 2
    assert (
        f"{sums}:8:47: GPU: no worker offers it (offered: memory); "
        "start workers with --resources, or ask for less" in done.stderr
    )
    assert cluster.tasks_seen == seen


@pytest.mark.cluster
def test_a_worker_that_does_not_answer_is_lost_not_waited_for(
    sums: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "ANSWER_S", 0.0)
    planned = load_and_plan(sums)
    with pytest.raises(ClusterError, match="a worker does not answer within 0 s"):
        run_planned(planned, scheduler=cluster.address, runs=sums.parent / "runs")


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of this environment, but for lepton_dask."""
    packages = tmp_path_factory.mktemp("packages")
    for folder in site.getsitepackages():
        for path in Path(folder).iterdir():
            if "lepton_dask" not in path.name and not (packages / path.name).exists():
                (packages / path.name).symlink_to(path)
    return packages


@pytest.mark.cluster
@pytest.mark.parametrize("other_version", ["", "0.0.1"])
def test_a_worker_of_another_environment_is_refused(
    other_version: str, sums: Path, cluster: Cluster, elsewhere: Path
) -> None:
    if other_version:
        metadata = elsewhere / f"lepton_dask-{other_version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: lepton_dask\nVersion: {other_version}\n"
        )
    with stock_workers(
        sums.parent,
        cluster.address,
        1,
        # Without `site`, so that it finds nothing but what PYTHONPATH says.
        python=(sys.executable, "-S"),
        environment={"PYTHONPATH": os.fspath(elsewhere)},
    ) as [worker]:
        error = refused(sums, cluster)
        there = worker.saw("Start worker at:").split()[-1]
    own = HERE["lepton_dask"]
    lacks = (
        f"has lepton_dask {other_version} and not {own}" if other_version else "has no lepton_dask"
    )
    assert isinstance(error, RunError)
    assert str(error) == (
        f"worker {there} {lacks}; on every worker: pip install lepton_dask=={own}"
    )
