"""What a scheduler says of its priorities, made up."""

from __future__ import annotations

from lepton_dask.resources.status import ClassStatus, RunStatus, Status

NAMES = ("critical", "high", "normal", "low")


def class_status(**values: float | None) -> ClassStatus:
    idle: ClassStatus = {
        "weight": 1.0,
        "reserve": 0.0,
        "minimum": 0.0,
        "maximum": 1.0,
        "demand": 0,
        "share": 0.0,
        "used": 0.0,
        "running": 0,
        "waiting": 0,
        "done": 0,
        "latency_p50_s": None,
        "latency_p99_s": None,
    }
    return {**idle, **values}  # type: ignore[typeddict-item]  # of keys by name mypy sees no type


def run_status(name: str, losses: list[float]) -> RunStatus:
    return {
        "name": name,
        "step": "model",
        "verb": "train",
        "state": "running",
        "passes": float(len(losses)),
        "losses": losses,
    }


def busy(turn: int = 0) -> Status:
    """Four classes on two workers of two slots; the numbers grow with `turn`."""
    critical = class_status(
        weight=8.0,
        reserve=0.25,
        demand=1,
        share=1.0,
        used=0.75,
        running=1,
        done=1000 + turn,
        latency_p50_s=0.028,
        latency_p99_s=1.5,
    )
    low = class_status(
        minimum=0.05, demand=700 - turn % 50, share=2.5, used=3.0, running=3, waiting=500 + turn
    )
    classes = {"critical": critical, "high": class_status(weight=4.0)}
    return {
        "mode": "shares",
        "reason": None,
        "dask": "2026.8.0",
        "uptime_s": 60.0 + turn,
        "slots": 4,
        "workers": [
            {
                "address": f"tcp://127.0.0.1:{port}",
                "slots": 2,
                "running": 2,
                "lanes": {"critical": 1},
                "acknowledged": port == 1,
            }
            for port in (1, 2)
        ],
        "classes": {**classes, "normal": class_status(weight=2.0), "low": low},
        "runs": [
            run_status("credit", [0.69 / (1 + 0.2 * i) for i in range(10 + turn % 200)]),
            run_status("homes", [0.5 / (1 + 0.05 * i) for i in range(40)]),
        ],
        "impossible": [{"key": "huge", "asks": "memory 64 GiB", "most": "2 GiB"}],
        "faults": {"transition": 2, "update_graph": 0},
        "hook_seconds": 0.125,
        "page": None,
    }
