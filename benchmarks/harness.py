"""Cases, arms and bars: interleaved repeats, the check of the answers, the table and the JSON.

A benchmark is a function of a `Bench`. It opens its arms, hands them to `Bench.measure` case by
case, and states its bars. No time is printed before the answers of a case were compared.
"""

from __future__ import annotations

import json
import math
import operator
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.machine import describe_machine, versions

REPEATS = 3
RESULTS = Path(__file__).parent / "results"

Value = float | int | str | None
Op = Literal["<=", ">="]
OPS: Mapping[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Run:
    """One run of an arm: its time by its own clock, its answer, and what else is worth a look."""

    seconds: float
    answer: Any = None
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """One way to the answer. `missing` names the package that would be needed and is not there:
    such an arm is told of, and not run."""

    name: str
    run: Callable[[], Run] | None = None
    missing: str | None = None


Agree = Callable[[Mapping[str, Any]], Mapping[str, str | None]]
"""From the answers by arm to what is wrong with each: None where it agrees. An arm left out of the
result has no answer to compare."""


@dataclass(frozen=True)
class Case:
    """Arms whose answers must agree. `warm` runs come first and are not timed: compilers, caches.

    In the table every other arm is compared with the first.
    """

    name: str
    arms: Sequence[Arm]
    agree: Agree
    warm: int = 1


@dataclass(frozen=True)
class Row:
    """What came out of one arm of one case; `agrees` is None where nothing was compared.

    An arm that raised has no times, and what it raised as the value `failed`.
    """

    case: str
    arm: str
    seconds: tuple[float, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict)
    agrees: bool | None = None

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None

    def to_json(self) -> dict[str, object]:
        return {
            "case": self.case,
            "arm": self.arm,
            "seconds": list(self.seconds),
            "values": {key: _finite(value) for key, value in self.values.items()},
            "agrees": self.agrees,
        }


@dataclass(frozen=True)
class Bar:
    """A figure and what it is held against; `value` is None where it could not be measured."""

    id: str
    value: float | None
    op: Op
    bar: float

    @property
    def holds(self) -> bool | None:
        return None if self.value is None else OPS[self.op](self.value, self.bar)

    def to_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "value": _finite(self.value),
            "op": self.op,
            "bar": self.bar,
            "holds": self.holds,
        }


class Measured:
    """The rows of one case."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = {row.arm: row for row in rows}

    def median(self, arm: str) -> float | None:
        """None where the arm is missing, or its answer was another."""
        row = self.rows.get(arm)
        return None if row is None else row.median

    def value(self, arm: str, name: str) -> float | None:
        row = self.rows.get(arm)
        value = None if row is None or row.agrees is False else row.values.get(name)
        return float(value) if isinstance(value, int | float) else None

    def ratio(self, above: str, below: str) -> float | None:
        """median(above) / median(below)."""
        return quotient(self.median(above), self.median(below))


class Bench:
    """One run of one benchmark: collects rows and bars, prints them, writes them down."""

    def __init__(
        self,
        name: str,
        scale: float = 1.0,
        *,
        repeats: int = REPEATS,
        results: Path = RESULTS,
        say: Callable[[str], None] = print,
    ) -> None:
        self.name, self.scale, self.repeats = name, scale, repeats
        self.say = say
        self._results = results
        self._rows: list[Row] = []
        self._bars: list[Bar] = []

    def rows(self, at_scale_1: int, least: int = 1000) -> int:
        """So many rows at this scale."""
        return max(least, round(at_scale_1 * self.scale))

    def measure(self, case: Case, repeats: int | None = None) -> Measured:
        """Runs the arms in turn, compares their answers, then prints their times."""
        rows = measured(case, self.repeats if repeats is None else repeats, self.say)
        self._rows += rows
        if any(row.agrees is False for row in rows):
            self.say(f"{case.name}: the answers do not agree, so no times")
        else:
            self.say(table(case.name, rows))
        return Measured(rows)

    def report(self, title: str, rows: Sequence[Row], bars: Sequence[Bar]) -> None:
        """Takes and prints what was measured elsewhere."""
        self._rows += rows
        self._bars += bars
        self.say(table(title, rows))

    def bar(self, id: str, value: float | None, op: Op, bar: float) -> Bar:  # noqa: A002 - what the file calls it
        """States a figure and its bar."""
        stated = Bar(id, value, op, bar)
        self._bars.append(stated)
        return stated

    def finish(self) -> Path:
        """Prints the bars and writes NAME.json."""
        if self._bars:
            note = (
                ""
                if self.scale == 1.0
                else f" (they are meant for scale 1, this is {self.scale:g})"
            )
            self.say(f"bars{note}")
            for bar in self._bars:
                self.say("  " + bar_line(bar))
        self._results.mkdir(parents=True, exist_ok=True)
        path = self._results / f"{self.name}.json"
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n")
        self.say(f"written to {path}")
        return path

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "scale": self.scale,
            "machine": describe_machine(),
            "versions": versions(),
            "cases": [row.to_json() for row in self._rows],
            "bars": [bar.to_json() for bar in self._bars],
        }


def measured(case: Case, repeats: int, say: Callable[[str], None]) -> list[Row]:
    """Every arm in turn, and that as often as asked: what slows the machine slows all arms.

    Where an answer is wrong in any of the runs, the case has no times at all. An arm that raises is
    told of, and the others go on without it.
    """
    running = {arm.name: arm.run for arm in case.arms if arm.run is not None}
    for arm in case.arms:
        if arm.run is None:
            say(f"{case.name}: {arm.name} is left out: {arm.missing} is not installed")
    runs: dict[str, list[Run]] = {name: [] for name in running}
    compared: set[str] = set()
    failed: dict[str, str] = {}
    for turn in range(case.warm + repeats):
        done = {}
        for name, run in running.items():
            if name in failed:
                continue
            try:
                done[name] = run()
            except Exception as error:
                failed[name] = f"{type(error).__name__}: {error}"
                say(f"{case.name}: {name} failed: {failed[name]}")
        verdicts = _compared(case, done, failed)
        compared |= verdicts.keys()
        wrong = {name: problem for name, problem in verdicts.items() if problem is not None}
        if wrong:
            rows = _disagreeing(case, wrong, compared, say)
            return [_failed(row, failed) for row in rows]
        if turn >= case.warm:
            for name, made in done.items():
                runs[name].append(Run(made.seconds, None, made.values))
    rows = [_row(case, arm.name, runs.get(arm.name, ()), compared) for arm in case.arms]
    return [_failed(row, failed) for row in rows]


def _compared(
    case: Case, done: Mapping[str, Run], failed: Mapping[str, str]
) -> Mapping[str, str | None]:
    """The verdicts; none where the answer that the others are compared with is a failed arm's."""
    try:
        return case.agree({name: run.answer for name, run in done.items()})
    except KeyError as absent:
        if absent.args[0] in failed:
            return {}
        raise


def _failed(row: Row, failed: Mapping[str, str]) -> Row:
    return Row(row.case, row.arm, values={"failed": failed[row.arm]}) if row.arm in failed else row


def _disagreeing(
    case: Case, wrong: Mapping[str, str], compared: set[str], say: Callable[[str], None]
) -> list[Row]:
    for name, problem in wrong.items():
        say(f"{case.name}: {name}: {problem}")
    return [
        Row(case.name, arm.name, agrees=arm.name not in wrong if arm.name in compared else None)
        for arm in case.arms
    ]


def _row(case: Case, arm: str, runs: Sequence[Run], compared: set[str]) -> Row:
    seconds = tuple(run.seconds for run in runs)
    values = _medians([run.values for run in runs])
    return Row(case.name, arm, seconds, values, True if runs and arm in compared else None)


def _medians(values: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    """One value for each name: the runs' median of a number, the last of anything else."""
    result: dict[str, Value] = {}
    for name in dict.fromkeys(name for each in values for name in each):
        found = [each[name] for each in values if each.get(name) is not None]
        numbers = [value for value in found if isinstance(value, int | float)]
        if found and len(numbers) == len(found):
            result[name] = statistics.median(numbers)
        else:
            result[name] = found[-1] if found else None
    return result


def table(title: str, rows: Sequence[Row]) -> str:
    """The rows of a case for people: median, range, the ratio to the first arm, the values."""
    lines = [title, f"  {'arm':<34}{'median s':>10}{'from':>9}{'to':>9}{'x first':>9}  values"]
    first = next((row.median for row in rows), None)
    for row in rows:
        if row.median is None:
            lines.append(f"  {row.arm:<34}{'-':>10}")
            continue
        ratio = quotient(row.median, first)
        told = "-" if ratio is None else f"{ratio:.2f}"
        values = ", ".join(f"{name} {shown(value)}" for name, value in row.values.items())
        agreed = "" if row.agrees else "  (no answer to compare)"
        lines.append(
            f"  {row.arm:<34}{row.median:>10.4g}{min(row.seconds):>9.3g}{max(row.seconds):>9.3g}"
            f"{told:>9}  {values}{agreed}"
        )
    return "\n".join(lines)


def bar_line(bar: Bar) -> str:
    if bar.holds is None:
        return f"{bar.id}: not measured ({bar.op} {bar.bar:g})"
    verdict = "holds" if bar.holds else "does NOT hold"
    return f"{bar.id}: {shown(bar.value)} {bar.op} {bar.bar:g}: {verdict}"


def shown(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def quotient(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _finite(value: Value) -> Value:
    """JSON knows no infinities: such a value is told as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
