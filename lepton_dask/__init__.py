"""Machine-learning pipelines over tables, written in YAML and run on Dask.

`load` reads a trained model back. Names are imported when they are first asked for: loading a
model and predicting with it needs neither Dask nor what the YAML needs.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepton_dask.artifacts.bundle import load
    from lepton_dask.artifacts.predictor import Model
    from lepton_dask.errors import ClusterError, Interrupted, LeptonError, RunError, UserError

    __version__: str

_HOME = {
    "load": "lepton_dask.artifacts.bundle",
    "Model": "lepton_dask.artifacts.predictor",
    "ClusterError": "lepton_dask.errors",
    "Interrupted": "lepton_dask.errors",
    "LeptonError": "lepton_dask.errors",
    "RunError": "lepton_dask.errors",
    "UserError": "lepton_dask.errors",
}
"""The public names, and the module that each lives in."""

__all__ = [
    "ClusterError",
    "Interrupted",
    "LeptonError",
    "Model",
    "RunError",
    "UserError",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("lepton_dask")
    if name not in _HOME:
        raise AttributeError(f"module 'lepton_dask' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
