"""What a run came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lepton_dask.learn.meta.comparison import Comparison
from lepton_dask.run.search_outcome import Searched

Scores = Mapping[str, float | None]


@dataclass(frozen=True)
class Evaluated:
    """The scores of one evaluate step, by part; None is a metric that is not defined there.

    `rows` counts the rows of each part; `labels` those of each label, for two classes. `baselines`
    hold the same metrics of what a model has to beat. `missed` names the goals that were missed.
    """

    model: str
    scores: Mapping[str, Scores]
    rows: Mapping[str, int]
    labels: Mapping[str, Mapping[str, int]]
    positive: str | int | float | bool | None
    threshold: float | None
    baselines: Mapping[str, Mapping[str, Scores]]
    by: Mapping[str, Mapping[str, Scores]]
    candidates: Mapping[str, Mapping[str, Scores]]
    missed: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        document: dict[str, object] = {"model": self.model}
        document |= {part: dict(scores) for part, scores in self.scores.items()}
        document["positive"] = self.positive
        document["rows"] = dict(self.rows)
        optional = {
            "labels": self.labels,
            "threshold": self.threshold,
            "baselines": self.baselines,
            "by": self.by,
            "candidates": self.candidates,
            "missed": list(self.missed),
        }
        return document | {key: value for key, value in optional.items() if value not in ({}, None)}


@dataclass(frozen=True)
class RunOutcome:
    """Where the run is, what it searched and scored. A missed goal is an outcome: exit code 3.

    `missed` are goals of the steps that learn from groups; `comparisons` what those were compared
    with.
    """

    folder: Path
    metrics: Mapping[str, Evaluated]
    searches: Mapping[str, Searched] = field(default_factory=dict)
    missed: tuple[str, ...] = ()
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)

    @property
    def missed_goals(self) -> tuple[str, ...]:
        searches = (searched.missed for searched in self.searches.values())
        scores = (missed for evaluated in self.metrics.values() for missed in evaluated.missed)
        return (*(missed for missed in searches if missed is not None), *self.missed, *scores)

    @property
    def exit_code(self) -> int:
        return 3 if self.missed_goals else 0
