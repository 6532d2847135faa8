"""What is asked of a cluster before anything is submitted to it.

A worker that lacks a package, a file or a resource would fail in the middle of a run, or let it
wait for ever; asked first, it is one sentence.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import cloudpickle
from distributed import Client

from lepton_dask.errors import DocumentPath, Mistake, RunError, UserError
from lepton_dask.run import worker_probe

PACKAGES = ("lepton_dask", "dask", "distributed", "numpy", "pandas", "pyarrow")
"""The packages that decide whether tasks can be sent at all, and what they give."""


@dataclass(frozen=True)
class Wants:
    """What a plan needs of every worker, with where in the pipeline it says so."""

    paths: Mapping[str, DocumentPath]
    modules: Mapping[str, DocumentPath]
    resources: Mapping[DocumentPath, tuple[str, float]]


def check_cluster(client: Client, wants: Wants, folders: Sequence[str]) -> None:
    """Raises UserError or RunError, in plain words, for what the workers lack.

    `folders` are put on the workers' module path first: where a pipeline's own modules lie.
    """
    facts = _ask(client, worker_probe, wants, folders)
    here = worker_probe.probe(PACKAGES, (), (), ())
    for worker, there in facts.items():
        _check_versions(worker, here["versions"], there["versions"])
    mistakes = [
        Mistake(at, f"worker {worker} cannot see {path}", "put it where every worker can read it")
        for worker, there in facts.items()
        for path, at in wants.paths.items()
        if path in there["missing_paths"]
    ]
    mistakes += [
        Mistake(at, f"worker {worker} has no module '{module}'", "install it there")
        for worker, there in facts.items()
        for module, at in wants.modules.items()
        if module in there["missing_modules"]
    ]
    mistakes += _resource_mistakes(client, wants.resources)
    if mistakes:
        raise UserError(_first_by_place(mistakes))


def _ask(
    client: Client, probe: ModuleType, wants: Wants, folders: Sequence[str]
) -> dict[str, dict[str, Any]]:
    # By value: a worker without this package could not import the function otherwise, and its
    # absence is what is to be found out.
    cloudpickle.register_pickle_by_value(probe)
    try:
        facts = client.run(
            probe.probe, PACKAGES, tuple(wants.paths), tuple(wants.modules), tuple(folders)
        )
    finally:
        cloudpickle.unregister_pickle_by_value(probe)
    return dict(sorted(facts.items()))


def _check_versions(worker: str, here: Mapping[str, str], there: Mapping[str, str]) -> None:
    for package, version in here.items():
        found = there[package]
        if found == version:
            continue
        what = f"has no {package}" if not found else f"has {package} {found}, not {version}"
        raise RunError(
            f"worker {worker} {what}",
            fix=f"install {package} {version} on every worker (pip install {package}=={version})",
        )


def _resource_mistakes(
    client: Client, wanted: Mapping[DocumentPath, tuple[str, float]]
) -> list[Mistake]:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    mistakes = []
    for at, (name, amount) in wanted.items():
        most = max((worker["resources"].get(name, 0.0) for worker in workers), default=0.0)
        if amount > most:
            offered = sorted({each for worker in workers for each in worker["resources"]})
            found = (
                f"asks for {amount:g}, and no worker offers more than {most:g}"
                if most
                else f"no worker offers it (offered: {', '.join(offered) or 'nothing'})"
            )
            mistakes.append(
                Mistake(at, found, "start workers with --resources, or ask for less", at_key=True)
            )
    return mistakes


def _first_by_place(mistakes: Sequence[Mistake]) -> list[Mistake]:
    """One mistake a place: ten workers that lack one file are one mistake of the user's."""
    return list({mistake.path: mistake for mistake in reversed(mistakes)}.values())[::-1]


def add_folders(folders: Sequence[str]) -> None:
    """Puts the folders of a pipeline's own modules on this process's module path."""
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
