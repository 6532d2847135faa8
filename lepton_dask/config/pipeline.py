"""The pipeline file, as typed nodes."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from lepton_dask.component import Component
from lepton_dask.config.sizes import Amount
from lepton_dask.data.clean import Clean
from lepton_dask.data.derive import Derive
from lepton_dask.data.join import Join
from lepton_dask.data.prepare import Prepare
from lepton_dask.data.read import Read
from lepton_dask.data.split import Split
from lepton_dask.data.write import Predict, Write
from lepton_dask.errors import DocumentPath
from lepton_dask.learn.evaluate import Evaluate
from lepton_dask.learn.meta.meta_train import MetaTrain
from lepton_dask.learn.train import Train
from lepton_dask.resources.classes import ImportanceLevel

Importance = ImportanceLevel | Annotated[int, Field(ge=1, le=9)]


class Priority(Component):
    """How important a step is, and how urgent. It says who goes first, never what comes out."""

    importance: Importance = "normal"
    urgency: ImportanceLevel | None = None


Verb = (
    Read | Join | Clean | Derive | Split | Prepare | Train | MetaTrain | Evaluate | Predict | Write
)

VERBS: dict[str, type[Verb]] = {
    "read": Read,
    "join": Join,
    "clean": Clean,
    "derive": Derive,
    "split": Split,
    "prepare": Prepare,
    "train": Train,
    "meta_train": MetaTrain,
    "evaluate": Evaluate,
    "predict": Predict,
    "write": Write,
}

SHARED_KEYS = ("priority", "resources", "retries")
"""Keys that a step has beside its verb, and that the top of the file may have for all steps."""

TOP_KEYS = ("name", "seed", "vars", "defaults", "extends", *SHARED_KEYS, "steps")


class StepSettings(Component):
    """What every step may say beside its verb, and the top of the file for all of them.

    `resources` are amounts of what workers offer (`{GPU: 1, memory: 4GiB}`), sizes in bytes.
    `retries` counts attempts after the first.
    """

    priority: Priority = Priority()
    resources: dict[str, Amount] = Field(default_factory=dict)
    retries: int = Field(default=0, ge=0)


class Step(StepSettings):
    """One step: its verb, where its input comes from, and what it may use."""

    name: str
    verb: str
    action: Verb
    inputs: tuple[str, ...]
    """Names of the steps it takes, with the part where one is taken: `parts.test`. The tables to
    join come behind the one that they are joined to."""

    def input_path(self, number: int) -> DocumentPath:
        """Where the file says that the step takes its input of that number."""
        path: DocumentPath = ("steps", self.name)
        if isinstance(self.action, Join) and number:
            return (*path, "join", number - 1, "with")
        return (*path, "from")


def _folder_name(text: str) -> str:
    if not re.fullmatch(r"\w[\w .-]{0,99}", text):
        raise ValueError(
            "cannot be part of a folder's name; "
            "use at most 100 letters, digits, '_', '-', '.' and spaces"
        )
    return text


class Heading(Component):
    """What a pipeline file says before its steps. `name` goes into the run folder's name."""

    name: Annotated[str, AfterValidator(_folder_name)]
    seed: int = Field(default=0, ge=0)


class Pipeline(Heading):
    """A whole pipeline file, defaults and references resolved. A step comes after its inputs;
    otherwise steps stand in the file's order."""

    steps: tuple[Step, ...]
