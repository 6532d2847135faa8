"""How a submission says what it is: a context manager around compute, persist, submit or map."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dask

from lepton_dask.resources.classes import Level, classify, level_number
from lepton_dask.resources.identify import ANNOTATION


@contextmanager
def priority(
    importance: Level = "normal", urgency: Level | None = None, deadline_s: float | None = None
) -> Iterator[None]:
    """Declares what is submitted in the body.

    `importance` and `urgency` are a level (critical, high, normal, low, or 1 to 9); the higher one
    counts. `deadline_s` is in seconds from the submission: urgency then grows as the time runs out.
    It must be around the call that submits (`compute`, `persist`, `submit`, `map`), since Dask
    drops what is said while a DataFrame is built. Where the priorities are not installed, Dask's
    own priority of the class counts. Raises ValueError for what is no level.

    >>> with priority("critical"):  # doctest: +SKIP
    ...     answer = total.compute()
    """
    level_number(importance)
    if urgency is not None:
        level_number(urgency)
    declared = {"importance": importance, "urgency": urgency, "deadline_s": deadline_s}
    found = classify(importance, urgency, slack_s=deadline_s)
    with dask.annotate(**{ANNOTATION: declared, "priority": found.dask_priority}):
        yield
