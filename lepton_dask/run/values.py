"""What steps hand to each other while a pipeline runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from distributed import Future

from lepton_dask.artifacts.frames import InputColumn
from lepton_dask.artifacts.predictor import Model
from lepton_dask.artifacts.replay import ReplayStep
from lepton_dask.artifacts.side_table import SideTable
from lepton_dask.data.arrow import to_columns
from lepton_dask.data.arrow_types import declared_format
from lepton_dask.data.content import SourceFile
from lepton_dask.data.prepared import Prepared
from lepton_dask.data.read import Read
from lepton_dask.data.tables import Partition
from lepton_dask.data.types import Schema
from lepton_dask.learn.descent import Descent
from lepton_dask.learn.dispatch import Dispatch
from lepton_dask.learn.inference import Estimate
from lepton_dask.learn.linear_model import LinearModel
from lepton_dask.learn.meta.fit import Fitted
from lepton_dask.learn.meta.meta_train import MetaTrain
from lepton_dask.learn.sweeps import Predictions, Shards, Sweeps
from lepton_dask.learn.tallies import Predicted
from lepton_dask.learn.train import Train
from lepton_dask.parts import Part

PartName = Part | Literal["all"]
"""A part, or the one that a table is while nothing has split it."""


@dataclass(frozen=True)
class PartTable:
    """The rows of one part, on the workers.

    A partition is a chunk, a `Partition`: rows of one file in their order. `rows` counts each
    partition's. `profiles` are those that were begun while the table was read, by the partition's
    key: what a step makes of a partition has another. `merged` are profiles of several partitions,
    by the keys of the profiles that they are made of.
    """

    partitions: tuple[Future, ...]
    files: tuple[SourceFile, ...]
    rows: tuple[int, ...]
    schema: Schema
    profiles: Mapping[str, Future] = field(default_factory=dict)
    merged: Mapping[tuple[str, ...], Future] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """Where a table's rows come from: the `read` and its frozen types, and what happened to its
    columns since. A model plays it again on the rows that it is to predict, and looks into the
    `tables` for it.

    `captures` are the columns that came out of the files' paths, `patterns` the base names with
    captures that a model may show.
    """

    read: Read
    schema: Schema
    replay: tuple[ReplayStep, ...] = ()
    tables: tuple[SideTable, ...] = ()
    captures: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[InputColumn, ...]:
        """What the `read` yielded, in order, as a model has to know it."""
        types = self.read.types
        return tuple(
            InputColumn(name, type_.kind, type_.zone, declared_format(types.get(name)))
            for name, type_ in self.schema.items()
        )

    @property
    def read_node(self) -> dict[str, object]:
        """The `read` as JSON, for reading other files. The path stays out of it: it may hold a
        secret, and says nothing about other files but what their names capture."""
        return self.read.model_dump(mode="json", by_alias=True, exclude={"path", "rows"})

    def then(self, *steps: ReplayStep, tables: tuple[SideTable, ...] = ()) -> Origin:
        return replace(self, replay=(*self.replay, *steps), tables=(*self.tables, *tables))


@dataclass(frozen=True)
class TableValue:
    """A table, in one part or in several."""

    parts: Mapping[PartName, PartTable]
    schema: Schema
    origin: Origin

    @property
    def rows(self) -> int:
        return sum(sum(part.rows) for part in self.parts.values())

    def training(self) -> PartName:
        """The part that things are fitted on: train, or all rows where nothing is called that."""
        return "train" if "train" in self.parts else next(iter(self.parts))

    def without_rows(self) -> TableValue:
        """What is known of the table, its rows let go."""
        parts = {
            name: replace(part, partitions=(), profiles={}, merged={})
            for name, part in self.parts.items()
        }
        return replace(self, parts=parts)

    def one_part(self, name: PartName) -> TableValue:
        """One part as a table that is not in parts."""
        return replace(self, parts={"all": self.parts[name]})


@dataclass(frozen=True)
class FeaturesValue:
    """A prepared table: a design matrix for each part, in shards, and the rows it was made from,
    where a step behind looks at them. `missing` is the share of the columns' values that were."""

    table: TableValue
    prepared: Prepared
    shards: Mapping[PartName, Shards]
    missing: float = 0.0

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.shards.values())

    def one_part(self, name: PartName) -> FeaturesValue:
        """One part of the rows, prepared as all of them are."""
        return replace(self, table=self.table.one_part(name), shards={"all": self.shards[name]})


@dataclass(frozen=True)
class ModelValue:
    """A trained model with what it was trained on."""

    step: str
    train: Train
    features: FeaturesValue
    linear: LinearModel
    descent: Descent
    model: Model
    inference: tuple[Estimate, ...] = ()

    def predictions(self, dispatch: Dispatch, part: PartName) -> Predictions:
        """Of one part's rows, left on the workers."""
        sweeps = Sweeps(dispatch, self.features.shards[part], self.linear)
        return sweeps.predict(self.descent.theta)


@dataclass(frozen=True)
class MetaModelValue:
    """A model that was learnt from many groups, with how it was; `linear` are the model's loss and
    layout. By itself it predicts as for a group of which nothing is known."""

    step: str
    features: FeaturesValue
    linear: LinearModel
    model: Model
    meta: MetaTrain
    fitted: Fitted

    def predictions(self, dispatch: Dispatch, part: PartName) -> Predictions:
        """Of one part's rows, left on the workers."""
        model = replace(self.model, prior=None, tables=())
        tasks = [(rows, model) for rows in self.features.table.parts[part].partitions]
        found = dispatch.starmap("predict", predicted_chunk, tasks)
        return Predictions.of_chunks(found, self.features.shards[part].rows)


def predicted_chunk(rows: Partition, model: Model) -> list[Predicted]:
    """A model's predictions for a chunk's rows that have a target."""
    columns = to_columns(rows.table, model.prepared.inputs)
    target, weight, usable = model.prepared.target_and_weight(columns)
    scores = model.score_columns(columns)
    made = scores.predictions if scores.probabilities is None else scores.probabilities[:, 1]
    usable = usable & np.isfinite(np.asarray(made, dtype=np.float64))
    return [Predicted(target[usable], np.asarray(made, np.float64)[usable], weight[usable])]


AnyModelValue = ModelValue | MetaModelValue
StepValue = TableValue | FeaturesValue | AnyModelValue


def part_rows(parts: Mapping[PartName, PartTable] | Mapping[str, PartTable]) -> str:
    """`train 341, validation 114, test 114`; the count alone for one part."""
    counts = {name: sum(part.rows) for name, part in parts.items()}
    if list(counts) == ["all"]:
        return f"{counts['all']:,}"
    return ", ".join(f"{name} {rows:,}" for name, rows in counts.items())
