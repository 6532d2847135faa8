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
from dask.utils import format_bytes
from distributed import Client

from lepton_dask.errors import ClusterError, DocumentPath, Mistake, RunError, UserError
from lepton_dask.resources.lanes import MEMORY, PREFIX
from lepton_dask.run import worker_probe

ANSWER_S = 30.0
"""For the workers to answer. The first one may have to import what it is asked for."""

PACKAGES = ("lepton_dask", "dask", "distributed", "numpy", "pandas", "pyarrow")
"""The packages that decide whether tasks can be sent at all, and what they give."""


@dataclass(frozen=True)
class Wants:
    """What a plan needs of every worker, with where in the pipeline it says so."""

    paths: Mapping[str, DocumentPath]
    modules: Mapping[str, DocumentPath]
    resources: Mapping[DocumentPath, tuple[str, float]]


def check_cluster(client: Client, wants: Wants, folders: Sequence[str]) -> None:
    """Raises UserError or RunError, in plain words, for what the workers lack; ClusterError where
    one does not answer.

    `folders` are put on the workers' module path first: where a pipeline's own modules lie.
    """
    facts = _ask(client, worker_probe, wants, folders)
    _check_versions(facts)
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
            probe.probe,
            PACKAGES,
            tuple(wants.paths),
            tuple(wants.modules),
            tuple(folders),
            on_error="return",
            callback_timeout=ANSWER_S,
        )
    except TimeoutError as error:
        raise ClusterError(f"a worker does not answer within {ANSWER_S:g} s") from error
    finally:
        cloudpickle.unregister_pickle_by_value(probe)
    for worker, answer in facts.items():
        if isinstance(answer, BaseException):
            raise ClusterError(f"worker {worker} does not answer ({answer})") from answer
    return dict(sorted(facts.items()))


def _check_versions(facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises RunError for the first worker whose packages are not those of this process."""
    here = {package: worker_probe.version(package) for package in PACKAGES}
    for worker, there in facts.items():
        wrong = [package for package in PACKAGES if there["versions"][package] != here[package]]
        if not wrong:
            continue
        lacks = [_lack(package, there["versions"][package], here[package]) for package in wrong]
        wanted = " ".join(f"{package}=={here[package]}" for package in wrong)
        raise RunError(
            f"worker {worker} {', '.join(lacks)}",
            fix=f"on every worker: pip install {wanted}",
        )


def _lack(package: str, there: str, here: str) -> str:
    return f"has {package} {there} and not {here}" if there else f"has no {package}"


def _resource_mistakes(
    client: Client, wanted: Mapping[DocumentPath, tuple[str, float]]
) -> list[Mistake]:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    mistakes = []
    for at, (name, amount) in wanted.items():
        most = max((worker["resources"].get(name, 0.0) for worker in workers), default=0.0)
        if amount > most:
            every = {each for worker in workers for each in worker["resources"]}
            offered = sorted(each for each in every if not each.startswith(PREFIX))
            tell = format_bytes if name == MEMORY else "{:g}".format
            found = (
                f"asks for {tell(amount)}, and no worker offers more than {tell(most)}"
                if most
                else f"no worker offers it (offered: {', '.join(offered) or 'nothing'})"
            )
            more = (
                "give workers more memory" if name == MEMORY else "start workers with --resources"
            )
            fix = f"{more}, or ask for less"
            mistakes.append(Mistake(at, found, fix, at_key=True))
    return mistakes


def _first_by_place(mistakes: Sequence[Mistake]) -> list[Mistake]:
    """One mistake a place: ten workers that lack one file are one mistake of the user's."""
    return list({mistake.path: mistake for mistake in reversed(mistakes)}.values())[::-1]


def add_folders(folders: Sequence[str]) -> None:
    """Puts the folders of a pipeline's own modules on this process's module path."""
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
