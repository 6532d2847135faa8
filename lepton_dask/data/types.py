"""Column types, as a user declares them under `types:` and as a file's columns have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lepton_dask.component import Component

Kind = Literal["integer", "number", "text", "boolean", "date", "timestamp"]


class Timestamp(Component):
    """`{timestamp: FORMAT, zone: ZONE}`: text read by a strptime format; naive without a zone."""

    timestamp: str
    zone: str | None = None


class Date(Component):
    """`{date: FORMAT}`: a calendar day read by a strptime format."""

    date: str


DeclaredType = Kind | Timestamp | Date


@dataclass(frozen=True)
class ColumnType:
    """What a column holds once it is read. In Arrow: int64, float64, string, bool, date32,
    timestamp[ns, zone]; a naive timestamp has no zone."""

    kind: Kind
    zone: str | None = None


Schema = Mapping[str, ColumnType]
