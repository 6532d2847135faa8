"""From chunks of rows by group to what is kept, wherever the chunks lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lepton_dask.errors import RunError
from lepton_dask.learn.meta.base import GroupedRows, Label, Setting
from lepton_dask.learn.meta.chunks import Chunks, GroupFacts, JoinedGroups, Sides
from lepton_dask.learn.meta.groups import Groups
from lepton_dask.learn.meta.held_out import MOST_QUERIED, choose_held_out
from lepton_dask.learn.meta.learning import MetaFit, learn_from_groups
from lepton_dask.learn.meta.loop import Round, Rules
from lepton_dask.learn.meta.meta_train import MetaTrain
from lepton_dask.learn.meta.scaling import Scaling
from lepton_dask.suggest import counted


@dataclass(frozen=True)
class Fitted:
    """What was learnt, of what, and in which units. `groups` are those that were learnt from, with
    what is held of them; `judged` the rows of those that were held out."""

    setting: Setting
    scaling: Scaling
    fit: MetaFit
    sides: Sides
    judged: GroupedRows
    counts: Mapping[Label, int]
    unusable: Mapping[str, int]


@dataclass(frozen=True)
class HeldOut:
    """The groups that are held out, and whether they are among those of the training part."""

    names: frozenset[Label]
    are_training: bool


def fit_chunks(
    meta: MetaTrain,
    features: tuple[str, ...],
    random: NDArray[np.bool_],
    training: Chunks,
    validation: Chunks | None,
    seed: int,
    *,
    on_round: Callable[[Round], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> Fitted:
    """Holds groups out, learns from the others until those say to stop, compares, keeps the best.

    Raises RunError where there are too few groups, or too few rows in them.
    """
    facts = training.facts()
    held = held_out(meta, facts, validation, seed)
    scaling = Scaling.of(meta.loss, facts.sums)
    units = scaling.scale if meta.loss == "squared" else 1.0
    setting = Setting(features, meta.loss, random, meta.all_shots)
    where = training if held.are_training or validation is None else validation
    most = meta.all_shots[-1] + MOST_QUERIED
    judged = where.sample(held.names, scaling, most, seed)
    sides = training.sides(meta.chosen, setting, scaling, held.names)
    fit = learn_from_groups(
        meta.chosen,
        setting,
        sides.training,
        everything(sides) if held.are_training else None,
        judged,
        rules(meta, scaling, seed),
        on_round=lambda each: on_round(each.times(units)),
        check=check,
    )
    return Fitted(
        setting, scaling, in_units(fit, units), sides, judged, facts.counts, facts.unusable
    )


def in_units(fit: MetaFit, units: float) -> MetaFit:
    """With scores as they are of the target itself."""
    learnt = replace(fit.learnt, history=tuple(each.times(units) for each in fit.learnt.history))
    rows = tuple(
        replace(row, value=row.value * units, low=row.low * units, high=row.high * units)
        for row in fit.comparison.rows
    )
    return replace(fit, learnt=learnt, comparison=replace(fit.comparison, rows=rows))


def everything(sides: Sides) -> Groups:
    """All groups, the held-out ones among the others."""
    members = [sides.training, *([] if sides.held_out is None else [sides.held_out])]
    return JoinedGroups(members)


def rules(meta: MetaTrain, scaling: Scaling, seed: int) -> Rules:
    """When to stop, the goal in the units that are learnt in."""
    bound = None
    if meta.goal is not None and meta.goal.at_most is not None:
        bound = meta.goal.at_most / scaling.scale
    return Rules(meta.patience, meta.max_rounds, bound, seed)


def held_out(meta: MetaTrain, facts: GroupFacts, validation: Chunks | None, seed: int) -> HeldOut:
    """The groups of the validation part that training has not, if there are some; else a share of
    the training groups."""
    fewest = meta.all_shots[0] + 1
    if validation is not None:
        apart = {
            name: count
            for name, count in validation.facts().counts.items()
            if name not in facts.counts
        }
        chosen = choose_held_out(apart, 1.0, fewest, seed, spare=0)
        if chosen:
            return HeldOut(chosen, are_training=False)
    chosen = choose_held_out(facts.counts, meta.held_out, fewest, seed, spare=2)
    if not chosen:
        raise RunError(
            f"too few groups to hold some out: {counted(len(facts.counts), 'group')} of "
            f"'{meta.group}', {sum(c >= fewest for c in facts.counts.values())} with the "
            f"{fewest} rows that {meta.all_shots[0]} shots and a row to judge by need",
            fix="at least 4 groups are needed, 2 of them large enough; ask for fewer shots",
        )
    return HeldOut(chosen, are_training=True)
