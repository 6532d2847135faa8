"""What `prepare` will do with every column, and why: settled before a row is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lepton_dask.data.calendar import DAY_PARTS
from lepton_dask.data.prepare import (
    As,
    Categorical,
    Constant,
    Dates,
    Hash,
    Numeric,
    Prepare,
    Treatment,
)
from lepton_dask.data.roles import NUMERIC_KINDS, Role, Task, check_target, resolve_roles
from lepton_dask.data.selectors import is_expression, select
from lepton_dask.data.target import TargetColumn, target_column
from lepton_dask.data.types import ColumnType, Kind, Schema
from lepton_dask.errors import DocumentPath, Mistake
from lepton_dask.suggest import listed

_AUTO: Mapping[Kind, As] = {
    "number": "number",
    "integer": "number",
    "boolean": "number",
    "text": "category",
    "date": "date",
    "timestamp": "date",
}
_POSSIBLE: Mapping[As, tuple[Kind, ...]] = {
    "number": NUMERIC_KINDS,
    "category": (*NUMERIC_KINDS, "text"),
    "date": ("date", "timestamp"),
    "text": ("text",),
}
_KEYS: Mapping[As, tuple[str, ...]] = {
    "number": ("impute", "scale", "transform"),
    "category": ("minimum_count",),
    "date": ("parts",),
    "text": ("hash",),
}
_CASTS: Mapping[As, str] = {
    "number": "declare its type in read: types: {%s: number}",
    "category": "leave 'as' out: its parts become categories",
    "date": "declare its type in read: types: {%s: {timestamp: FORMAT}}",
    "text": "leave 'as' out",
}


@dataclass(frozen=True)
class Treated:
    """One column's role; for features the treatment, every default resolved; and the reason."""

    column: str
    type: ColumnType
    role: Role
    treatment: Numeric | Categorical | Dates | Hash | None
    reason: str

    @property
    def summary(self) -> str:
        """The treatment in words: `number: impute median, scale standard`; empty without one."""
        match self.treatment:
            case None:
                return ""
            case Numeric(impute=impute, transform=transform, scale=scale):
                value = impute.constant if isinstance(impute, Constant) else impute
                steps = [f"impute {value}", f"scale {scale}"]
                if transform != "none":
                    steps.insert(1, transform)
                return f"number: {', '.join(steps)}"
            case Categorical(minimum_count=minimum_count):
                return f"category: levels of {minimum_count} rows or more"
            case Dates(parts=parts):
                return f"date: {', '.join(parts)}"
            case Hash(minimum_count=minimum_count):
                return f"text: {_hashed(self.treatment)}" + (
                    f", buckets of {minimum_count} rows or more" if minimum_count > 1 else ""
                )


@dataclass(frozen=True)
class _Layer:
    """What one selector says of a column."""

    selector: str
    treatment: Treatment

    def value(self, key: str) -> Any:
        return getattr(self.treatment, "as_" if key == "as" else key)


def resolve_treatments(
    prepare: Prepare, schema: Schema, at: DocumentPath, task: Task | None = None
) -> tuple[tuple[Treated, ...], list[Mistake]]:
    """Every column of `schema`, and the one that the target's expression makes, with its role and
    treatment, and all mistakes in `prepare`.

    `at` is the path of the `prepare` node. `task` is the loss's, where it is known: it decides
    which types a target may have. With mistakes the treatments are as good as they can be.
    """
    made, mistakes = target_column(prepare, schema, at)
    names = tuple(schema)
    roles, found = resolve_roles(prepare, names, at, made)
    mistakes += found
    schema = schema if made is None else made.added_to(schema)
    names = tuple(schema)
    target = next((name for name, role in roles.items() if role == "target"), None)
    if target is not None:
        mistakes += check_target(prepare, target, schema[target], at, task)
    if prepare.weight in roles and schema[prepare.weight].kind not in NUMERIC_KINDS:
        kind = schema[prepare.weight].kind
        mistakes.append(Mistake((*at, "weight"), f"'{prepare.weight}' is {kind}, not a number"))
    layers, found = _resolve_layers(prepare, names, roles, at)
    mistakes += found
    treated = []
    for name in names:
        if name in roles:
            reason = _role_reason(prepare, name, roles[name], made)
            treated.append(Treated(name, schema[name], roles[name], None, reason))
        else:
            column, found = _treat(name, schema[name], layers.get(name, ()), prepare, at)
            treated.append(column)
            mistakes += found
    return tuple(treated), _once(mistakes)


def _resolve_layers(
    prepare: Prepare, names: tuple[str, ...], roles: Mapping[str, Role], at: DocumentPath
) -> tuple[dict[str, tuple[_Layer, ...]], list[Mistake]]:
    """For every column the selectors that match it, the name before the expression."""
    by_name: dict[str, _Layer] = {}
    by_expression: dict[str, _Layer] = {}
    mistakes: list[Mistake] = []
    for selector, treatment in prepare.columns.items():
        path = (*at, "columns", selector)
        matched, unmatched = select(selector, names, path, at_key=True)
        mistakes += unmatched
        layer = _Layer(selector, treatment)
        for column in matched:
            if not is_expression(selector):
                by_name[column] = layer
                if column in roles:
                    found = f"'{column}' is not a feature ({roles[column]}): nothing treats it"
                    mistakes.append(Mistake(path, found, at_key=True))
            elif by_expression.setdefault(column, layer) is not layer:
                other = by_expression[column].selector
                mistakes.append(
                    Mistake(
                        path,
                        f"'{column}' is matched by '{other}' too",
                        f"narrow one of them, or say what holds under '{column}'",
                        at_key=True,
                    )
                )
    layers = {
        name: tuple(each[name] for each in (by_name, by_expression) if name in each)
        for name in names
    }
    return layers, mistakes


def _treat(
    name: str, type_: ColumnType, layers: tuple[_Layer, ...], prepare: Prepare, at: DocumentPath
) -> tuple[Treated, list[Mistake]]:
    """A feature's treatment: by its layers (the strongest first), its type's defaults, its type."""
    said = next((layer for layer in layers if layer.treatment.as_ is not None), None)
    auto, by = _auto(type_, layers, prepare)
    as_ = auto if said is None or said.treatment.as_ is None else said.treatment.as_
    mistakes = _check_as(name, type_, as_, said, at)
    if mistakes:
        as_ = auto
    mistakes += _contradictions(name, type_, as_, layers, at)
    settings = {
        key: next((value for layer in layers if (value := layer.value(key)) is not None), None)
        for key in _KEYS[as_]
    }
    given = {key: value for key, value in settings.items() if value is not None}
    reason = _reason(as_, by, said, layers)
    treatment: Numeric | Categorical | Dates | Hash | None
    match as_:
        case "number":
            treatment = prepare.numeric.model_copy(update=given)
            mistakes += _check_log1p_constant(treatment, layers, at)
        case "date":
            treatment = _date_treatment(prepare.date.model_copy(update=given), type_)
            mistakes += _check_parts(name, prepare.date, treatment, layers, at)
        case "text":
            treatment = settings["hash"] or prepare.text.hash or Hash()
        case _:
            treatment = prepare.categorical.model_copy(update=given)
    return Treated(name, type_, "feature", treatment, reason), mistakes


def _auto(type_: ColumnType, layers: tuple[_Layer, ...], prepare: Prepare) -> tuple[As, str]:
    """What a column is where nothing says `as`, and by what."""
    by_type = f"by type ({type_.kind})"
    if type_.kind != "text":
        return _AUTO[type_.kind], by_type
    for layer in layers:
        if layer.value("hash") is not None:
            return "text", by_type
        if layer.value("minimum_count") is not None:
            return "category", by_type
    if prepare.text.hash is not None:
        return "text", "text: {hash} says so"
    return _AUTO[type_.kind], by_type


def _hashed(hashed: Hash) -> str:
    """`words 1-2 and characters 2-4 hashed into 262,144 buckets`."""
    grams = hashed.ngrams
    kinds = {"words": grams.words, "characters": grams.characters}
    shown = [f"{kind} {n[0]}-{n[1]}" for kind, n in kinds.items() if n is not None]
    return f"{' and '.join(shown)} hashed into {grams.buckets:,} buckets"


def _role_reason(prepare: Prepare, name: str, role: Role, made: TargetColumn | None) -> str:
    if made is not None and name == made.name:
        return "target: made by its expression"
    if role == "excluded" and name not in prepare.exclude:
        for selector in prepare.exclude:
            if name in select(selector, (name,), ())[0]:
                return f"excluded: '{selector}' says so"
        return "excluded: the target's expression reads it"
    return f"{role}: named so"


def _reason(as_: As, by: str, said: _Layer | None, layers: tuple[_Layer, ...]) -> str:
    if said is not None:
        return f"{as_}: columns['{said.selector}'] says so"
    reason = f"{as_}: {by}"
    if layers:
        reason += f", with {' and '.join(_source(layer) for layer in layers)}"
    return reason


def _source(layer: _Layer) -> str:
    return f"columns['{layer.selector}']"


def _check_as(
    name: str, type_: ColumnType, as_: As, said: _Layer | None, at: DocumentPath
) -> list[Mistake]:
    if said is None:
        return []
    path = (*at, "columns", said.selector, "as")
    if type_.kind not in _POSSIBLE[as_]:
        fix = _CASTS[as_]
        fix = fix % name if "%s" in fix else fix
        return [Mistake(path, f"'{name}' is {type_.kind} and cannot be a {as_}", fix)]
    return []


def _contradictions(
    name: str, type_: ColumnType, as_: As, layers: tuple[_Layer, ...], at: DocumentPath
) -> list[Mistake]:
    """Keys that belong to another treatment than the column's."""
    mistakes = []
    for layer in layers:
        for owner, keys in _KEYS.items():
            for key in keys:
                if owner == as_ or layer.value(key) is None:
                    continue
                path = (*at, "columns", layer.selector, key)
                fix = (
                    f"add 'as: {owner}'"
                    if type_.kind in _POSSIBLE[owner]
                    else f"a {as_} takes {listed(_KEYS[as_])}"
                )
                if as_ == "text" and key == "minimum_count":
                    fix = "write it inside 'hash:', or add 'as: category'"
                mistakes.append(
                    Mistake(
                        path, f"is for a {owner}, and '{name}' is a {as_} here", fix, at_key=True
                    )
                )
    return mistakes


def _check_log1p_constant(
    treatment: Numeric, layers: tuple[_Layer, ...], at: DocumentPath
) -> list[Mistake]:
    impute = (
        treatment.impute.constant if isinstance(treatment.impute, Constant) else treatment.impute
    )
    if treatment.transform != "log1p" or isinstance(impute, str) or impute > -1:
        return []
    layer = next((layer for layer in layers if layer.value("impute") is not None), None)
    path = (*at, "numeric") if layer is None else (*at, "columns", layer.selector)
    return [Mistake((*path, "impute"), f"log1p needs values above -1, not {impute}")]


def _date_treatment(dates: Dates, type_: ColumnType) -> Dates:
    if type_.kind == "timestamp":
        return dates
    parts = tuple(part for part in dates.parts if part in DAY_PARTS)
    return dates.model_copy(update={"parts": parts})


def _check_parts(
    name: str, defaults: Dates, treatment: Dates, layers: tuple[_Layer, ...], at: DocumentPath
) -> list[Mistake]:
    """Parts that a column of days has not: a default may name them, a selector may not."""
    layer = next((layer for layer in layers if layer.treatment.parts is not None), None)
    if layer is not None and treatment.parts != layer.treatment.parts:
        path = (*at, "columns", layer.selector, "parts")
        return [Mistake(path, f"'{name}' is a date: it has {listed(DAY_PARTS)}")]
    if not treatment.parts:
        found = f"'{name}' is a date and has none of {listed(defaults.parts)}"
        return [Mistake((*at, "date", "parts"), found, f"a date has {listed(DAY_PARTS)}")]
    return []


def _once(mistakes: list[Mistake]) -> list[Mistake]:
    """One mistake a place: a selector that is wrong for fifty columns is one thing to change."""
    by_place: dict[DocumentPath, Mistake] = {}
    for mistake in mistakes:
        by_place.setdefault(mistake.path, mistake)
    return list(by_place.values())
