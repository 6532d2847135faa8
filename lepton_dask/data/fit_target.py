"""Fitting the target: its classes, from all rows; and what the data show to be wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lepton_dask.data.labels import Label, label_text
from lepton_dask.data.levels import DISTINCT_CAP
from lepton_dask.data.prepare import Prepare, Target
from lepton_dask.data.prepared import FittedTarget
from lepton_dask.data.profile import ColumnProfile, Profile
from lepton_dask.data.roles import Task, positive_label
from lepton_dask.data.treatments import Treated
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.suggest import did_you_mean, listed

SHOWN_LABELS = 10


class TargetLimit(NamedTuple):
    """A loss by name, and what is wrong with targets from a lowest to a highest value, as the end
    of a sentence that starts with the loss ("needs targets above 0"); None where nothing is."""

    loss: str
    problem: Callable[[float, float], str | None]


def fit_target(
    treatments: tuple[Treated, ...],
    prepare: Prepare,
    all_rows: Profile,
    training: Profile,
    *,
    at: DocumentPath,
    task: Task,
    limits: Sequence[TargetLimit] = (),
) -> tuple[FittedTarget | None, list[Mistake]]:
    """The target with its classes in order, or what is wrong with it.

    Two classes are (negative, positive): two numbers or truth values are in their own order unless
    `positive` says otherwise; two texts need `positive`. Of `many_classes` there are all that any
    row has, in ascending order. A number has to keep the `limits` of the losses that learn it.
    """
    name = next(treated.column for treated in treatments if treated.role == "target")
    path = (*at, "target")
    if training.columns[name].count == 0:
        part = "training " if all_rows.columns[name].count else ""
        return None, [Mistake(path, f"'{name}' has no value in any {part}row")]
    if task == "regression":
        mistakes = _beyond(name, all_rows.columns[name], path, limits)
        return (None, mistakes) if mistakes else (FittedTarget(name, None), [])
    find = _two_labels if task == "classification" else _all_labels
    labels, mistakes = find(name, all_rows.columns[name], path)
    if mistakes:
        return None, mistakes
    if len(training.columns[name].levels or ()) < 2:
        return None, [_one_class(name, training.columns[name], path, "training row")]
    if task == "many_classes":
        return FittedTarget(name, labels), []
    classes, mistakes = _in_order(name, labels, prepare, path)
    return (None, mistakes) if mistakes else (FittedTarget(name, classes), [])


def unseen_classes(target: FittedTarget, training: Profile) -> tuple[Label, ...]:
    """The classes that no training row has: a model can only learn that they are rare."""
    levels = training.columns[target.column].levels
    if target.classes is None or levels is None:
        return ()
    seen = {label for label, _ in levels.pairs()}
    return tuple(label for label in target.classes if label not in seen)


def weight_mistakes(
    treatments: tuple[Treated, ...], all_rows: Profile, at: DocumentPath
) -> list[Mistake]:
    """A weight column must have no negative value, and a positive one."""
    name = next((treated.column for treated in treatments if treated.role == "weight"), None)
    if name is None:
        return []
    moments = all_rows.columns[name].moments
    if moments is None or moments.maximum <= 0:
        return [Mistake((*at, "weight"), f"'{name}' has no positive value")]
    if moments.minimum < 0:
        return [Mistake((*at, "weight"), f"'{name}' has negative values ({moments.minimum:g})")]
    return []


def _two_labels(
    name: str, profile: ColumnProfile, path: DocumentPath
) -> tuple[tuple[Label, ...], list[Mistake]]:
    if profile.levels is None:
        found = f"'{name}' has more than {DISTINCT_CAP[profile.type.kind]:,} different values"
        fix = "derive a column with two of them"
        if profile.type.kind != "text":
            fix = "use loss: squared for a number, or derive a column with two values"
        return (), [Mistake(path, f"{found}, and the loss takes two classes", fix)]
    labels = tuple(label for label, _ in profile.levels.pairs())
    if len(labels) == 1:
        return (), [_one_class(name, profile, path, "row")]
    if len(labels) > 2:
        found = f"'{name}' has {len(labels)} different values ({_shown(labels)})"
        fix = "use loss: multinomial"
        if profile.type.kind != "text":
            fix = "use loss: multinomial for classes, loss: squared for a number"
        return (), [Mistake(path, f"{found}, and the loss takes two classes", fix)]
    return labels, []


def _all_labels(
    name: str, profile: ColumnProfile, path: DocumentPath
) -> tuple[tuple[Label, ...], list[Mistake]]:
    if profile.levels is None:
        found = f"'{name}' has more than {DISTINCT_CAP[profile.type.kind]:,} different values"
        fix = "" if profile.type.kind == "text" else "use loss: squared for a number"
        return (), [Mistake(path, f"{found}, too many for classes", fix)]
    labels = tuple(label for label, _ in profile.levels.pairs())
    if len(labels) == 1:
        return (), [_one_class(name, profile, path, "row")]
    return labels, []


def _beyond(
    name: str, profile: ColumnProfile, path: DocumentPath, limits: Sequence[TargetLimit]
) -> list[Mistake]:
    """What the losses say to the range of a number."""
    if profile.moments is None:
        return []
    lowest, highest = float(profile.moments.minimum), float(profile.moments.maximum)
    return [
        Mistake(
            path,
            f"'{name}' goes from {lowest:g} to {highest:g}, and the {limit.loss} loss {problem}",
            "filter the rows that are beyond it, or use loss: squared",
        )
        for limit in limits
        if (problem := limit.problem(lowest, highest)) is not None
    ]


def _one_class(name: str, profile: ColumnProfile, path: DocumentPath, row: str) -> Mistake:
    labels = [label for label, _ in profile.levels.pairs()] if profile.levels is not None else []
    found = f"'{name}' is {_shown(labels)} in every {row}: there is one class, and it takes two"
    return Mistake(path, found)


def _in_order(
    name: str, labels: tuple[Label, ...], prepare: Prepare, path: DocumentPath
) -> tuple[tuple[Label, ...], list[Mistake]]:
    positive = positive_label(prepare)
    if positive is None:
        if not isinstance(labels[0], str):
            return labels, []
        column = prepare.target.column if isinstance(prepare.target, Target) else prepare.target
        fix = f"say target: {{column: {column}, positive: {labels[1]!r}}} or {labels[0]!r}"
        return (), [Mistake(path, f"'{name}' has the labels {_shown(labels)}", fix)]
    if positive in labels:
        negative = labels[1] if positive == labels[0] else labels[0]
        return (negative, labels[0] if positive == labels[0] else labels[1]), []
    shown = f"'{positive}'" if isinstance(positive, str) else label_text(positive)
    fix = (
        did_you_mean(positive, [label for label in labels if isinstance(label, str)])
        if isinstance(positive, str)
        else f"its labels are {_shown(labels)}"
    )
    return (), [Mistake((*path, "positive"), f"{shown} is not a label of '{name}'", fix)]


def _shown(labels: tuple[Label, ...] | list[Label]) -> str:
    if all(isinstance(label, str) for label in labels):
        return listed(labels, SHOWN_LABELS)
    shown = [label_text(label) for label in labels[:SHOWN_LABELS]]
    more = len(labels) - SHOWN_LABELS
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
