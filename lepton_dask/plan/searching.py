"""Planning a search: what is tried, how far, and whether the columns that it names are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec

from lepton_dask.data.selectors import select
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.learn.search.sharing import shares_passes
from lepton_dask.learn.train import Train
from lepton_dask.plan.shapes import FeaturesShape
from lepton_dask.suggest import counted


def searched(train: Train) -> list[str]:
    """What a step's search does, in words."""
    search = train.search
    assert search is not None
    fields = [f"{name} ({domain})" for name, domain in search.space.items()]
    rows = f"{search.folds} folds of the training part" if search.folds else "the validation part"
    budget = [counted(search.budget.trials, "trial")]
    if search.budget.minutes is not None:
        budget.append(f"{search.budget.minutes:g} minutes")
    if search.budget.passes is not None:
        budget.append(f"{search.budget.passes:g} passes")
    if search.wanted is not None:
        budget.append(f"until {search.wanted}")
    told = [
        f"searches {'; '.join(fields)}",
        f"trials are scored by {search.scored_by} on {rows}; at most {', '.join(budget)}",
    ]
    if shares_passes(train):
        told.append("only penalties differ: all trials share their passes over the rows")
    else:
        by, ends = search.rungs.by, search.rungs.limits(train.max_passes)
        unit = "passes" if by == "passes" else "of the rows"
        told.append(
            f"rungs at {', '.join(f'{end:.3g}' for end in ends)} {unit}; the best 1 in "
            f"{search.rungs.factor} go on, up to {search.parallel} side by side"
        )
    if search.portfolio:
        told.append("begins with what won before on similar data (portfolio)")
    return told


def feature_mistakes(
    train: Train, features: FeaturesShape, at: DocumentPath
) -> tuple[Mistake, ...]:
    """The selectors, the step's own and those of its search, that match no prepared column."""
    names = tuple(each.column for each in features.treated if each.role == "feature")
    mistakes: list[Mistake] = []
    for path, selectors in _selectors(train, at):
        for number, selector in enumerate(selectors):
            mistakes += select(selector, names, (*path, number))[1]
    return tuple(mistakes)


def sampler_mistakes(train: Train, at: DocumentPath) -> Iterator[Mistake]:
    """A sampler that is not installed: trials are chosen in this process."""
    wanted = train.search is not None and train.search.sampler == "optuna"
    if wanted and find_spec("optuna") is None:
        fix = "pip install 'lepton_dask[optuna]', or write sampler: random"
        yield Mistake((*at, "search", "sampler"), "optuna is not installed", fix)


def _selectors(train: Train, at: DocumentPath) -> Iterator[tuple[DocumentPath, Sequence[str]]]:
    if train.features is not None:
        yield (*at, "features"), train.features
    domain = None if train.search is None else train.search.space.get("features")
    for number, choice in enumerate((domain.choices or ()) if domain is not None else ()):
        if isinstance(choice, tuple):
            yield (
                (*at, "search", "space", "features", "choices", number),
                [each for each in choice if isinstance(each, str)],
            )
