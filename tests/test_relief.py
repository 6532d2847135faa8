"""Memory that a worker has freed goes back to the system, where it takes much of its limit."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace

import psutil
import pytest

from lepton_dask.resources.relief import RELIEVED_FROM, give_back, relieve
from lepton_dask.run.memory import COMPILER_BYTES, COMPILER_SHARE, has_room_for_a_compiler


def worker(limit: float | None, taken: float) -> SimpleNamespace:
    return SimpleNamespace(
        memory_manager=SimpleNamespace(memory_limit=limit),
        monitor=SimpleNamespace(get_process_memory=lambda: taken),
    )


@pytest.mark.parametrize(
    ("limit", "taken", "relieved"),
    [(100, 100 * RELIEVED_FROM + 1, True), (100, 100 * RELIEVED_FROM, False), (None, 1e12, False)],
)
def test_a_worker_is_relieved_above_a_share_of_its_limit(
    limit: float | None, taken: float, relieved: bool
) -> None:
    assert relieve(worker(limit, taken)) is relieved


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc_trim is GNU's")
def test_what_was_freed_and_kept_goes_back_to_the_system() -> None:
    libc = ctypes.CDLL("libc.so.6")
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    process = psutil.Process()
    # Pieces too small for a map of their own, and one that keeps the heap's top in use.
    pieces = [libc.malloc(60_000) for _ in range(1000)]
    for piece in pieces:
        ctypes.memset(piece, 1, 60_000)
    for piece in pieces[:-1]:
        libc.free(piece)
    before = process.memory_info().rss
    give_back()
    assert process.memory_info().rss < before - 40e6
    libc.free(pieces[-1])


@pytest.mark.parametrize(("share", "has_room"), [(1.0, True), (0.99, False)])
def test_a_compiler_is_loaded_ahead_where_it_is_a_small_part_of_every_worker(
    monkeypatch: pytest.MonkeyPatch, share: float, has_room: bool
) -> None:
    least = share * COMPILER_BYTES / COMPILER_SHARE
    monkeypatch.setattr("lepton_dask.run.memory._limits", lambda _dispatch: [1e12, least])
    assert has_room_for_a_compiler(None) is has_room  # type: ignore[arg-type]
