"""What every trained model takes with it beside its coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from lepton_dask.artifacts.frames import InputColumn
from lepton_dask.artifacts.predictor import Model, Source
from lepton_dask.artifacts.replay import Led, ReplayStep, leading_to
from lepton_dask.artifacts.side_table import SideTable, merged_tables, with_columns
from lepton_dask.learn.layers import Layer
from lepton_dask.learn.losses import Loss
from lepton_dask.matrix import Floats
from lepton_dask.run.values import FeaturesValue, Origin


def model_of(
    features: FeaturesValue,
    loss: Loss,
    coefficients: Floats,
    intercept: float | tuple[float, ...],
    pipeline: str,
    hidden: tuple[Layer, ...] = (),
) -> Model:
    """A bundle's model of these coefficients, with everything that leads to its features."""
    origin, prepared = features.table.origin, features.prepared
    led = leading_to(origin.replay, frozenset(prepared.columns), prepared.target.column)
    return Model(
        name=pipeline,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version("lepton_dask"),
        source=Source(origin.read_node, origin.columns, origin.captures, origin.patterns),
        inputs=inputs_of(origin, led),
        missing_values=origin.read.missing_values,
        replay=led.steps,
        prepared=prepared,
        loss=loss.name,
        coefficient_array=coefficients,
        intercept=intercept,
        tables=_looked_into(led.steps, origin.tables),
        loss_parameters=loss.model_dump(mode="json"),
        hidden=hidden,
    )


def inputs_of(origin: Origin, led: Led) -> tuple[InputColumn, ...]:
    """The columns that the steps start from, as the first `read` yields them."""
    return tuple(column for column in origin.columns if column.name in led.start)


def _looked_into(steps: Sequence[ReplayStep], tables: Sequence[SideTable]) -> tuple[SideTable, ...]:
    """The tables that the steps look into, with the columns that they look at."""
    needed = []
    for table in merged_tables(tables):
        looked_at = [step.looked_at(table.name) for step in steps if table.name in step.tables]
        names = [each for each in looked_at if each is not None]
        if len(names) < len(looked_at):
            needed.append(table)
        elif names:
            needed.append(with_columns(table, frozenset().union(*names)))
    return tuple(needed)
