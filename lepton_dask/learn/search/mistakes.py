"""What a search asks for and cannot have."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pydantic import ValidationError

from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.learn.metrics import metric_mistake, scored_task
from lepton_dask.learn.optimizers import Sgd
from lepton_dask.learn.search.domains import shown
from lepton_dask.learn.search.space import Point, corners, space_of, with_point
from lepton_dask.learn.train import Train, choose_optimizer, train_mistakes
from lepton_dask.parts import Part
from lepton_dask.suggest import counted

ROWS_UNMETERED = frozenset({"quantile"})
"""Losses whose optimizer asks about all rows."""


def search_mistakes(
    train: Train, parts: Collection[Part], path: DocumentPath
) -> tuple[Mistake, ...]:
    """The mistakes of a step's search; `parts` are its input's, `path` the step's node."""
    search = train.search
    if search is None:
        return ()
    at = (*path, "search")
    mistakes: list[Mistake] = []
    if words := metric_mistake(search.scored_by, train.pointwise):
        where = "metric" if search.metric is not None else "goal"
        mistakes.append(Mistake((*at, where), words))
    if "validation" not in parts and search.folds is None:
        found, fix = "needs rows to score trials on", "give split a `validation` share, or `folds`"
        mistakes.append(Mistake(at, found, fix, at_key=True))
    if search.folds is not None and train.validates:
        key = "goal" if train.goal is not None else "early_stopping"
        found = f"{key} reads the validation part, and trials in folds have none"
        mistakes.append(Mistake((*at, "folds"), found, f"leave out folds, or {key}"))
    if search.rungs.by == "rows" and train.pointwise.name in ROWS_UNMETERED:
        found = f"the {train.pointwise.name} loss is trained on all rows at a time"
        mistakes.append(Mistake((*at, "rungs", "by"), found, "write by: passes"))
    if train.inference:
        found = "standard errors of what a search has chosen would mislead"
        mistakes.append(Mistake((*path, "inference"), found, "leave it out, or the search"))
    mistakes += _of_corners(train, parts, path)
    return tuple(mistakes)


def _of_corners(train: Train, parts: Collection[Part], path: DocumentPath) -> Iterator[Mistake]:
    """What training at some corner of the space would be refused for, each reason once."""
    assert train.search is not None
    own = {mistake.found for mistake in train_mistakes(train, parts, path)}
    told: set[str] = set(own)
    base = scored_task(train.pointwise)
    for point in corners(space_of(train)):
        try:
            there = with_point(train, point)
        except ValidationError:
            continue  # a value that its field does not take has been told as such
        found = [mistake.found for mistake in train_mistakes(there, parts, path)]
        if scored_task(there.pointwise) != base:
            found.append(f"the {there.pointwise.name} loss predicts something else than this step")
        if train.search.rungs.by == "rows" and isinstance(choose_optimizer(there)[0], Sgd):
            found.append("sgd takes batches of its own, and has no rungs by rows")
        for words in found:
            if words not in told:
                told.add(words)
                yield Mistake(
                    (*path, "search", "space"), f"{words} (at {_point(point)})", at_key=True
                )


def _point(point: Point) -> str:
    shows = [f"{name} {shown(value)}" for name, value in point.items()]
    return ", ".join(shows) if len(shows) <= 6 else counted(len(shows), "value")
