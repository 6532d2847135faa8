"""What is known of a task. Travels by value: the standard library alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lepton_dask.resources.classes import ImportanceLevel
from lepton_dask.resources.identify import Declared


@dataclass(slots=True)
class Record:
    """A task's class, what it said, and what it was before it was placed."""

    key: Any
    name: ImportanceLevel
    said: Declared
    since: float
    """When it came, on the scheduler's monotonic clock."""
    priority: tuple[Any, ...] | None
    resources: Mapping[str, float] | None
    ahead: bool = False
    """It was let ahead of all, and has not run yet."""
