"""What a bundle holds of what was learnt from many groups: numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from lepton_dask.artifacts.frames import InputColumn
from lepton_dask.artifacts.replay import ReplayStep, replay_from_json, replay_to_json


@dataclass(frozen=True, eq=False)
class StoredPrior:
    """A prior, and how to adapt it to rows of a group with their target.

    algorithm  its name
    options    its fields, as the pipeline spells them
    group      the column that told the groups apart
    loss       squared or logistic
    random     what differs between groups: the intercept, then each feature
    shots      the numbers of rows that it was judged at
    center, scale   what the target is reduced by and divided by before adapting
    inputs, replay  the columns that it takes as the first `read` yields them, the target among
               them, and the steps from there to the columns that the preparation learns from
    arrays     the prior itself
    """

    algorithm: str
    options: Mapping[str, Any]
    group: str
    loss: str
    random: tuple[bool, ...]
    shots: tuple[int, ...]
    center: float
    scale: float
    inputs: tuple[InputColumn, ...]
    replay: tuple[ReplayStep, ...]
    arrays: Mapping[str, NDArray[Any]]

    def to_json(self) -> dict[str, object]:
        """Everything but the arrays, whose names are there."""
        return {
            "algorithm": self.algorithm,
            "options": dict(self.options),
            "group": self.group,
            "loss": self.loss,
            "random": list(self.random),
            "shots": list(self.shots),
            "center": self.center,
            "scale": self.scale,
            "inputs": [vars(column) for column in self.inputs],
            "replay": [replay_to_json(step) for step in self.replay],
            "arrays": sorted(self.arrays),
        }

    @classmethod
    def from_json(
        cls, document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> StoredPrior:
        """The inverse of `to_json`, after a trip through JSON, with the arrays."""
        return cls(
            algorithm=document["algorithm"],
            options=document["options"],
            group=document["group"],
            loss=document["loss"],
            random=tuple(document["random"]),
            shots=tuple(document["shots"]),
            center=document["center"],
            scale=document["scale"],
            inputs=tuple(InputColumn(**column) for column in document["inputs"]),
            replay=tuple(replay_from_json(step) for step in document["replay"]),
            arrays=arrays,
        )
