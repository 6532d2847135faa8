"""From chunks of rows by group to what is kept, wherever the chunks lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton_dask.errors import RunError
from lepton_dask.learn.meta.base import GroupedRows, Label, Setting
from lepton_dask.learn.meta.chunks import Chunks, GroupFacts, Sides
from lepton_dask.learn.meta.held_out import MOST_QUERIED, choose_held_out, sampled
from lepton_dask.learn.meta.learning import MetaFit, learn_from_groups
from lepton_dask.learn.meta.loop import Round, Rules
from lepton_dask.learn.meta.meta_train import MetaTrain
from lepton_dask.learn.meta.scaling import Scaling
from lepton_dask.suggest import counted


@dataclass(frozen=True)
class Fitted:
    """What was learnt, of what, and in which units.

    meta      what was asked for, and the `seed`
    sides     what is held of the groups that were learnt from, and of those held out
    judged    the rows of the held-out groups, reduced as all are
    refits    whether the held-out groups are among those of the training rows
    counts    the rows of every group of the training rows
    unusable  how many rows could not be used, by the reason
    """

    meta: MetaTrain
    seed: int
    setting: Setting
    scaling: Scaling
    fit: MetaFit
    sides: Sides
    judged: GroupedRows
    refits: bool
    counts: Mapping[Label, int]
    unusable: Mapping[str, int]


@dataclass(frozen=True)
class HeldOut:
    """The groups that are held out, and whether they are among those of the training part."""

    names: frozenset[Label]
    are_training: bool


Heard = Callable[[Round], None]
Check = Callable[[], None]


def fit_chunks(
    meta: MetaTrain,
    features: tuple[str, ...],
    random: NDArray[np.bool_],
    training: Chunks,
    validation: Chunks | None,
    seed: int,
    *,
    on_round: Heard = lambda _: None,
    check: Check = lambda: None,
) -> Fitted:
    """Holds groups out, learns from the others until those say to stop, compares, keeps the best.

    Raises RunError where there are too few groups, or too few rows in them.
    """
    facts = training.facts()
    held = held_out(meta, facts, validation, seed)
    scaling = Scaling.of(meta.loss, facts.sums)
    setting = Setting(features, meta.loss, random, meta.all_shots)
    _check_memory(meta, setting, len(facts.counts), training.memory_bytes())
    where = training if held.are_training or validation is None else validation
    judged = where.sample(held.names, scaling, _most(meta), seed)
    sides = training.sides(meta.chosen, setting, scaling, held.names)
    fit = _learn(meta, seed, setting, scaling, sides, judged, held.are_training, on_round, check)
    return Fitted(
        meta,
        seed,
        setting,
        scaling,
        fit,
        sides,
        judged,
        held.are_training,
        facts.counts,
        facts.unusable,
    )


def fit_more(
    fitted: Fitted, chunks: Chunks, *, on_round: Heard = lambda _: None, check: Check = lambda: None
) -> Fitted:
    """Learns on from what was learnt, with more rows: of groups that are known, or of new ones, of
    which a share is held out too. Units stay as they are."""
    meta, scaling, setting, seed = fitted.meta, fitted.scaling, fitted.setting, fitted.seed
    facts = chunks.facts()
    new = {name: count for name, count in facts.counts.items() if name not in fitted.counts}
    more = choose_held_out(new, meta.held_out, meta.all_shots[0] + 1, seed, spare=2)
    names = frozenset(fitted.judged.names) | more
    sample = chunks.sample(names, scaling, _most(meta), seed)
    judged = sampled(GroupedRows.merged([fitted.judged, sample]), _most(meta), seed)
    sides = fitted.sides.joined(chunks.sides(meta.chosen, setting, scaling, names))
    fit = _learn(
        meta,
        seed,
        setting,
        scaling,
        sides,
        judged,
        fitted.refits,
        on_round,
        check,
        start=fitted.fit.own,
    )
    counts = dict(Counter(fitted.counts) + Counter(facts.counts))
    unusable = dict(Counter(fitted.unusable) + Counter(facts.unusable))
    return replace(fitted, fit=fit, sides=sides, judged=judged, counts=counts, unusable=unusable)


def _learn(
    meta: MetaTrain,
    seed: int,
    setting: Setting,
    scaling: Scaling,
    sides: Sides,
    judged: GroupedRows,
    refits: bool,
    on_round: Heard,
    check: Check,
    start: Any = None,
) -> MetaFit:
    return learn_from_groups(
        meta.chosen,
        setting,
        sides.training,
        sides.training.joined(sides.held_out) if refits else None,
        judged,
        rules(meta, seed),
        # Scores are those of the target itself.
        units=scaling.scale,
        start=start,
        on_round=on_round,
        check=check,
    )


def _check_memory(meta: MetaTrain, setting: Setting, groups: int, most: int) -> None:
    wanted = meta.chosen.held_bytes(setting, groups)
    if wanted > most:
        raise RunError(
            f"{meta.chosen.name} holds {wanted / 2**30:.3g} GiB of sums over "
            f"{counted(groups, 'group')} of {counted(len(setting.features), 'feature')}, and there "
            f"are {most / 2**30:.3g} GiB for it",
            fix="learn from fewer columns or levels (minimum_count), or use more memory",
        )


def _most(meta: MetaTrain) -> int:
    """Rows that are kept of a held-out group."""
    return meta.all_shots[-1] + MOST_QUERIED


def rules(meta: MetaTrain, seed: int) -> Rules:
    """When to stop."""
    goal = None if meta.goal is None else meta.goal.at_most
    return Rules(meta.patience, meta.max_rounds, goal, seed)


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
