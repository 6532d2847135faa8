"""The status as texts for people: the page and `lepton cluster status` say the same."""

from __future__ import annotations

from lepton_dask.resources.status import ClassStatus, RunStatus, Status

CLASS_HEADINGS = (
    "class",
    "demand",
    "share",
    "used",
    "running",
    "waiting",
    "done",
    "p50 latency",
    "p99 latency",
)
RUN_HEADINGS = ("run", "step", "verb", "state", "passes", "loss")


def sentences(status: Status) -> list[str]:
    """How priorities are kept, on what, and what is wrong."""
    workers, faults = status["workers"], status["faults"]
    behind = sum(not worker["acknowledged"] for worker in workers)
    kept = "shares are kept"
    if status["mode"] == "priorities":
        kept = f"priorities alone, no shares: {status['reason'] or 'no reason given'}"
    return [
        kept,
        f"workers: {len(workers)}, slots: {status['slots']}",
        *([f"not acknowledged by {behind} of them"] if behind else []),
        f"up {status['uptime_s']:.0f} s, {status['hook_seconds']:.2f} s of them in the plugin",
        *(f"errors in {hook}: {count}" for hook, count in faults.items() if count),
        *(
            f"{each['key']} can never run: asks for {each['asks']}, the most is {each['most']}"
            for each in status["impossible"]
        ),
    ]


def class_cells(name: str, found: ClassStatus) -> list[str]:
    """A class under CLASS_HEADINGS; share and use in slots."""
    return [
        name,
        f"{found['demand']:,}",
        f"{found['share']:.2f}",
        f"{found['used']:.2f}",
        f"{found['running']:,}",
        f"{found['waiting']:,}",
        f"{found['done']:,}",
        duration(found["latency_p50_s"]),
        duration(found["latency_p99_s"]),
    ]


def run_cells(run: RunStatus) -> list[str]:
    """A run under RUN_HEADINGS."""
    passes = "" if run["passes"] is None else f"{run['passes']:.4g}"
    loss = f"{run['losses'][-1]:.6g}" if run["losses"] else ""
    return [run["name"], run["step"], run["verb"], run["state"], passes, loss]


def duration(seconds: float | None) -> str:
    """`28 ms`, `1.30 s`, or `-`."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
