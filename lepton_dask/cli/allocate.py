"""`lepton allocate`: who of a table of tasks gets what, and who waits."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from lepton_dask.cli.output import failing_in_json, print_json, stdout_console
from lepton_dask.cli.tables import add_row, make_table
from lepton_dask.resources.classes import classify
from lepton_dask.suggest import counted

if TYPE_CHECKING:
    from lepton_dask.config.tasks import Total
    from lepton_dask.resources.serve import Decision

COLUMNS = ("task", "priority", "class", "requirement", "share", "allocated", "why")


class Format(StrEnum):
    text = "text"
    json = "json"
    csv = "csv"
    article = "article"


def _checked_total(text: str) -> str:
    """`--total`, told as wrong usage if it is no amount."""
    from lepton_dask.config.tasks import Total

    try:
        Total.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return text


def allocate(
    tasks: Annotated[
        Path,
        typer.Argument(
            metavar="TASKS", help="The table, CSV or YAML: columns task, priority, requirement."
        ),
    ],
    total: Annotated[
        str,
        typer.Option(
            metavar="AMOUNT",
            help="How much there is: a number, or a size such as 4GiB.",
            callback=_checked_total,
        ),
    ],
    format_: Annotated[
        Format,
        typer.Option(
            "--format", metavar="FORMAT", help="text, json, csv or article.", show_default=False
        ),
    ] = Format.text,
) -> None:
    """Share a total among tasks by priority.

    Says who gets what and why, and who waits. Priorities are 1 to 9, or low (2), normal (5), high
    (7) and critical (9). The highest goes first, and equal ones as the table has them. A task is
    served whole or waits; one that does not fit stops none behind it. `share` is what a task would
    get if it could be served in part: in proportion to priority times requirement, and no more than
    it requires.
    """
    from lepton_dask.config.tasks import Total, read_tasks
    from lepton_dask.resources.serve import serve

    available = Total.parse(total)
    with failing_in_json() if format_ is Format.json else nullcontext():
        rows = read_tasks(tasks, available)
    if not rows:
        print(f"warning: {tasks} has no tasks", file=sys.stderr)
    decisions = serve(rows, available.amount)
    _PRINT[format_](tasks, available, decisions)


def _print_text(file: Path, total: Total, decisions: Sequence[Decision]) -> None:
    def text(amount: Fraction) -> str:
        return _amount_text(amount, total.is_size)

    given = sum((each.allocated for each in decisions), Fraction())
    waiting = sum(not each.is_served for each in decisions)
    table = make_table(
        f"{file}: {text(given)} of {text(total.amount)} allocated, "
        f"{counted(waiting, 'task waits', 'tasks wait')}",
        *COLUMNS,
    )
    for each in decisions:
        _add(table, each, total, text)
    stdout_console().print(table)


def _add(table: Table, each: Decision, total: Total, text: Callable[[Fraction], str]) -> None:
    task = each.task
    add_row(
        table,
        task.name,
        str(task.priority),
        classify(task.priority).name,
        text(task.requirement),
        text(each.share),
        text(each.allocated) if each.is_served else "waits",
        _why(each, total),
    )


def _why(each: Decision, total: Total) -> str:
    def text(amount: Fraction) -> str:
        return _amount_text(amount, total.is_size)

    if each.task.requirement > total.amount:
        return f"needs more than the total of {text(total.amount)}: it can never be served"
    verdict = "fits into" if each.is_served else "does not fit into"
    return f"turn {each.turn}: {verdict} the {text(each.free)} left"


def _amount_text(amount: Fraction, is_size: bool) -> str:
    from dask.utils import format_bytes

    if is_size:
        return str(format_bytes(round(amount)))
    return str(amount) if amount.denominator == 1 else f"{float(amount):.6g}"


def _number(amount: Fraction) -> int | float:
    return int(amount) if amount.denominator == 1 else float(amount)


def _print_json(_: Path, total: Total, decisions: Sequence[Decision]) -> None:
    given = sum((each.allocated for each in decisions), Fraction())
    print_json(
        {
            "total": _number(total.amount),
            "allocated": _number(given),
            "free": _number(total.amount - given),
            "tasks": [
                dict(zip(COLUMNS, _values(each, total), strict=True)) | {"served": each.is_served}
                for each in decisions
            ],
        }
    )


def _print_csv(_: Path, total: Total, decisions: Sequence[Decision]) -> None:
    writer = csv.writer(sys.stdout, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_values(each, total) for each in decisions)


def _values(each: Decision, total: Total) -> tuple[str | int | float, ...]:
    """A value for each of COLUMNS."""
    task = each.task
    amounts = (_number(x) for x in (task.requirement, each.share, each.allocated))
    return (task.name, task.priority, classify(task.priority).name, *amounts, _why(each, total))


def _print_article(_: Path, total: Total, decisions: Sequence[Decision]) -> None:
    """What the article's program prints: tasks in the table's order, counted from 0."""
    for i, each in enumerate(decisions):
        if each.is_served:
            amount = _amount_text(each.allocated, total.is_size)
            print(f"Task {i} allocated with {amount} resources.")
        else:
            print(f"Not enough resources for task {i}.")


_PRINT: dict[Format, Callable[[Path, Total, Sequence[Decision]], None]] = {
    Format.text: _print_text,
    Format.json: _print_json,
    Format.csv: _print_csv,
    Format.article: _print_article,
}
