"""A table of tasks that want a part of one resource, as CSV or YAML."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from lepton_dask.component import Component
from lepton_dask.config.compose import compose
from lepton_dask.config.csv_table import read_csv_table
from lepton_dask.config.document import Document, read_text
from lepton_dask.config.explain import build
from lepton_dask.config.mistakes import shown
from lepton_dask.config.nodes import (
    Entry,
    MappingNode,
    ScalarNode,
    SequenceNode,
    Source,
    child,
)
from lepton_dask.config.pipeline import Importance
from lepton_dask.config.scalars import Scalar, read_scalar
from lepton_dask.config.sizes import Amount, parse_size
from lepton_dask.errors import DocumentPath, Mistake, Place, UserError
from lepton_dask.resources.classes import exact
from lepton_dask.resources.serve import Task
from lepton_dask.suggest import counted

YAML_ENDINGS = (".yaml", ".yml")
CSV_ENDINGS = (".csv", ".tsv", ".txt")

MOST_MISTAKES = 100
"""More than these of one table are counted, not told."""


def _name(value: int | str) -> int | str:
    text = str(value)
    if not text.strip():
        raise ValueError("is empty; give the task a name")
    if not text.isprintable():
        raise ValueError("holds a character that cannot be printed; leave it out")
    return value


class TaskRow(Component):
    """A row of the table."""

    task: Annotated[int | str, AfterValidator(_name)]
    priority: Importance
    requirement: Amount


COLUMNS = tuple(TaskRow.model_fields)


@dataclass(frozen=True)
class Total:
    """How much there is: a number of whatever is shared, or the bytes of a size."""

    amount: Fraction
    is_size: bool

    @classmethod
    def parse(cls, text: str) -> Total:
        """`100`, `2.5` or `4GiB`. Raises ValueError for anything else, and for less than 0."""
        value = read_scalar(text.strip())
        try:
            total = cls(_amount(value), isinstance(value, str))
        except ValueError:
            raise ValueError(f"'{text}' is no number or size; write one like 10 or 2GiB") from None
        if total.amount < 0:
            raise ValueError(f"'{text}' is less than 0")
        return total


def read_tasks(path: Path, total: Total) -> list[Task]:
    """The tasks in the file at `path`, in its order.

    A `.csv` with a header (`task,priority,requirement`), or a `.yaml` with a list of mappings of
    these keys. Requirements are numbers where `total` is one, and sizes where it is a size.

    Raises UserError with the mistakes, placed and in the file's order.
    """
    ending = path.suffix.lower()
    if ending not in (*CSV_ENDINGS, *YAML_ENDINGS):
        found = f"'{ending}' is no ending of a table of tasks"
        fix = f"use {', '.join((*CSV_ENDINGS, *YAML_ENDINGS))}"
        raise UserError([Mistake((), found, fix, place=Place(str(path), 1, 1))])
    source = Source(str(path), read_text(path))
    rows, said = _csv(source) if ending in CSV_ENDINGS else _yaml(source)
    wrong: list[Mistake] = []
    tasks = _tasks(rows, total, wrong)
    if said or wrong:
        root = MappingNode({"tasks": Entry(rows.mark, rows)}, rows.mark)
        raise UserError(_shortened(Document(root).placed(said, wrong)))
    return tasks


def _csv(source: Source) -> tuple[SequenceNode, tuple[Mistake, ...]]:
    table = read_csv_table(source, COLUMNS, texts=("task",))
    return table.rows, table.mistakes


def _yaml(source: Source) -> tuple[SequenceNode, tuple[Mistake, ...]]:
    composed = compose(source)
    root = composed.root
    if isinstance(root, SequenceNode):
        return root, composed.mistakes
    is_empty = root is None or (isinstance(root, ScalarNode) and root.value is None)
    found = "the file is empty" if is_empty else "expected a list of tasks at the top"
    fix = "start with '- {task: a, priority: 1, requirement: 10}'"
    mistake = Mistake((), found, fix, place=source.mark_at(0).place)
    raise UserError([*composed.mistakes, mistake])


def _tasks(rows: SequenceNode, total: Total, mistakes: list[Mistake]) -> list[Task]:
    tasks: list[Task] = []
    lines: dict[str, int] = {}
    for i, node in enumerate(rows.items):
        path = ("tasks", i)
        name, requirement = child(node, "task"), child(node, "requirement")
        if isinstance(name, ScalarNode) and name.value is not None:
            line = lines.setdefault(str(name.value), name.mark.line)
            if line != name.mark.line:
                found = f"{shown(str(name.value))} is there twice (first in line {line})"
                fix = "give each task a name of its own"
                mistakes.append(Mistake((*path, "task"), found, fix))
        row = build(TaskRow, node, path, mistakes)
        if row is None:
            continue
        assert isinstance(requirement, ScalarNode)
        if row.requirement and isinstance(requirement.value, str) != total.is_size:
            mistakes.append(_unlike(requirement, total, (*path, "requirement")))
        tasks.append(Task(str(row.task), row.priority, _amount(requirement.value)))
    return tasks


def _unlike(requirement: ScalarNode, total: Total, path: DocumentPath) -> Mistake:
    what, other = ("a number", "a size") if total.is_size else ("a size", "a number")
    found = f"{requirement.written} is {what}, and the total is {other}"
    return Mistake(path, found, "write both alike")


def _amount(value: Scalar) -> Fraction:
    """A number as it is written, or the bytes of a size. Raises ValueError for anything else."""
    if isinstance(value, str):
        return Fraction(parse_size(value))
    if value is None or isinstance(value, bool):
        raise ValueError(f"{value} is no amount")
    return exact(value)


def _shortened(mistakes: list[Mistake]) -> list[Mistake]:
    """A table whose every row is wrong has more mistakes than anybody reads."""
    more = len(mistakes) - MOST_MISTAKES
    if more <= 0:
        return mistakes
    return [*mistakes[:MOST_MISTAKES], Mistake((), f"and {counted(more, 'more mistake')}")]
