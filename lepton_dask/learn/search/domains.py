"""The values that a field may take in a search."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from lepton_dask.component import Component

Value = str | bool | int | float | None | dict[str, Any] | tuple[Any, ...]
"""A field's value as the pipeline file writes it."""


class Domain(Component):
    """`{choices: [...]}`, `{range: [low, high]}` or `{log: [low, high]}`; exactly one.

    A range is even, a log range even in the logarithm; both hold their ends.
    """

    choices: tuple[Value, ...] | None = Field(default=None, min_length=1)
    range_: tuple[float, float] | None = Field(default=None, alias="range")
    log: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Domain:
        if sum(kind is not None for kind in (self.choices, self.range_, self.log)) != 1:
            raise PydanticCustomError("domain_kind", "give one of choices, range and log")
        if self.choices is None and not self.low < self.high:
            raise PydanticCustomError(
                "domain_order",
                "the first number must be below the second, found [{low}, {high}]",
                {"low": f"{self.low:g}", "high": f"{self.high:g}"},
            )
        if self.log is not None and not self.low > 0:
            raise PydanticCustomError(
                "domain_log", "a log range is above 0; write {range: [...]} to begin at 0"
            )
        return self

    @property
    def low(self) -> float:
        return self._ends[0]

    @property
    def high(self) -> float:
        return self._ends[1]

    @property
    def _ends(self) -> tuple[float, float]:
        ends = self.range_ or self.log
        assert ends is not None
        return ends

    def at(self, unit: float, whole: bool = False) -> Value:
        """The value at a place of [0, 1]; with `whole` a whole number."""
        if self.choices is not None:
            return self.choices[min(int(unit * len(self.choices)), len(self.choices) - 1)]
        if self.log is not None:
            value = self.low * (self.high / self.low) ** unit
        else:
            value = self.low + unit * (self.high - self.low)
        value = self.high if unit >= 1 else min(max(value, self.low), self.high)
        return round(value) if whole else value

    def has(self, value: Value) -> bool:
        """Whether the domain holds a value."""
        if self.choices is not None:
            return value in self.choices
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and self.low <= float(value) <= self.high  # type: ignore[arg-type]

    def __str__(self) -> str:
        if self.choices is not None:
            return f"one of {', '.join(shown(choice) for choice in self.choices)}"
        between = "log range" if self.log is not None else "range"
        return f"{between} {self.low:g} to {self.high:g}"


def shown(value: Value) -> str:
    """A value as a table shows it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {shown(each)}' for key, each in value.items())}}}"
    return "null" if value is None else str(value)
