"""The parts that a table may be split into."""

from __future__ import annotations

from typing import Literal, get_args

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
