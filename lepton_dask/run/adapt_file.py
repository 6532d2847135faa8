"""`lepton adapt`: a new group's model, from one that was learnt from others and its few rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lepton_dask.artifacts.bundle import load, save_bundle
from lepton_dask.artifacts.frames import ReadFrame
from lepton_dask.artifacts.predictor import Model
from lepton_dask.artifacts.replay import Tables
from lepton_dask.artifacts.stored_prior import StoredPrior
from lepton_dask.cluster import connect
from lepton_dask.config.load import load_config
from lepton_dask.data.arrow import to_columns
from lepton_dask.data.columns import concatenated
from lepton_dask.data.lenient import LenientChunk, parse_leniently
from lepton_dask.data.reading import needs_scan, plan_chunks, scan_chunk, settle_bounds
from lepton_dask.errors import Mistake, UserError
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.meta.adapting import adapt_rows, check_one_group, prior_of
from lepton_dask.run.given_tables import check_given, tables_for
from lepton_dask.run.model_input import ModelInput, model_inputs
from lepton_dask.run.stop import stop_on_signals


@dataclass(frozen=True)
class AdaptedFile:
    """How many rows there were, how many could not be read, and which algorithm adapted."""

    rows: int
    unreadable: int
    algorithm: str


def adapt_file(
    model: Path,
    path: str,
    output: Path,
    *,
    tables: Mapping[str, str] | None = None,
    on: Path | None = None,
) -> AdaptedFile:
    """Writes the bundle `output` for the group whose rows, with their target, are in the files at
    `path`. No cluster is started, unless `tables` have to be read.

    Raises UserError for a model that was not learnt from groups, for missing columns, rows of
    several groups, rows none of which can be learnt from, and an `output` that is there already.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        found = f"the output folder {output} is not empty"
        raise UserError([Mistake((), found, "name one that is new")])
    loaded = load(model)
    prior = prior_of(loaded)
    check_given(loaded, tables or {})
    learning = replace(loaded, inputs=prior.inputs, replay=prior.replay)
    given = _read(learning, prior, model_inputs(learning, path))
    beside = _tables(loaded, tables, on) if tables else loaded.read_tables()
    save_bundle(output, adapt_rows(loaded, given, beside))
    return AdaptedFile(given.rows, len(given.problems), prior.algorithm)


def _read(model: Model, prior: StoredPrior, inputs: Sequence[ModelInput]) -> ReadFrame:
    """All rows of the files, as the model's inputs. Raises UserError for those of several groups,
    where the files say so."""
    tables = [table for each in inputs for table in _tables_of(each)]
    texts = {
        text
        for table in tables
        if prior.group in table.table.column_names
        for text in table.table[prior.group].unique().to_pylist()
    }
    check_one_group(prior, texts)
    frames = [_frame(model, table) for table in tables]
    problems: dict[int, str] = {}
    rows = 0
    for frame in frames:
        problems |= {rows + row: why for row, why in frame.problems.items()}
        rows += frame.rows
    columns = {
        column.name: concatenated([frame.columns[column.name] for frame in frames])
        for column in model.inputs
    }
    return ReadFrame(columns, frames[0].kinds, problems, rows)


def _tables_of(each: ModelInput) -> list[LenientChunk]:
    chunks = plan_chunks(each.read, each.file)
    if needs_scan(chunks):
        scans = [scan_chunk(each.read, chunk) for chunk in chunks]
        chunks = settle_bounds(each.read, chunks, scans)
    return [parse_leniently(each.read, chunk, each.schema) for chunk in chunks]


def _frame(model: Model, parsed: LenientChunk) -> ReadFrame:
    kinds = {column.name: column.kind for column in model.inputs}
    problems = {row: why for row, why in enumerate(parsed.reasons) if why is not None}
    columns = to_columns(parsed.table, list(kinds))
    return ReadFrame(columns, kinds, problems, parsed.table.num_rows)


def _tables(model: Model, given: Mapping[str, str], on: Path | None) -> Tables:
    with stop_on_signals() as stop, connect(load_config(on)) as session:

        def check() -> None:
            stop.check()
            session.check()

        return tables_for(Dispatch(session.client, label="adapt", check=check), model, given)
