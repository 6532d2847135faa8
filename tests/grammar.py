"""Small pipelines and tables, for the tests that go through the grammar's rules one by one."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pandas as pd

from lepton_dask.plan.shapes import FeaturesShape, TableShape
from lepton_dask.run.outcome import RunOutcome
from lepton_dask.run.pipeline import PlannedRun

Planned = Callable[..., PlannedRun]
Refused = Callable[..., list[str]]
Ran = Callable[..., RunOutcome]
After = Callable[..., pd.DataFrame]
SmallChunks = Callable[[int], None]


def document(steps: str, top: str = "") -> str:
    return f"name: rules\nseed: 4\n{top}steps:\n{textwrap.indent(textwrap.dedent(steps), '  ')}"


def learn(target: str, loss: str = "logistic", keys: str = "", read: str = "") -> str:
    return textwrap.dedent(
        f"""\
        rows: {{read: {{path: a.csv{read}}}}}
        features: {{prepare: {{target: {target}{keys}}}}}
        model: {{train: {{loss: {loss}, penalty: {{l2: 0.1}}}}}}
        """
    )


def write_csv(name: str, **columns: object) -> pd.DataFrame:
    rows = pd.DataFrame(columns)
    rows.to_csv(name, index=False)
    return rows


def schema(planned: PlannedRun, step: str) -> dict[str, str]:
    shape = planned.planning.shapes[step]
    assert isinstance(shape, TableShape)
    return {name: type_.kind for name, type_ in shape.schema.items()}


def treatments(planned: PlannedRun, step: str = "features") -> dict[str, str]:
    """What becomes of every column: its treatment, or its role."""
    shape = planned.planning.shapes[step]
    assert isinstance(shape, FeaturesShape)
    return {each.column: each.summary or each.role for each in shape.treated}


def listed(values: pd.Series) -> list[object]:
    return [None if pd.isna(value) else value for value in values]
