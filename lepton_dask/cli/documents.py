"""What `--json` prints: one document a verb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from lepton_dask.artifacts.run_folder import RunSummary
from lepton_dask.errors import LeptonError, Mistake, UserError
from lepton_dask.run.outcome import RunOutcome


def validation(mistakes: Sequence[Mistake], warnings: Sequence[Mistake]) -> dict[str, object]:
    return {
        "valid": not mistakes,
        "mistakes": [_mistake(each) for each in mistakes],
        "warnings": [_mistake(each) for each in warnings],
    }


def _mistake(mistake: Mistake) -> dict[str, object]:
    place = mistake.place
    return {
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "path": list(mistake.path),
        "found": mistake.found,
        "fix": mistake.fix,
        "message": str(mistake),
    }


def failure(error: LeptonError) -> dict[str, object]:
    """What error.json says, each mistake of a user's with its place."""
    from lepton_dask.run.records import error_document

    document = error_document(error, error.exit_code)
    if isinstance(error, UserError):
        document["mistakes"] = [_mistake(each) for each in error.mistakes]
    return document


def outcome(done: RunOutcome) -> dict[str, object]:
    document: dict[str, object] = {
        "folder": str(done.folder),
        "exit_code": done.exit_code,
        "missed_goals": list(done.missed_goals),
        "metrics": {step: evaluated.to_json() for step, evaluated in done.metrics.items()},
    }
    if done.searches:
        document["searches"] = {step: each.to_json() for step, each in done.searches.items()}
    return document


def runs(found: Sequence[RunSummary]) -> list[dict[str, object]]:
    return [asdict(run) | {"folder": str(run.folder)} for run in found]
