"""Two pipelines on one `lepton cluster`: a critical small one comes while a low one trains.

Each is run alone first, on the same cluster and from the same processes, then both together: the
critical one is submitted once the low one is in its training. A run's seconds are those of its
process from the pipeline's file to the committed folder; that the process has imported what it
needs, and that the cluster has compiled, is not in them. The models must be equal bit by bit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.aside import Aside
from benchmarks.harness import Arm, Bench, Case, Run
from benchmarks.out_of_core import written
from benchmarks.priority_cluster import READY_S, ROOT
from benchmarks.problems import Problem

LOW, CRITICAL = "low", "critical"
ALONE, SHARED = "critical alone", "critical beside low"
LOW_ROWS, CRITICAL_ROWS = 2_000_000, 50_000
COLUMNS = 20
CHUNKS = {LOW: 64, CRITICAL: 4}
LOW_TRAINING = {"optimizer": "gradient_descent", "tolerance": 0.0, "max_passes": 100}
"""Small steps, and no end before the last pass."""
SERVED = {
    "cluster": {"kind": "local", "workers": 2, "threads_per_worker": 1},
    "dashboard": "127.0.0.1:0",
}
LEPTON = str(Path(sys.executable).parent / "lepton")
BAR = 1.5
WAIT_S = 60.0
POLL_S = 0.02


def pipelines(bench: Bench) -> None:
    low = Problem("corr", bench.rows(LOW_ROWS, 64_000), COLUMNS, chunks=CHUNKS[LOW])
    critical = Problem("corr", bench.rows(CRITICAL_ROWS, 4_000), COLUMNS, chunks=CHUNKS[CRITICAL])
    with served() as address, Aside(Runner, address) as one, Aside(Runner, address) as two:
        for _ in range(2):  # the first time everything is compiled
            two.call("train", CRITICAL, written(critical))
            alone = one.call("train", LOW, written(low))
        bench.say(f"low alone: {alone['seconds']:.3g} s, {alone['passes']:g} passes")

        def beside() -> Run:
            with ThreadPoolExecutor() as pool:
                trains = pool.submit(one.call, "train", LOW, written(low))
                two.call("until_training", LOW)
                made = two.call("train", CRITICAL, written(critical))
                values = {"low still runs": int(not trains.done())}
                lower = trains.result()
            values |= {"low, s": lower["seconds"]} | made["parts"]
            return Run(made["seconds"], (made["theta"], lower["theta"]), values)

        def by_itself() -> Run:
            made = two.call("train", CRITICAL, written(critical))
            return Run(made["seconds"], (made["theta"], alone["theta"]), made["parts"])

        arms = [Arm(ALONE, by_itself), Arm(SHARED, beside)]
        title = f"two pipelines, {critical} beside {low} in {low.chunks} chunks"
        found = bench.measure(Case(title, arms, equal, warm=0))
    same = found.rows[SHARED].agrees
    bench.bar("two pipelines: models bit-equal", None if same is None else int(same), ">=", 1)
    bench.bar("two pipelines: low still ran", found.value(SHARED, "low still runs"), ">=", 1)
    bench.bar("two pipelines: critical / alone", found.ratio(SHARED, ALONE), "<=", BAR)


def equal(answers: Mapping[str, Any]) -> dict[str, str | None]:
    """Whether both models are, in every run, those that the runs alone gave, to the last bit."""
    wrong: dict[str, str | None] = dict.fromkeys(answers)
    if ALONE in answers and SHARED in answers:
        differ = [
            name
            for name, one, other in zip(
                (CRITICAL, LOW), answers[ALONE], answers[SHARED], strict=True
            )
            if one != other
        ]
        if differ:
            wrong[SHARED] = f"another {' and another '.join(differ)} model than alone"
    return wrong


@contextmanager
def served() -> Iterator[str]:
    """The address of a `lepton cluster` of two one-thread workers, in a process of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        config = Path(folder) / "cluster.yaml"
        config.write_text(json.dumps(SERVED))
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        process = subprocess.Popen(
            [LEPTON, "cluster", "start", "--foreground", "--on", str(config)],
            env={**os.environ, "PYTHONPATH": path, "XDG_STATE_HOME": folder},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith("scheduler:"):
                    break
            else:
                raise RuntimeError(f"lepton cluster start ended with {process.wait()}")
            yield line.split(":", 1)[1].strip()
        finally:
            process.terminate()
            try:
                process.wait(READY_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


class Runner:
    """Runs pipelines on a cluster that is there, in a process of its own."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._number = 0

    def close(self) -> None:
        self._folder.cleanup()

    def train(self, name: str, paths: list[Path]) -> dict[str, Any]:
        """A whole run of the pipeline of that priority: its coefficients' bytes, and the seconds of
        its steps and of what is around them."""
        import lepton_dask
        from lepton_dask.run.pipeline import load_and_plan, run_planned

        self._number += 1
        folder = Path(self._folder.name)
        file = folder / f"{name}{self._number}.yaml"
        file.write_text(json.dumps(pipeline(name, paths)))
        heard: list[Any] = []
        began = time.perf_counter()
        outcome = run_planned(
            load_and_plan(file),
            scheduler=self._address,
            output=folder / f"run{self._number}",
            listeners=[heard.append],
        )
        seconds = time.perf_counter() - began
        steps = {
            f"{event.step}, s": event.seconds
            for event in heard
            if type(event).__name__ == "StepFinished"
        }
        training = json.loads((outcome.folder / "training.json").read_text())["model"]
        model = lepton_dask.load(outcome.folder / "model")
        return {
            "seconds": seconds,
            "parts": {**steps, "around, s": seconds - sum(steps.values())},
            "passes": training["passes"],
            "theta": model.coefficient_array.tobytes() + repr(model.intercept).encode(),
        }

    def until_training(self, name: str) -> None:
        """Returns once the scheduler has heard that the run makes passes."""
        from lepton_dask.run.asking import status_of

        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            runs = status_of(self._address, None)["runs"]
            if any(run["name"] == name and run["losses"] for run in runs):
                return
            time.sleep(POLL_S)
        raise TimeoutError(f"{name} does not train")


def pipeline(name: str, paths: list[Path]) -> dict[str, Any]:
    training: dict[str, Any] = {"loss": "logistic", "penalty": {"l2": 1e-5}}
    if name == LOW:
        training |= LOW_TRAINING
    return {
        "name": name,
        "priority": name,
        "steps": {
            "rows": {"read": {"path": [str(path) for path in paths]}},
            "features": {"prepare": {"target": "y", "numeric": {"scale": "standard"}}},
            "model": {"train": training},
        },
    }
