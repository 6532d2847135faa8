"""The `lepton` command."""

from lepton_dask.cli.app import main

__all__ = ["main"]
