"""From a pipeline's file to its run folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lepton_dask.artifacts.event_log import EventLog
from lepton_dask.artifacts.redact import Redactor
from lepton_dask.artifacts.run_folder import RunFolder, point_latest
from lepton_dask.cluster import connect, describe
from lepton_dask.config.cluster import LocalCluster
from lepton_dask.config.load import (
    DraftPipeline,
    LoadedConfig,
    LoadedPipeline,
    draft_pipeline,
    load_config,
)
from lepton_dask.config.mistakes import in_order, suggestion
from lepton_dask.config.pipeline import Step
from lepton_dask.data.derive import Derive
from lepton_dask.data.roots import Roots, is_url
from lepton_dask.errors import DocumentPath, LeptonError, Mistake, UserError
from lepton_dask.events import Emitter, Event, Listener, RunFailed, RunFinished, RunStarted, Warned
from lepton_dask.learn.direct import DirectWay
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.plan.planned import Plan
from lepton_dask.plan.planner import Planning, make_plan
from lepton_dask.plan.shapes import TableShape
from lepton_dask.resources import install
from lepton_dask.resources.classes import Classes
from lepton_dask.run.kept import kept_patterns, kept_secrets
from lepton_dask.run.outcome import RunOutcome
from lepton_dask.run.preflight import Wants, check_cluster
from lepton_dask.run.records import Records
from lepton_dask.run.redacted import redacted
from lepton_dask.run.resuming import resumable
from lepton_dask.run.steps import Running
from lepton_dask.run.stop import stop_on_signals
from lepton_dask.run.telling import telling
from lepton_dask.run.walk import walk

RUNS = Path("runs")
PROJECT_MARKS = ("pyproject.toml", ".git")
BUG_EXIT_CODE = 1


@dataclass(frozen=True)
class PlannedRun:
    """A pipeline that is valid and planned, with where it is to run."""

    loaded: LoadedPipeline
    config: LoadedConfig
    planning: Planning
    project: Path
    steps: tuple[Step, ...]
    warnings: tuple[Mistake, ...]

    @property
    def plan(self) -> Plan:
        return self.planning.plan

    @property
    def secrets(self) -> tuple[str, ...]:
        return (*self.loaded.secrets, *self.config.secrets)


def load_and_plan(
    path: Path,
    *,
    on: Path | None = None,
    overrides: Sequence[str] = (),
    until: str | None = None,
) -> PlannedRun:
    """Loads and plans.

    Raises UserError with every mistake, placed and in the file's order: those of the file, and
    those that headers, schemas and heads show of the steps that the file has right; RunError for
    a damaged file. With `until`, mistakes in steps that will not run are warnings.
    """
    draft = draft_pipeline(path, overrides=overrides)
    loaded, config = draft.sound, _configured(on, draft)
    project = project_folder(path)
    try:
        planning = make_plan(loaded.pipeline, roots_of(config, path), project)
        found = (*planning.mistakes, *kept_secrets(loaded.document))
        mistakes = (*draft.mistakes, *map(loaded.document.locate, found))
        steps = steps_until(loaded, until, mistakes)
        names = {step.name for step in steps}
        aside = [each for each in mistakes if until is not None and _is_elsewhere(each, names)]
        mistakes = tuple(each for each in mistakes if each not in aside)
        if mistakes:
            raise UserError(in_order(mistakes, loaded.file))
    except LeptonError as error:
        raise redacted(error, Redactor((*loaded.secrets, *config.secrets))) from None
    warnings = (*loaded.warnings, *map(loaded.document.locate, planning.warnings), *aside)
    return PlannedRun(loaded, config, planning, project, steps, warnings)


def _configured(on: Path | None, draft: DraftPipeline) -> LoadedConfig:
    """The configuration. Where it is wrong, nobody knows which files may be read: its mistakes come
    with those of the pipeline's file alone."""
    try:
        return load_config(on)
    except UserError as error:
        raise UserError((*error.mistakes, *draft.mistakes)) from None


def project_folder(pipeline: Path) -> Path:
    """Where a pipeline belongs: the nearest folder above it that is a project's, or its own."""
    folder = pipeline.absolute().parent
    for candidate in (folder, *folder.parents):
        if any((candidate / mark).exists() for mark in PROJECT_MARKS):
            return candidate
    return folder


def roots_of(config: LoadedConfig, pipeline: Path) -> Roots:
    """The folders of the configuration; else the pipeline's project, its own folder, and the
    current one."""
    if config.config.roots:
        return Roots(
            tuple((config.folder / root).resolve() for root in config.config.roots), confine=True
        )
    folders = (project_folder(pipeline), pipeline.absolute().parent, Path.cwd())
    return Roots(tuple(dict.fromkeys(folders)))


def _is_elsewhere(mistake: Mistake, steps: Collection[str]) -> bool:
    match mistake.path:
        case ("steps", str() as step, *_):
            return step not in steps
    return False


def steps_until(
    loaded: LoadedPipeline, until: str | None, mistakes: Sequence[Mistake] = ()
) -> tuple[Step, ...]:
    """The step named and all that it needs; without a name, all.

    Raises UserError for a name that is no step's, or that of a step with one of the `mistakes`.
    """
    steps = loaded.pipeline.steps
    if until is None:
        return steps
    by_name = {step.name: step for step in steps}
    if until not in by_name and mistakes:
        raise UserError(in_order(mistakes, loaded.file))
    if until not in by_name:
        fix = suggestion(until, by_name, "the steps are")
        raise UserError([Mistake((), f"--until: unknown step '{until}'", fix)])
    needed, waiting = set(), [until]
    while waiting:
        name = waiting.pop()
        needed.add(name)
        waiting += [source.partition(".")[0] for source in by_name[name].inputs]
    return tuple(step for step in steps if step.name in needed)


def run_planned(
    planned: PlannedRun,
    *,
    scheduler: str | None = None,
    output: Path | None = None,
    runs: Path = RUNS,
    listeners: Iterable[Listener] = (),
    resume: Path | None = None,
) -> RunOutcome:
    """Runs a planned pipeline and commits its folder, whatever becomes of it. Its searches go on
    from where those of the run in the folder `resume` ended.

    Raises what the error tree says; the folder is then marked failed and holds error.json.
    """
    name = planned.loaded.pipeline.name
    resumed = None if resume is None else resumable(resume, planned.plan, planned.steps)
    folder = RunFolder.beneath(runs, name) if output is None else RunFolder.exactly(output)
    redactor = Redactor(planned.secrets)
    records = Records(folder.work, redactor)
    log = EventLog(folder.work / "events.jsonl", redactor)
    emit = Emitter(*listeners, log)
    try:
        records.begin(planned.loaded.as_run, planned.plan)
        with started(planned, scheduler, records, emit) as (running, check):
            walk(replace(running, resumed=resumed), planned.steps, check)
        records.finish()
    except BaseException as error:
        placed = placed_error(error, planned, redactor)
        code = placed.exit_code if isinstance(placed, LeptonError) else BUG_EXIT_CODE
        emit(RunFailed(str(placed), code, str(folder.final)))
        log.close()
        records.failed(placed, code)
        folder.commit("failed", code, name)
        if placed is error:
            raise
        raise placed from error
    outcome = RunOutcome(
        folder.final, records.metrics, records.searches, records.missed, records.comparisons
    )
    emit(RunFinished(outcome.exit_code, folder.seconds))
    log.close()
    folder.commit("finished", outcome.exit_code, name)
    if output is None:
        point_latest(runs, folder.final)
    return outcome


def placed_error(error: BaseException, planned: PlannedRun, redactor: Redactor) -> BaseException:
    """The error without secrets; a mistake that the data showed, with its place in the pipeline's
    file."""
    if isinstance(error, UserError):
        document = planned.loaded.document
        error = UserError(in_order(map(document.locate, error.mistakes), document.file))
    return redacted(error, redactor) if isinstance(error, LeptonError) else error


@contextmanager
def started(
    planned: PlannedRun, scheduler: str | None, records: Records, emit: Callable[[Event], None]
) -> Iterator[tuple[Running, Callable[[], None]]]:
    """A cluster on which the planned steps can run, and the check that every wait makes.

    Raises UserError where the workers lack what the steps need, ClusterError without a cluster.
    """
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        session = stack.enter_context(
            connect(planned.config, scheduler=scheduler, check=stop.check)
        )

        def check() -> None:
            stop.check()
            session.check()

        emit(
            RunStarted(
                planned.loaded.pipeline.name,
                describe(session),
                session.dashboard,
                tuple(step.name for step in planned.steps),
            )
        )
        for warning in planned.warnings:
            emit(_warned(warning))
        install(session.client, classes=_classes(planned.config, scheduler))
        check_cluster(session.client, _wants(planned), [str(planned.project)])
        redactor = Redactor(planned.secrets)
        tell = stack.enter_context(
            telling(session.client, planned.loaded.pipeline.name, redactor.text)
        )
        direct = DirectWay.open(session.client) if session.is_own else None
        if direct is not None:
            stack.callback(direct.close)
        running = Running(
            planned.loaded.pipeline,
            planned.planning,
            kept_patterns(planned.loaded.document),
            planned.project,
            records,
            Dispatch(session.client, check=check, direct=direct),
            Emitter(emit, tell),
        )
        yield running, check


def _classes(config: LoadedConfig, scheduler: str | None) -> Classes | None:
    """What the configuration says of a cluster of its own. On one that is there already its own
    classes count."""
    is_own = scheduler is None and isinstance(config.config.cluster, LocalCluster)
    return config.config.classes if is_own else None


def _warned(warning: Mistake) -> Warned:
    """A warning of the plan as an event: on its step, where it is a step's."""
    match warning.path:
        case ("steps", str() as step, "read"):
            return Warned(step, warning.found)
    return Warned(None, str(warning))


def _wants(planned: PlannedRun) -> Wants:
    """What the steps need of every worker: local files, modules of the user's, resources."""
    paths: dict[str, DocumentPath] = {}
    modules: dict[str, DocumentPath] = {}
    resources: dict[DocumentPath, tuple[str, float]] = {}
    for step in planned.steps:
        shape = planned.planning.shapes.get(step.name)
        if step.verb == "read" and isinstance(shape, TableShape):
            at = ("steps", step.name, "read", "path")
            paths |= {c.file.path: at for c in shape.chunks if not is_url(c.file.path)}
        if isinstance(step.action, Derive) and step.action.python is not None:
            module = step.action.python.partition(":")[0]
            modules[module] = ("steps", step.name, "derive", "python")
        for name, amount in step.resources.items():
            resources[("steps", step.name, "resources", name)] = (name, amount)
    return Wants(paths, modules, resources)
