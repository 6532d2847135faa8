"""The cluster that `lepton cluster start` keeps up: one for each user, known by a file.

The process that keeps it holds a lock for as long as it lives. So a file that a killed one has left
is told from one of a cluster that is there, whichever process has its number by now.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from lepton_dask.artifacts.commit import write_json
from lepton_dask.errors import RunError

LOCK_S = 1.0
"""How long to try for the lock: whoever looks whether it is held has it for a moment."""


@dataclass(frozen=True)
class KeptCluster:
    """The scheduler's address, its dashboard's (empty without one), and the process behind both."""

    address: str
    dashboard: str
    pid: int

    @property
    def page(self) -> str:
        """Where the priorities are shown; empty without a dashboard."""
        return self.dashboard.removesuffix("/status") + "/lepton" if self.dashboard else ""


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the file lies: `lepton` in $XDG_STATE_HOME, or in ~/.local/state."""
    home = environment.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "lepton"


def kept_cluster() -> KeptCluster | None:
    """The cluster that is up, or None. Raises RunError for one that is just being started."""
    if not _is_held():
        return None
    try:
        return KeptCluster(**json.loads(_state_file().read_text()))
    except FileNotFoundError:
        if not _is_held():
            return None
        raise RunError("a cluster is being started", fix="try again in a few seconds") from None


@contextmanager
def keeping() -> Iterator[Callable[[KeptCluster], None]]:
    """Makes this process the one that keeps the cluster; yields what tells of it once it is up.

    Raises RunError where another one does.
    """
    state_folder().mkdir(parents=True, exist_ok=True)
    with _lock_file().open("w") as lock:
        _lock(lock.fileno())
        _state_file().unlink(missing_ok=True)
        try:
            yield lambda cluster: write_json(_state_file(), asdict(cluster))
        finally:
            _state_file().unlink(missing_ok=True)


def refuse_a_second() -> None:
    """Raises RunError where a cluster is up already."""
    found = kept_cluster()
    if found is not None:
        raise RunError(
            f"a cluster is running already at {found.address} (process {found.pid})",
            fix="`lepton cluster stop` ends it",
        )


def _lock(handle: int) -> None:
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            refuse_a_second()
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _is_held() -> bool:
    try:
        with _lock_file().open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _lock_file() -> Path:
    return state_folder() / "cluster.lock"


def _state_file() -> Path:
    return state_folder() / "cluster.json"
