"""Going on with the searches of a run that was stopped, or killed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from lepton_dask.artifacts.run_folder import unfinished
from lepton_dask.config.pipeline import Step
from lepton_dask.errors import Mistake, UserError
from lepton_dask.learn.train import Train
from lepton_dask.plan.planned import Plan

OPTION = "--resume"


def resumable(folder: Path, plan: Plan, steps: Sequence[Step]) -> Path:
    """The folder that a run left, under its own name or, where it was killed, under the one that it
    wrote into.

    Raises UserError where it is no run's, or where a step that searches is another one now: its
    keys, what is above it, the seed or the files have changed, and its trials are none of this one.
    """
    found = folder if (folder / "plan.json").is_file() else unfinished(folder)
    if not (found / "plan.json").is_file():
        words = f"{folder} is no run's folder"
        raise UserError([Mistake((OPTION,), words, "name one beneath runs/")])
    try:
        document = json.loads((found / "plan.json").read_text())
        then = {each["name"]: each["fingerprint"] for each in document["steps"]}
    except (ValueError, KeyError, TypeError):
        words = f"{found / 'plan.json'} is not the JSON that a run wrote"
        raise UserError([Mistake((OPTION,), words, "run without --resume")]) from None
    now = {each.name: each.fingerprint for each in plan.steps}
    searching = [
        step.name
        for step in steps
        if isinstance(step.action, Train) and step.action.search is not None
    ]
    changed = [name for name in searching if then.get(name) != now[name]]
    if changed:
        words = f"step '{changed[0]}', a step above it, the seed or a file is not what it was then"
        raise UserError([Mistake((OPTION,), words, "run without --resume")])
    return found.absolute()
