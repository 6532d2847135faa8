"""Checkpoints: what a training has come to, on disk, to the bit.

One file of numpy's own format, without pickle: the arrays, and a JSON document of the records
around them by the names of their classes. Only frozen records of `lepton_dask.learn` are made of
it, so a file that somebody else wrote can make nothing else.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton_dask.artifacts.commit import replacing
from lepton_dask.errors import RunError

RECORDS = "lepton_dask.learn."
"""Where the classes of the records lie."""

Arrays = list[NDArray[Any]]


def save_checkpoint(path: Path, value: object) -> None:
    """Writes records, tuples, numbers, texts and arrays, by the commit protocol."""
    arrays: Arrays = []
    document = json.dumps(_written(value, arrays))
    with replacing(path) as stream:
        entries: dict[str, Any] = {f"a{i}": array for i, array in enumerate(arrays)}
        np.savez(stream, document=np.array(document), **entries)


def load_checkpoint(path: Path) -> Any:
    """The inverse of `save_checkpoint`. Raises RunError for a file that is none."""
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = [held[f"a{i}"] for i in range(len(held.files) - 1)]
            return _read(json.loads(str(held["document"])), arrays)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise RunError(
            f"it is no checkpoint of this version ({error})",
            fix="run the search again without --resume",
            file=str(path),
        ) from None


def _written(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return {"float": repr(value)}
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop]}
    if _is_record(type(value)):
        kind = type(value)
        names = _names(kind)
        return {
            "record": [kind.__module__.removeprefix(RECORDS), kind.__qualname__],
            "fields": {name: _written(getattr(value, name), arrays) for name in names},
        }
    if isinstance(value, tuple):
        return {"tuple": [_written(each, arrays) for each in value]}
    raise TypeError(f"a checkpoint holds no {type(value).__name__}")


def _read(document: Any, arrays: Sequence[NDArray[Any]]) -> Any:
    if not isinstance(document, dict):
        return document
    match document:
        case {"array": int() as number}:
            return arrays[number]
        case {"float": str() as text}:
            return float(text)
        case {"slice": [start, stop]}:
            return slice(start, stop)
        case {"tuple": list() as items}:
            return tuple(_read(item, arrays) for item in items)
        case {"record": [str() as module, str() as name], "fields": dict() as fields}:
            kind = getattr(import_module(RECORDS + module), name)
            if not _is_record(kind):
                raise ValueError(f"{name} is no record")
            return kind(**{key: _read(each, arrays) for key, each in fields.items()})
    raise ValueError("unknown entry")


def _is_record(kind: type) -> bool:
    """Whether a class is a frozen dataclass or a named tuple of the learn room."""
    if not kind.__module__.startswith(RECORDS):
        return False
    return dataclasses.is_dataclass(kind) or (issubclass(kind, tuple) and hasattr(kind, "_fields"))


def _names(kind: Any) -> Sequence[str]:
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    fields: Sequence[str] = kind._fields
    return fields
