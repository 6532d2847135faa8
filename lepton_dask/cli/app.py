"""The verbs, and what they exit with."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lepton_dask.artifacts.redact import Redactor
from lepton_dask.cli import documents, tables
from lepton_dask.cli.allocate import allocate
from lepton_dask.cli.cluster import cluster
from lepton_dask.cli.console import LiveConsole, PlainConsole
from lepton_dask.cli.models import adapt, predict
from lepton_dask.cli.options import (
    AsJson,
    GraphFormat,
    On,
    PipelineFile,
    Scheduler,
    SchemaOf,
    Set,
)
from lepton_dask.cli.output import failing_in_json, print_json, stdout_console
from lepton_dask.config.mistakes import render
from lepton_dask.errors import LeptonError, UserError
from lepton_dask.suggest import counted

if TYPE_CHECKING:
    from lepton_dask.run.pipeline import PlannedRun

HELP = """Machine-learning pipelines over tables, written in YAML and run on Dask.

A pipeline says what to read, how to prepare it, what to learn and how good is good enough.

\b
    lepton validate pipelines/medical_diagnosis.yaml
    lepton plan pipelines/medical_diagnosis.yaml --columns
    lepton run pipelines/medical_diagnosis.yaml
    lepton predict runs/latest new_patients.csv predictions.csv

\b
Exit codes: 0 done; 1 the run failed; 2 your files are wrong;
3 it ran, but a goal was missed; 4 the cluster could not be reached or was lost;
130 and 143 stopped by SIGINT and SIGTERM.
"""

app = typer.Typer(
    help=HELP,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _warn(planned: PlannedRun) -> None:
    redactor = Redactor(planned.secrets)
    for warning in planned.warnings:
        print(f"warning: {redactor.text(str(warning))}", file=sys.stderr)


@app.command()
def validate(
    pipeline: PipelineFile, on: On = None, set_: Set = None, as_json: AsJson = False
) -> None:
    """Find every mistake in a pipeline before anything runs.

    Each with its line and column, what was expected and the nearest known name. Columns and types
    are checked as far as headers, footers and each file's first MiB show them.
    """
    from dask.utils import format_bytes

    from lepton_dask.data.head import HEAD_BYTES
    from lepton_dask.run.pipeline import load_and_plan

    try:
        planned = load_and_plan(pipeline, on=on, overrides=set_ or ())
    except UserError as error:
        if not as_json:
            raise
        print_json(documents.validation(error.mistakes, ()))
        raise typer.Exit(error.exit_code) from None
    if as_json:
        print_json(documents.validation((), planned.warnings))
        return
    _warn(planned)
    seen = f"as far as the first {format_bytes(HEAD_BYTES)} of each file shows"
    print(f"{pipeline}: {counted(len(planned.plan.steps), 'step')}, no mistakes {seen}")


@app.command()
def plan(
    pipeline: PipelineFile,
    on: On = None,
    set_: Set = None,
    columns: Annotated[
        bool, typer.Option("--columns", help="Every column after every step, and why.")
    ] = False,
    graph: Annotated[
        GraphFormat | None, typer.Option("--graph", help="The steps as a diagram.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do, and why, computing nothing.

    Only headers, footers and each file's first MiB are read.
    """
    from lepton_dask.plan.mermaid import mermaid
    from lepton_dask.run.pipeline import load_and_plan

    with failing_in_json() if as_json else nullcontext():
        planned = load_and_plan(pipeline, on=on, overrides=set_ or ())
    redactor = Redactor(planned.secrets)
    _warn(planned)
    if as_json:
        print_json(redactor.document(planned.plan.to_json()))
    elif graph is GraphFormat.mermaid:
        print(redactor.text(mermaid(planned.plan)))
    else:
        out = stdout_console()
        if columns:
            for table in tables.columns(planned.plan, redactor):
                out.print(table)
        else:
            out.print(tables.steps(planned.plan, redactor))


@app.command()
def run(
    pipeline: PipelineFile,
    on: On = None,
    set_: Set = None,
    scheduler: Scheduler = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The run folder; must be new or empty."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="STEP", help="Stop after this step.")] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Go on with the searches of a run that was stopped."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a pipeline and leave a run folder with the model.

    Progress goes to stderr; the last line on stdout is the run folder.
    """
    from lepton_dask.run.pipeline import load_and_plan, run_planned

    err = Console(stderr=True, soft_wrap=not sys.stderr.isatty())
    with failing_in_json() if as_json else nullcontext():
        planned = load_and_plan(pipeline, on=on, overrides=set_ or (), until=until)
        redactor = Redactor(planned.secrets)
        listener = LiveConsole(err, redactor) if err.is_terminal else PlainConsole(err, redactor)
        with listener:
            outcome = run_planned(
                planned,
                scheduler=scheduler,
                output=output,
                listeners=(listener,),
                resume=resume,
            )
    for missed in outcome.missed_goals:
        err.print(f"goal missed: {missed}", markup=False, highlight=False)
    if as_json:
        print_json(redactor.document(documents.outcome(outcome)))
    else:
        for table in (*tables.comparisons(outcome), *tables.scores(outcome)):
            stdout_console().print(table)
        print(outcome.folder)
    raise typer.Exit(outcome.exit_code)


@app.command()
def init(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The table: a file or a glob.")],
    target: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="What to learn: a column's name, or its position."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(metavar="PIPELINE", help="A new file to write; stdout without it."),
    ] = None,
) -> None:
    """Look at a table and write a pipeline that learns from it.

    With its types filled in, and a reason beside every choice. It runs as it is.
    """
    from lepton_dask.run.initial import initial_pipeline, write_initial

    text = initial_pipeline(file, target)
    if output is None:
        print(text, end="")
    else:
        write_initial(text, output)
        print(f"next: lepton run {output}", file=sys.stderr)


@app.command()
def profile(
    what: Annotated[
        str,
        typer.Argument(metavar="FILE_OR_PIPELINE", help="A file, a glob, a URL, or a pipeline."),
    ],
    on: On = None,
    scheduler: Scheduler = None,
    as_json: AsJson = False,
) -> None:
    """Show every column of a table as it is.

    Of a file, or of the table that a pipeline's first prepare step takes. Every row is read; files
    that are far less likely than the others are told. Nothing is written.
    """
    from lepton_dask.cli import profiles
    from lepton_dask.run.profile_table import plan_profile, profile_planned

    err = Console(stderr=True, soft_wrap=not sys.stderr.isatty())
    with failing_in_json() if as_json else nullcontext():
        profiling = plan_profile(what, on=on)
        redactor = Redactor(profiling.planned.secrets)
        for note in profiling.notes:
            print(note, file=sys.stderr)
        listener = LiveConsole(err, redactor) if err.is_terminal else PlainConsole(err, redactor)
        with listener:
            profiled = profile_planned(profiling, scheduler=scheduler, listeners=(listener,))
    if as_json:
        print_json(redactor.document({profiling.step: profiled.to_json()}))
    else:
        stdout_console().print(profiles.profile(profiling.table, profiled.whole, redactor))


app.command()(predict)
app.command()(adapt)


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the runs are.")] = Path(
        "runs"
    ),
    as_json: AsJson = False,
) -> None:
    """List the runs so far with their metrics."""
    from lepton_dask.artifacts.run_folder import list_runs

    found = list_runs(folder)
    if as_json:
        print_json(documents.runs(found))
    elif found:
        stdout_console().print(tables.runs(found))
    else:
        print(f"no runs in {folder}", file=sys.stderr)


@app.command()
def schema(
    of: Annotated[SchemaOf, typer.Argument(help="Which file's schema.")] = SchemaOf.pipeline,
) -> None:
    """Print the JSON Schema of a file, for editors."""
    from lepton_dask.config.schema import config_schema, pipeline_schema

    print_json(pipeline_schema() if of is SchemaOf.pipeline else config_schema())


app.command()(allocate)
app.add_typer(cluster, name="cluster")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code: one line a mistake, no traceback for it."""
    # Else the interpreter looks through what every library has made once more, for 0.3 s.
    atexit.register(gc.freeze)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(args=words or ["--help"], standalone_mode=False)
    except UserError as error:
        for mistake in error.mistakes:
            print(render(mistake), file=sys.stderr)
        print(counted(len(error.mistakes), "mistake"), file=sys.stderr)
        sys.exit(error.exit_code)
    except LeptonError as error:
        print(f"lepton: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except typer.TyperException as error:
        print(f"lepton: {error.format_message().rstrip('.')}; see lepton --help", file=sys.stderr)
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        print("lepton: stopped", file=sys.stderr)
        sys.exit(130)
    sys.exit(code or 0)
