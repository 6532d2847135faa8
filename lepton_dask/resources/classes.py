"""Priority classes: from importance and urgency to an order."""

from __future__ import annotations

from typing import Literal

IMPORTANCE_LEVELS = ("low", "normal", "high", "critical")
ImportanceLevel = Literal["low", "normal", "high", "critical"]
