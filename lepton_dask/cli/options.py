"""Arguments and options that several verbs share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

PipelineFile = Annotated[Path, typer.Argument(metavar="PIPELINE", help="The pipeline's YAML file.")]
On = Annotated[
    Path | None,
    typer.Option("--on", metavar="CONFIG", help="Where to run: a configuration's YAML file."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a value of the pipeline: steps.model.train.penalty.l2=1e-3. Repeatable.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def _checked_address(text: str | None) -> str | None:
    """`--scheduler`, of the form that a configuration's `address` has to have too."""
    from pydantic import TypeAdapter, ValidationError

    from lepton_dask.config.cluster import Address

    if text is None:
        return None
    try:
        return TypeAdapter[str](Address).validate_python(text)
    except ValidationError as error:
        [problem] = error.errors()
        raise typer.BadParameter(f"'{text}' {problem['ctx']['error']}") from None


Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="A running Dask scheduler: tcp://host:8786.",
        callback=_checked_address,
    ),
]


class GraphFormat(StrEnum):
    mermaid = "mermaid"


class SchemaOf(StrEnum):
    pipeline = "pipeline"
    configuration = "configuration"
