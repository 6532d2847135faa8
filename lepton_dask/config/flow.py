"""What flows along the edges: tables and their parts, prepared columns, models, predictions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from lepton_dask.config.graph import Graph
from lepton_dask.config.steps import Draft, Input
from lepton_dask.config.wording import alternatives
from lepton_dask.data.join import one_part_wanted
from lepton_dask.data.read import Read
from lepton_dask.data.split import Split, split_mistakes, split_parts
from lepton_dask.data.write import Predict
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.learn.evaluate import Evaluate, evaluate_mistakes
from lepton_dask.learn.meta.meta_train import MetaTrain, meta_train_mistakes
from lepton_dask.learn.search.mistakes import search_mistakes
from lepton_dask.learn.train import Train, train_mistakes
from lepton_dask.parts import PARTS, Part

Kind = Literal["table", "columns", "model", "scores", "predictions", "nothing"]

_TAKES: dict[str, tuple[Kind, ...]] = {
    "clean": ("table",),
    "derive": ("table",),
    "join": ("table",),
    "split": ("table",),
    "prepare": ("table",),
    "train": ("columns",),
    "meta_train": ("columns",),
    "evaluate": ("model",),
    "predict": ("model", "scores"),
    "write": ("table", "predictions"),
}
_YIELDS: dict[str, Kind] = {
    "read": "table",
    "clean": "table",
    "derive": "table",
    "join": "table",
    "split": "table",
    "prepare": "columns",
    "train": "model",
    "meta_train": "model",
    "evaluate": "scores",
    "predict": "predictions",
    "write": "nothing",
}
_TAKES_SEVERAL = frozenset({"evaluate"})
_MAKERS: dict[Kind, str] = {
    "table": "a step that gives a table",
    "columns": "a prepare step",
    "model": "a train step",
    "scores": "an evaluate step",
    "predictions": "a predict step",
}


@dataclass(frozen=True)
class Result:
    """What a step gives. `kind` is None where its verb is not known; `parts` is None where only the
    rows will say, and empty for a table that is not in parts; `models` are those in it."""

    kind: Kind | None
    parts: frozenset[Part] | None = None
    models: tuple[Train | MetaTrain, ...] = ()


def check_flow(graph: Graph, mistakes: list[Mistake]) -> None:
    """Whether each step gets what its verb takes, and the parts that it asks for are there."""
    results: dict[str, Result] = {}
    for draft in graph.order:
        taken = [_taken(source, results, mistakes) for source in graph.inputs[draft.name]]
        sources = list(zip(graph.inputs[draft.name], taken, strict=True))
        _check_kinds(draft, sources, results, mistakes)
        named = [(source, result) for source, result in sources if source not in draft.joined]
        if draft.verb not in _TAKES_SEVERAL:
            for source, _ in named[1:]:
                found, fix = f"'{draft.verb}' takes one step", _name_one(draft)
                mistakes.append(Mistake(source.path, found, fix))
        joined = [(source, result) for source, result in sources if source in draft.joined]
        told = {mistake.path for mistake in mistakes}
        mistakes += [m for m in _joined_in_parts(joined) if m.path not in told]
        results[draft.name] = _result(draft, [result for _, result in named], mistakes)


def _name_one(draft: Draft) -> str:
    return "name the others under 'join'" if draft.verb == "join" else "name one"


def _joined_in_parts(joined: list[tuple[Input, Result]]) -> list[Mistake]:
    return [
        Mistake(source.path, *one_part_wanted(source.step, [p for p in PARTS if p in parts]))
        for source, result in joined
        if (parts := result.parts)
    ]


def _taken(source: Input, results: dict[str, Result], mistakes: list[Mistake]) -> Result:
    """What comes along an edge: a step's result, or one part of it."""
    result = results[source.step]
    if source.part is None:
        return result
    if result.parts is not None and source.part not in result.parts:
        found = f"'{source.step}' has no part '{source.part}'"
        mistakes.append(Mistake(source.path, found, _parts_there(result.parts)))
    return Result(result.kind, frozenset(), result.models)


def _parts_there(parts: Collection[Part]) -> str:
    if not parts:
        return "put a split step before it"
    return f"it has {alternatives([part for part in PARTS if part in parts])}"


def _check_kinds(
    draft: Draft,
    sources: list[tuple[Input, Result]],
    results: dict[str, Result],
    mistakes: list[Mistake],
) -> None:
    wanted = _TAKES.get(draft.verb or "")
    for source, result in sources:
        if wanted is None or result.kind is None or result.kind in wanted:
            continue
        near = [name for name, other in results.items() if other.kind in wanted]
        makers = alternatives([_MAKERS[kind] for kind in wanted])
        key = "with" if source in draft.joined else "from"
        fix = f"say '{key}: {near[-1]}'" if near else "put one before it"
        found = f"'{draft.verb}' takes {makers}, and '{source.step}' is not one"
        at_key = source.path == draft.verb_path
        mistakes.append(Mistake(source.path, found, fix, at_key=at_key))


def _result(draft: Draft, taken: list[Result], mistakes: list[Mistake]) -> Result:
    kind = _YIELDS.get(draft.verb or "")
    models = tuple(model for result in taken for model in result.models)
    parts = _common_parts(taken)
    match draft.action:
        case Read():
            path = draft.action.path
            return Result(kind, frozenset(path) if isinstance(path, dict) else frozenset())
        case Split():
            mistakes += split_mistakes(draft.action, parts, draft.verb_path)
            return Result(kind, _split_parts(draft.action, parts))
        case Train():
            known = PARTS if parts is None else parts
            mistakes += train_mistakes(draft.action, known, draft.verb_path)
            mistakes += search_mistakes(draft.action, known, draft.verb_path)
            return Result(kind, parts, (draft.action,))
        case MetaTrain():
            mistakes += meta_train_mistakes(draft.action, draft.verb_path)
            return Result(kind, parts, (draft.action,))
        case Evaluate():
            _check_evaluate(draft.action, models, parts, draft.verb_path, mistakes)
            return Result(kind, parts, () if draft.action.choose else models)
        case Predict():
            _check_predict(draft, len(models), parts, mistakes)
            return Result(kind, frozenset())
        case None:
            return Result(kind)
        case _:
            return Result(kind, parts)


def _common_parts(taken: list[Result]) -> frozenset[Part] | None:
    known = [result.parts for result in taken if result.parts is not None]
    return frozenset.intersection(*known) if known and len(known) == len(taken) else None


def _split_parts(split: Split, parts: frozenset[Part] | None) -> frozenset[Part] | None:
    """The parts after a split. `parts`: those before it."""
    if split.column is not None or (split.of is not None and parts is None):
        return None
    return frozenset(split_parts(split, (parts or ()) if split.of else ()))


def _check_evaluate(
    evaluate: Evaluate,
    models: tuple[Train | MetaTrain, ...],
    parts: frozenset[Part] | None,
    path: DocumentPath,
    mistakes: list[Mistake],
) -> None:
    for loss in dict.fromkeys(model.pointwise for model in models):
        mistakes += evaluate_mistakes(evaluate, loss, path)
    wanted: list[tuple[DocumentPath, Part]] = [
        ((*path, "goals", i, "part"), goal.part) for i, goal in enumerate(evaluate.goals)
    ]
    if evaluate.threshold is not None:
        wanted.append(((*path, "threshold"), "validation"))
    if evaluate.choose is not None:
        wanted.append(((*path, "choose", "part"), evaluate.choose.part))
        if evaluate.choose.part == "test":
            found = "a choice between models must not read the test part"
            mistakes.append(Mistake((*path, "choose", "part"), found, "write validation"))
    mistakes += _missing_parts(wanted, parts)


def _check_predict(
    draft: Draft, models: int, parts: frozenset[Part] | None, mistakes: list[Mistake]
) -> None:
    assert isinstance(draft.action, Predict)
    path = draft.verb_path
    if models > 1:
        found = f"{models} models come in, and none is chosen"
        fix = "give the evaluate step a 'choose:', or take one model with 'from:'"
        mistakes.append(Mistake(path, found, fix, at_key=True))
    mistakes += _missing_parts([((*path, "part"), draft.action.part)], parts)


def _missing_parts(
    wanted: list[tuple[DocumentPath, Part]], parts: frozenset[Part] | None
) -> list[Mistake]:
    if parts is None:
        return []
    return [
        Mistake(path, f"there is no {part} part", _parts_there(parts))
        for path, part in wanted
        if part not in parts
    ]
