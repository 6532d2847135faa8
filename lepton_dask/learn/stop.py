"""Why a loop ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

CodeT = TypeVar("CodeT", bound=str)


@dataclass(frozen=True)
class Stop(Generic[CodeT]):
    """A code for machines, a sentence for people."""

    code: CodeT
    reason: str

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"
