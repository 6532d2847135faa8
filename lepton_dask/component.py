"""The base of everything that a YAML file can name: a frozen, strictly typed record."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Component(BaseModel):
    """A node of a pipeline or configuration file, which is also the thing that it names.

    `Lbfgs(history=10)` is both the configuration of the optimizer and the optimizer. Unknown keys
    are refused, nothing is coerced (`"1"` is not a number; an integer is a number), and nothing
    changes after it is made, so that a component may be shared between threads and shipped to
    workers.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True
    )
