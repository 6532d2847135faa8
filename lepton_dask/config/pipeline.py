"""The pipeline file, as typed nodes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lepton_dask.component import Component
from lepton_dask.data.clean import Clean
from lepton_dask.data.derive import Derive
from lepton_dask.data.prepare import Prepare
from lepton_dask.data.read import Read
from lepton_dask.data.split import Split
from lepton_dask.data.write import Predict, Write
from lepton_dask.learn.evaluate import Evaluate
from lepton_dask.learn.train import Train
from lepton_dask.resources.classes import ImportanceLevel

Importance = ImportanceLevel | Annotated[int, Field(ge=1, le=9)]


class Priority(Component):
    """How important a step is, and how urgent. It says who goes first, never what comes out."""

    importance: Importance = "normal"
    urgency: ImportanceLevel | None = None


Verb = Read | Clean | Derive | Split | Prepare | Train | Evaluate | Predict | Write

VERBS: dict[str, type[Component]] = {
    "read": Read,
    "clean": Clean,
    "derive": Derive,
    "split": Split,
    "prepare": Prepare,
    "train": Train,
    "evaluate": Evaluate,
    "predict": Predict,
    "write": Write,
}


class Step(Component):
    """One step: its verb, where its input comes from, and what it may use."""

    name: str
    verb: str
    action: Verb
    inputs: tuple[str, ...]
    """Names of the steps it takes, with the part where one is taken: `parts.test`."""
    priority: Priority
    resources: dict[str, float | str]
    retries: int


class Pipeline(Component):
    """A whole pipeline file, defaults and references resolved."""

    name: str
    seed: int
    steps: tuple[Step, ...]
