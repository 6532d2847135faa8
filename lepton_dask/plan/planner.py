"""From a pipeline to its plan: steps in order, with what is known of each before it runs.

Reads headers, footers and each file's first MiB. Computes nothing: no task, no row beyond a head.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lepton_dask.config.pipeline import Pipeline, Step
from lepton_dask.data.clean import Clean
from lepton_dask.data.derive import Derive
from lepton_dask.data.fit_target import TargetLimit
from lepton_dask.data.join import Join
from lepton_dask.data.prepare import Prepare
from lepton_dask.data.read import Read
from lepton_dask.data.roles import Task
from lepton_dask.data.roots import Roots
from lepton_dask.data.split import Split
from lepton_dask.data.write import Predict, Write
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.learn.evaluate import Evaluate
from lepton_dask.learn.meta.meta_train import MetaTrain
from lepton_dask.learn.metrics import scored_task
from lepton_dask.learn.train import Train
from lepton_dask.plan import models, tables
from lepton_dask.plan.drawn import Drawn
from lepton_dask.plan.joining import draw_join
from lepton_dask.plan.planned import Plan, PlannedStep
from lepton_dask.plan.reading import try_read
from lepton_dask.plan.shapes import (
    FeaturesShape,
    ModelShape,
    Shape,
    TableShape,
    one_part,
    table_of,
)
from lepton_dask.resources.classes import classify


@dataclass(frozen=True)
class Planning:
    """A plan, the shapes behind it, and what was found on the way.

    `mistakes` and `warnings` bear document paths; whoever holds the document places them.
    """

    plan: Plan
    shapes: Mapping[str, Shape]
    tasks: Mapping[str, Task]
    """For each prepare step, what is to be learnt from it."""
    limits: Mapping[str, tuple[TargetLimit, ...]]
    """For each prepare step, what the losses that learn from it ask of a number."""
    groups: Mapping[str, tuple[str, ...]]
    """For each prepare step, the columns that tell groups apart in the steps that learn from it."""
    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]


def make_plan(pipeline: Pipeline, roots: Roots, folder: Path) -> Planning:
    """Plans every step that can be; a step behind a mistake is left out of what is checked.

    `folder` is where the pipeline's own modules lie.
    """
    shapes: dict[str, Shape] = {}
    prints: dict[str, str] = {}
    steps: list[PlannedStep] = []
    mistakes: list[Mistake] = []
    warnings: list[Mistake] = []
    tasks, clashes = _tasks(pipeline)
    mistakes += clashes
    groups = _groups(pipeline)
    for step in pipeline.steps:
        inputs = [_input_shape(name, shapes) for name in step.inputs]
        known = [shape for shape in inputs if shape is not None]
        at = ("steps", step.name, step.verb)
        drawn = Drawn(None, mistakes=tuple(_parts_of_models(step, shapes)))
        if len(known) == len(inputs) and not drawn.mistakes:
            aside = groups.get(step.name, ())
            drawn = _draw(step, known, at, roots, folder, tasks.get(step.name), aside)
        if drawn.shape is not None:
            shapes[step.name] = drawn.shape
        mistakes += drawn.mistakes
        warnings += [Mistake(at, text) for text in drawn.warnings]
        prints[step.name] = _fingerprint(step, pipeline.seed, prints, drawn.shape)
        steps.append(_planned(step, drawn, prints[step.name]))
    plan = Plan(pipeline.name, pipeline.seed, tuple(steps))
    limits = _limits(pipeline)
    return Planning(plan, shapes, tasks, limits, groups, tuple(mistakes), tuple(warnings))


def _draw(
    step: Step,
    inputs: list[Shape],
    at: DocumentPath,
    roots: Roots,
    folder: Path,
    task: Task | None,
    groups: tuple[str, ...],
) -> Drawn:
    """What becomes of a step's inputs. The configuration has checked that they are of its kind."""
    match step.action, inputs:
        case Read() as read, _:
            return try_read(read, step.name, at, roots)
        case Join() as join, [TableShape() as left, *others]:
            rights = [shape for shape in others if isinstance(shape, TableShape)]
            return draw_join(join, left, rights, at)
        case Clean() as clean, [TableShape() as table]:
            return tables.draw_clean(clean, table, at)
        case Derive() as derive, [TableShape() as table]:
            return tables.draw_derive(derive, table, at, folder)
        case Split() as split, [TableShape() as table]:
            return tables.draw_split(split, table, at)
        case Prepare() as prepare, [TableShape() as table]:
            prepare = models.groups_aside(prepare, table.schema, groups, at, task)
            return models.draw_prepare(prepare, table, at, task)
        case MetaTrain() as meta, [FeaturesShape() as features]:
            return models.draw_meta_train(meta, step.name, features, at)
        case Train() as train, [FeaturesShape() as features]:
            return models.draw_train(train, step.name, features, at)
        case Evaluate() as evaluate, _:
            trained = [shape for shape in inputs if isinstance(shape, ModelShape)]
            return models.draw_evaluate(evaluate, trained, at)
        case Predict() as predict, [ModelShape() as model]:
            return models.draw_predict(predict, model, at)
        case Write() as write, [TableShape() as table]:
            return tables.draw_write(write, table, at)
    raise AssertionError(f"{step.name}: {step.verb} over {inputs}")


def _input_shape(name: str, shapes: Mapping[str, Shape]) -> Shape | None:
    """The shape that an edge carries: a step's, or that of one part of it."""
    source, _, part = name.partition(".")
    match shapes.get(source):
        case TableShape() as table if part:
            return one_part(table)
        case FeaturesShape() as features if part:
            return replace(features, table=one_part(features.table))
        case shape:
            return shape


def _parts_of_models(step: Step, shapes: Mapping[str, Shape]) -> Iterator[Mistake]:
    for i, name in enumerate(step.inputs):
        source, _, part = name.partition(".")
        if part and isinstance(shapes.get(source), ModelShape):
            found = f"'{source}' is a model, which has no parts"
            yield Mistake(step.input_path(i), found, f"say 'from: {source}'")


def _tasks(pipeline: Pipeline) -> tuple[dict[str, Task], list[Mistake]]:
    """What each prepare step's target is for, from the losses of the steps that train on it."""
    tasks: dict[str, Task] = {}
    mistakes = []
    for step in pipeline.steps:
        if not isinstance(step.action, Train | MetaTrain):
            continue
        task = scored_task(step.action.pointwise)
        for name in step.inputs:
            prepared = name.partition(".")[0]
            if tasks.setdefault(prepared, task) != task:
                found = f"'{prepared}' already has a step that learns a {_learns(tasks[prepared])}"
                path = ("steps", step.name, step.verb, "loss")
                mistakes.append(Mistake(path, found, "give this loss a prepare step of its own"))
    return tasks, mistakes


def _groups(pipeline: Pipeline) -> dict[str, tuple[str, ...]]:
    """The columns that tell groups apart, by the prepare step whose features are learnt from."""
    groups: dict[str, tuple[str, ...]] = {}
    for step in pipeline.steps:
        if isinstance(step.action, MetaTrain):
            for name in step.inputs:
                prepared = name.partition(".")[0]
                groups[prepared] = (*groups.get(prepared, ()), step.action.group)
    return groups


def _learns(task: Task) -> str:
    return {"classification": "class", "many_classes": "class of many"}.get(task, "number")


def _limits(pipeline: Pipeline) -> dict[str, tuple[TargetLimit, ...]]:
    """What the losses of the steps that train on each prepare step ask of its target."""
    limits: dict[str, tuple[TargetLimit, ...]] = {}
    for step in pipeline.steps:
        if isinstance(step.action, Train):
            loss = step.action.pointwise
            for name in step.inputs:
                prepared = name.partition(".")[0]
                limit = TargetLimit(loss.name, loss.target_problem)
                limits[prepared] = (*limits.get(prepared, ()), limit)
    return limits


def _fingerprint(step: Step, seed: int, prints: Mapping[str, str], shape: Shape | None) -> str:
    """Identifies the step's work: the step, the seed, what is above it, the files that it reads and
    the module that it calls."""
    content: dict[str, object] = {
        "verb": step.verb,
        "action": step.action.model_dump(mode="json", by_alias=True),
        "seed": seed,
        "inputs": [(name, prints[name.partition(".")[0]]) for name in step.inputs],
    }
    if isinstance(step.action, Read) and isinstance(shape, TableShape):
        files = dict.fromkeys(chunk.file for chunk in shape.chunks)
        content["files"] = [
            (file.stem, file.captured, file.size_bytes, _modified(file.path)) for file in files
        ]
    if isinstance(step.action, Derive) and step.action.python is not None:
        # The planner has loaded it already: what the function is decides what the columns are.
        module = sys.modules.get(step.action.python.partition(":")[0])
        content["module"] = _modified(getattr(module, "__file__", None) or "")
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _modified(path: str) -> int | None:
    local = Path(path)
    return local.stat().st_mtime_ns if local.is_file() else None


def _planned(step: Step, drawn: Drawn, fingerprint: str) -> PlannedStep:
    table = table_of(drawn.shape) if drawn.shape is not None else None
    priority = classify(step.priority.importance, step.priority.urgency)
    why = list(drawn.why)
    if step.resources:
        why.append("asks for " + ", ".join(f"{k} {v:,.15g}" for k, v in step.resources.items()))
    return PlannedStep(
        name=step.name,
        verb=step.verb,
        inputs=step.inputs,
        fingerprint=fingerprint,
        chunks=len(table.chunks) if table else None,
        rows=table.rows if table else None,
        bytes=table.bytes if table else None,
        priority_class=priority.name,
        why=tuple(why),
        columns=drawn.columns,
    )
