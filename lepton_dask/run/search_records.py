"""search.csv and search.svg: what a search tried, for spreadsheets and for eyes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from html import escape

from lepton_dask.learn.metrics import METRICS
from lepton_dask.learn.search.domains import Value, shown
from lepton_dask.run.search_outcome import Searched, TrialResult, point_text

COLUMNS = ("trial", "rung", "passes", "seconds", "metric", "status")
WIDTH, HEIGHT, MARGIN = 640, 360, 56
COLOURS = ("#9ecae1", "#6baed6", "#3182bd", "#08519c", "#08306b")
"""Of the rungs, the lowest first; higher ones share the last."""


def search_table(searched: Searched) -> str:
    """A line for each result in the order of coming, then a column for each searched field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS, *searched.fields))
    for each in searched.results:
        metric = "" if each.value is None else repr(each.value)
        line = (each.trial, each.rung, f"{each.passes:.6g}", f"{each.seconds:.6f}", metric)
        fields = (_written(each.point[name]) for name in searched.fields)
        writer.writerow((*line, each.status, *fields))
    return text.getvalue()


def _written(value: Value) -> str:
    return repr(value) if isinstance(value, float) else shown(value)


def search_plot(searched: Searched) -> str:
    """The metric over the passes that all trials had made, darker on higher rungs, with the best so
    far as a line. Each point tells its trial when it is pointed at."""
    placed = _placed(searched.results)
    values = [each.value for _, each in placed if each.value is not None]
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    most = placed[-1][0] or 1.0

    def x(passes: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * passes / most

    def y(value: float) -> float:
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - low) / span

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f"<title>{escape(searched.step)}: {escape(searched.metric)} by trial</title>",
        _text(
            MARGIN,
            MARGIN / 2,
            f"{searched.step}: best {searched.metric} "
            f"{searched.best.value:.6g} ({point_text(searched.best.point)})",
        ),
        _line(MARGIN, HEIGHT - MARGIN, WIDTH - MARGIN, HEIGHT - MARGIN),
        _line(MARGIN, MARGIN, MARGIN, HEIGHT - MARGIN),
        _text(WIDTH / 2, HEIGHT - MARGIN / 3, "passes of all trials", "middle"),
        _text(MARGIN, HEIGHT - MARGIN * 0.65, "0", "middle"),
        _text(WIDTH - MARGIN, HEIGHT - MARGIN * 0.65, f"{most:.4g}", "middle"),
        _text(MARGIN - 6, y(high), f"{high:.4g}", "end"),
        _text(MARGIN - 6, y(low), f"{low:.4g}", "end"),
    ]
    goal = searched.goal
    bound = None if goal is None else goal.at_least if goal.at_least is not None else goal.at_most
    if bound is not None and low <= bound <= high:
        parts.append(_line(MARGIN, y(bound), WIDTH - MARGIN, y(bound), 'stroke-dasharray="4 3"'))
    best = [f"{x(at):.1f},{y(value):.1f}" for at, value in _best_so_far(placed, searched.metric)]
    parts.append(f'<polyline points="{" ".join(best)}" fill="none" stroke="#d95f02"/>')
    for at, each in placed:
        if each.value is not None:
            colour = COLOURS[min(each.rung, len(COLOURS) - 1)]
            told = (
                f"trial {each.trial}, rung {each.rung}: {each.value:.6g}; {point_text(each.point)}"
            )
            parts.append(
                f'<circle cx="{x(at):.1f}" cy="{y(each.value):.1f}" r="4" fill="{colour}" '
                f'stroke="#333" stroke-width="0.5"><title>{escape(told)}</title></circle>'
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _placed(results: Sequence[TrialResult]) -> list[tuple[float, TrialResult]]:
    """Each result with the passes of all trials when it came."""
    passes: dict[int, float] = {}
    placed = []
    for each in results:
        passes[each.trial] = each.passes
        placed.append((sum(passes.values()), each))
    return placed


def _best_so_far(
    placed: Sequence[tuple[float, TrialResult]], metric: str
) -> list[tuple[float, float]]:
    """Where the best value stood, as the corners of a staircase."""
    corners: list[tuple[float, float]] = []
    for at, each in placed:
        if each.value is None:
            continue
        if not corners or METRICS[metric].better(each.value, corners[-1][1]):
            if corners:
                corners.append((at, corners[-1][1]))
            corners.append((at, each.value))
    return [*corners, (placed[-1][0], corners[-1][1])]


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x: float, y: float, to_x: float, to_y: float, style: str = "") -> str:
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="#888" {style}/>'
    )
