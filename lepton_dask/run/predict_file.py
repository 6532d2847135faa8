"""`lepton predict`: files of any size scored chunk by chunk, one row out for each row in."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from distributed import Future

from lepton_dask.artifacts.bundle import load
from lepton_dask.artifacts.frames import ReadFrame
from lepton_dask.artifacts.predictor import Model
from lepton_dask.artifacts.replay import Tables
from lepton_dask.artifacts.scored import REASON, append_scores
from lepton_dask.artifacts.tablefile import TableWriter, check_format
from lepton_dask.cluster import Session, connect
from lepton_dask.config.load import load_config
from lepton_dask.data.arrow import to_columns
from lepton_dask.data.chunks import Chunk
from lepton_dask.data.lenient import LenientChunk, parse_leniently
from lepton_dask.data.reading import needs_scan, plan_chunks, scan_chunk, settle_bounds
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.run.given_tables import check_given, tables_for
from lepton_dask.run.model_input import ModelInput, model_inputs
from lepton_dask.run.preflight import Wants, add_folders, check_cluster
from lepton_dask.run.stop import stop_on_signals

IN_FLIGHT_A_THREAD = 2
"""Chunks that are being scored or waiting to be written, for each worker thread: what bounds the
memory here, whatever the file's size."""


@dataclass(frozen=True)
class Predicted:
    """What was written. `reasons` count the rows without a prediction."""

    rows: int
    reasons: Mapping[str, int]

    @property
    def unscored(self) -> int:
        return sum(self.reasons.values())


def predict_file(
    model: Path,
    path: str,
    output: Path,
    *,
    tables: Mapping[str, str] | None = None,
    on: Path | None = None,
    scheduler: str | None = None,
    progressed: Callable[[int], None] = lambda _: None,
) -> Predicted:
    """Scores the rows of the files at `path` into the file `output`, in order.

    Every row has its input columns (those that the model does not read as they were written), then
    `prediction`, `probability_<class>` and `reason`. `path` may have captures, as that of a `read`;
    without, they are taken from a base name like those that the model was trained on. `tables` are
    files of the tables that the model joins and that do not travel in it. `progressed` hears how
    many rows are written.

    Raises UserError for a missing column, capture or table, files of different columns or an output
    of unknown format; a row that cannot be read or scored is no error.
    """
    check_format(output)
    loaded = load(model)
    check_given(loaded, tables or {})
    inputs = model_inputs(loaded, path)
    config = load_config(on)
    with stop_on_signals() as stop, connect(config, scheduler=scheduler) as session:

        def check() -> None:
            stop.check()
            session.check()

        paths = [*(each.file.path for each in inputs), *(tables or {}).values()]
        local = {str(Path(path).absolute()) for path in paths if Path(path).exists()}
        wants = Wants(dict.fromkeys(sorted(local), ("path",)), {}, {})
        check_cluster(session.client, wants, [str(Path.cwd())])
        dispatch = Dispatch(session.client, label="predict", check=check)
        beside = tables_for(dispatch, loaded, tables or {})
        return _written(_scored(dispatch, session, loaded, beside, inputs), output, progressed)


def _written(
    tables: Iterable[pa.Table], output: Path, progressed: Callable[[int], None]
) -> Predicted:
    rows, reasons = 0, Counter[str]()
    with TableWriter(output) as writer:
        for table in tables:
            writer.write(table)
            rows += table.num_rows
            reasons.update(reason for reason in table[REASON].to_pylist() if reason is not None)
            progressed(rows)
    return Predicted(rows, dict(reasons.most_common()))


class _Scoring(NamedTuple):
    """A chunk on its way. What its table is made from is held until it is there."""

    table: Future
    held: tuple[Future, ...]


def _scored(
    dispatch: Dispatch, session: Session, model: Model, tables: Tables, inputs: Sequence[ModelInput]
) -> Iterator[pa.Table]:
    """The scored chunks in order, a bounded number of them on their way at a time."""
    waiting: deque[_Scoring] = deque()
    # As a task of its own each worker gets them once, not with every chunk.
    beside = dispatch.submit("tables", dict, tables)
    model = replace(model, tables=())
    most = IN_FLIGHT_A_THREAD * max(1, sum(session.client.nthreads().values()))
    for each in inputs:
        for chunk in _chunks(dispatch, each):
            parsed = dispatch.submit("parse", parse_leniently, each.read, chunk, each.schema)
            scored = dispatch.submit("score", _score_chunk, parsed, model, beside)
            table = dispatch.submit("table", itemgetter(0), scored)
            waiting.append(_Scoring(table, (parsed, scored, beside)))
            if model.looks_back:
                beside = dispatch.submit("tables", itemgetter(1), scored)
            if len(waiting) >= most:
                yield _next(dispatch, waiting)
    while waiting:
        yield _next(dispatch, waiting)


def _next(dispatch: Dispatch, waiting: deque[_Scoring]) -> pa.Table:
    scoring = waiting.popleft()
    [table] = dispatch.gather([scoring.table])
    return table


def _chunks(dispatch: Dispatch, each: ModelInput) -> Sequence[Chunk]:
    chunks = plan_chunks(each.read, each.file)
    if not needs_scan(chunks):
        return chunks
    scans = dispatch.starmap("scan", scan_chunk, [(each.read, chunk) for chunk in chunks])
    return settle_bounds(each.read, chunks, dispatch.gather(scans))


def _score_chunk(parsed: LenientChunk, model: Model, tables: Tables) -> tuple[pa.Table, Tables]:
    """The chunk's rows with their predictions, and the tables for the chunk behind it."""
    add_folders([str(Path.cwd())])
    problems = {row: why for row, why in enumerate(parsed.reasons) if why is not None}
    needed = [column.name for column in model.inputs]
    kinds = {column.name: column.kind for column in model.inputs}
    columns = to_columns(parsed.table, needed)
    given = ReadFrame(columns, kinds, problems, parsed.table.num_rows)
    frame, behind = model.replayed(given, tables)
    return append_scores(parsed.table, model.score_rows(frame), model), behind
