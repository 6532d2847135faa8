"""`lepton profile`: a table's profile, of a file or of what a pipeline prepares; nothing stays."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lepton_dask.artifacts.redact import Redactor
from lepton_dask.config.compose import compose
from lepton_dask.config.document import Document
from lepton_dask.config.load import LoadedPipeline, load_config
from lepton_dask.config.nodes import MappingNode, Source
from lepton_dask.config.pipeline import Pipeline, Step
from lepton_dask.data.guess_csv import SEPARATORS
from lepton_dask.data.prepare import Prepare
from lepton_dask.errors import Mistake, UserError
from lepton_dask.events import Emitter, Listener
from lepton_dask.plan.planner import make_plan
from lepton_dask.plan.shapes import TableShape
from lepton_dask.run.bare_file import BareFile, look_at
from lepton_dask.run.pipeline import (
    PlannedRun,
    load_and_plan,
    placed_error,
    roots_of,
    started,
    steps_until,
)
from lepton_dask.run.profiling import Profiled, profile_parts
from lepton_dask.run.records import Records
from lepton_dask.run.values import TableValue
from lepton_dask.run.walk import walk

PIPELINE_SUFFIXES = (".yaml", ".yml")
TABLE = "table"


@dataclass(frozen=True)
class Profiling:
    """What is to be profiled: `table` names a step, or a part of one, of the planned run, and
    `step` the one that takes it, or itself. `notes` say how a bare file is read."""

    planned: PlannedRun
    table: str
    step: str
    notes: tuple[str, ...] = ()


def plan_profile(path: str, *, on: Path | None = None) -> Profiling:
    """A pipeline's table (what its first prepare step takes, else the last one), or a file's.

    Raises UserError with every mistake, as `load_and_plan` does.
    """
    if path.lower().endswith(PIPELINE_SUFFIXES):
        return _of_pipeline(load_and_plan(Path(path), on=on))
    try:
        return _of_file(path, on)
    except UserError as error:
        # There is no document that they could stand in.
        raise UserError(replace(each, path=(), place=None) for each in error.mistakes) from None


def profile_planned(
    profiling: Profiling, *, scheduler: str | None = None, listeners: Iterable[Listener] = ()
) -> Profiled:
    """Runs what the table needs, and profiles it.

    Raises what the error tree says.
    """
    planned = profiling.planned
    redactor = Redactor(planned.secrets)
    emit = Emitter(*listeners)
    with tempfile.TemporaryDirectory(prefix="lepton-") as folder:
        records = Records(Path(folder), redactor)
        try:
            with started(planned, scheduler, records, emit) as (running, check):
                table = walk(running, planned.steps, check, keep=profiling.table)
                assert isinstance(table, TableValue)
                by_name = {step.name: step for step in planned.loaded.pipeline.steps}
                return profile_parts(running.work(by_name[profiling.step]), table)
        except Exception as error:
            placed = placed_error(error, planned, redactor)
            if placed is error:
                raise
            raise placed from error


def _of_pipeline(planned: PlannedRun) -> Profiling:
    steps = planned.loaded.pipeline.steps
    shapes = planned.planning.shapes
    prepare = next((step for step in steps if isinstance(step.action, Prepare)), None)
    if prepare is not None:
        table, name = prepare.inputs[0], prepare.name
    else:
        tables = [step.name for step in steps if isinstance(shapes.get(step.name), TableShape)]
        if not tables:
            raise UserError([Mistake(("steps",), "no step makes a table", "add a read step")])
        table = name = tables[-1]
    needed = steps_until(planned.loaded, table.partition(".")[0])
    return Profiling(replace(planned, steps=needed), table, name)


def _of_file(path: str, on: Path | None) -> Profiling:
    config = load_config(on)
    here = Path.cwd() / "pipeline.yaml"
    roots = roots_of(config, here)
    bare = look_at(path, ("steps", TABLE, "read"), roots)
    pipeline = Pipeline(
        name="profile", steps=(Step(name=TABLE, verb="read", action=bare.read, inputs=()),)
    )
    planning = make_plan(pipeline, roots, Path.cwd())
    if planning.mistakes:
        raise UserError(planning.mistakes)
    root = compose(Source(path, f"name: {pipeline.name}")).root
    assert isinstance(root, MappingNode)
    loaded = LoadedPipeline(pipeline, Document(root), (), "", path, ())
    planned = PlannedRun(loaded, config, planning, Path.cwd(), pipeline.steps, planning.warnings)
    return Profiling(planned, TABLE, TABLE, _notes(bare))


def _notes(bare: BareFile) -> tuple[str, ...]:
    """How the file is read, where that is not said by its name."""
    if bare.guess is None:
        return ()
    separator = f"separator: {SEPARATORS[bare.guess.separator]}"
    others = [
        f"{key}: {reason}" for key, reason in bare.guess.reasons.items() if key != "separator"
    ]
    return (separator, *others)
