"""The `predict` and `write` verbs: tables out."""

from __future__ import annotations

from lepton_dask.component import Component
from lepton_dask.parts import Part


class Predict(Component):
    """Predictions of the model above for the rows of one part."""

    part: Part = "test"


class Write(Component):
    """A table into a file of the run folder, in the format that the file's name says."""

    path: str
