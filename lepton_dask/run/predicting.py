"""Running a `predict` and a `write`."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat
from pathlib import Path

import pyarrow as pa

from lepton_dask.artifacts.predictor import Model
from lepton_dask.artifacts.scored import append_scores, scored_schema
from lepton_dask.artifacts.tablefile import TableWriter
from lepton_dask.data.arrow import to_columns
from lepton_dask.data.tables import Partition
from lepton_dask.data.write import Predict, Write
from lepton_dask.errors import Mistake, UserError
from lepton_dask.run.values import AnyModelValue, PartName, PartTable, TableValue
from lepton_dask.run.work import Work


def predict_part(work: Work, predict: Predict, value: AnyModelValue) -> TableValue:
    """The rows of one part with the model's predictions behind their columns."""
    table = value.features.table
    name: PartName = "all" if "all" in table.parts else predict.part
    if name not in table.parts:
        at = (*work.at, "part")
        raise UserError([Mistake(at, f"there is no part '{name}': no row falls into it")])
    part = table.parts[name]
    # The rows are joined already.
    model = replace(value.model, tables=())
    frames = work.map("predict", _predict, part.partitions, repeat(model))
    work.settle(frames, "chunks predicted")
    schema = scored_schema(table.schema, value.model)
    predicted = PartTable(tuple(frames), part.files, part.rows, schema)
    return TableValue({"all": predicted}, schema, table.origin)


def _predict(rows: Partition, model: Model) -> Partition:
    table, row_numbers = rows.plain()
    scores = model.score_columns(to_columns(rows.table))
    return Partition(append_scores(table, scores, model), row_numbers)


def write_table(work: Work, write: Write, table: TableValue, folder: Path) -> Path:
    """The table's rows, part by part and chunk by chunk, in a file of the run folder."""
    path = folder / write.path
    path.parent.mkdir(parents=True, exist_ok=True)
    chunks = [chunk for part in table.parts.values() for chunk in part.partitions]
    with TableWriter(path) as writer:
        for chunk in chunks:
            [arrow] = work.gather(work.map("fetch", _arrow, [chunk]))
            writer.write(arrow)
    return path


def _arrow(rows: Partition) -> pa.Table:
    return rows.plain()[0]
