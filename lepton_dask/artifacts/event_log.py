"""events.jsonl: what happened in a run, one JSON document a line, as it happens."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from lepton_dask.artifacts.redact import Redactor
from lepton_dask.events import Event


class EventLog:
    """A listener that appends each event, with its time and kind, to a file."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self._stream = path.open("a", encoding="utf-8", buffering=1)
        self._redactor = redactor

    def __call__(self, event: Event) -> None:
        record = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": type(event).__name__,
            **asdict(event),
        }
        self._stream.write(json.dumps(self._redactor.document(record), ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._stream.close()
