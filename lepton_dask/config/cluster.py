"""The configuration file: where a pipeline runs and under which rules."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from lepton_dask.component import Component
from lepton_dask.config.sizes import Size
from lepton_dask.resources.classes import (
    DEFAULT_CLASSES,
    Classes,
    ClassShare,
    ImportanceLevel,
)

SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")
"""The protocols that distributed speaks between machines."""


def _address(text: str) -> str:
    if not re.fullmatch(rf"({'|'.join(SCHEMES)})://.+:\d+", text):
        raise ValueError("is no scheduler's address; write one like tcp://host:8786")
    return text


def _host_and_port(text: str) -> str:
    if not re.fullmatch(r".*:\d+", text):
        raise ValueError("is no host and port; write them like 127.0.0.1:8787")
    return text


Address = Annotated[str, AfterValidator(_address)]
HostAndPort = Annotated[str, AfterValidator(_host_and_port)]


class LocalCluster(Component):
    """A cluster that the run starts on this machine, on loopback, and closes."""

    kind: Literal["local"] = "local"
    workers: int | None = Field(default=None, gt=0)
    threads_per_worker: int = Field(default=1, gt=0)
    memory_per_worker: Size | None = None


class TlsFiles(Component):
    """PEM files: the authority, this client's certificate and its key."""

    ca_file: str
    cert_file: str
    key_file: str


class AddressCluster(Component):
    """A running scheduler; with TLS when `tls` names its files."""

    kind: Literal["address"]
    address: Address
    tls: TlsFiles | None = None


class PriorityShare(Component):
    """A class's weight, and what it may have of the cluster as fractions of it."""

    weight: float = Field(default=1, gt=0)
    reserve: float = Field(default=0, ge=0, le=1)
    minimum: float = Field(default=0, ge=0, le=1)
    maximum: float = Field(default=1, gt=0, le=1)

    @model_validator(mode="after")
    def _within_the_maximum(self) -> PriorityShare:
        self.named("")
        return self

    def named(self, name: str) -> ClassShare:
        """The share that the cluster's classes are made of."""
        return ClassShare(name, self.weight, self.reserve, self.minimum, self.maximum)


def _shares_of_one(priorities: Priorities) -> Priorities:
    try:
        _classes(priorities)
    except ValueError as error:
        raise ValueError(f"{error}; a class that is not named here keeps its default") from None
    return priorities


def _classes(priorities: Priorities) -> Classes:
    return DEFAULT_CLASSES.with_shares(share.named(name) for name, share in priorities.items())


Priorities = dict[ImportanceLevel, PriorityShare]


class ClusterConfig(Component):
    """A configuration file. A class that `priorities` does not name keeps its default."""

    cluster: Annotated[LocalCluster | AddressCluster, Field(discriminator="kind")] = LocalCluster()
    dashboard: HostAndPort = "127.0.0.1:8787"
    priorities: Annotated[Priorities, AfterValidator(_shares_of_one)] = Field(default_factory=dict)
    roots: tuple[str, ...] = ()
    worker_timeout_s: float = Field(default=30, gt=0)

    @property
    def classes(self) -> Classes:
        """The classes that share the cluster, the highest first."""
        return _classes(self.priorities)
