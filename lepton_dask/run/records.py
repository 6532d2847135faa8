"""What a run writes into its folder as it goes."""

from __future__ import annotations

import csv
import io
import platform
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from lepton_dask.artifacts.bundle import save_bundle
from lepton_dask.artifacts.commit import write_json, write_text
from lepton_dask.artifacts.redact import Redactor
from lepton_dask.errors import LeptonError, RunError, UserError
from lepton_dask.learn.descent import Descent
from lepton_dask.learn.inference import Estimate
from lepton_dask.plan.planned import Plan
from lepton_dask.run.outcome import Evaluated
from lepton_dask.run.preflight import PACKAGES
from lepton_dask.run.search_outcome import Searched
from lepton_dask.run.search_records import search_plot, search_table
from lepton_dask.run.values import ModelValue

INFERENCE = ("feature", "coefficient", "standard_error", "z", "p", "note")
HISTORY = ("iteration", "passes", "seconds", "loss", "gradient_norm", "validation")


class Records:
    """Writes the documents of a run; steps that run side by side share one.

    Secrets are taken out of everything on its way to the disk.
    """

    def __init__(self, folder: Path, redactor: Redactor) -> None:
        self._folder, self._redactor = folder, redactor
        self._lock = threading.Lock()
        self._profiles: dict[str, object] = {}
        self._training: dict[str, object] = {}
        self._metrics: dict[str, Evaluated] = {}
        self._models: dict[str, ModelValue] = {}
        self._searches: dict[str, Searched] = {}
        self._chosen: str | None = None

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def metrics(self) -> Mapping[str, Evaluated]:
        return dict(self._metrics)

    def begin(self, pipeline_as_run: str, plan: Plan) -> None:
        write_text(self._folder / "pipeline.yaml", self._redactor.text(pipeline_as_run))
        self._write("plan.json", plan.to_json())
        self._write("versions.json", versions())

    def profile(self, step: str, profile: dict[str, object]) -> None:
        with self._lock:
            self._profiles[step] = profile
            self._write("profile.json", self._profiles)

    def trained(self, value: ModelValue) -> None:
        """A trained model: its bundle, its history, its line in training.json."""
        descent = value.descent
        with self._lock:
            self._save(value)
            self._training[value.step] = {
                "optimizer": descent.optimizer,
                "iterations": descent.iterations,
                "passes": descent.passes,
                "stopped": str(descent.stopped),
                "seconds": round(descent.seconds, 3),
            }
            self._write("training.json", self._training)

    @property
    def searches(self) -> Mapping[str, Searched]:
        return dict(self._searches)

    def searched(self, searched: Searched) -> None:
        """A step's search: a line for each result, and a picture of them."""
        with self._lock:
            self._searches[searched.step] = searched
            folder = self._folder / "models" / searched.step
            folder.mkdir(parents=True, exist_ok=True)
            self._write_search(folder, searched)

    def _write_search(self, folder: Path, searched: Searched) -> None:
        write_text(folder / "search.csv", self._redactor.text(search_table(searched)))
        write_text(folder / "search.svg", self._redactor.text(search_plot(searched)))

    def evaluated(self, step: str, value: ModelValue, evaluated: Evaluated) -> None:
        """The scores of an evaluate step, and the model that it stands for, its threshold set."""
        with self._lock:
            self._save(value)
            self._metrics[step] = evaluated
            if evaluated.candidates:
                self._chosen = value.step
            entries = {name: each.to_json() for name, each in self._metrics.items()}
            self._write("metrics.json", entries)

    def finish(self) -> None:
        """Writes the model that the run stands for: the chosen one, or the only one."""
        only = next(iter(self._models)) if len(self._models) == 1 else None
        alone = next(iter(self._searches)) if len(self._searches) == 1 else None
        searched = self._searches.get(self._chosen or "") or self._searches.get(alone or "")
        if searched is not None:
            self._write_search(self._folder, searched)
        value = self._models.get(self._chosen or only or "")
        if value is not None:
            save_bundle(self._folder / "model", value.model)
            write_text(self._folder / "history.csv", history(value.descent))
            if value.inference:
                write_text(self._folder / "inference.csv", inference(value.inference))

    def _save(self, value: ModelValue) -> None:
        self._models[value.step] = value
        folder = self._folder / "models" / value.step
        save_bundle(folder, value.model)
        write_text(folder / "history.csv", history(value.descent))
        if value.inference:
            write_text(folder / "inference.csv", inference(value.inference))

    def failed(self, error: BaseException, exit_code: int) -> None:
        self._write("error.json", error_document(error, exit_code))

    def _write(self, name: str, document: object) -> None:
        write_json(self._folder / name, self._redactor.document(document))


def history(descent: Descent) -> str:
    """history.csv: a line for each accepted iterate, the start among them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HISTORY)
    for each in descent.history:
        validation = "" if each.validation is None else repr(each.validation)
        writer.writerow(
            (
                each.iteration,
                f"{each.passes:.6g}",
                f"{each.seconds:.6f}",
                repr(each.loss),
                repr(each.gradient_norm),
                validation,
            )
        )
    return text.getvalue()


def inference(estimates: Sequence[Estimate]) -> str:
    """inference.csv: a line for each coefficient on the prepared columns, the intercept last."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(INFERENCE)
    for each in estimates:
        numbers = (each.coefficient, each.standard_error, each.z, each.p)
        shown = ("" if number is None else repr(number) for number in numbers)
        writer.writerow((each.feature, *shown, each.note))
    return text.getvalue()


@cache
def versions() -> dict[str, str]:
    """Of Python and of the packages that decide results. Looked up once: a process keeps what it
    has imported."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def error_document(error: BaseException, exit_code: int) -> dict[str, object]:
    """error.json: what happened, where, and what to do."""
    document: dict[str, object] = {
        "kind": type(error).__name__,
        "message": str(error),
        "exit_code": exit_code,
        "step": None,
        "file": None,
        "partition": None,
        "fix": "",
    }
    if isinstance(error, RunError):
        document |= {
            "step": error.step,
            "file": error.file,
            "partition": error.partition,
            "fix": error.fix,
        }
    elif isinstance(error, UserError):
        path = error.mistakes[0].path
        document |= {
            "step": path[1] if len(path) > 1 and path[0] == "steps" else None,
            "file": str(error.mistakes[0].place or ""),
            "fix": error.mistakes[0].fix,
            "mistakes": [str(mistake) for mistake in error.mistakes],
        }
    elif not isinstance(error, LeptonError):
        document["fix"] = "this is a bug in lepton_dask: please report it with events.jsonl"
    return document
