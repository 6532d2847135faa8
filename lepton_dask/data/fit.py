"""Fitting the preparation: from treatments and profiles, without another pass over the rows.

Everything fitted comes from the profile of the training rows; the classes of the target alone come
from the profile of all rows, so that there is one list of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton_dask.data.calendar import CYCLES, DatePart, date_part
from lepton_dask.data.columns import MomentColumn
from lepton_dask.data.fit_target import (
    SHOWN_LABELS,
    TargetLimit,
    fit_target,
    unseen_classes,
    weight_mistakes,
)
from lepton_dask.data.hashed_text import FittedText, TouchedBuckets
from lepton_dask.data.labels import label_text
from lepton_dask.data.levels import DISTINCT_CAP
from lepton_dask.data.moments import Moments
from lepton_dask.data.prepare import Categorical, Constant, Dates, Hash, Numeric, Prepare
from lepton_dask.data.prepared import (
    FittedCategory,
    FittedCode,
    FittedDatePart,
    FittedNumber,
    Prepared,
)
from lepton_dask.data.profile import ColumnProfile, Profile
from lepton_dask.data.roles import Task
from lepton_dask.data.sketch import weighted_quantiles
from lepton_dask.data.treatments import Treated
from lepton_dask.errors import DocumentPath, Mistake, UserError
from lepton_dask.suggest import listed

EXACT_INTEGERS = 2**53
"""Beyond it two integers may be one float64, and so one level."""

_COARSE_TO_FINE: tuple[DatePart, ...] = ("year", "month", "day", "hour", "minute")


@dataclass(frozen=True)
class Fitted:
    """The preparation, and what a user should know of it."""

    prepared: Prepared
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Dropped:
    """Why a column is not learnt from, as the end of a sentence that starts with its name."""

    reason: str


class _Unfit(Exception):
    """A column cannot be treated as the pipeline says: what was found, and what to do."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(found)
        self.found, self.fix = found, fix


def fit(
    treatments: tuple[Treated, ...],
    prepare: Prepare,
    all_rows: Profile,
    training: Profile,
    *,
    at: DocumentPath,
    task: Task,
    limits: Sequence[TargetLimit] = (),
    touched: Mapping[str, TouchedBuckets] | None = None,
) -> Fitted:
    """Fits every treatment on `training`, and the target's classes on `all_rows`. `touched` are the
    buckets that the training rows touch, by column that is hashed; `limits` are what the losses
    ask of a number that is learnt.

    Columns that hold nothing to learn from (constant, all missing, ids) are dropped with a
    warning. Raises UserError with all mistakes that the data show: a target without two classes,
    labels without `positive`, negative weights, no column left.
    """
    target, mistakes = fit_target(
        treatments, prepare, all_rows, training, at=at, task=task, limits=limits
    )
    mistakes += weight_mistakes(treatments, all_rows, at)
    numbers: list[FittedNumber] = []
    codes: list[FittedCode] = []
    texts: list[FittedText] = []
    warnings: list[str] = []
    for treated in treatments:
        if treated.treatment is None:
            continue
        try:
            fitted = _fit_feature(treated, training.columns[treated.column], touched or {})
        except _Unfit as unfit:
            mistakes.append(
                Mistake((*at, "columns"), f"'{treated.column}' {unfit.found}", unfit.fix)
            )
            continue
        match fitted:
            case _Dropped(reason):
                warnings.append(f"column '{treated.column}' {reason}: dropped")
            case FittedNumber():
                numbers.append(fitted)
            case FittedText():
                texts.append(fitted)
            case _:
                codes += fitted
    if not (numbers or codes or texts or mistakes):
        why = "; ".join(warnings) or "every column has another role"
        mistakes.append(Mistake(at, f"no column is left to learn from ({why})"))
    if mistakes or target is None:
        raise UserError(mistakes)
    weight = next((each.column for each in treatments if each.role == "weight"), None)
    if unseen := unseen_classes(target, training):
        shown = listed([label_text(label) for label in unseen], SHOWN_LABELS)
        warnings.append(f"no training row is {shown}: nothing is learnt of what it looks like")
    prepared = Prepared(tuple(numbers), tuple(codes), target, weight, tuple(texts))
    return Fitted(prepared, tuple(warnings))


def _fit_feature(
    treated: Treated, profile: ColumnProfile, touched: Mapping[str, TouchedBuckets]
) -> FittedNumber | FittedText | tuple[FittedCode, ...] | _Dropped:
    if profile.count == 0:
        return _Dropped("has no value in the training rows")
    match treated.treatment:
        case Numeric():
            return _fit_number(treated.column, treated.treatment, profile)
        case Categorical():
            return _fit_category(treated.column, treated.treatment, profile)
        case Dates():
            return _fit_dates(treated.column, treated.treatment, profile)
        case Hash():
            return _fit_text(treated.column, treated.treatment, touched[treated.column])
        case None:
            raise TypeError(f"'{treated.column}' is not a feature")


def _fit_number(column: str, numeric: Numeric, profile: ColumnProfile) -> FittedNumber | _Dropped:
    """Center and scale of the imputed, transformed values, as scikit-learn's SimpleImputer before
    its StandardScaler gives them: closed form from the profile, where imputing adds `missing`
    copies of one value."""
    impute = _imputed_value(numeric, profile)
    moments = profile.moments if numeric.transform == "none" else profile.log1p
    if moments is None:
        return _Dropped("has no value above -1 in the training rows, as log1p needs")
    if impute is not None and profile.missing:
        if numeric.transform == "log1p" and impute <= -1:
            raise _Unfit(f"has the {numeric.impute} {impute}, and log1p needs more than -1", "")
        filled = math.log1p(impute) if numeric.transform == "log1p" else impute
        moments = moments.merge(Moments.repeated(filled, profile.missing))
    if moments.minimum == moments.maximum:
        return _Dropped(
            f"is constant ({_original(moments.minimum, numeric):g}) in the training rows"
        )
    center, scale = _center_and_scale(numeric, profile, moments, impute)
    if not (math.isfinite(center) and math.isfinite(scale)):
        raise _Unfit("spreads too widely for 64-bit numbers", "scale: none, or exclude it")
    # 0 where the quartiles meet, or where squaring the spread underflows: as good as constant.
    return FittedNumber(column, impute, numeric.transform, center, scale if scale > 0 else 1.0)


def _original(value: float, numeric: Numeric) -> float:
    return math.expm1(value) if numeric.transform == "log1p" else value


def _imputed_value(numeric: Numeric, profile: ColumnProfile) -> float | None:
    match numeric.impute:
        case "none":
            return None
        case "median":
            return profile.quantile(0.5)
        case "mean":
            return profile.moments.mean if profile.moments is not None else None
        case Constant(constant=value):
            return float(value)
        case value:
            return float(value)


def _center_and_scale(
    numeric: Numeric, profile: ColumnProfile, moments: Moments, impute: float | None
) -> tuple[float, float]:
    match numeric.scale:
        case "standard":
            return moments.mean, moments.standard_deviation
        case "minmax":
            return float(moments.minimum), float(moments.maximum) - float(moments.minimum)
        case "robust":
            lower, middle, upper = _quartiles(numeric, profile, impute)
            return middle, upper - lower
        case "none":
            return 0.0, 1.0


def _quartiles(numeric: Numeric, profile: ColumnProfile, impute: float | None) -> list[float]:
    ordered, weights = profile.ordered()
    values: NDArray[np.float64] = ordered.astype(np.float64)
    if impute is not None and profile.missing:
        place = int(np.searchsorted(values, impute))
        values = np.insert(values, place, impute)
        weights = np.insert(weights, place, profile.missing)
    if numeric.transform == "log1p":
        first = int(np.searchsorted(values, -1, side="right"))
        values, weights = np.log1p(values[first:]), weights[first:]
    return weighted_quantiles(values, weights, (0.25, 0.5, 0.75))


def _fit_category(
    column: str, categorical: Categorical, profile: ColumnProfile
) -> tuple[FittedCode, ...] | _Dropped:
    if profile.levels is None:
        found = f"has more than {DISTINCT_CAP[profile.type.kind]:,} different values"
        if profile.type.kind == "text":
            return _Dropped(
                f"{found} and looks like an id, or like prose, which `hash: true` takes"
            )
        raise _Unfit(f"{found}, too many for a category", "leave out 'as: category'")
    if profile.type.kind == "integer" and profile.moments is not None:
        moments = profile.moments
        if max(abs(moments.minimum), abs(moments.maximum)) > EXACT_INTEGERS:
            raise _Unfit("holds integers above 2^53, too large to be levels", "declare it as text")
    pairs = profile.levels.pairs()
    if len(pairs) == 1 and not profile.missing:
        return _Dropped(f"is constant ({pairs[0][0]}) in the training rows")
    frequent = tuple(value for value, count in pairs if count >= categorical.minimum_count)
    if not frequent:
        most = max(count for _, count in pairs)
        return _Dropped(
            f"has no level in {categorical.minimum_count} training rows or more (the most frequent "
            f"is in {most}, of {len(pairs)} levels) and looks like an id"
        )
    return (FittedCategory(column, frequent, profile.missing > 0),)


def _fit_text(column: str, hashed: Hash, touched: TouchedBuckets) -> FittedText | _Dropped:
    frequent = touched.buckets[touched.rows >= hashed.minimum_count]
    if len(frequent) == 0:
        few = f"that {hashed.minimum_count} training rows have" if len(touched.buckets) else ""
        return _Dropped(f"has no n-gram {few}".rstrip())
    return FittedText(column, hashed.ngrams, frequent)


def _fit_dates(
    column: str, dates: Dates, profile: ColumnProfile
) -> tuple[FittedCode, ...] | _Dropped:
    """Levels of a part are all values of its cycle, so that they do not hang on which days the
    training rows happen to have; years are those from the first to the last."""
    if profile.moments is None:
        return _Dropped("has no value in the training rows")
    first_and_last = _moment_range(profile, profile.moments)
    has_missing = profile.missing > 0
    varying = _varying_parts(first_and_last)
    fitted = tuple(
        FittedDatePart(column, part, _part_levels(part, first_and_last), has_missing)
        for part in dates.parts
        if part in varying or has_missing
    )
    return fitted or _Dropped(f"has one {' and '.join(dates.parts)} in all training rows")


def _moment_range(profile: ColumnProfile, moments: Moments) -> MomentColumn:
    unit = "D" if profile.type.kind == "date" else "ns"
    ticks = np.array([moments.minimum, moments.maximum], dtype=np.int64)
    return MomentColumn(ticks.view(f"datetime64[{unit}]"), profile.type.zone)


def _varying_parts(first_and_last: MomentColumn) -> tuple[DatePart, ...]:
    """The parts that differ between some moments of the range: all that are finer than the
    coarsest in which its ends differ."""
    for i, part in enumerate(_COARSE_TO_FINE):
        first, last = date_part(first_and_last, part)
        if first != last:
            finer = _COARSE_TO_FINE[i:]
            return (*finer, "weekday") if "day" in finer else finer
    return ()


def _part_levels(part: DatePart, first_and_last: MomentColumn) -> tuple[int, ...]:
    if part in CYCLES:
        return tuple(CYCLES[part])
    first, last = date_part(first_and_last, part)
    return tuple(range(int(first), int(last) + 1))
