"""The text of an initial pipeline: every decision on a line of its own, with its reason."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lepton_dask.config.scalars import RefusedScalar, read_scalar
from lepton_dask.data.declared import Date, DeclaredType, Timestamp
from lepton_dask.data.guess_roles import SHARES, TargetGuess, TimeGuess
from lepton_dask.data.labels import Label
from lepton_dask.data.read import Read

COMMENT_COLUMN = 40
"""Where comments start, so that they stand in a line below each other."""

L2, L2_WIDE, L2_PROSE = "1.0e-3", "1.0", "1.0e-5"

TOLERANCE_PROSE = "3.0e-4"
"""Of 77 intents of a bank the accuracy stood still from there on, and the passes doubled."""

LEAST_ROWS_A_COLUMN = 2
"""With fewer rows for each column the penalty has to do the work."""

SHOWN_COUNTS = 5

_PLAIN = re.compile(r"[A-Za-z_./][\w .()/+-]*(?<! )", re.ASCII)
_TRUTH_ELSEWHERE = ("yes", "no", "on", "off", "y", "n")
"""Text here, and to whoever has read YAML 1.1 a truth value."""

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_NAME = re.compile(r"[^\w .-]")


@dataclass(frozen=True)
class Initial:
    """All that was decided of a pipeline.

    `zones` are those of columns that need no type, because every value says its zone; `reasons` are
    by key of the `read` step, and by `types.COLUMN`; `rows` is None where not all of
    the file's rows were looked at; `prose` are texts that are hashed, with the mean number of their
    words.
    """

    name: str
    given: str
    asked: str
    read: Read
    zones: Mapping[str, str]
    reasons: Mapping[str, str]
    rows: int | None
    target: TargetGuess
    time: TimeGuess
    excluded: Mapping[str, str]
    prose: Mapping[str, float]


def pipeline_text(initial: Initial) -> str:
    """YAML with comments."""
    lines = [
        *_heading(initial),
        *_read(initial),
        *_split(initial),
        *_prepare(initial),
        *_model(initial),
    ]
    return "".join(f"{line}\n" for line in lines)


def scalar(value: str | Label) -> str:
    """A value as YAML, also between the braces of a flow mapping; `$` doubled, as references
    start with one."""
    if isinstance(value, bool):
        return str(value).lower()
    return _text(_dollars(value)) if isinstance(value, str) else repr(value)


def mapping_key(name: str) -> str:
    """A key as YAML: no reference is looked for in it."""
    return _text(name)


def _text(text: str) -> str:
    try:
        is_text = read_scalar(text) == text
    except RefusedScalar:
        is_text = False
    is_clear = _PLAIN.fullmatch(text) is not None and text.lower() not in _TRUTH_ELSEWHERE
    return text if is_text and is_clear else json.dumps(text, ensure_ascii=False)


def _heading(initial: Initial) -> Iterator[str]:
    looked_at = "its first rows" if initial.rows is None else f"all {initial.rows:,} rows"
    command = f"lepton init {initial.given} --target {initial.asked}"
    yield f"# Written by `{_one_line(command)}`, from a look at {looked_at}."
    yield "# Every choice is a guess with its reason beside it: change what you know better."
    name = _NAME.sub("_", initial.name)[:100].lstrip(" .-") or "pipeline"
    yield f"name: {scalar(name)}"
    yield "steps:"


def _read(initial: Initial) -> Iterator[str]:
    read, reasons = initial.read, initial.reasons
    assert isinstance(read.missing_values, tuple)
    values = {
        "path": scalar(initial.given),
        "format": read.format,
        "encoding": read.encoding if read.encoding != "utf-8" else None,
        "separator": json.dumps(read.separator) if read.separator != "," else None,
        "header": "false" if not read.header else None,
        "skip_rows": str(read.skip_rows) if read.skip_rows else None,
        "columns": _flow(read.columns) if read.columns else None,
        "missing_values": _flow(read.missing_values) if read.missing_values else None,
    }
    yield "  rows:"
    yield "    read:"
    for key, value in values.items():
        if value is not None:
            yield _noted(f"      {key}: {value}", reasons.get(key))
    yield "      types:"
    for name, type_ in read.types.items():
        yield _noted(f"        {mapping_key(name)}: {_type(type_)}", reasons.get(f"types.{name}"))
    for name, zone in initial.zones.items():
        yield _one_line(f"        # {name}: a moment in {zone}, as it is written")


def _split(initial: Initial) -> Iterator[str]:
    shares = ", ".join(f"{part}: {share}" for part, share in SHARES.items())
    target = initial.target
    yield f"  # {_one_line(initial.time.reason)}"
    if initial.time.column is not None:
        split = f"time: {scalar(initial.time.column)}, {shares}"
    elif target.label is not None and not target.is_one_of_many:
        split = f"{shares}, stratify: {scalar(target.column)}"
    else:
        split = shares
    yield f"  parts: {{split: {{{split}}}}}"


def _prepare(initial: Initial) -> Iterator[str]:
    yield "  features:"
    yield "    prepare:"
    yield from (f"      {line}" for line in _target(initial.target))
    if initial.excluded:
        yield "      exclude:"
    for name, reason in initial.excluded.items():
        yield _noted(f"        - {_selector(name)}", reason)
    if initial.prose:
        yield "      columns:"
    for name, words in initial.prose.items():
        # Where it reads like a regular expression, the selector that finds it is one.
        key = mapping_key(f"^{re.escape(name)}$" if name.startswith("^") else name)
        yield f"        # texts of {words:.1f} words on average, most of them different"
        yield f"        {key}: {{hash: {{words: [1, 2], characters: [2, 4]}}}}"


def _target(target: TargetGuess) -> Iterator[str]:
    if target.label is None:
        yield f"target: {scalar(target.column)}"
        return
    if target.is_one_of_many:
        expression = f"{_sql_name(target.column)} = {_sql_text(str(target.label))}"
        yield f"# one of {len(target.counts):,} labels against the rest: the most frequent one"
        yield f"target: {{expression: {json.dumps(_dollars(expression), ensure_ascii=False)}}}"
        return
    shown = list(target.counts.items())[:SHOWN_COUNTS]
    counts = ", ".join(f"{scalar(label)} {rows:,}" for label, rows in shown)
    if target.is_of_many:
        more = ", ..." if len(target.counts) > len(shown) else ""
        yield f"# one of {len(target.counts):,} labels: {_one_line(counts)}{more}"
        yield f"target: {scalar(target.column)}"
        return
    yield f"# the rarer label is the positive one: {_one_line(counts)}"
    yield f"target: {{column: {scalar(target.column)}, positive: {scalar(target.label)}}}"


def _model(initial: Initial) -> Iterator[str]:
    loss, metrics = "logistic", "roc_auc, log_loss, balanced_accuracy"
    learnt = "two classes"
    if initial.target.label is None:
        loss, metrics, learnt = "squared", "rmse, mae, r2", "a number"
    elif initial.target.is_of_many:
        loss, metrics = "multinomial", "accuracy, f1_macro, log_loss"
        learnt = f"one of {len(initial.target.counts):,} classes"
    columns = len(initial.read.types) - len(initial.excluded) - 1
    is_wide = initial.rows is not None and initial.rows < LEAST_ROWS_A_COLUMN * columns
    l2, why = (
        (L2_WIDE, f"there are few rows for {columns:,} columns, so the penalty is large")
        if is_wide
        else (L2, "the penalty keeps columns that say the same in check")
    )
    if initial.prose:
        l2, why = L2_PROSE, "rows of hashed text have length 1, so a small penalty is enough"
    settled = f", tolerance: {TOLERANCE_PROSE}" if initial.prose else ""
    yield f"  # The target is {learnt}; {why}."
    yield f"  model: {{train: {{loss: {loss}, penalty: {{l2: {l2}}}{settled}}}}}"
    yield f"  scores: {{evaluate: {{metrics: [{metrics}], baselines: [mean]}}}}"


def _type(type_: DeclaredType) -> str:
    match type_:
        case Timestamp():
            return f"{{timestamp: {json.dumps(type_.timestamp)}}}"
        case Date():
            return f"{{date: {json.dumps(type_.date)}}}"
    return type_


def _flow(values: tuple[str, ...]) -> str:
    return f"[{', '.join(scalar(value) for value in values)}]"


def _noted(line: str, note: str | None) -> str:
    return line if note is None else f"{line.ljust(COMMENT_COLUMN)}  # {_one_line(note)}"


def _selector(name: str) -> str:
    """A name that starts like a regular expression has to be one."""
    return scalar(f"^{re.escape(name)}$" if name.startswith("^") else name)


def _sql_name(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _sql_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _dollars(text: str) -> str:
    return text.replace("$", "$$")


def _one_line(text: str) -> str:
    """What a comment can hold."""
    return "".join(c if c.isprintable() else " " for c in text)
