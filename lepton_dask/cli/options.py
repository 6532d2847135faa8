"""Arguments and options that several verbs share."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lepton_dask.errors import Mistake, UserError

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
Table = Annotated[
    list[str] | None,
    typer.Option(
        "--table",
        metavar="NAME=FILE",
        help="A table that the model joins and that does not travel in it. Repeatable.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def named_tables(options: Sequence[str]) -> dict[str, str]:
    """`--table weather=FILE` by name. Raises UserError for what is not of that form."""
    tables: dict[str, str] = {}
    mistakes = []
    for option in options:
        name, equals, path = option.partition("=")
        if not equals or not name or not path:
            mistakes.append(Mistake(("--table",), f"expected NAME=FILE, found '{option}'"))
        elif name in tables:
            mistakes.append(Mistake(("--table",), f"'{name}' is given twice", "give it once"))
        tables[name] = path
    if mistakes:
        raise UserError(mistakes)
    return tables


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
