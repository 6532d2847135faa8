"""The page /lepton of a scheduler's dashboard: classes, what they have and use, and the runs.

Travels by value to schedulers that cannot import this package: bokeh is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import starmap
from typing import Any

from lepton_dask.resources.figures import (
    CLASS_HEADINGS,
    RUN_HEADINGS,
    class_cells,
    run_cells,
    sentences,
)
from lepton_dask.resources.status import ClassStatus, RunStatus, Status

TITLE = "lepton"
PAGE = f"/{TITLE}"
REFRESH_MS = 500
TABLE_STYLE = "width: 100%; border-collapse: collapse; text-align: left"
CELL_STYLE = "padding: 0.3em 0.6em; border-bottom: 1px solid #ddd"
SHARE_COLOUR, USED_COLOUR = "#9ecae1", "#3182bd"
CURVE_COLOURS = ("#e6550d", "#31a354", "#756bb1", "#3182bd", "#636363")

Columns = dict[str, list[Any]]
"""A Bokeh data source: columns of equal length."""


def show(status: Callable[[], Status], extra: dict[str, Any], doc: Any) -> None:
    """Fills a Bokeh document that asks for the status every half second."""
    from bokeh.layouts import column
    from bokeh.models import ColumnDataSource, Div
    from distributed.dashboard.components.scheduler import BOKEH_THEME, env

    first = status()
    names = list(first["classes"])
    line, classes, runs = (Div(sizing_mode="stretch_width") for _ in range(3))
    slots = ColumnDataSource(class_slots(first["classes"]))
    curves = ColumnDataSource(loss_curves(first["runs"]))

    def fill(now: Status) -> None:
        line.text = " &middot; ".join(map(escape, sentences(now)))
        classes.text = table(CLASS_HEADINGS, starmap(class_cells, now["classes"].items()))
        runs.text = table(RUN_HEADINGS, map(run_cells, now["runs"]))
        slots.data = class_slots(now["classes"])
        curves.data = loss_curves(now["runs"])

    fill(first)
    parts = (line, classes, _bars(slots, names), runs, _curves(curves))
    doc.add_root(column(*parts, sizing_mode="stretch_width"))
    doc.title = "Dask: priorities"
    doc.template = env.get_template("simple.html")
    doc.template_variables.update(extra)
    doc.theme = BOKEH_THEME
    doc.add_periodic_callback(lambda: fill(status()), REFRESH_MS)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells of plain text as an HTML table. Bokeh's own keeps the numbers that it first had."""
    cells = [headings, *rows]
    kinds = ["th", *["td"] * (len(cells) - 1)]
    lines = [
        "".join(f'<{kind} style="{CELL_STYLE}">{escape(text)}</{kind}>' for text in row)
        for kind, row in zip(kinds, cells, strict=True)
    ]
    return f'<table style="{TABLE_STYLE}"><tr>{"</tr><tr>".join(lines)}</tr></table>'


def class_slots(classes: dict[str, ClassStatus]) -> Columns:
    return {
        "name": list(classes),
        "share": [found["share"] for found in classes.values()],
        "used": [found["used"] for found in classes.values()],
    }


def loss_curves(runs: list[RunStatus]) -> Columns:
    """A line for each run that trains, over its iterations."""
    training = [run for run in runs if run["losses"]]
    return {
        "iterations": [list(range(len(run["losses"]))) for run in training],
        "losses": [list(run["losses"]) for run in training],
        "name": [f"{run['name']}: {run['step']}" for run in training],
        "colour": [CURVE_COLOURS[i % len(CURVE_COLOURS)] for i in range(len(training))],
    }


def _bars(source: Any, names: list[str]) -> Any:
    """What each class is allocated beside what it uses, in slots."""
    from bokeh.plotting import figure
    from bokeh.transform import dodge

    bars = figure(
        x_range=names,
        height=200,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
    )
    bars.y_range.start = 0
    for field, colour, aside in (("share", SHARE_COLOUR, -0.17), ("used", USED_COLOUR, 0.17)):
        bars.vbar(
            x=dodge("name", aside, range=bars.x_range),
            top=field,
            width=0.3,
            source=source,
            color=colour,
            legend_label=f"slots, {field}",
        )
    bars.legend.orientation = "horizontal"
    bars.add_layout(bars.legend[0], "above")
    return bars


def _curves(source: Any) -> Any:
    from bokeh.models import NumeralTickFormatter
    from bokeh.plotting import figure

    curves = figure(
        title="loss of the runs in progress",
        height=220,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label="iteration",
    )
    curves.multi_line(
        xs="iterations",
        ys="losses",
        color="colour",
        line_width=2,
        legend_field="name",
        source=source,
    )
    curves.yaxis.formatter = NumeralTickFormatter(format="0.[0000]a")
    return curves
