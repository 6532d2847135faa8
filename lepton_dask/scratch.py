"""Files of a worker's own: what does not fit in its memory, on the disk beside it.

They lie in the worker's scratch folder and go with it: a worker that is lost takes its files along,
as it does its memory, and Dask computes again what they held. Values that hold a `ScratchFile` are
results of tasks like others; the file is removed when the last of them is let go of.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Self

from distributed import Worker, get_worker
from distributed.comm import get_address_host
from distributed.protocol import dask_deserialize, dask_serialize

from lepton_dask.errors import RunError

FOLDER = "lepton"
"""In the worker's scratch folder."""

_by_name: ContextVar[bool] = ContextVar("_by_name", default=False)


class ScratchFile:
    """A file that is removed with this object. It is written once, by its maker, and then read.

    Pickled, it carries its contents, and becomes a file of the worker where it is unpickled. Where
    Dask spills it, or hands it to a worker of the same machine, it is a second name of the same
    bytes (`travels_by_name`): nothing is read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.remove = weakref.finalize(self, _remove, path)

    @classmethod
    def new(cls, suffix: str = "") -> Self:
        """A name that no file has yet, on the disk of the worker whose task this is."""
        return cls(_worker_folder() / f"{uuid.uuid4().hex}{suffix}")

    def __reduce_ex__(self, protocol: Any) -> tuple[Callable[..., ScratchFile], tuple[Any, ...]]:
        if _by_name.get():
            name = self.path.with_name(f"{uuid.uuid4().hex}{self.path.suffix}")
            # A file system without hard links, or a file that is gone, which reading will tell.
            with contextlib.suppress(OSError):
                os.link(self.path, name)
                return _taken_over, (name,)
        with refused_in_words(self.path):
            contents = self.path.read_bytes()
        # A buffer is not copied once more, but only protocols from 5 on know it.
        return _written, (
            pickle.PickleBuffer(contents) if protocol >= 5 else contents,
            self.path.suffix,
        )


@contextlib.contextmanager
def refused_in_words(path: Path) -> Iterator[None]:
    """What the disk refuses, as a RunError that names the folder."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(
            f"a worker's scratch folder {path.parent} failed: {reason}",
            fix="give it room, or the workers more memory",
        ) from error


def travels_by_name(kind: type) -> None:
    """Registers a class that holds ScratchFiles: spilled, or sent to a worker of the same machine,
    its pickles hold names of files and not what is in them."""
    dask_serialize.register(kind)(_dumps)
    dask_deserialize.register(kind)(_loads)


def _dumps(
    value: object, context: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], list[Any]]:
    token = _by_name.set(_stays_here(context))
    buffers: list[pickle.PickleBuffer] = []
    try:
        frame = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    finally:
        _by_name.reset(token)
    return {}, [frame, *(buffer.raw() for buffer in buffers)]


def _loads(_: dict[str, Any], frames: list[Any]) -> object:
    return pickle.loads(frames[0], buffers=frames[1:])


def _stays_here(context: Mapping[str, Any] | None) -> bool:
    """Whether what is serialised is for this machine: spilled (no context), or sent to itself."""
    if context is None:
        return True
    hosts = [get_address_host(context[end]["address"]) for end in ("sender", "recipient")]
    return bool(hosts[0] == hosts[1])


def _taken_over(name: Path) -> ScratchFile:
    """The file of a second name, moved to the worker that this process is."""
    folder = _worker_folder(name.parent)
    if folder != name.parent:
        with contextlib.suppress(FileNotFoundError):  # which reading will tell
            name = Path(shutil.move(name, folder / name.name))
    return ScratchFile(name)


def _written(contents: bytes, suffix: str) -> ScratchFile:
    file = ScratchFile(_worker_folder() / f"{uuid.uuid4().hex}{suffix}")
    with refused_in_words(file.path):
        file.path.write_bytes(contents)
    return file


def _worker_folder(elsewhere: Path | None = None) -> Path:
    """Where the worker of this task keeps its files; outside a task (what is received is
    unpickled there), the worker that this process is. `elsewhere` where there is none."""
    try:
        worker = get_worker()
    except ValueError:
        worker = next(iter(Worker._instances), None)
    if worker is None:
        if elsewhere is None:
            raise RunError("a file of a worker was asked for where there is none")
        return elsewhere
    folder = Path(worker.local_directory) / FOLDER
    folder.mkdir(exist_ok=True)
    return folder


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
