"""Which column is what: target, weight, id, excluded, or a feature."""

from __future__ import annotations

from typing import Literal

from lepton_dask.data.labels import Label, label_text
from lepton_dask.data.prepare import Prepare, Target
from lepton_dask.data.selectors import is_expression, select, unknown_column
from lepton_dask.data.target import TargetColumn
from lepton_dask.data.types import ColumnType, Kind
from lepton_dask.errors import DocumentPath, Mistake

Role = Literal["feature", "target", "weight", "id", "excluded"]
Task = Literal["classification", "many_classes", "regression"]
"""What a target is learnt as: one of two classes, one of any number of them, or a number."""

NUMERIC_KINDS: tuple[Kind, ...] = ("number", "integer", "boolean")


def target_name(prepare: Prepare) -> str | int | None:
    """The target as the pipeline names it: a name or a position; None for an expression."""
    return prepare.target.column if isinstance(prepare.target, Target) else prepare.target


def positive_label(prepare: Prepare) -> Label | None:
    return prepare.target.positive if isinstance(prepare.target, Target) else None


def resolve_roles(
    prepare: Prepare, names: tuple[str, ...], at: DocumentPath, made: TargetColumn | None = None
) -> tuple[dict[str, Role], list[Mistake]]:
    """The columns of `names` that are no features, with their roles.

    `made` is the column that the target's expression makes: what it reads is excluded, unless it
    has another role.
    """
    roles: dict[str, Role] = {} if made is None else {made.name: "target"}
    mistakes: list[Mistake] = []

    def assign(role: Role, column: str, path: DocumentPath) -> None:
        if column not in names:
            mistakes.append(unknown_column(column, names, path))
        elif roles.setdefault(column, role) != role:
            mistakes.append(Mistake(path, f"'{column}' is the {roles[column]} already"))

    target, found = _resolve_target(prepare, names, at)
    mistakes += found
    if target is not None:
        assign("target", target, _target_path(prepare, at))
    if prepare.weight is not None:
        assign("weight", prepare.weight, (*at, "weight"))
    if isinstance(prepare.id, str):
        assign("id", prepare.id, (*at, "id"))
    else:
        for i, column in enumerate(prepare.id):
            assign("id", column, (*at, "id", i))
    for i, selector in enumerate(prepare.exclude):
        path = (*at, "exclude", i)
        excluded, found = select(selector, names, path)
        mistakes += found
        for column in excluded:
            # An expression may well sweep over the target or an id; a name means what it says.
            if not is_expression(selector) or column not in roles:
                assign("excluded", column, path)
    for column in made.checked.reads if made is not None else ():
        roles.setdefault(column, "excluded")
    return roles, mistakes


def _target_path(prepare: Prepare, at: DocumentPath) -> DocumentPath:
    if not isinstance(prepare.target, Target):
        return (*at, "target")
    return (*at, "target", "column" if prepare.target.expression is None else "expression")


def _resolve_target(
    prepare: Prepare, names: tuple[str, ...], at: DocumentPath
) -> tuple[str | None, list[Mistake]]:
    if isinstance(prepare.target, Target):
        if prepare.target.expression is not None:
            return None, []
        if prepare.target.column is None:
            fix = "say column: NAME, or expression: EXPRESSION"
            return None, [Mistake((*at, "target"), "names no column", fix)]
    name = target_name(prepare)
    if not isinstance(name, int):
        return name, []
    if -len(names) <= name < len(names):
        return names[name], []
    found = f"no column at position {name}"
    return None, [Mistake(_target_path(prepare, at), found, f"there are {len(names)} columns")]


def check_target(
    prepare: Prepare, name: str, type_: ColumnType, at: DocumentPath, task: Task | None
) -> list[Mistake]:
    """What the target's type alone shows to be wrong."""
    path = _target_path(prepare, at)
    positive = positive_label(prepare)
    positive_path = (*at, "target", "positive")
    if type_.kind in ("date", "timestamp"):
        return [Mistake(path, f"'{name}' is a {type_.kind}, which cannot be a target")]
    if task == "regression":
        mistakes = []
        if type_.kind not in NUMERIC_KINDS:
            found = f"'{name}' is {type_.kind}, and the loss needs a number"
            fix = "use loss: logistic for two labels, loss: multinomial for more"
            mistakes.append(Mistake(path, found, fix))
        if positive is not None:
            mistakes.append(
                Mistake(positive_path, "the loss has no classes", "leave 'positive' out")
            )
        return mistakes
    if task == "many_classes" and positive is not None:
        found = "the multinomial loss learns every class, and none is the positive one"
        fix = "leave 'positive' out, or use loss: logistic for two labels"
        return [Mistake(positive_path, found, fix)]
    if positive is not None and not _is_of_kind(positive, type_.kind):
        shown = f"{positive!r}" if isinstance(positive, str) else label_text(positive)
        fix = f'write "{shown}" in quotes' if type_.kind == "text" else f"'{name}' is {type_.kind}"
        return [Mistake(positive_path, f"{shown} is not a value of a {type_.kind} column", fix)]
    return []


def _is_of_kind(label: Label, kind: Kind) -> bool:
    match kind:
        case "text":
            return isinstance(label, str)
        case "boolean":
            return isinstance(label, bool)
        case _:
            return isinstance(label, int | float) and not isinstance(label, bool)
