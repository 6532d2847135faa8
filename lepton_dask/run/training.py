"""Running a `train`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lepton_dask.artifacts.predictor import MULTINOMIAL, Model
from lepton_dask.data.labels import label_text
from lepton_dask.errors import Mistake, RunError, UserError
from lepton_dask.events import Iterated, OptimizerChosen
from lepton_dask.learn.descent import Descent, Iteration, descend
from lepton_dask.learn.inference import Dependent, Estimate, estimates
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.objective import Objective, penalised, weighted
from lepton_dask.learn.optimizers import Optimizer, Sgd
from lepton_dask.learn.passes import ShardPasses
from lepton_dask.learn.sweeps import Shards, Sweeps
from lepton_dask.learn.train import Size, Train, choose_optimizer, too_many_parameters
from lepton_dask.learn.weights import balanced, by_label
from lepton_dask.matrix import Floats
from lepton_dask.run.choosing import chosen_features
from lepton_dask.run.models import model_of
from lepton_dask.run.values import FeaturesValue, ModelValue
from lepton_dask.run.work import Work
from lepton_dask.suggest import did_you_mean

Choose = Callable[[Work, Sequence[str] | None, FeaturesValue], FeaturesValue]


@dataclass(frozen=True)
class Fitting:
    """A training that is ready to be fitted: what it learns from, by which optimizer, and why."""

    train: Train
    features: FeaturesValue
    training: Shards
    linear: LinearModel
    optimizer: Optimizer[Any]
    why: str
    objective: Objective


def make_fitting(
    work: Work, train: Train, features: FeaturesValue, choose: Choose = chosen_features
) -> Fitting:
    """Raises UserError for what the rows show to be impossible. `choose` takes the columns that are
    learnt from."""
    known = features.prepared.feature_columns
    features = choose(work, train.features, features)
    training = features.shards[features.table.training()]
    linear = _linear_model(work, train, features, training)
    optimizer, why = optimizer_of(train, training.rows, linear)
    _check_size(work, train, optimizer, linear, training)
    _check_factors(work, train, known)
    objective = penalised(linear, train.penalty, features.prepared.feature_columns)
    return Fitting(train, features, training, linear, optimizer, why, objective)


def train_model(work: Work, train: Train, features: FeaturesValue, pipeline: str) -> ModelValue:
    """Trains on the training part, validates on the validation part.

    Raises RunError where the descent diverged.
    """
    return finish_model(work, make_fitting(work, train, features), pipeline)


def finish_model(
    work: Work, fitting: Fitting, pipeline: str, begin: Floats | Descent | None = None
) -> ModelValue:
    """The fitting's model, trained to its end: from the start, from a theta (M,) that a search has
    come to, or as a search has trained it.

    Raises RunError where the descent diverged.
    """
    train = fitting.train
    work.emit(OptimizerChosen(work.step, fitting.optimizer.name, fitting.why))
    descent = begin if isinstance(begin, Descent) else _descend(work, fitting, begin)
    _tell(work, train, descent)
    model = _model(fitting.linear, fitting.features, descent, pipeline)
    inferred: tuple[Estimate, ...] = ()
    if train.inference:
        sweeps = Sweeps(work.dispatch, fitting.training, fitting.linear)
        inferred = _inference(work, sweeps, descent)
    return ModelValue(work.step, train, fitting.features, fitting.linear, descent, model, inferred)


def _descend(work: Work, fitting: Fitting, begin: Floats | None) -> Descent:
    def heard(each: Iteration) -> None:
        work.emit(
            Iterated(
                work.step,
                each.iteration,
                each.passes,
                each.seconds,
                each.loss,
                each.gradient_norm,
                each.validation,
            )
        )

    validation = validation_part(work, fitting.train, fitting.features)
    return descend(
        fitting.train,
        fitting.optimizer,
        ShardPasses.over(work.dispatch, fitting.objective, fitting.training, validation),
        seed=work.seed,
        on_iteration=heard,
        check=work.dispatch.check,
        begin=begin,
    )


def optimizer_of(train: Train, rows: int, linear: LinearModel) -> tuple[Optimizer[Any], str]:
    """The optimizer for so many rows of a model, and why."""
    return choose_optimizer(train, _size(rows, linear))


def _size(rows: int, linear: LinearModel) -> Size:
    layout = linear.layout
    entries = layout.dense + len(layout.levels) + layout.sparse
    return Size(rows, linear.parameters, entries, linear.outputs * sum(layout.levels))


def _check_size(
    work: Work, train: Train, optimizer: Optimizer[Any], linear: LinearModel, training: Shards
) -> None:
    """Raises UserError where the table is too wide, or too short, for the optimizer."""
    at = (*work.at, "optimizer")
    if words := too_many_parameters(optimizer, linear.parameters):
        fix = f"use optimizer: {'fista' if train.penalty.l1 else 'lbfgs'}"
        if not train.pointwise.smooth:
            fix = "take fewer columns or levels (minimum_count), or loss: huber"
        raise UserError([Mistake(at, words, fix)])
    if isinstance(optimizer, Sgd) and optimizer.batches > training.rows:
        found = f"{optimizer.batches} batches of {training.rows} rows leave some without a row"
        raise UserError(
            [Mistake(at, found, f"say sgd: {{batches: {max(1, training.rows // 10)}}}")]
        )


def _check_factors(work: Work, train: Train, columns: Sequence[str]) -> None:
    """Raises UserError where a factor is for a column that nothing is learnt from."""
    known = tuple(dict.fromkeys(columns))
    mistakes = [
        Mistake(
            (*work.at, "penalty", "factors", name),
            f"'{name}' is no column that is learnt from",
            did_you_mean(name, known),
            at_key=True,
        )
        for name in train.penalty.factors
        if name not in known
    ]
    if mistakes:
        raise UserError(mistakes)


def _linear_model(
    work: Work, train: Train, features: FeaturesValue, training: Shards
) -> LinearModel:
    loss, classes = train.pointwise, features.prepared.classes
    outputs = len(classes) if loss.name == "multinomial" and classes is not None else 1
    linear = LinearModel(loss, training.layout, outputs)
    if train.class_weight is None or classes is None:
        return linear
    labels = [label_text(label) for label in classes]
    if isinstance(train.class_weight, dict):
        unknown = [name for name in train.class_weight if name not in labels]
        if unknown:
            found = f"'{unknown[0]}' is not a label of '{features.prepared.target.column}'"
            at = (*work.at, "class_weight", unknown[0])
            raise UserError([Mistake(at, found, did_you_mean(unknown[0], labels))])
        return replace(linear, class_weights=by_label(train.class_weight, labels))
    sums = weighted(Sweeps(work.dispatch, training, linear).column_sums())
    return replace(linear, class_weights=balanced(sums, len(classes)))


def _inference(work: Work, sweeps: Sweeps, descent: Descent) -> tuple[Estimate, ...]:
    """Standard errors at the fit; none, with a warning, where it has not settled them."""
    if descent.stopped.code == "max_passes":
        work.warn("no standard errors: the fit has not converged")
        return ()
    information = sweeps.information(descent.theta)
    try:
        return estimates(sweeps.model, sweeps.shards.features, descent.theta, information)
    except Dependent as error:
        work.warn(
            f"no standard errors: '{error.feature}' is a combination of the columns before it"
        )
        return ()


def validation_part(work: Work, train: Train, features: FeaturesValue) -> Shards | None:
    """The part to validate on, where the training does."""
    if not train.validates:
        return None
    if "validation" not in features.shards:
        key = "goal" if train.goal is not None else "early_stopping"
        found = "needs a validation part, and no row falls into it"
        raise UserError([Mistake((*work.at, key), found)])
    return features.shards["validation"]


def _tell(work: Work, train: Train, descent: Descent) -> None:
    if descent.stopped.code == "diverged":
        raise RunError(
            f"the training diverged: {descent.stopped.reason}",
            fix="use a smaller learning_rate, learning_rate: auto, or optimizer: auto",
            step=work.step,
        )
    if descent.stopped.code == "max_passes" and train.tolerance > 0:
        norm = descent.history[-1].gradient_norm
        work.warn(
            f"not converged after {descent.passes:.4g} passes: the gradient is {norm:.1e}, the "
            f"tolerance {train.tolerance:g}; raise max_passes, or add a penalty"
        )
    if train.goal is not None and descent.stopped.code != "goal":
        work.warn(f"the goal {train.goal} was not met: {descent.stopped.reason}")


def _model(linear: LinearModel, features: FeaturesValue, descent: Descent, pipeline: str) -> Model:
    coefficients = descent.theta[linear.coefficients]
    intercepts = tuple(descent.theta[linear.intercepts].tolist())
    many = linear.loss.name == MULTINOMIAL
    return model_of(
        features,
        linear.loss,
        coefficients.reshape(-1, linear.outputs) if many else coefficients.copy(),
        intercepts if many else intercepts[0],
        pipeline,
    )
