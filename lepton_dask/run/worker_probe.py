"""What a worker has: asked on the worker, so nothing but the standard library is used here."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Any


def probe(
    packages: Sequence[str], paths: Sequence[str], modules: Sequence[str], folders: Sequence[str]
) -> dict[str, Any]:
    """Versions of packages ("" where absent), and which paths and modules are not there."""
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    importlib.invalidate_caches()
    return {
        "versions": {package: version(package) for package in packages},
        "missing_paths": [path for path in paths if not os.access(path, os.R_OK)],
        "missing_modules": [module for module in modules if not found(module)],
    }


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
