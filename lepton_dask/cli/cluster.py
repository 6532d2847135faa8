"""`lepton cluster`: a cluster that stays up for several runs, and how they share it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from lepton_dask.cli.options import AsJson, On, Scheduler
from lepton_dask.cli.output import failing_in_json, print_json, stdout_console
from lepton_dask.cli.tables import add_row, make_table
from lepton_dask.resources.figures import (
    CLASS_HEADINGS,
    RUN_HEADINGS,
    class_cells,
    run_cells,
    sentences,
)

if TYPE_CHECKING:
    from lepton_dask.resources.status import Status

HELP = """Keep a cluster up that several runs share by priority.

\b
    lepton cluster start --on configs/local.yaml
    lepton run PIPELINE --scheduler ADDRESS
    lepton cluster status
    lepton cluster stop
"""

cluster = typer.Typer(
    help=HELP, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)

Config = Annotated[
    Path | None,
    typer.Option("--on", metavar="CONFIG", help="What to start: a configuration's YAML file."),
]


@cluster.command()
def start(
    on: Config = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay here, and end with Ctrl-C.")
    ] = False,
) -> None:
    """Start a configuration's cluster, with its priorities.

    It stays up when the shell ends. Prints the scheduler's address, and where its dashboard shows
    the priorities.
    """
    from lepton_dask.run import background, serve

    if foreground:
        serve.serve(on, announce=lambda text: print(text, flush=True))
    else:
        for line in serve.told(background.start(on)):
            print(line)


@cluster.command()
def status(scheduler: Scheduler = None, on: On = None, as_json: AsJson = False) -> None:
    """Show the classes, what they have and use, and the runs.

    Of the cluster that `start` keeps up, or of any scheduler with the priorities installed.
    """
    from lepton_dask.run.asking import status_of

    with failing_in_json() if as_json else nullcontext():
        found = status_of(scheduler, on)
    if as_json:
        print_json(found)
    else:
        for table in status_tables(found):
            stdout_console().print(table)


@cluster.command()
def stop() -> None:
    """End the cluster that `start` keeps up.

    Where none is up there is nothing to do.
    """
    from lepton_dask.run import background

    ended = background.stop()
    if ended is None:
        print("no cluster is up", file=sys.stderr)
    else:
        print(f"stopped the cluster at {ended.address}")


def status_tables(found: Status) -> Iterator[Table]:
    """A row for each class and each run, under what else there is to say."""
    classes = make_table("\n".join(sentences(found)), *CLASS_HEADINGS)
    for name, each in found["classes"].items():
        add_row(classes, *class_cells(name, each))
    yield classes
    if found["runs"]:
        runs = make_table("", *RUN_HEADINGS)
        for run in found["runs"]:
            add_row(runs, *run_cells(run))
        yield runs
