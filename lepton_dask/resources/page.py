"""The page /lepton of a scheduler's dashboard: classes, what they have and use, and the runs.

Travels by value to schedulers that cannot import this package: bokeh is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from lepton_dask.resources.status import ClassStatus, RunStatus, Status

TITLE = "lepton"
PAGE = f"/{TITLE}"
REFRESH_MS = 500
CLASS_COLUMNS = {
    "name": "class",
    "demand": "demand",
    "share": "share",
    "used": "used",
    "running": "running",
    "waiting": "waiting",
    "done": "done",
    "p50": "p50 latency",
    "p99": "p99 latency",
}
RUN_COLUMNS = {
    "name": "run",
    "step": "step",
    "verb": "verb",
    "state": "state",
    "passes": "passes",
    "loss": "loss",
}
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
    line = Div(text=headline(first), sizing_mode="stretch_width")
    classes = ColumnDataSource(class_columns(first["classes"]))
    runs = ColumnDataSource(run_columns(first["runs"]))
    curves = ColumnDataSource(loss_curves(first["runs"]))
    bars = _bars(classes, list(first["classes"]))

    def refresh() -> None:
        now = status()
        names = list(now["classes"])
        if bars.x_range.factors != names:
            bars.x_range.factors = names
        line.text = headline(now)
        classes.data = class_columns(now["classes"])
        runs.data = run_columns(now["runs"])
        curves.data = loss_curves(now["runs"])

    tables = (_table(classes, CLASS_COLUMNS, 150), bars, _table(runs, RUN_COLUMNS, 130))
    doc.add_root(column(line, *tables, _curves(curves), sizing_mode="stretch_width"))
    doc.title = "Dask: priorities"
    doc.template = env.get_template("simple.html")
    doc.template_variables.update(extra)
    doc.theme = BOKEH_THEME
    doc.add_periodic_callback(refresh, REFRESH_MS)


def headline(status: Status) -> str:
    """How priorities are kept, on what, and what is wrong; as HTML."""
    workers = status["workers"]
    behind = sum(not worker["acknowledged"] for worker in workers)
    sentences = [
        "<b>shares are kept</b>"
        if status["mode"] == "shares"
        else f"<b>priorities alone, no shares</b>: {escape(status['reason'] or 'no reason given')}",
        f"workers: {len(workers)}, slots: {status['slots']}",
        f"up {status['uptime_s']:.0f} s, {status['hook_seconds']:.2f} s of them in the plugin",
    ]
    if behind:
        sentences.append(f"not acknowledged by {behind} of them")
    sentences += [
        f"<b>errors in {escape(hook)}: {count}</b>"
        for hook, count in status["faults"].items()
        if count
    ]
    sentences += [
        f"<b>{escape(each['key'])} can never run</b>: "
        f"asks {escape(each['asks'])}, the most is {escape(each['most'])}"
        for each in status["impossible"]
    ]
    return " &middot; ".join(sentences)


def class_columns(classes: dict[str, ClassStatus]) -> Columns:
    found = classes.values()
    return {
        "name": list(classes),
        "demand": [each["demand"] for each in found],
        "share": [round(each["share"], 2) for each in found],
        "used": [round(each["used"], 2) for each in found],
        "running": [each["running"] for each in found],
        "waiting": [each["waiting"] for each in found],
        "done": [each["done"] for each in found],
        "p50": [duration(each["latency_p50_s"]) for each in found],
        "p99": [duration(each["latency_p99_s"]) for each in found],
    }


def run_columns(runs: list[RunStatus]) -> Columns:
    return {
        "name": [run["name"] for run in runs],
        "step": [run["step"] for run in runs],
        "verb": [run["verb"] for run in runs],
        "state": [run["state"] for run in runs],
        "passes": ["" if run["passes"] is None else f"{run['passes']:.4g}" for run in runs],
        "loss": [f"{run['losses'][-1]:.6g}" if run["losses"] else "" for run in runs],
    }


def loss_curves(runs: list[RunStatus]) -> Columns:
    """A line for each run that trains, over its iterations."""
    training = [run for run in runs if run["losses"]]
    return {
        "iterations": [list(range(len(run["losses"]))) for run in training],
        "losses": [run["losses"] for run in training],
        "name": [f"{run['name']}: {run['step']}" for run in training],
        "colour": [CURVE_COLOURS[i % len(CURVE_COLOURS)] for i in range(len(training))],
    }


def duration(seconds: float | None) -> str:
    """`28 ms`, `1.30 s`, or `-`."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _table(source: Any, columns: dict[str, str], height: int) -> Any:
    from bokeh.models import DataTable, TableColumn

    return DataTable(
        source=source,
        columns=[
            TableColumn(field=field, title=title, sortable=False)
            for field, title in columns.items()
        ],
        index_position=None,
        height=height,
        sizing_mode="stretch_width",
    )


def _bars(source: Any, names: list[str]) -> Any:
    """What each class is allocated beside what it uses, in slots."""
    from bokeh.plotting import figure
    from bokeh.transform import dodge

    bars = figure(
        title="slots: allocated and used",
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
            legend_label=field,
        )
    bars.legend.orientation = "horizontal"
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
