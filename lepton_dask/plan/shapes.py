"""What flows along the edges of a pipeline, as far as it is known before it runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lepton_dask.data.chunks import Chunk
from lepton_dask.data.treatments import Treated
from lepton_dask.data.types import Schema
from lepton_dask.learn.meta.meta_train import MetaTrain
from lepton_dask.learn.train import Train
from lepton_dask.parts import Part


@dataclass(frozen=True)
class TableShape:
    """A table: its columns, the chunks it comes from, and what is expected of its size.

    `parts` is empty while nothing has split the table. `origin` is the `read` step that the rows
    come from; `dropped_by` are the steps behind it that may have dropped some.
    """

    schema: Schema
    chunks: tuple[Chunk, ...]
    rows: int | None
    bytes: int | None
    parts: tuple[Part, ...]
    origin: str
    dropped_by: tuple[str, ...] = ()


def one_part(table: TableShape) -> TableShape:
    """One part of a table. How large a part is, only the rows will show."""
    return replace(table, parts=(), rows=None, bytes=None) if table.parts else table


@dataclass(frozen=True)
class FeaturesShape:
    """A prepared table."""

    table: TableShape
    treated: tuple[Treated, ...]


@dataclass(frozen=True)
class ModelShape:
    """A trained model. `names` are the train steps that it may come from: one, unless chosen."""

    features: FeaturesShape
    train: Train | MetaTrain
    names: tuple[str, ...]


Shape = TableShape | FeaturesShape | ModelShape


def table_of(shape: Shape) -> TableShape:
    """The table at the bottom of a shape."""
    match shape:
        case TableShape():
            return shape
        case FeaturesShape():
            return shape.table
        case ModelShape():
            return shape.features.table
