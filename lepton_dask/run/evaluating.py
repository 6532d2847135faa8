"""Running an `evaluate`: scores by part, baselines, the threshold, the choice, the goals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lepton_dask.artifacts.predictor import DEFAULT_THRESHOLD
from lepton_dask.data.labels import Label, label_text
from lepton_dask.errors import Mistake, UserError
from lepton_dask.learn.evaluate import Evaluate, EvaluationGoal
from lepton_dask.learn.metrics import METRICS, scored_task
from lepton_dask.learn.scoring import Scores, choose_threshold, score
from lepton_dask.learn.sweeps import Predictions
from lepton_dask.run.comparing import baseline_scores, scores_by_level
from lepton_dask.run.outcome import Evaluated
from lepton_dask.run.outcome import Scores as Values
from lepton_dask.run.values import AnyModelValue, PartName
from lepton_dask.run.work import Work

SLACK = 1e-12
"""A threshold lies so little under the probability of the row that it is to take in: a bundle adds
up a row's terms in another order than the cluster, and must take the same rows."""


@dataclass(frozen=True)
class _Candidate:
    """A model with its threshold and its scores by part."""

    value: AnyModelValue
    threshold: float | None
    scores: Mapping[PartName, Scores]

    def values(self) -> dict[str, Values]:
        return {part: each.values for part, each in self.scores.items()}


def evaluate_models(
    work: Work, evaluate: Evaluate, models: Sequence[AnyModelValue]
) -> tuple[AnyModelValue, Evaluated]:
    """The model that the step stands for, its threshold set, and its scores."""
    metrics = _metrics(evaluate)
    candidates = [_candidate(work, evaluate, value, metrics) for value in models]
    best = _chosen(work, evaluate, candidates)
    baselines = {
        name: baseline_scores(work, name, best.value, metrics) for name in baseline_names(evaluate)
    }
    value = _with_threshold(best)
    by = scores_by_level(work, evaluate.by, value, metrics) if evaluate.by else {}
    _tell(work, best)
    evaluated = Evaluated(
        model=best.value.step,
        scores=best.values(),
        rows={part: each.rows for part, each in best.scores.items()},
        labels=_labels(best),
        positive=_positive(best.value),
        threshold=best.threshold,
        baselines={
            name: {part: each.values for part, each in scores.items()}
            for name, scores in baselines.items()
        },
        by=by,
        candidates={each.value.step: each.values() for each in candidates}
        if len(candidates) > 1
        else {},
        missed=tuple(_missed(evaluate, best.values(), baselines)),
    )
    return value, evaluated


def _metrics(evaluate: Evaluate) -> list[str]:
    named = [*evaluate.metrics, *(goal.metric for goal in evaluate.goals)]
    if evaluate.choose is not None:
        named.append(evaluate.choose.metric)
    if evaluate.threshold is not None:
        named.append(evaluate.threshold.metric)
    return list(dict.fromkeys(named))


def _candidate(
    work: Work, evaluate: Evaluate, value: AnyModelValue, metrics: Sequence[str]
) -> _Candidate:
    loss = value.linear.loss
    predictions = {part: value.predictions(work.dispatch, part) for part in value.features.shards}
    threshold = _threshold(work, evaluate, predictions)
    used = DEFAULT_THRESHOLD if threshold is None else threshold
    scores = {
        part: score(work.dispatch, each, metrics, scored_task(loss), threshold=used)
        for part, each in predictions.items()
    }
    return _Candidate(value, threshold, scores)


def _threshold(
    work: Work, evaluate: Evaluate, predictions: Mapping[PartName, Predictions]
) -> float | None:
    wanted = evaluate.threshold
    if wanted is None:
        return None
    if "validation" not in predictions:
        at = (*work.at, "threshold")
        raise UserError([Mistake(at, "is chosen on the validation part, and there is none")])
    found = choose_threshold(work.dispatch, predictions["validation"], wanted)
    if found is None:
        work.warn(
            f"no threshold gives {wanted.metric} of at least {wanted.at_least:g} on the validation "
            f"part; it stays at {DEFAULT_THRESHOLD:g}"
        )
    return None if found is None else found * (1.0 - SLACK)


def _chosen(work: Work, evaluate: Evaluate, candidates: Sequence[_Candidate]) -> _Candidate:
    choose = evaluate.choose
    if choose is None:
        [only] = candidates
        return only
    if choose.part not in candidates[0].scores:
        found = f"there is no part '{choose.part}': no row falls into it"
        raise UserError([Mistake((*work.at, "choose", "part"), found)])
    metric = METRICS[choose.metric]
    scored = [
        (value, each)
        for each in candidates
        if (value := each.scores[choose.part].values[choose.metric]) is not None
    ]
    if not scored:
        at = (*work.at, "choose")
        raise UserError([Mistake(at, f"{choose.metric} is defined for none of the models")])
    best = scored[0]
    for other in scored[1:]:
        if metric.better(other[0], best[0]):
            best = other
    return best[1]


def _with_threshold(best: _Candidate) -> AnyModelValue:
    if best.threshold is None:
        return best.value
    return replace(best.value, model=replace(best.value.model, threshold=best.threshold))


def baseline_names(evaluate: Evaluate) -> list[str]:
    """What a model is compared with, each once, in order."""
    better = [name for goal in evaluate.goals for name in goal.better_than]
    return list(dict.fromkeys([*evaluate.baselines, *better]))


def _positive(value: AnyModelValue) -> Label | None:
    """The positive label of two; with many classes there is none."""
    classes = value.model.classes
    return None if classes is None or value.model.is_multinomial else classes[-1]


def _labels(best: _Candidate) -> dict[str, dict[str, int]]:
    classes = best.value.features.prepared.classes
    if classes is None:
        return {}
    names = [label_text(label) for label in classes]
    # A part without a row has no count of any label.
    return {
        part: dict(zip(names, each.labels or [0] * len(names), strict=False))
        for part, each in best.scores.items()
    }


def _tell(work: Work, best: _Candidate) -> None:
    for part, scores in best.scores.items():
        for metric, reason in scores.undefined.items():
            work.warn(f"{metric} is not defined on part {part}: {reason}")


def _missed(
    evaluate: Evaluate, scores: Mapping[str, Values], baselines: Mapping[str, Mapping[str, Scores]]
) -> Iterator[str]:
    for goal in evaluate.goals:
        values = scores.get(goal.part, {})
        value = values.get(goal.metric)
        shown = "undefined" if value is None else f"{value:.6g}"
        what = f"{goal.metric} on {goal.part} is {shown}"
        if not goal.bound_met(value):
            yield f"{what}, and should be {_bound(goal)}"
        for name in goal.better_than:
            other = baselines[name].get(goal.part)
            if problem := _not_better(goal.metric, value, other):
                yield f"{what}, and should be better than {name}'s {problem}"


def _not_better(metric: str, value: float | None, other: Scores | None) -> str | None:
    """The baseline's score, where the model's is not better; one that is undefined cannot be
    beaten, and has the reason beside it."""
    if other is None:
        return "undefined (the part has no rows)"
    baseline = other.values[metric]
    if baseline is None:
        return f"undefined ({other.undefined[metric]})"
    better = value is not None and METRICS[metric].better(value, baseline)
    return None if better else str(baseline)


def _bound(goal: EvaluationGoal) -> str:
    if goal.at_least is not None:
        return f"at least {goal.at_least:g}"
    if goal.at_most is not None:
        return f"at most {goal.at_most:g}"
    return "defined"
