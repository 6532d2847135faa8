"""The model of a new group, from what was learnt of others and the group's own rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from lepton_dask.artifacts.frames import Frame, InputColumn, ReadFrame, read_frame
from lepton_dask.artifacts.predictor import Model
from lepton_dask.artifacts.replay import ReplayStep, Tables, play
from lepton_dask.artifacts.stored_prior import StoredPrior
from lepton_dask.errors import Mistake, UserError
from lepton_dask.learn.meta.base import Adapted, GroupedRows, MetaLoss, Setting
from lepton_dask.learn.meta.choice import STORED
from lepton_dask.learn.meta.fit import Fitted
from lepton_dask.learn.meta.scaling import Scaling
from lepton_dask.meta.group_rows import features_of
from lepton_dask.suggest import counted


def stored_prior(
    fitted: Fitted,
    group: str,
    inputs: tuple[InputColumn, ...],
    replay: tuple[ReplayStep, ...],
) -> StoredPrior:
    """What was learnt, as a bundle holds it; see StoredPrior for `inputs` and `replay`."""
    kept, setting = fitted.fit.kept, fitted.setting
    return StoredPrior(
        algorithm=kept.name,
        options=kept.model_dump(mode="json"),
        group=group,
        loss=setting.loss,
        random=tuple(bool(each) for each in setting.random),
        shots=setting.shots,
        center=fitted.scaling.center,
        scale=fitted.scaling.scale,
        inputs=inputs,
        replay=replay,
        arrays=dict(fitted.fit.prior.arrays()),
    )


def unknown_group(fitted: Fitted) -> Adapted:
    """The model of a group of which nothing is known."""
    nothing = _one_group(np.empty((0, len(fitted.setting.features))), np.empty(0), np.empty(0))
    [model] = fitted.fit.kept.adapt(fitted.setting, fitted.fit.prior, nothing)
    return fitted.scaling.original(model)


def adapt(model: Model, rows: Frame, tables: Mapping[str, Frame] | None = None) -> Model:
    """The model of a new group: of a `model` that `meta_train` or `MetaLearner` learnt from others,
    and `rows` of the group with their target.

    `rows` is a pandas DataFrame or a mapping of name to array, as the pipeline's first `read`
    yields them; `tables` are those that the model joins and that do not travel in it. Rows without
    a target, or that cannot be scored, are left out.

    Raises UserError for a model that was not learnt from groups, for missing columns, for rows of
    several groups, and where no row is left.
    """
    prior = prior_of(model)
    if hasattr(rows, "keys") and prior.group in rows.keys():  # noqa: SIM118 - a Frame need not be iterable
        check_one_group(prior, np.asarray(rows[prior.group], dtype=object))
    given = read_frame(rows, prior.inputs, model.missing_values)
    return adapt_rows(model, given, model.read_tables(tables))


def prior_of(model: Model) -> StoredPrior:
    """What a model was learnt from groups. Raises UserError where it was not."""
    if model.prior is None:
        found = f"the model of '{model.name}' was not learnt from groups"
        fix = "adapt the model of a meta_train step"
        raise UserError([Mistake((), found, fix)])
    return model.prior


def adapt_rows(model: Model, given: ReadFrame, tables: Tables) -> Model:
    """The model of the group whose rows are `given`, typed as the prior's inputs."""
    prior = prior_of(model)
    rows = _rows_of_one_group(model, prior, given, tables)
    algorithm = STORED[prior.algorithm].model_validate_json(json.dumps(prior.options))
    loss = cast("MetaLoss", prior.loss)
    setting = Setting(model.features, loss, np.array(prior.random), prior.shots)
    scaling = Scaling(prior.center, prior.scale)
    state = algorithm.prior_of(prior.arrays)
    [adapted] = algorithm.adapt(setting, state, scaling.reduced(rows))
    return with_output(model, scaling.original(adapted))


def with_output(model: Model, adapted: Adapted) -> Model:
    """The model with another group's coefficients, an ordinary one."""
    return replace(
        model,
        coefficient_array=adapted.coefficients,
        intercept=adapted.intercept,
        hidden=adapted.hidden,
        prior=None,
    )


def check_one_group(prior: StoredPrior, values: Iterable[Any]) -> None:
    """Raises UserError where the values of the column that tells groups apart are several."""
    # A missing value is None, or NaN, which differs from itself.
    present = sorted({str(value) for value in values if value is not None and value == value})  # noqa: PLR0124
    if len(present) > 1:
        found = (
            f"the rows are of {len(present)} groups of '{prior.group}': "
            f"'{present[0]}', '{present[1]}'{', ...' if len(present) > 2 else ''}"
        )
        raise UserError([Mistake((prior.group,), found, "give the rows of one")])


def _rows_of_one_group(
    model: Model, prior: StoredPrior, given: ReadFrame, tables: Tables
) -> GroupedRows:
    frame = play(prior.replay, given, tables).frame
    learnable = model.prepared.learnable(frame.columns)
    usable = learnable.usable.copy()
    usable[list(frame.problems)] = False
    if not usable.any():
        reasons = [*learnable.unusable, *dict.fromkeys(frame.problems.values())]
        found = f"none of {counted(frame.rows, 'row')} can be learnt from"
        raise UserError([Mistake((), f"{found}: {'; '.join(reasons)}" if reasons else found)])
    x = features_of(model.prepared, learnable)
    return _one_group(x[usable], learnable.target[usable], learnable.weight[usable])


def _one_group(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> GroupedRows:
    return GroupedRows(x, y, weight, np.array([0, len(y)], dtype=np.int64), ("",))
