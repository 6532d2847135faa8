"""The rows of one fit, by parts: in this memory, or in the memory of an active client's workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from lepton_dask.data.prepared import FittedCategory
from lepton_dask.estimators.checking import checked_part
from lepton_dask.estimators.dask_rows import beside, client, compute, partitions
from lepton_dask.estimators.frames import FrameColumns
from lepton_dask.estimators.rows import CheckedRows, Labels, Summary, block, every, summarise
from lepton_dask.estimators.rows import layout as layout_of
from lepton_dask.learn.descent import Passes
from lepton_dask.learn.local_passes import LocalPasses
from lepton_dask.learn.objective import Objective
from lepton_dask.learn.optimizers.base import Pilot
from lepton_dask.learn.pilot import fit_pilot, pilot_rows
from lepton_dask.matrix import Layout


class Parts(Protocol):
    """The checked rows, wherever they are."""

    def summaries(self, classes: bool) -> list[Summary]:
        """One a part, in order."""

    def layout(self, categories: Sequence[FittedCategory]) -> Layout:
        """The columns of the design matrix."""

    def passes(
        self,
        objective: Objective,
        categories: Sequence[FittedCategory],
        labels: Labels | None,
        rows: int,
    ) -> Passes:
        """Passes over the rows as blocks."""


@dataclass(frozen=True)
class LocalParts:
    """Parts in this process."""

    checked: Sequence[CheckedRows]

    def summaries(self, classes: bool) -> list[Summary]:
        return [summarise(part, classes) for part in self.checked]

    def layout(self, categories: Sequence[FittedCategory]) -> Layout:
        return layout_of(self.checked[0], categories)

    def passes(
        self,
        objective: Objective,
        categories: Sequence[FittedCategory],
        labels: Labels | None,
        rows: int,  # noqa: ARG002 - for those who do not hold them
    ) -> Passes:
        blocks = [block(part, categories, labels) for part in self.checked if part.rows]
        return PilotedPasses(objective, blocks)


@dataclass(frozen=True)
class PilotedPasses(LocalPasses):
    """Passes in this process whose pilot sees every so manieth row."""

    def pilot(self) -> Callable[[], Pilot | None]:
        rows = sum(len(part.target) for part in self.blocks)
        wanted = pilot_rows(self.objective, rows)
        if not wanted:
            return lambda: None
        some = [every(part, rows // wanted) for part in self.blocks]
        seen = sum(len(part.target) for part in some)
        return partial(fit_pilot, self.objective, some, seen / rows)


@dataclass(frozen=True)
class ClusterParts:
    """Parts in the memory of the workers of an active client."""

    dispatch: Any
    checked: Sequence[Any]

    def summaries(self, classes: bool) -> list[Summary]:
        found = self.dispatch.map("summary", summarise, self.checked, classes)
        summaries: list[Summary] = self.dispatch.gather(found)
        return summaries

    def layout(self, categories: Sequence[FittedCategory]) -> Layout:
        first = self.dispatch.submit("layout", layout_of, self.checked[0], tuple(categories))
        layout: Layout = self.dispatch.gather([first])[0]
        return layout

    def passes(
        self,
        objective: Objective,
        categories: Sequence[FittedCategory],
        labels: Labels | None,
        rows: int,
    ) -> Passes:
        from lepton_dask.learn.passes import ShardPasses
        from lepton_dask.learn.sweeps import Shards

        blocks = self.dispatch.map("block", block, self.checked, tuple(categories), labels)
        shards = Shards.of_blocks(self.dispatch, blocks, objective.model.layout, (), rows)
        return ShardPasses.over(self.dispatch, objective, shards, None)


def dask_parts(
    X: Any,
    y: Any,
    sample_weight: Any,
    columns: FrameColumns | None,
    classes: bool,
    name: str,
) -> Parts:
    """The checked partitions of a Dask collection, each computed once: on the workers of the
    active client, or in this thread."""
    import dask

    check = dask.delayed(checked_part, pure=False)
    targets = beside(y, X, "y")
    weights = beside(sample_weight, X, "sample_weight")
    tasks = [
        check(part, target, weight, columns, classes, name)
        for part, target, weight in zip(partitions(X), targets, weights, strict=True)
    ]
    active = client()
    if active is None:
        return LocalParts(compute(tasks))
    from lepton_dask.learn.dispatch import Dispatch

    return ClusterParts(Dispatch(active, label="fit"), active.compute(tasks))
