"""The penalty: l1 |b|_1 + (l2 / 2) |b|^2 over the coefficients, the intercept free."""

from __future__ import annotations

from pydantic import Field

from lepton_dask.component import Component


class Penalty(Component):
    l1: float = Field(default=0.0, ge=0)
    l2: float = Field(default=0.0, ge=0)
