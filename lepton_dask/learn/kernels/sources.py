"""What the kernels are compiled from."""

from __future__ import annotations

from pathlib import Path

from lepton_dask.kept_kernels import Kept

_LEARN = Path(__file__).parent.parent

KERNELS = Kept(tuple(sorted([*_LEARN.glob("kernels/*.py"), *_LEARN.glob("losses/*.py")])))
