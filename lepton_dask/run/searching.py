"""Running the search of a `train`: where it begins, its trials, and the model that it ends with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from lepton_dask.artifacts.commit import write_text
from lepton_dask.errors import Mistake, RunError, UserError
from lepton_dask.events import SearchStarted
from lepton_dask.learn.descent import Descent, StopCode
from lepton_dask.learn.objective import weighted
from lepton_dask.learn.search.block import Search
from lepton_dask.learn.search.portfolio import (
    DataProfile,
    Entry,
    load_portfolio,
    starts,
    write_portfolio,
)
from lepton_dask.learn.search.sharing import shares_passes
from lepton_dask.learn.search.space import Point, Space, space_of
from lepton_dask.learn.stop import Stop
from lepton_dask.learn.sweeps import Sweeps
from lepton_dask.learn.train import Train
from lepton_dask.matrix import Floats
from lepton_dask.run.halving import Even, Sampler, finish_best, search_by_rungs
from lepton_dask.run.kept_cluster import state_folder
from lepton_dask.run.search_folder import SearchFolder
from lepton_dask.run.search_log import SearchLog
from lepton_dask.run.search_outcome import Searched, TrialResult, point_text
from lepton_dask.run.together import search_together
from lepton_dask.run.training import Fitting, finish_model, make_fitting
from lepton_dask.run.trials import Trials
from lepton_dask.run.values import FeaturesValue, ModelValue
from lepton_dask.run.work import Work

PORTFOLIO = "portfolio.json"


@dataclass(frozen=True)
class Place:
    """Where a search keeps what it has come to, and where an earlier run of it did, if it goes on
    with that."""

    folder: Path
    resumed: Path | None


def search_model(
    work: Work,
    trial_priority: int,
    train: Train,
    features: FeaturesValue,
    pipeline: str,
    place: Place,
) -> tuple[ModelValue, Searched]:
    """Searches, then trains the best trial to its end.

    Trials submit with `trial_priority`, a class below the step's: others that wait for nothing else
    go first, and what the step alone waits for, the last training, does not wait behind trials.
    """
    search = train.search
    assert search is not None
    space = space_of(train)
    lower = replace(work, dispatch=replace(work.dispatch, priority=trial_priority))
    plain = train.model_copy(update={"search": None})
    profile = data_profile(lower, make_fitting(lower, plain, features))
    file = portfolio_file(search)
    folder = _folder(work, search, space, profile, file, place)
    trials, log = Trials(lower, train, features), SearchLog(work, search, space, folder)
    work.emit(
        SearchStarted(
            work.step,
            space.names,
            tuple(map(point_text, folder.starts)),
            "" if file is None else str(file),
            len(folder.results),
        )
    )
    if shares_passes(train):
        search_together(lower, trials, log, work.dispatch.check)
    else:
        sampler = _sampler(work, search, space, log)
        search_by_rungs(trials, log, sampler, work.dispatch.check)
        # Nothing but the step itself waits for these, and they for nothing.
        finish_best(Trials(work, train, features), log, work.dispatch.check)
    best = log.winner(trials.has_ended if not shares_passes(train) else _always)
    if best is None:
        raise _nothing(work, search, log)
    ended = log.ended or f"the budget is spent: {search.budget.trials} trials"
    searched = Searched(
        work.step, search.scored_by, search.wanted, space.names, log.results, best, ended
    )
    if searched.missed is not None:
        work.warn(f"the search's goal {search.wanted} was not met: {ended}")
    folder.keep_only(best.trial)
    _remember(work, file, pipeline, profile, searched)
    fitting = trials.final(work, best.point)
    begin = _begin(search, searched, log.descents(best.trial))
    return finish_model(work, fitting, pipeline, begin), searched


def _begin(
    search: Search, searched: Searched, descents: tuple[Descent, ...]
) -> Floats | Descent | None:
    """Where the last training of the winner begins: where the trial stands, if that was over all
    rows of the training part. One that meets the goal there is kept as it is, as by `train.goal`:
    more passes may score worse."""
    if search.folds is not None or not descents:
        return None
    [descent] = descents
    if not descent.history:
        return descent.theta
    if searched.goal is not None and searched.missed is None:
        stop: Stop[StopCode] = Stop("goal", f"the search's goal is met: {searched.goal}")
        return replace(descent, stopped=stop, halfway=None)
    return replace(descent, halfway=None)


def _always(_: TrialResult) -> bool:
    return True


def data_profile(work: Work, fitting: Fitting) -> DataProfile:
    """What the training part is like, by one look at its columns."""
    layout, loss = fitting.training.layout, fitting.linear.loss
    rarest = 0.0
    if loss.task == "classification":
        sums = weighted(Sweeps(work.dispatch, fitting.training, fitting.linear).column_sums())
        shares = [float(each) / sums.weight for each in sums.target]
        rarest = min(shares) if len(shares) > 1 else min(shares[0], 1.0 - shares[0])
    coefficients = layout.coefficients
    categories = (coefficients - layout.dense) / coefficients if coefficients else 0.0
    return DataProfile(
        loss.name,
        fitting.training.rows,
        coefficients,
        round(categories, 6),
        round(fitting.features.missing, 6),
        round(rarest, 6),
    )


def portfolio_file(search: Search) -> Path | None:
    """The portfolio's file: the user's own, unless the pipeline names another; None where it is
    not wanted."""
    if isinstance(search.portfolio, str):
        return Path(search.portfolio).expanduser().absolute()
    return state_folder() / PORTFOLIO if search.portfolio else None


def _folder(
    work: Work,
    search: Search,
    space: Space,
    profile: DataProfile,
    file: Path | None,
    place: Place,
) -> SearchFolder:
    """The search on disk: as an earlier run left it, or new, with what the portfolio has for it."""
    if place.resumed is not None:
        resumed = SearchFolder.resumed(place.folder, place.resumed)
        if resumed is not None:
            return resumed
    points: tuple[Point, ...] = ()
    if file is not None:
        try:
            entries = [each for each in load_portfolio(file) if each.metric]
            points = starts(entries, profile, space, work.seed)[: search.budget.trials]
        except (OSError, ValueError) as error:
            work.warn(f"the portfolio {file} is left aside: {error}")
    return SearchFolder.new(place.folder, points)


def _sampler(work: Work, search: Search, space: Space, log: SearchLog) -> Sampler:
    if search.sampler == "optuna":
        from lepton_dask.run.optuna_sampler import OptunaSampler

        return OptunaSampler(work, search, space, log)
    return Even(log)


def _remember(
    work: Work, file: Path | None, pipeline: str, profile: DataProfile, searched: Searched
) -> None:
    """Adds the winner to the portfolio, where it is wanted."""
    if file is None or searched.best.value is None:
        return
    entry = Entry(
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        pipeline=pipeline,
        profile=profile,
        metric=searched.metric,
        value=searched.best.value,
        winner=searched.best.point,
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, write_portfolio([*load_portfolio(file), entry]))
    except (OSError, ValueError) as error:
        work.warn(f"the search is not remembered in {file}: {error}")


def _nothing(work: Work, search: Search, log: SearchLog) -> RunError | UserError:
    """Why no trial has a value."""
    results = log.results
    if results and all(each.status == "undefined" for each in results):
        found = f"{search.scored_by} is not defined on the rows that trials are scored on"
        return UserError([Mistake((*work.at, "search", "metric"), found, "choose another metric")])
    return RunError(
        "every trial of the search diverged", fix="make the space smaller", step=work.step
    )
