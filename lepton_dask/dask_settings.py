"""What Dask is told where a cluster is started or reached, and why its defaults do not do."""

from __future__ import annotations

SETTINGS: dict[str, object] = {
    # The default 15 s forgets a worker whose second death falls into it: a run that loses
    # workers now and then would shrink to nothing.
    "distributed.deploy.lost-worker-timeout": "1h",
    "distributed.worker.use-file-locking": False,
    "distributed.admin.large-graph-warning-threshold": "1GiB",
    # Looking at itself costs a local cluster, which shares its processors with the work, a tenth of
    # them: the dashboard shows the same at a slower pace.
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.tick.interval": "100ms",
    "distributed.worker.memory.monitor-interval": "250ms",
    "distributed.worker.profile.interval": "50ms",
    # Dask has every worker give back what it frees at once, and so take and clear new pages for
    # each array and each piece of a file: a third of the processor time that preparing takes.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 40 << 20,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 32 << 20,
    # With an arena for each of a worker's threads a chunk's pieces lie in several, and are held in
    # each: 20 MB more at its peak, and a twentieth more time.
    "distributed.nanny.pre-spawn-environ.MALLOC_ARENA_MAX": 2,
}

SMALL_BYTES = 1e9
SMALL_SETTINGS: dict[str, object] = {
    # In a worker with less memory than this, what is kept for the next request is what Dask pauses
    # it for. Of 533 MB one held 60 so, after all that Python and the compiler need.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 1 << 20,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 1 << 20,
}


def settings(memory_bytes: float) -> dict[str, object]:
    """Those of a local cluster whose workers have so much memory each."""
    return {**SETTINGS, **SMALL_SETTINGS} if memory_bytes < SMALL_BYTES else {**SETTINGS}
