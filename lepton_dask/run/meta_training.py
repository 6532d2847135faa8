"""Running a `meta_train`."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat

from lepton_dask.artifacts.predictor import Model
from lepton_dask.artifacts.replay import Derived, leading_to
from lepton_dask.data.arrow import to_columns
from lepton_dask.data.prepared import Prepared
from lepton_dask.data.tables import Partition
from lepton_dask.errors import Mistake, RunError, UserError
from lepton_dask.events import MetaRound, OptimizerChosen
from lepton_dask.learn.blas import pin_blas
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.meta.chunks import GroupedChunk, SpreadChunks
from lepton_dask.learn.meta.comparison import metric_of
from lepton_dask.learn.meta.fit import Fitted, fit_chunks
from lepton_dask.learn.meta.loop import Round
from lepton_dask.learn.meta.meta_train import MetaTrain, random_mask
from lepton_dask.meta.adapting import stored_prior, unknown_group
from lepton_dask.meta.group_rows import grouped_chunk
from lepton_dask.run.models import inputs_of, model_of
from lepton_dask.run.values import FeaturesValue, MetaModelValue, PartName
from lepton_dask.run.work import Work
from lepton_dask.suggest import counted


def meta_train_model(
    work: Work, meta: MetaTrain, features: FeaturesValue, pipeline: str
) -> MetaModelValue:
    """Learns from the groups of the training part; the validation part's are held out, where they
    are others.

    Raises UserError for features that cannot be had, RunError where there are too few groups or the
    learning diverged.
    """
    prepared, table = features.prepared, features.table
    _check(work, features)
    random = random_mask(meta, prepared.feature_columns, work.at)
    training = _chunks(work, meta, features, table.training())
    validation = _chunks(work, meta, features, "validation") if _validates(features) else None
    work.emit(OptimizerChosen(work.step, meta.chosen.name, "as the pipeline says"))

    pin_blas()
    metric = metric_of(meta.loss)

    def heard(each: Round) -> None:
        work.emit(MetaRound(work.step, each.number, each.seconds, each.score, each.best, metric))

    fitted = fit_chunks(
        meta,
        prepared.features,
        random,
        training,
        validation,
        work.seed,
        on_round=heard,
        check=work.dispatch.check,
    )
    _tell(work, meta, fitted)
    model = _model(meta, features, fitted, pipeline)
    linear = LinearModel(meta.pointwise, prepared.layout)
    return MetaModelValue(work.step, features, linear, model, meta, fitted)


def _check(work: Work, features: FeaturesValue) -> None:
    """Raises UserError for features that no algorithm takes, and for a target of which nobody
    could say what it is in a new group's rows."""
    prepared, replay = features.prepared, features.table.origin.replay
    if prepared.texts:
        found = f"'{prepared.texts[0].column}' is hashed text, of which nothing is learnt by group"
        raise UserError([Mistake(work.at, found, "exclude it in prepare")])
    last = replay[-1] if replay else None
    if (
        isinstance(last, Derived)
        and last.carries
        and last.columns[0].name == prepared.target.column
    ):
        found = "the target looks at other rows, which a new group's may not have"
        raise UserError([Mistake(work.at, found, "derive it as a column before prepare")])


def _validates(features: FeaturesValue) -> bool:
    return "validation" in features.table.parts and features.table.training() != "validation"


def _chunks(work: Work, meta: MetaTrain, features: FeaturesValue, part: PartName) -> SpreadChunks:
    partitions = features.table.parts[part].partitions
    chunks = work.map(
        "by-group", _by_group, partitions, repeat(features.prepared), repeat(meta.group)
    )
    work.settle(chunks, f"{part} chunks by group")
    return SpreadChunks(work.dispatch, tuple(chunks))


def _by_group(rows: Partition, prepared: Prepared, group: str) -> GroupedChunk:
    columns = to_columns(rows.table, tuple(dict.fromkeys((*prepared.inputs, group))))
    return grouped_chunk(columns, prepared, group)


def _tell(work: Work, meta: MetaTrain, fitted: Fitted) -> None:
    fit, groups = fitted.fit, len(fitted.counts)
    if fit.learnt.stopped.code == "diverged":
        raise RunError(
            f"the learning diverged: {fit.learnt.stopped.reason}",
            fix="use a smaller rate, or algorithm: hierarchical_linear",
            step=work.step,
        )
    homeless = {reason: count for reason, count in fitted.unusable.items() if meta.group in reason}
    for reason, count in homeless.items():
        rows = sum(fitted.counts.values()) + count
        work.lost(rows, rows - count, reason)
    if fit.comparison.left_out:
        judged = len(fitted.judged.names)
        work.warn(
            f"{fit.comparison.left_out} of {judged} held-out groups have too few rows to be judged"
        )
    if fit.kept.name != meta.chosen.name:
        work.warn(
            f"of {counted(groups, 'group')} those held out are predicted better by "
            f"{fit.kept.name} than by {meta.chosen.name}: it is kept; see comparison.csv"
        )


def _model(meta: MetaTrain, features: FeaturesValue, fitted: Fitted, pipeline: str) -> Model:
    """The model of a group of which nothing is known, with the prior that others are made from."""
    unknown, origin = unknown_group(fitted), features.table.origin
    model = model_of(
        features,
        meta.pointwise,
        unknown.coefficients,
        unknown.intercept,
        pipeline,
        unknown.hidden,
    )
    needed = frozenset(features.prepared.inputs)
    led = leading_to(origin.replay, needed, None)
    inputs = inputs_of(origin, led)
    return replace(model, prior=stored_prior(fitted, meta.group, inputs, led.steps))
