"""The `train` verb."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from lepton_dask.component import Component
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.learn.goal import Goal
from lepton_dask.learn.inference import INFERRED
from lepton_dask.learn.losses import Loss, LossChoice, chosen_loss
from lepton_dask.learn.metrics import metric_mistake
from lepton_dask.learn.optimizers import (
    AUTO,
    OPTIMIZERS,
    Fista,
    InteriorPoint,
    Lbfgs,
    Newton,
    Normal,
    Optimizer,
    OptimizerChoice,
    OptimizerTable,
    ProxNewton,
)
from lepton_dask.learn.optimizers.base import MAX_HESSIAN_PARAMETERS, MAX_PILOT_PARAMETERS
from lepton_dask.learn.penalty import Penalty
from lepton_dask.learn.pilot import pilot_pays
from lepton_dask.learn.search.block import Search
from lepton_dask.parts import Part
from lepton_dask.suggest import counted

UNSAMPLED = frozenset({"multinomial", "huber"})
"""Losses of several outputs, or with parameters of their own: their Hessian is not sampled."""

SKETCH_ROWS = 100
"""A parameter: the eigenvalues of H^-1 H_sampled were .56 to 1.25 on census_income's 437."""

ClassWeight = Literal["balanced"] | dict[str, Annotated[float, Field(ge=0)]]


class EarlyStopping(Component):
    """Stops after `patience` iterations without a better validation loss; keeps the best."""

    patience: int = Field(gt=0)


class Train(Component):
    """min over b: (1 / sum w) sum_i w_i loss(y_i, x_i'b + b_0) + l1 |b|_1 + (l2 / 2) |b|^2.

    `class_weight` multiplies the rows' weights by class: `balanced`, or a number for each label.
    `inference` asks for standard errors, z and p.

    Ends when the largest partial derivative (with l1, that of the smallest subgradient) is at most
    `tolerance`, after `max_passes` passes over
    the training part, by `early_stopping`, or as soon as `goal` is met on the validation part.

    `features` are the prepared columns to learn from, by name or `^regular expression$`; all unless
    given. `search` tries values of the other fields first.
    """

    loss: LossChoice
    class_weight: ClassWeight | None = None
    penalty: Penalty = Penalty()
    optimizer: OptimizerChoice = AUTO
    max_passes: int = Field(default=500, gt=0)
    tolerance: float = Field(default=1e-6, ge=0)
    early_stopping: EarlyStopping | None = None
    goal: Goal | None = None
    inference: bool = False
    features: tuple[str, ...] | None = Field(default=None, min_length=1)
    search: Search | None = None

    @property
    def pointwise(self) -> Loss:
        """The loss that is named."""
        return chosen_loss(self.loss)

    @property
    def validates(self) -> bool:
        """Whether training reads the validation part."""
        return self.early_stopping is not None or self.goal is not None


@dataclass(frozen=True)
class Size:
    """How large a training is: `rows`, M `parameters`, the `entries` that a row has in them, and
    how many of the parameters are `levels` of categories."""

    rows: int
    parameters: int
    entries: int
    levels: int


def choose_optimizer(train: Train, size: Size | None = None) -> tuple[Optimizer[Any], str]:
    """The optimizer that a training uses, and why, in words.

    Before the levels and the rows are known `size` is None, and then the words hold the rule.
    """
    parameters = None if size is None else size.parameters
    choice = train.optimizer
    if isinstance(choice, OptimizerTable):
        return choice.optimizer, "as the pipeline says"
    if choice != AUTO:
        return OPTIMIZERS[choice](), "as the pipeline says"
    few = parameters is None or parameters <= MAX_HESSIAN_PARAMETERS
    cap = f"up to {MAX_HESSIAN_PARAMETERS:,} coefficients"
    if parameters is not None:
        cap = counted(parameters, "coefficient") + (", at most " if few else ", more than ")
        cap += f"{MAX_HESSIAN_PARAMETERS:,}"
    if not train.pointwise.smooth:
        return InteriorPoint(), "the loss has a kink in every row: the path around them is short"
    if not train.penalty.smooth and few:
        return ProxNewton(), f"l1 has a kink at 0: few passes, each with curvatures ({cap})"
    if not train.penalty.smooth:
        return (
            Fista(),
            f"l1 has a kink at 0: its steps end there exactly, and take a pass each ({cap})",
        )
    if train.pointwise.name == "squared" and few:
        return Normal(), f"the squared loss is a parabola: one pass leads to its minimum ({cap})"
    if size is not None and _sketch_pays(train.pointwise, size):
        return (
            Newton(rows_a_parameter=SKETCH_ROWS),
            f"rows are many beside {counted(size.parameters, 'coefficient')}, levels among them: "
            f"curvatures of {SKETCH_ROWS} rows for each cost less than a gradient, and save passes",
        )
    return Lbfgs(), _why_lbfgs(train.pointwise.name, parameters)


def _sketch_pays(loss: Loss, size: Size) -> bool:
    """Whether Newton's method on sampled curvatures beats lbfgs: where there are levels, of which
    the pilot's sample saw the rare too little (on dense columns lbfgs takes 3 passes as well, and
    cheaper ones), and the sample's products, entries^2 / 2 a row, cost less than a gradient's,
    about 4 entries a row."""
    if not size.levels or loss.name in UNSAMPLED or not pilot_pays(size.parameters, size.rows):
        return False
    return SKETCH_ROWS * size.parameters * size.entries <= 8 * size.rows


def _why_lbfgs(loss: str, parameters: int | None) -> str:
    smooth = f"the {loss} loss is smooth: few passes, each a loss and a gradient"
    if parameters is None:
        return (
            f"{smooth}; with a pilot fit to a subsample up to {MAX_PILOT_PARAMETERS:,} "
            "coefficients, or newton on sampled curvatures, where the rows are many"
        )
    if parameters <= MAX_PILOT_PARAMETERS:
        return f"{smooth}; a pilot fit to a subsample, where rows are many, makes them fewer"
    found = f"{parameters:,} coefficients, more than {MAX_PILOT_PARAMETERS:,}"
    return f"{smooth}; no pilot ({found})"


def train_mistakes(
    train: Train, parts: Collection[Part], path: DocumentPath
) -> tuple[Mistake, ...]:
    """What a `train` node asks for and cannot have; `parts` are its input's, `path` the node's."""
    mistakes = [*_inference_mistakes(train, path), *_class_weight_mistakes(train, path)]
    mistakes += _optimizer_mistakes(train, path)
    if train.goal is not None and (words := metric_mistake(train.goal.metric, train.pointwise)):
        mistakes.append(Mistake((*path, "goal", "metric"), words))
    wanting = [key for key in ("goal", "early_stopping") if getattr(train, key) is not None]
    mistakes += [
        Mistake((*path, key), "needs a validation part", "give split a `validation` share")
        for key in wanting
        if "validation" not in parts
    ]
    return tuple(mistakes)


def _optimizer_mistakes(train: Train, path: DocumentPath) -> list[Mistake]:
    """Why the optimizer that is named cannot find this minimum."""
    optimizer, _ = choose_optimizer(train)
    where, loss = (*path, "optimizer"), train.pointwise
    if optimizer.losses is not None and loss.name not in optimizer.losses:
        known = " and ".join(sorted(optimizer.losses))
        found = f"{optimizer.name} is for the {known} loss alone; the loss is {loss.name}"
        return [Mistake(where, found, f"use optimizer: {_instead(train)}")]
    if not loss.smooth and not optimizer.takes_kinks:
        found = f"{optimizer.name} needs a smooth loss, and {loss.name} is not"
        return [Mistake(where, found, f"use optimizer: {_instead(train)}")]
    if (
        isinstance(optimizer, Newton)
        and optimizer.rows_a_parameter is not None
        and loss.name in UNSAMPLED
    ):
        found = f"the Hessian of the {loss.name} loss is not sampled"
        return [
            Mistake((*where, "newton", "rows_a_parameter"), found, "leave rows_a_parameter out")
        ]
    if not train.penalty.smooth and not optimizer.takes_l1:
        found = f"{optimizer.name} needs a smooth objective, and l1 is not"
        return [Mistake(where, found, "use optimizer: prox_newton, or l2 in the place of l1")]
    return []


def _instead(train: Train) -> str:
    """The optimizer that `auto` would choose."""
    return choose_optimizer(train.model_copy(update={"optimizer": AUTO}))[0].name


def too_many_parameters(optimizer: Optimizer[Any], parameters: int) -> str | None:
    """Why an optimizer cannot take a model of so many parameters, in words; None where it can."""
    most = optimizer.most_parameters
    if most is None or parameters <= most:
        return None
    mib = 8 * parameters**2 / 2**20
    return (
        f"{optimizer.name} needs the Hessian of {counted(parameters, 'parameter')} "
        f"({mib:,.0f} MiB in every worker thread), and takes at most {most:,}"
    )


def _inference_mistakes(train: Train, path: DocumentPath) -> list[Mistake]:
    """Why there are no standard errors to be had, where they are asked for."""
    if not train.inference:
        return []
    where = (*path, "inference")
    loss = train.pointwise.name
    if train.penalty.l1 or train.penalty.l2:
        found = "a penalty pulls the coefficients towards 0: their standard errors would mislead"
        return [Mistake(where, found, "leave the penalty out, or inference")]
    if loss not in INFERRED:
        known = ", ".join(sorted(INFERRED))
        found = f"there are no standard errors for the {loss} loss"
        return [Mistake(where, found, f"they are there for {known}")]
    if train.class_weight is not None:
        found = "class weights make more or less of the rows than there are"
        return [Mistake(where, found, "leave class_weight out, or inference")]
    if train.early_stopping is not None or train.goal is not None:
        found = "a fit that stops before its minimum has no standard errors"
        return [Mistake(where, found, "leave early_stopping and goal out, or inference")]
    return []


def _class_weight_mistakes(train: Train, path: DocumentPath) -> list[Mistake]:
    if train.class_weight is None or train.pointwise.task == "classification":
        return []
    found = f"the {train.pointwise.name} loss has no classes"
    return [Mistake((*path, "class_weight"), found, "name the rows' weight in prepare")]
