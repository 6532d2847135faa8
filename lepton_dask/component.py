"""The base of everything that a YAML file can name: a frozen, strictly typed record."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, RootModel


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


C = TypeVar("C", bound=Component)


def _not_empty(items: tuple[C, ...]) -> tuple[C, ...]:
    # Not `min_length`: pydantic would count only the items that are right.
    if not items:
        raise ValueError("is an empty list; put something into it")
    return items


class ComponentList(RootModel[tuple[C, ...]], Generic[C]):
    """A node that is spelled as a list of components; `root` holds at least one."""

    model_config = ConfigDict(frozen=True, strict=True, json_schema_extra={"minItems": 1})

    root: Annotated[tuple[C, ...], AfterValidator(_not_empty)]
