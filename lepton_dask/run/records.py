"""What a run writes into its folder as it goes."""

from __future__ import annotations

import platform
import threading
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

from lepton_dask.artifacts.bundle import save_bundle
from lepton_dask.artifacts.commit import write_json, write_text
from lepton_dask.artifacts.redact import Redactor
from lepton_dask.errors import LeptonError, RunError, UserError
from lepton_dask.learn.meta.comparison import Comparison
from lepton_dask.plan.planned import Plan
from lepton_dask.run.learnt_documents import learnt_documents
from lepton_dask.run.outcome import Evaluated
from lepton_dask.run.preflight import PACKAGES
from lepton_dask.run.search_outcome import Searched
from lepton_dask.run.search_records import search_plot, search_table
from lepton_dask.run.values import AnyModelValue, MetaModelValue, ModelValue


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
        self._models: dict[str, AnyModelValue] = {}
        self._searches: dict[str, Searched] = {}
        self._comparisons: dict[str, Comparison] = {}
        self._missed: list[str] = []
        self._chosen: str | None = None

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def metrics(self) -> Mapping[str, Evaluated]:
        return dict(self._metrics)

    @property
    def comparisons(self) -> Mapping[str, Comparison]:
        return dict(self._comparisons)

    @property
    def missed(self) -> tuple[str, ...]:
        """The goals that steps which learn have missed."""
        return tuple(self._missed)

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

    def meta_trained(self, value: MetaModelValue) -> None:
        """A model learnt from groups: the same, and what it was compared with."""
        fit, goal = value.fitted.fit, value.meta.goal
        with self._lock:
            self._save(value)
            self._comparisons[value.step] = fit.comparison
            if goal is not None and fit.learnt.stopped.code != "goal":
                best = min(each.score for each in fit.learnt.history)
                self._missed.append(
                    f"{goal.metric} of '{value.step}' on held-out groups is {best:.6g}, and should "
                    f"be at most {goal.at_most:g}"
                )
            self._training[value.step] = {
                "algorithm": value.meta.chosen.name,
                "kept": fit.kept.name,
                "groups": len(value.fitted.counts),
                "held_out": len(value.fitted.judged.names),
                "rounds": len(fit.learnt.history) - 1,
                "stopped": str(fit.learnt.stopped),
                "seconds": round(fit.learnt.history[-1].seconds, 3),
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

    def evaluated(self, step: str, value: AnyModelValue, evaluated: Evaluated) -> None:
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
            for name, text in learnt_documents(value).items():
                write_text(self._folder / name, text)

    def _save(self, value: AnyModelValue) -> None:
        self._models[value.step] = value
        folder = self._folder / "models" / value.step
        save_bundle(folder, value.model)
        for name, text in learnt_documents(value).items():
            write_text(folder / name, text)

    def failed(self, error: BaseException, exit_code: int) -> None:
        self._write("error.json", error_document(error, exit_code))

    def _write(self, name: str, document: object) -> None:
        write_json(self._folder / name, self._redactor.document(document))


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
