"""Planning what follows from a prepared table: treatments, training, evaluation, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lepton_dask.data.prepare import Hash, Prepare
from lepton_dask.data.roles import Task
from lepton_dask.data.selectors import unknown_column
from lepton_dask.data.treatments import Treated, resolve_treatments
from lepton_dask.data.types import ColumnType, Schema, described
from lepton_dask.data.write import Predict
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.learn.evaluate import Evaluate
from lepton_dask.learn.meta.meta_train import MetaTrain
from lepton_dask.learn.metrics import scored_task
from lepton_dask.learn.train import Train, choose_optimizer
from lepton_dask.plan.drawn import Drawn, changed_columns, type_name
from lepton_dask.plan.planned import PlannedColumn
from lepton_dask.plan.searching import feature_mistakes, sampler_mistakes, searched
from lepton_dask.plan.shapes import FeaturesShape, ModelShape, TableShape, one_part, table_of

MEAN = "mean"
"""The baseline that needs no column: the training rows' mean, or the share of each class."""

FITTED_ON_ALL = "no part is called train: everything is fitted on all rows"


def draw_prepare(prepare: Prepare, table: TableShape, at: DocumentPath, task: Task | None) -> Drawn:
    treated, mistakes = resolve_treatments(prepare, table.schema, at, task)
    table = replace(table, schema={each.column: each.type for each in treated})
    features = sum(1 for column in treated if column.role == "feature")
    fitted = "fitted on the training rows alone" if "train" in table.parts else FITTED_ON_ALL
    return Drawn(
        None if mistakes else FeaturesShape(table, treated),
        why=(f"{features} columns to learn from; {fitted}",),
        columns=tuple(_planned(column) for column in treated),
        mistakes=tuple(mistakes),
    )


def _planned(column: Treated) -> PlannedColumn:
    treatment = column.summary or column.role
    return PlannedColumn(column.column, type_name(column.type), treatment, column.reason)


def draw_train(train: Train, name: str, features: FeaturesShape, at: DocumentPath) -> Drawn:
    optimizer, reason = choose_optimizer(train)
    why = [f"{train.pointwise.name} loss, {type(optimizer).name}: {reason}"]
    if train.penalty.l1:
        why.append(f"l1 {train.penalty.l1:g}: coefficients that it switches off are 0")
    if train.penalty.l2:
        why.append(f"l2 {train.penalty.l2:g}")
    if train.goal is not None:
        why.append(f"stops once {train.goal} on the validation part")
    if train.features is not None:
        why.append(f"learns from {', '.join(train.features)} alone")
    if train.search is not None:
        why += searched(train)
    mistakes = (*feature_mistakes(train, features, at), *sampler_mistakes(train, at))
    shape = None if mistakes else ModelShape(features, train, (name,))
    return Drawn(shape, why=tuple(why), mistakes=mistakes)


def groups_aside(
    prepare: Prepare, schema: Schema, groups: Sequence[str], at: DocumentPath, task: Task | None
) -> Prepare:
    """The node with the columns that tell groups apart, which are never learnt from, excluded."""
    treated, _ = resolve_treatments(prepare, schema, at, task)
    features = {each.column for each in treated if each.role == "feature"}
    aside = tuple(name for name in groups if name in features)
    return prepare.model_copy(update={"exclude": (*prepare.exclude, *aside)}) if aside else prepare


def draw_meta_train(meta: MetaTrain, name: str, features: FeaturesShape, at: DocumentPath) -> Drawn:
    schema = features.table.schema
    mistakes = []
    if meta.group not in schema:
        mistakes.append(unknown_column(meta.group, tuple(schema), (*at, "group")))
    texts = [each.column for each in features.treated if isinstance(each.treatment, Hash)]
    if texts:
        found = f"'{texts[0]}' is hashed text, of which nothing is learnt by group"
        mistakes.append(Mistake(at, found, "exclude it in prepare", at_key=True))
    shots = ", ".join(str(each) for each in meta.all_shots)
    why = [
        f"{meta.chosen.name} over the groups of '{meta.group}', judged on groups that are held "
        f"out by what {shots} rows of each teach; beside pooled and independent fits",
        f"stops after {meta.patience} rounds without a better score, or {meta.max_rounds} in all",
    ]
    if meta.goal is not None:
        why.append(f"stops once {meta.goal} on the held-out groups")
    shape = None if mistakes else ModelShape(features, meta, (name,))
    return Drawn(shape, why=tuple(why), mistakes=tuple(mistakes))


def draw_evaluate(evaluate: Evaluate, models: Sequence[ModelShape], at: DocumentPath) -> Drawn:
    table = table_of(models[0])
    mistakes = _unknown_baselines(evaluate, models, at)
    if evaluate.by is not None and evaluate.by not in table.schema:
        mistakes.append(unknown_column(evaluate.by, tuple(table.schema), (*at, "by")))
    if len(models) > 1 and evaluate.choose is None:
        fix = f"add 'choose: {{metric: {evaluate.metrics[0]}}}', or evaluate each in its own step"
        mistakes.append(Mistake(at, f"{len(models)} models come in, and none is chosen", fix, True))
    parts = ", ".join(table.parts) or "all rows"
    why = [f"{', '.join(evaluate.metrics)} on {parts}, without gathering rows"]
    if evaluate.choose is not None:
        why.append(f"keeps the model with the best {evaluate.choose.metric}")
    names = tuple(name for model in models for name in model.names)
    shape = None if mistakes else replace(models[0], names=names)
    return Drawn(shape, why=tuple(why), mistakes=tuple(mistakes))


def _unknown_baselines(
    evaluate: Evaluate, models: Sequence[ModelShape], at: DocumentPath
) -> list[Mistake]:
    table = table_of(models[0])
    of_many = any(scored_task(model.train.pointwise) == "many_classes" for model in models)
    named = [((*at, "baselines", i), name) for i, name in enumerate(evaluate.baselines)]
    named += [
        ((*at, "goals", i, "better_than", j), name)
        for i, goal in enumerate(evaluate.goals)
        for j, name in enumerate(goal.better_than)
    ]
    mistakes = []
    for path, name in named:
        if name == MEAN:
            continue
        if name not in table.schema:
            mistakes.append(unknown_column(name, tuple(table.schema), path))
        elif of_many:
            found = f"'{name}' is a column: it cannot say how probable each class is"
            mistakes.append(Mistake(path, found, f"compare with {MEAN}"))
        elif table.schema[name].kind not in ("number", "integer", "boolean"):
            found = f"'{name}' is {described(table.schema[name])}, and a baseline is a number"
            mistakes.append(Mistake(path, found))
    return mistakes


def draw_predict(predict: Predict, model: ModelShape, at: DocumentPath) -> Drawn:
    table = table_of(model)
    if table.parts and predict.part not in table.parts:
        fix = f"the parts are {', '.join(table.parts)}"
        return Drawn(None, mistakes=(Mistake((*at, "part"), f"no part '{predict.part}'", fix),))
    added = _added_by_predicting(model)
    schema = {name: type_ for name, type_ in table.schema.items() if name not in added} | added
    shape = replace(one_part(table), schema=schema)
    return Drawn(
        shape,
        why=(f"the columns of part {predict.part}, then the predictions",),
        columns=changed_columns(table.schema, schema, "predicted"),
    )


def _added_by_predicting(model: ModelShape) -> dict[str, ColumnType]:
    """The new columns. Which classes there are, only the rows say."""
    number, text = ColumnType("number"), ColumnType("text")
    if model.train.pointwise.task == "regression":
        return {"prediction": number, "reason": text}
    target = next(each for each in model.features.treated if each.role == "target")
    return {"prediction": target.type, "probability_<class>": number, "reason": text}
