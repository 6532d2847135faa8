"""The verbs that take a model: `lepton predict` and `lepton adapt`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lepton_dask.cli.options import On, Scheduler, Table, named_tables
from lepton_dask.suggest import counted


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="A run, or a model's folder.")
    ],
    input_: Annotated[str, typer.Argument(metavar="INPUT", help="A file, a glob or a URL.")],
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="A .csv, .parquet or .jsonl file to write.")
    ],
    table: Table = None,
    on: On = None,
    scheduler: Scheduler = None,
) -> None:
    """Score files of any size: one row out for each row in.

    Chunk by chunk and in order; a row that cannot be scored stays empty and says why.
    """
    from lepton_dask.run.predict_file import predict_file

    with Console(stderr=True).status("starting") as status:
        done = predict_file(
            model,
            input_,
            output,
            tables=named_tables(table or ()),
            on=on,
            scheduler=scheduler,
            progressed=lambda rows: status.update(f"{rows:,} rows written"),
        )
    for reason, count in done.reasons.items():
        print(f"not scored: {count:,} rows: {reason}", file=sys.stderr)
    print(f"{done.rows:,} rows, {done.unscored:,} without a prediction", file=sys.stderr)
    print(output)


def adapt(
    model: Annotated[
        Path,
        typer.Argument(metavar="RUN_OR_BUNDLE", help="A run with a meta_train step, or its model."),
    ],
    rows: Annotated[
        str,
        typer.Argument(metavar="NEW_ROWS", help="A file of a new group's rows, with their target."),
    ],
    output: Annotated[
        Path, typer.Option(metavar="BUNDLE", help="The new model's folder; must be new or empty.")
    ],
    table: Table = None,
    on: On = None,
) -> None:
    """Adapt a model that was learnt from many groups to a new one.

    From a few of its rows; what is written is a model as any other, for lepton predict.
    """
    from lepton_dask.run.adapt_file import adapt_file

    done = adapt_file(model, rows, output, tables=named_tables(table or ()), on=on)
    if done.unreadable:
        print(f"left out: {counted(done.unreadable, 'row')} that cannot be read", file=sys.stderr)
    print(f"{done.algorithm}: adapted to {counted(done.rows, 'row')}", file=sys.stderr)
    print(output)
