"""Plans, runs and scores as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dask.utils import format_bytes
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from lepton_dask.artifacts.redact import Redactor
from lepton_dask.artifacts.run_folder import RunSummary
from lepton_dask.data.labels import label_text
from lepton_dask.plan.planned import Plan
from lepton_dask.run.outcome import Evaluated, RunOutcome

HONEST_FIRST = ("test", "validation", "train", "all")


def make_table(title: str, *headings: str) -> Table:
    """An empty table with a title above it."""
    table = Table(
        title=Text(title, "table.title"), title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    for heading in headings:
        table.add_column(Text(heading), overflow="fold")
    return table


def add_row(table: Table, *cells: str) -> None:
    """A row of plain text: in a string, Rich would take the unit in `Power [kWh]` for markup."""
    table.add_row(*map(Text, cells))


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def steps(plan: Plan, redactor: Redactor) -> Table:
    table = make_table(
        plan.pipeline, "step", "verb", "from", "chunks", "rows", "size", "priority", "why"
    )
    for step in plan.steps:
        add_row(
            table,
            step.name,
            step.verb,
            ", ".join(step.inputs),
            _count(step.chunks),
            _count(step.rows),
            "" if step.bytes is None else format_bytes(step.bytes),
            step.priority_class,
            redactor.text("\n".join(step.why)),
        )
    return table


def columns(plan: Plan, redactor: Redactor) -> Iterator[Table]:
    for step in plan.steps:
        if not step.columns:
            continue
        table = make_table(f"{step.name} ({step.verb})", "column", "type", "treatment", "why")
        for column in step.columns:
            cells = (column.name, column.type, column.treatment, column.reason)
            add_row(table, *map(redactor.text, cells))
        yield table


def scores(outcome: RunOutcome) -> Iterator[Table]:
    """A table for each evaluate step: every metric by part, with the baselines' beside it."""
    for step, evaluated in outcome.metrics.items():
        baselines = evaluated.baselines
        table = make_table(_title(step, evaluated), "part", "rows", "metric", "value", *baselines)
        for part, values in evaluated.scores.items():
            for metric, value in values.items():
                others = [baselines[name].get(part, {}).get(metric) for name in baselines]
                shown = map(_score, (value, *others))
                add_row(table, part, _rows(evaluated, part), metric, *shown)
        yield table
        if evaluated.by:
            yield _by_level(step, evaluated)


def comparisons(outcome: RunOutcome) -> Iterator[Table]:
    """A table for each step that learns from groups: what it and the baselines make of held-out
    groups."""
    for step, compared in outcome.comparisons.items():
        table = make_table(
            f"{step}: held-out groups", "shots", "groups", "model", compared.metric, "95 %"
        )
        for each in compared.rows:
            interval = f"{each.low:.4f} to {each.high:.4f}"
            add_row(
                table, str(each.shots), str(each.groups), each.model, _score(each.value), interval
            )
        yield table


def _by_level(step: str, evaluated: Evaluated) -> Table:
    """The scores of each value of the `by` column, on the most honest part."""
    part = next(part for part in HONEST_FIRST if part in evaluated.by)
    table = make_table(f"{step}: {part}, by level", "level", "rows", "metric", "value")
    for level, found in evaluated.by[part].items():
        rows = _count(_whole(found["rows"]))
        if evaluated.positive is not None:
            positives = _count(_whole(found["positives"]))
            rows = f"{rows} ({positives} are {label_text(evaluated.positive)})"
        for metric, value in found.items():
            if metric not in ("rows", "positives"):
                add_row(table, level, rows, metric, _score(value))
    return table


def _whole(count: float | None) -> int:
    return int(count or 0)


def _rows(evaluated: Evaluated, part: str) -> str:
    """`113`, or with two classes `113 (42 are 0)`: how many are of the positive one."""
    rows = _count(evaluated.rows[part])
    if evaluated.positive is None:
        return rows
    label = label_text(evaluated.positive)
    return f"{rows} ({_count(evaluated.labels[part][label])} are {label})"


def _title(step: str, evaluated: Evaluated) -> str:
    title = f"{step}: model '{evaluated.model}'"
    if evaluated.positive is not None:
        title += f", positive {label_text(evaluated.positive)}"
    if evaluated.threshold is not None:
        title += f", threshold {evaluated.threshold:.4g}"
    return title


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def runs(found: Sequence[RunSummary]) -> Table:
    table = make_table("", "run", "state", "exit", "seconds", "metrics")
    for run in found:
        add_row(
            table,
            run.folder.name,
            run.state,
            str(run.exit_code),
            f"{run.seconds:.1f}",
            "\n".join(_metric_lines(run)),
        )
    return table


def _of_labels(labels: Mapping[str, int]) -> str:
    """` (113 rows, 42 are 0)`, of two labels; the positive one is the last."""
    if len(labels) != 2:
        return ""
    positive = list(labels)[-1]
    return f" ({_count(sum(labels.values()))} rows, {_count(labels[positive])} are {positive})"


def _metric_lines(run: RunSummary) -> Iterator[str]:
    """A line for each evaluation, with the scores of its most honest part."""
    for step, parts in run.metrics.items():
        for part in HONEST_FIRST:
            if part in parts:
                values = parts[part].items()
                shown = "  ".join(
                    f"{name} {value:.4f}" for name, value in values if value is not None
                )
                yield f"{step} {part}{_of_labels(run.labels[step].get(part, {}))}: {shown}"
                break
