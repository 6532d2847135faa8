"""`MetaLearner`: learning across groups, in Python."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import ValidationError

from lepton_dask.artifacts.bundle import save_bundle
from lepton_dask.artifacts.frames import Frame, InputColumn
from lepton_dask.artifacts.predictor import Model, Source
from lepton_dask.data.fit import fit
from lepton_dask.data.prepare import Prepare, Target
from lepton_dask.data.prepared import Prepared
from lepton_dask.data.profile import Profile
from lepton_dask.data.read import Read
from lepton_dask.data.selectors import unknown_column
from lepton_dask.data.treatments import resolve_treatments
from lepton_dask.data.types import Schema
from lepton_dask.errors import Mistake, UserError
from lepton_dask.learn.blas import one_blas_thread
from lepton_dask.learn.goal import Goal
from lepton_dask.learn.meta.base import MetaAlgorithm, MetaLoss
from lepton_dask.learn.meta.choice import ALGORITHMS, AlgorithmTable
from lepton_dask.learn.meta.comparison import metric_of
from lepton_dask.learn.meta.fit import Fitted, fit_chunks, fit_more
from lepton_dask.learn.meta.meta_train import MetaTrain, meta_train_mistakes, random_mask
from lepton_dask.learn.meta.normal_prior import NormalPrior
from lepton_dask.meta.adapting import adapt, stored_prior, unknown_group
from lepton_dask.meta.frames import Rows, rows_of, schema_of
from lepton_dask.meta.raw_units import NormalCoefficients, in_raw_units
from lepton_dask.suggest import did_you_mean

AlgorithmName = Literal["hierarchical_linear", "ridge_head", "maml", "meta_sgd", "reptile"]


class MetaLearner:
    """Learns from many groups what a new group needs only a few rows to adapt to.

    algorithm   its name, or the algorithm itself: `HierarchicalLinear(tolerance=1e-7)`
    target      the column that is to be predicted; for the logistic loss of two values, of which
                the greater counts as the positive class
    group       the column whose value says which group a row is of; it is never learnt from
    features    the columns to learn from; all others, where they are not named
    loss        squared or logistic
    random      what differs between the groups of `hierarchical_linear`: "all", "intercept", or
                names of columns, the intercept always among them
    shots       the number of rows, or the numbers, that a new group's model is to be judged with;
                5, 10 and 20 where nothing is said
    max_rounds, patience, goal   when to stop: `goal` is a bound of the held-out groups' error (rmse
                for the squared loss, log_loss for the logistic), or a Goal
    held_out    the share of the groups that is held out to judge by
    seed        of everything that is drawn

    Columns are prepared as a pipeline's `prepare` does by default: numbers imputed and scaled,
    categories by their levels.

    After `fit`: `model_`, that of a group of which nothing is known, which holds what was learnt;
    `comparison_`, a DataFrame of the scores on held-out groups by number of shots, pooled and
    independent fits beside it; `kept_`, the name of the best of them, which `model_` and `adapt`
    stand for; `stopped_`, why learning ended; `history_`, a DataFrame of the rounds. With
    `hierarchical_linear` also `mean_` (a Series) and `covariance_` (a DataFrame) of the groups'
    coefficients on the columns' own units, and `residual_sd_`.

    Raises UserError for what was asked wrong, RunError where there are too few groups.
    """

    def __init__(
        self,
        algorithm: AlgorithmName | MetaAlgorithm[Any, Any, Any] = "hierarchical_linear",
        *,
        target: str,
        group: str,
        features: Sequence[str] | None = None,
        loss: MetaLoss = "squared",
        random: Literal["all", "intercept"] | Sequence[str] = "all",
        shots: int | Sequence[int] | None = None,
        max_rounds: int = 500,
        patience: int = 20,
        goal: float | Goal | None = None,
        held_out: float = 0.2,
        seed: int = 0,
    ) -> None:
        self.algorithm = algorithm
        self.target = target
        self.group = group
        self.features = features
        self.loss = loss
        self.random = random
        self.shots = shots
        self.max_rounds = max_rounds
        self.patience = patience
        self.goal = goal
        self.held_out = held_out
        self.seed = seed

    def fit(self, frame: Any) -> MetaLearner:
        """Learns from the groups of a pandas or Dask DataFrame, from the start.

        With an active Dask client the rows of a Dask DataFrame stay on its workers.
        """
        meta = self._meta()
        rows, pattern = rows_of(frame)
        schema = self._schema(pattern)
        prepared = self._prepared(rows, schema)
        random = random_mask(meta, prepared.feature_columns, ())
        chunks = rows.chunks(schema, prepared, self.group)
        with one_blas_thread():
            fitted = fit_chunks(meta, prepared.features, random, chunks, None, self.seed)
        self._remember(fitted, schema, prepared)
        return self

    def partial_fit(self, frame: Any) -> MetaLearner:
        """Learns on with more rows, of groups that are known or new; from the start where nothing
        was learnt yet. Columns are prepared as they were."""
        if not hasattr(self, "_fitted"):
            return self.fit(frame)
        rows, pattern = rows_of(frame)
        self._check_columns(pattern, list(self._columns))
        chunks = rows.chunks(self._columns, self.model_.prepared, self.group)
        with one_blas_thread():
            fitted = fit_more(self._fitted, chunks)
        self._remember(fitted, self._columns, self.model_.prepared)
        return self

    def adapt(self, rows: Frame) -> Model:
        """The model of a new group, from its rows with their target: `predict` and
        `predict_proba` take rows without. See `lepton_dask.adapt`."""
        self._check_fitted()
        return adapt(self.model_, rows)

    def save(self, folder: str | Path) -> None:
        """Writes `model_` as a bundle, for `lepton_dask.load`, `lepton adapt` and
        `lepton predict`."""
        self._check_fitted()
        save_bundle(Path(folder), self.model_)

    def _meta(self) -> MetaTrain:
        """What was asked for, checked."""
        algorithm: Any = self.algorithm
        if isinstance(algorithm, MetaAlgorithm):
            algorithm = AlgorithmTable.model_validate({algorithm.name: algorithm})
        goal: Any = self.goal
        if isinstance(goal, int | float):
            goal = Goal(metric=metric_of(self.loss), at_most=float(goal))
        given: dict[str, Any] = {
            "group": self.group,
            "algorithm": algorithm,
            "loss": self.loss,
            "random": self.random if isinstance(self.random, str) else tuple(self.random),
            "held_out": self.held_out,
            "goal": goal,
            "patience": self.patience,
            "max_rounds": self.max_rounds,
        }
        if self.shots is not None:
            given["shots"] = self.shots if isinstance(self.shots, int) else tuple(self.shots)
        if isinstance(algorithm, str) and algorithm not in ALGORITHMS:
            found, fix = f"unknown '{algorithm}'", did_you_mean(algorithm, ALGORITHMS)
            raise UserError([Mistake(("algorithm",), found, fix)])
        try:
            meta = MetaTrain.model_validate(given)
        except ValidationError as error:
            # One a field: of a field with several forms, pydantic tells of each.
            first = {str(each["loc"][0]): each["msg"] for each in reversed(error.errors())}
            raise UserError(Mistake((name,), words) for name, words in first.items()) from None
        if mistakes := meta_train_mistakes(meta, ()):
            raise UserError(mistakes)
        return meta

    def _schema(self, pattern: pd.DataFrame) -> Schema:
        names = list(pattern.columns)
        strangers = [name for name in names if not isinstance(name, str)]
        if strangers:
            found = f"a column is called {strangers[0]!r}, which is no text"
            fix = "rename it: frame.columns = frame.columns.astype(str)"
            raise UserError([Mistake((), found, fix)])
        features = [name for name in names if name not in (self.target, self.group)]
        if self.features is not None:
            features = [name for name in self.features if name != self.group]
        wanted = [*features, self.target, self.group]
        self._check_columns(pattern, wanted)
        return schema_of(pattern, list(dict.fromkeys(wanted)))

    def _check_columns(self, pattern: pd.DataFrame, wanted: Sequence[str]) -> None:
        names = list(pattern.columns)
        mistakes = [unknown_column(name, names, ()) for name in wanted if name not in names]
        if mistakes:
            raise UserError(mistakes)

    def _prepared(self, rows: Rows, schema: Schema) -> Prepared:
        task: Any = "classification" if self.loss == "logistic" else "regression"
        profile = rows.profile(schema)
        prepare = Prepare(target=self._target(profile), exclude=(self.group,))
        treated, mistakes = resolve_treatments(prepare, schema, (), task)
        if mistakes:
            raise UserError(mistakes)
        fitted = fit(treated, prepare, profile, profile, at=(), task=task)
        for warning in fitted.warnings:
            warnings.warn(warning, stacklevel=3)
        return fitted.prepared

    def _target(self, profile: Profile) -> str | Target:
        """The target, with the greater of two labels as the positive one."""
        levels = profile.columns[self.target].levels
        if self.loss == "logistic" and levels is not None and len(levels) == 2:
            return Target(column=self.target, positive=levels.pairs()[-1][0])
        return self.target

    def _remember(self, fitted: Fitted, schema: Schema, prepared: Prepared) -> None:
        self._fitted = fitted
        self._columns = schema
        self.model_ = self._model(fitted, schema, prepared)
        comparison = fitted.fit.comparison
        self.comparison_ = pd.DataFrame(
            [(*vars(row).values(),) for row in comparison.rows],
            columns=["shots", "model", comparison.metric, "low", "high", "groups"],
        )
        self.kept_ = fitted.fit.kept.name
        self.stopped_ = str(fitted.fit.learnt.stopped)
        self.history_ = pd.DataFrame([vars(each) for each in fitted.fit.learnt.history])
        if isinstance(fitted.fit.own, NormalPrior):
            self._remember_coefficients(in_raw_units(fitted.fit.own, prepared, fitted.scaling))

    def _remember_coefficients(self, found: NormalCoefficients) -> None:
        names = list(found.names)
        self.mean_ = pd.Series(found.mean, index=names, name="mean")
        self.covariance_ = pd.DataFrame(found.covariance, index=names, columns=names)
        self.residual_sd_ = found.residual_sd

    def _model(self, fitted: Fitted, schema: Schema, prepared: Prepared) -> Model:
        unknown = unknown_group(fitted)
        columns = tuple(InputColumn(name, type_.kind, type_.zone) for name, type_ in schema.items())
        inputs = tuple(column for column in columns if column.name in prepared.columns)
        learning = tuple(column for column in columns if column.name in prepared.inputs)
        read = Read(path="rows.csv").model_dump(
            mode="json", by_alias=True, exclude={"path", "rows"}
        )
        loss = fitted.meta.pointwise
        return Model(
            name=fitted.meta.chosen.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            version=version("lepton_dask"),
            source=Source(read, columns),
            inputs=inputs,
            missing_values=(),
            replay=(),
            prepared=prepared,
            loss=loss.name,
            coefficient_array=unknown.coefficients,
            intercept=unknown.intercept,
            loss_parameters=loss.model_dump(mode="json"),
            hidden=unknown.hidden,
            prior=stored_prior(fitted, self.group, learning, ()),
        )

    def _check_fitted(self) -> None:
        if not hasattr(self, "_fitted"):
            raise UserError([Mistake((), "nothing was learnt yet", "call fit first")])
