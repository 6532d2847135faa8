"""The meta-learning algorithms, and the union that a pipeline chooses from.

A new algorithm is its own file and its line in `AlgorithmTable`; the tests in
tests/test_meta_algorithms.py then run on it.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Tag, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from lepton_dask.component import Component
from lepton_dask.learn.meta.base import MetaAlgorithm
from lepton_dask.learn.meta.hierarchical_linear import HierarchicalLinear
from lepton_dask.learn.meta.independent import Independent
from lepton_dask.learn.meta.maml import Maml, MetaSgd
from lepton_dask.learn.meta.pooled import Pooled
from lepton_dask.learn.meta.reptile import Reptile
from lepton_dask.learn.meta.ridge_head import RidgeHead


class AlgorithmTable(Component):
    """`{NAME: {...}}`: exactly one name."""

    hierarchical_linear: HierarchicalLinear | None = None
    ridge_head: RidgeHead | None = None
    maml: Maml | None = None
    meta_sgd: MetaSgd | None = None
    reptile: Reptile | None = None

    @model_validator(mode="after")
    def _one_name(self) -> AlgorithmTable:
        if len(self._named) != 1:
            found = ", ".join(self._named) or "none"
            raise PydanticCustomError("algorithm_count", f"expected one algorithm, found {found}")
        return self

    @property
    def algorithm(self) -> MetaAlgorithm[Any, Any, Any]:
        """The algorithm that is named."""
        return next(iter(self._named.values()))

    @property
    def _named(self) -> dict[str, MetaAlgorithm[Any, Any, Any]]:
        return {name: value for name, value in self if value is not None}


ALGORITHMS: dict[str, type[MetaAlgorithm[Any, Any, Any]]] = {
    kind.name: kind
    for field in AlgorithmTable.model_fields.values()
    for kind in getattr(field.annotation, "__args__", ())
    if kind is not type(None)
}
"""Every algorithm by the name that a pipeline gives it."""

BASELINES: tuple[MetaAlgorithm[Any, Any, Any], ...] = (Pooled(), Independent())
"""What every algorithm is compared with: one model for all groups, and one for each alone."""

STORED: dict[str, type[MetaAlgorithm[Any, Any, Any]]] = {
    **ALGORITHMS,
    **{each.name: type(each) for each in BASELINES},
}
"""Every algorithm that a bundle may hold a prior of."""


def _known(name: str) -> str:
    if name not in ALGORITHMS:
        expected = " or ".join(repr(known) for known in ALGORITHMS)
        raise PydanticKnownError("literal_error", {"expected": expected})
    return name


def _form(choice: object) -> str:
    return "name" if isinstance(choice, str) else "table"


AlgorithmName = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"enum": list(ALGORITHMS), "type": "string"})
]
# Told apart by form, so that a mistake inside a table is not also reported as a wrong name.
AlgorithmChoice = Annotated[
    Annotated[AlgorithmName, Tag("name")] | Annotated[AlgorithmTable, Tag("table")],
    Discriminator(_form),
]


def chosen_algorithm(choice: str | AlgorithmTable) -> MetaAlgorithm[Any, Any, Any]:
    """The algorithm that is named."""
    return ALGORITHMS[choice]() if isinstance(choice, str) else choice.algorithm
