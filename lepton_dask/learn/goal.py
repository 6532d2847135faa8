"""How good is good enough: a metric and a bound."""

from __future__ import annotations

from lepton_dask.component import Component


class Goal(Component):
    """`{metric: roc_auc, at_least: 0.9}`; `at_most` for errors. Exactly one bound."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None
