"""What the scan of plain CSV text is compiled from."""

from __future__ import annotations

from pathlib import Path

from lepton_dask.kept_kernels import Kept

_HERE = Path(__file__).parent

SCAN = Kept((_HERE / "compiled_fields.py", _HERE / "vectors.py"))
