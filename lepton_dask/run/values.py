"""What steps hand to each other while a pipeline runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import dask.dataframe as dd

from lepton_dask.artifacts.bundle import BundleContents
from lepton_dask.data.prepared import Prepared
from lepton_dask.data.types import Schema
from lepton_dask.learn.descent import Descent
from lepton_dask.learn.train import Train
from lepton_dask.matrix import DesignMatrix
from lepton_dask.parts import Part

PartName = Part | Literal["all"]
"""A part, or the one that a table is while nothing has split it."""


@dataclass(frozen=True)
class PartTable:
    """The rows of one part, on the workers.

    A partition is a chunk: rows of one file in their order, its index their number in the file.
    `stems` and `files` name each partition's file: for the split's hash, and for people.
    """

    frame: dd.DataFrame
    stems: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True)
class TableValue:
    """A table, in one part or in several."""

    parts: Mapping[PartName, PartTable]
    schema: Schema


@dataclass(frozen=True)
class FeaturesValue:
    """A prepared table: a design matrix for each part, and the rows that they were made from."""

    table: TableValue
    prepared: Prepared
    matrices: Mapping[PartName, DesignMatrix]


@dataclass(frozen=True)
class ModelValue:
    """A trained model with what it was trained on."""

    step: str
    train: Train
    features: FeaturesValue
    descent: Descent
    bundle: BundleContents


@dataclass(frozen=True)
class ScoresValue:
    """An evaluation, and the model that it stands for: the only one, or the chosen one."""

    model: ModelValue


@dataclass(frozen=True)
class PredictionsValue:
    """A table with predictions."""

    table: TableValue


StepValue = TableValue | FeaturesValue | ModelValue | ScoresValue | PredictionsValue
