"""Priorities on a Dask cluster: important work first, on a cluster that stays full.

installed = install(client)          # once, by anyone who uses the cluster
with priority("critical"):           # around compute, persist, submit or map
    answer = total.compute()
installed.status()
"""

from lepton_dask.resources.install import Installed, install
from lepton_dask.resources.preempt import give_way
from lepton_dask.resources.priority import priority

__all__ = ["Installed", "give_way", "install", "priority"]
