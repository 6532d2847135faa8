"""Column types as a user declares them under `types:`."""

from __future__ import annotations

from lepton_dask.component import Component
from lepton_dask.data.types import Kind


class Timestamp(Component):
    """`{timestamp: FORMAT, zone: ZONE}`: text read by a strptime format; naive without a zone."""

    timestamp: str
    zone: str | None = None


class Date(Component):
    """`{date: FORMAT}`: a calendar day read by a strptime format."""

    date: str


DeclaredType = Kind | Timestamp | Date
