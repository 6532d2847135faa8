"""Running one step: from the values it takes to the value it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lepton_dask.artifacts.run_folder import SEARCHES
from lepton_dask.config.pipeline import Pipeline, Step
from lepton_dask.data.clean import Clean
from lepton_dask.data.derive import Derive
from lepton_dask.data.join import Join
from lepton_dask.data.prepare import Prepare, Target
from lepton_dask.data.read import Read
from lepton_dask.data.split import Split
from lepton_dask.data.write import Predict, Write
from lepton_dask.errors import RunError
from lepton_dask.events import Event
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.learn.evaluate import Evaluate
from lepton_dask.learn.meta.meta_train import MetaTrain
from lepton_dask.learn.train import Train
from lepton_dask.plan.models import MEAN, groups_aside
from lepton_dask.plan.planner import Planning
from lepton_dask.plan.shapes import TableShape
from lepton_dask.resources.classes import class_below, classify
from lepton_dask.run.cleaning import clean_table
from lepton_dask.run.deriving import derive_table
from lepton_dask.run.evaluating import baseline_names, evaluate_models
from lepton_dask.run.joining import join_tables
from lepton_dask.run.meta_training import meta_train_model
from lepton_dask.run.predicting import predict_part, write_table
from lepton_dask.run.preparing import prepare_table
from lepton_dask.run.reading import read_table
from lepton_dask.run.records import Records
from lepton_dask.run.searching import Place, search_model
from lepton_dask.run.side_tables import recipe_of
from lepton_dask.run.splitting import split_table
from lepton_dask.run.training import train_model
from lepton_dask.run.values import (
    FeaturesValue,
    MetaModelValue,
    ModelValue,
    StepValue,
    TableValue,
    part_rows,
)
from lepton_dask.run.work import Work
from lepton_dask.suggest import counted

MAX_BAD_SHARE = Clean().max_bad_share


@dataclass(frozen=True)
class Running:
    """What every step of a run shares. `patterns`: see `kept_patterns`."""

    pipeline: Pipeline
    planning: Planning
    patterns: Mapping[str, tuple[str, ...]]
    project: Path
    records: Records
    dispatch: Dispatch
    emit: Callable[[Event], None]
    resumed: Path | None = None
    """The folder of an earlier run whose searches go on."""

    def search_place(self, step: str) -> Place:
        """Where a step's search is kept."""
        old = None if self.resumed is None else self.resumed / SEARCHES / step
        return Place(self.records.folder / SEARCHES / step, old)

    def trial_priority(self, step: str) -> int:
        """The place in the queue of a step's trials: a class below its own."""
        [priority] = [each.priority for each in self.pipeline.steps if each.name == step]
        return class_below(classify(priority.importance, priority.urgency)).dask_priority

    def work(self, step: Step) -> Work:
        """A step's own way to the cluster: its place in the queue, resources and retries."""
        priority = classify(step.priority.importance, step.priority.urgency)
        dispatch = replace(
            self.dispatch,
            label=step.name,
            priority=priority.dask_priority,
            resources=step.resources,
            retries=step.retries,
        )
        at = ("steps", step.name, step.verb)
        return Work(step.name, at, self.pipeline.seed, dispatch, self.emit)


@dataclass(frozen=True)
class Result:
    """A step's value, and in words what came out."""

    value: StepValue | None
    summary: str


def run_step(running: Running, step: Step, inputs: Sequence[StepValue]) -> Result:
    """Runs one step. Errors come out with the step's name on them."""
    work = running.work(step)
    try:
        return _with_rows(_run(running, work, step, inputs), inputs)
    except RunError as error:
        raise error.within(step.name) from error


def _run(running: Running, work: Work, step: Step, inputs: Sequence[StepValue]) -> Result:
    match step.action, inputs:
        case Read() as read, _:
            shape = running.planning.shapes[step.name]
            assert isinstance(shape, TableShape)
            share = max_bad_share(running.pipeline, step.name)
            patterns = running.patterns.get(step.name, ())
            profiled = is_prepared(running.pipeline, step.name)
            return _table(read_table(work, read, shape.chunks, share, patterns, profiled))
        case Join() as join, [TableValue() as left, *others]:
            rights = [value for value in others if isinstance(value, TableValue)]
            named = zip(step.inputs[1:], rights, strict=True)
            recipes = [recipe_of(running.pipeline, name, right) for name, right in named]
            return _table(join_tables(work, join, left, rights, recipes))
        case Clean() as clean, [TableValue() as table]:
            return _table(clean_table(work, clean, table))
        case Derive() as derive, [TableValue() as table]:
            return _table(derive_table(work, derive, table, running.project))
        case Split() as split, [TableValue() as table]:
            return _table(split_table(work, split, table))
        case Prepare() as prepare, [TableValue() as table]:
            return _prepare(running, work, prepare, table)
        case Train() as train, [FeaturesValue() as features]:
            return _train(running, work, train, features)
        case MetaTrain() as meta, [FeaturesValue() as features]:
            return _meta_train(running, work, meta, features)
        case Evaluate() as evaluate, _:
            return _evaluate(running, work, evaluate, inputs)
        case Predict() as predict, [ModelValue() | MetaModelValue() as value]:
            return _table(predict_part(work, predict, value))
        case Write() as write, [TableValue() as table]:
            path = write_table(work, write, table, running.records.folder)
            return Result(None, f"{table.rows:,} rows in {path.name}")
    raise AssertionError(f"{step.name}: {step.verb} over {inputs}")


def _with_rows(result: Result, inputs: Sequence[StepValue]) -> Result:
    """The rows that came in and those that go out, where a table's rows did not all stay."""
    before = next((value.rows for value in inputs if isinstance(value, TableValue)), None)
    after = result.value.rows if isinstance(result.value, TableValue | FeaturesValue) else before
    if before is None or after is None or before == after:
        return result
    return replace(result, summary=f"{before:,} -> {after:,} rows; {result.summary}")


def _table(table: TableValue) -> Result:
    chunks = sum(len(part.partitions) for part in table.parts.values())
    rows, columns = part_rows(table.parts), counted(len(table.schema), "column")
    return Result(table, f"{rows} rows x {columns} in {counted(chunks, 'chunk')}")


def _prepare(running: Running, work: Work, prepare: Prepare, table: TableValue) -> Result:
    task = running.planning.tasks.get(work.step, "classification")
    limits = running.planning.limits.get(work.step, ())
    groups = running.planning.groups.get(work.step, ())
    prepare = groups_aside(prepare, table.schema, groups, work.at, task)
    value, profile = prepare_table(work, prepare, table, task, limits)
    running.records.profile(work.step, profile)
    if not looks_at_rows(running.pipeline, work.step):
        value = replace(value, table=value.table.without_rows())
    prepared = value.prepared
    texts = f" and {counted(len(prepared.texts), 'text')}" if prepared.texts else ""
    return Result(
        value,
        f"{counted(len(prepared.numbers), 'number')} and "
        f"{counted(len(prepared.codes), 'category', 'categories')}{texts}, "
        f"{counted(prepared.layout.coefficients, 'feature')}",
    )


def _train(running: Running, work: Work, train: Train, features: FeaturesValue) -> Result:
    searched = None
    if train.search is None:
        value = train_model(work, train, features, running.pipeline.name)
    else:
        place = running.search_place(work.step)
        lower = running.trial_priority(work.step)
        name = running.pipeline.name
        value, searched = search_model(work, lower, train, features, name, place)
        running.records.searched(searched)
    running.records.trained(value)
    descent = value.descent
    found = "" if searched is None else f"{searched.summary}; then "
    return Result(
        value,
        f"{found}{descent.optimizer}, {descent.iterations} iterations, "
        f"{descent.passes:.4g} passes; {descent.stopped.reason}",
    )


def _meta_train(running: Running, work: Work, meta: MetaTrain, features: FeaturesValue) -> Result:
    value = meta_train_model(work, meta, features, running.pipeline.name)
    running.records.meta_trained(value)
    fit = value.fitted.fit
    return Result(
        value,
        f"{len(value.fitted.counts)} groups, {len(fit.learnt.history) - 1} rounds; "
        f"{fit.learnt.stopped.reason}; kept: {fit.kept.name}",
    )


def _evaluate(
    running: Running, work: Work, evaluate: Evaluate, inputs: Sequence[StepValue]
) -> Result:
    models = [value for value in inputs if isinstance(value, ModelValue | MetaModelValue)]
    value, evaluated = evaluate_models(work, evaluate, models)
    running.records.evaluated(work.step, value, evaluated)
    return Result(value, f"{len(evaluated.scores)} parts scored, model '{value.step}'")


def max_bad_share(pipeline: Pipeline, read: str) -> float:
    """The share of bad values that a `read` may have: that of the first `clean` behind it."""
    behind = {read}
    for step in pipeline.steps:
        if behind.isdisjoint(name.partition(".")[0] for name in step.inputs):
            continue
        if isinstance(step.action, Clean):
            return step.action.max_bad_share
        behind.add(step.name)
    return MAX_BAD_SHARE


def is_prepared(pipeline: Pipeline, read: str) -> bool:
    """Whether a `prepare` takes the rows of a `read` as they are, and adds no column to them."""
    for step in pipeline.steps:
        match step.action:
            case Prepare(target=Target(expression=str())):
                continue
            case Prepare() if step.inputs[0].partition(".")[0] == read:
                return True
    return False


def looks_at_rows(pipeline: Pipeline, prepare: str) -> bool:
    """Whether a step behind a `prepare` takes the rows that it prepared: predict, which adds to
    them, and an evaluate by a column's values, or against a column as a baseline."""
    behind = {prepare}
    for step in pipeline.steps:
        if behind.isdisjoint(name.partition(".")[0] for name in step.inputs):
            continue
        behind.add(step.name)
        match step.action:
            case Predict() | MetaTrain():
                return True
            case Evaluate() as evaluate if evaluate.by or set(baseline_names(evaluate)) - {MEAN}:
                return True
    return False
